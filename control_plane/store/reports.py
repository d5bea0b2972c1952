"""What the boxes say of themselves: the last report of each, and what happened on them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from control_plane.store.pool import Connection
from schemas.names import SiteId
from schemas.status import Event, StatusReport

CHANNEL: Final = "neopro_reported"


class Received(NamedTuple):
    """A report, from whom, and when it came by the server's clock."""

    site: SiteId
    report: StatusReport
    received_at: datetime


class StoredReport(NamedTuple):
    """The last report of a site, without its events."""

    site: SiteId
    received_at: datetime
    report: StatusReport


_UPSERT = (
    "insert into reports (site, run_id, sequence, received_at, generation, head_generation, body)"
    " select * from unnest(%s::text[], %s::text[], %s::bigint[], %s::timestamptz[], %s::bigint[], %s::bigint[],"
    " %s::jsonb[]) on conflict (site) do update set run_id = excluded.run_id, sequence = excluded.sequence,"
    " received_at = excluded.received_at, generation = excluded.generation,"
    " head_generation = excluded.head_generation, body = excluded.body"
    " where reports.run_id <> excluded.run_id or reports.sequence < excluded.sequence"
    " returning site"
)
_EVENTS = (
    "insert into events (site, number, at, received_at, severity, reason, message)"
    " select * from unnest(%s::text[], %s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::text[],"
    " %s::text[]) on conflict do nothing"
)


async def record(conn: Connection, received: Sequence[Received]) -> set[SiteId]:
    """Keep these reports and their events; the sites whose report was news. At most one report a site in a batch.

    Idempotent by (run_id, sequence): a repetition, and what an earlier sequence of the same run brings late, changes
    no report; its events are kept all the same, once each.
    """
    if not received:
        return set()
    async with conn.transaction():
        news = await conn.execute(_UPSERT, _columns([_report_row(r) for r in received]))
        sites = {site for (site,) in await news.fetchall()}
        events = [_event_row(r, event) for r in received for event in r.report.events]
        if events:
            await conn.execute(_EVENTS, _columns(events))
        await conn.execute("select pg_notify(%s, site) from unnest(%s::text[]) site", (CHANNEL, sorted(sites)))
    return sites


def _report_row(received: Received) -> tuple[object, ...]:
    report = received.report
    body = msgspec.json.encode(msgspec.structs.replace(report, events=[])).decode()
    sent = (received.site, report.run_id, report.sequence, received.received_at)
    return (*sent, report.generation, report.head_generation, body)


def _event_row(received: Received, event: Event) -> tuple[object, ...]:
    when = (received.site, event.number, event.at, received.received_at)
    return (*when, event.severity, event.reason, event.message)


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


async def all_reports(conn: Connection) -> dict[SiteId, StoredReport]:
    """The last report of every site that ever sent one."""
    rows = await conn.execute("select site, received_at, body::text from reports")
    decoder = msgspec.json.Decoder(StatusReport)
    return {site: StoredReport(site, at, decoder.decode(body)) async for site, at, body in rows}


async def report_of(conn: Connection, site: SiteId) -> StoredReport | None:
    """The last report of one site."""
    rows = await conn.execute("select site, received_at, body::text from reports where site = %s", (site,))
    row = await rows.fetchone()
    return StoredReport(row[0], row[1], msgspec.json.decode(row[2], type=StatusReport)) if row else None


async def events_of(conn: Connection, site: SiteId, limit: int = 100) -> list[Event]:
    """What happened on a site, newest first."""
    rows = await conn.execute(
        "select number, at, severity, reason, message from events where site = %s"
        " order by received_at desc, number desc limit %s",
        (site, limit),
    )
    return [
        Event(number=number, at=at, severity=severity, reason=reason, message=message)
        for number, at, severity, reason, message in await rows.fetchall()
    ]


async def prune_events(conn: Connection, before: datetime) -> int:
    """Forget the events that were received before this instant; how many."""
    return (await conn.execute("delete from events where received_at < %s", (before,))).rowcount
