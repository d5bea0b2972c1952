"""What was played on the screens, each event and impression once."""

from datetime import datetime

import msgspec

from control_plane.store.pool import Connection
from schemas.analytics import Batch, Kind, Playback
from schemas.names import SiteId

_INSERT = (
    "insert into playbacks (site, kind, received_at, played_at, video_filename, session_id, duration_s, video_id,"
    " sponsor_id, body) select %s, %s, %s, * from unnest(%s::timestamptz[], %s::text[], %s::text[], %s::float8[],"
    " %s::text[], %s::text[], %s::jsonb[]) on conflict do nothing"
)


async def keep(conn: Connection, site: SiteId, batch: Batch, now: datetime) -> int:
    """Keep what is not there yet, in one transaction; how many that were."""
    columns = [list(column) for column in zip(*map(_row, batch.playbacks), strict=True)]
    return (await conn.execute(_INSERT, (site, batch.kind, now, *columns))).rowcount


def _row(played: Playback) -> tuple[object, ...]:
    key = (played.played_at, played.video_filename, played.session_id or "", played.duration_played or 0.0)
    return (*key, played.video_id, played.sponsor_id, msgspec.json.encode(played).decode())


async def playbacks_of(conn: Connection, site: SiteId, kind: Kind, limit: int) -> list[Playback]:
    """What was played on a site, newest first."""
    rows = await conn.execute(
        "select body::text from playbacks where site = %s and kind = %s"
        " order by played_at desc, video_filename, session_id, duration_s limit %s",
        (site, kind, limit),
    )
    return [msgspec.json.decode(body, type=Playback) for (body,) in await rows.fetchall()]


async def prune(conn: Connection, before: datetime) -> int:
    """Forget what lies in no month's partition (a wrong clock dated it) and came before this instant; how many."""
    return (await conn.execute("delete from playbacks_other where received_at < %s", (before,))).rowcount
