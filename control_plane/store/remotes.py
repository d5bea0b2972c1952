"""How the last look at the Git remote went: one row."""

from datetime import datetime
from typing import NamedTuple

from control_plane.store.pool import Connection
from schemas.names import Revision


class RemoteLook(NamedTuple):
    """`error` is empty when it went well; `error_since`: since when it has not; `succeeded_at`: when it last did."""

    looked_at: datetime
    revision: Revision | None
    error: str
    error_since: datetime | None
    succeeded_at: datetime | None


async def record_look(conn: Connection, now: datetime, revision: Revision | None, error: str) -> None:
    """Keep how it went; without a `revision` the last one that was seen stays."""
    await conn.execute(
        "insert into remote (looked_at, revision, error, error_since, succeeded_at) values (%(now)s, %(revision)s,"
        " %(error)s, case when %(error)s <> '' then %(now)s::timestamptz end,"
        " case when %(error)s = '' then %(now)s::timestamptz end)"
        " on conflict (only_row) do update set looked_at = excluded.looked_at,"
        " revision = coalesce(excluded.revision, remote.revision), error = excluded.error,"
        " error_since = case when excluded.error = '' then null"
        " else coalesce(remote.error_since, excluded.looked_at) end,"
        " succeeded_at = coalesce(excluded.succeeded_at, remote.succeeded_at)",
        {"now": now, "revision": revision, "error": error},
    )


async def last_look(conn: Connection) -> RemoteLook | None:
    """None before the first look."""
    rows = await conn.execute("select looked_at, revision, error, error_since, succeeded_at from remote")
    row = await rows.fetchone()
    return RemoteLook(*row) if row else None
