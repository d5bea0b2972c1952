"""What clubs own, as their boxes last told it."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

import msgspec

from control_plane.store.pool import Connection
from schemas.api import ClubNames, ClubState
from schemas.club import ClubMirror
from schemas.names import SiteId

_MIRROR: Final = msgspec.json.Decoder(ClubMirror)


async def keep(conn: Connection, site: SiteId, mirror: ClubMirror, now: datetime) -> None:
    """Keep this in the place of what the site's box told before."""
    await conn.execute(
        "insert into clubs (site, received_at, body) values (%s, %s, %s::jsonb)"
        " on conflict (site) do update set received_at = excluded.received_at, body = excluded.body",
        (site, now, msgspec.json.encode(mirror).decode()),
    )


async def club_of(conn: Connection, site: SiteId) -> ClubState | None:
    """What the club of a site owns; None where its box never told."""
    rows = await conn.execute("select received_at, body::text from clubs where site = %s", (site,))
    row = await rows.fetchone()
    return ClubState(site=site, received_at=row[0], club=_MIRROR.decode(row[1])) if row else None


async def names(conn: Connection, sites: Collection[SiteId]) -> list[ClubNames]:
    """What a plan asks of the clubs of these sites, by site; those whose boxes never told are left out."""
    rows = await conn.execute(
        "select site, received_at, body::text from clubs where site = any(%s) order by site", (list(sites),)
    )
    return [_names(site, at, _MIRROR.decode(body)) async for site, at, body in rows]


def _names(site: SiteId, received_at: datetime, club: ClubMirror) -> ClubNames:
    return ClubNames(
        site=site,
        received_at=received_at,
        categories=[category.id for category in club.categories if category.id],
        paths=[file.path for file in club.files],
        file_count=club.file_count,
        file_bytes=club.file_bytes,
    )
