"""What boxes uploaded for an operation: the text of their logs or of a self-test, zstd-compressed."""

from datetime import datetime
from typing import Final

from control_plane.store.pool import Connection
from schemas.api import OperationLog
from schemas.names import SiteId

KEPT_A_SITE: Final = 100
"""Of one site; older ones give way, so that a box gone wild fills nobody's disk."""


async def keep(conn: Connection, site: SiteId, operation: str, body: bytes, now: datetime) -> None:
    """Keep a log; where there is one of this operation already, that one stays."""
    await conn.execute(
        "insert into operation_logs (site, operation, received_at, body) values (%s, %s, %s, %s)"
        " on conflict do nothing",
        (site, operation, now, body),
    )
    await conn.execute(
        "delete from operation_logs where site = %s and operation in ("
        " select operation from operation_logs where site = %s order by received_at desc, operation offset %s)",
        (site, site, KEPT_A_SITE),
    )


async def log_of(conn: Connection, site: SiteId, operation: str) -> bytes | None:
    """The log of a site for an operation, zstd; None where its box sent none."""
    found = await conn.execute("select body from operation_logs where site = %s and operation = %s", (site, operation))
    row = await found.fetchone()
    return bytes(row[0]) if row else None


async def logs_of(conn: Connection, operation: str) -> list[OperationLog]:
    """Which sites sent a log for an operation, by site."""
    rows = await conn.execute(
        "select site, received_at, octet_length(body) from operation_logs where operation = %s order by site",
        (operation,),
    )
    return [OperationLog(site=site, received_at=at, stored_bytes=size) for site, at, size in await rows.fetchall()]
