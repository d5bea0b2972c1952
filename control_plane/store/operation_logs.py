"""What boxes uploaded for an operation: the text of their logs or of a self-test, zstd-compressed."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from control_plane.store.pool import Connection
from schemas.api import OperationLog
from schemas.names import DocumentId, SiteId

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


class StoredLog(NamedTuple):
    """When a text came, and its size as it is kept, compressed."""

    received_at: datetime
    stored_bytes: int


async def logs_of_site(conn: Connection, site: SiteId) -> dict[DocumentId, StoredLog]:
    """The texts that a site's box sent, by operation."""
    rows = await conn.execute(
        "select operation, received_at, octet_length(body) from operation_logs where site = %s", (site,)
    )
    return {operation: StoredLog(at, size) for operation, at, size in await rows.fetchall()}


class Result(NamedTuple):
    """How an operation ended at a site, by the box's clock."""

    site: SiteId
    operation: DocumentId
    reason: str
    message: str
    at: datetime


_NAMED: Final = re.compile(r"Operation (\S+) \(")


async def results_since(conn: Connection, since: datetime, limit: int = 5000) -> list[Result]:
    """How operations ended since then, the newest first."""
    rows = await conn.execute(
        "select site, reason, message, at from events where received_at >= %s"
        " and reason in ('OperationSucceeded', 'OperationFailed', 'OperationExpired')"
        " order by received_at desc, number desc limit %s",
        (since, limit),
    )
    return [
        Result(site, named[1], reason, message, at)
        for site, reason, message, at in await rows.fetchall()
        if (named := _NAMED.match(message))
    ]


async def results_of(conn: Connection, operation: DocumentId, limit: int = 20_000) -> list[Result]:
    """How an operation ended at every site, the newest first."""
    rows = await conn.execute(
        "select site, reason, message, at from events"
        " where reason in ('OperationSucceeded', 'OperationFailed', 'OperationExpired') and starts_with(message, %s)"
        " order by received_at desc, number desc limit %s",
        (f"Operation {operation} (", limit),
    )
    return [Result(site, operation, reason, message, at) for site, reason, message, at in await rows.fetchall()]


async def results_of_site(conn: Connection, site: SiteId, limit: int = 100) -> list[Result]:
    """How operations ended at a site, the newest first."""
    rows = await conn.execute(
        "select reason, message, at from events where site = %s"
        " and reason in ('OperationSucceeded', 'OperationFailed', 'OperationExpired') order by number desc limit %s",
        (site, limit),
    )
    return [
        Result(site, named[1], reason, message, at)
        for reason, message, at in await rows.fetchall()
        if (named := _NAMED.match(message))
    ]


async def sites_with_logs(conn: Connection, operations: Sequence[DocumentId]) -> dict[DocumentId, int]:
    """How many sites sent a text for each of these operations."""
    rows = await conn.execute(
        "select operation, count(*) from operation_logs where operation = any(%s) group by 1", (list(operations),)
    )
    return dict(await rows.fetchall())
