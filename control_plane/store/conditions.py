"""Conditions over time, silences, and machines that share an identity."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from control_plane.core.runs import Runs
from control_plane.core.spans import Span
from control_plane.store.pool import Connection
from schemas.memory import ConditionSpan, IdentityFork
from schemas.names import SiteId

MAX_SPANS: Final = 1_000


async def going_on(conn: Connection, sites: Sequence[SiteId]) -> dict[SiteId, dict[str, Span]]:
    """The spans of these sites that have no end, by type."""
    rows = await conn.execute(
        "select site, type, status, reason, message, since, certain, late from condition_spans"
        " where site = any(%s) and until is null",
        (list(sites),),
    )
    found: dict[SiteId, dict[str, Span]] = {site: {} for site in sites}
    for site, kind, status, reason, message, since, certain, late in await rows.fetchall():
        found[site][kind] = Span(
            type=kind, status=status, reason=reason, message=message, since=since, certain=certain, late=late
        )
    return found


async def write(conn: Connection, spans: Mapping[SiteId, Sequence[Span]]) -> None:
    """Keep spans that ended or began."""
    rows = [{"site": site, **msgspec.structs.asdict(span)} for site, some in spans.items() for span in some]
    if not rows:
        return
    # Those that end come first: a condition has one span without an end at any time.
    rows.sort(key=lambda row: row["until"] is None)
    await conn.execute(
        "insert into condition_spans (site, type, status, reason, message, since, until, certain, late)"
        " select * from json_to_recordset(%s) as r (site text, type text, status text, reason text, message text,"
        " since timestamptz, until timestamptz, certain boolean, late boolean)"
        " on conflict (site, type, since) do update set until = excluded.until",
        (msgspec.json.encode(rows).decode(),),
    )


async def history_of(
    conn: Connection, site: SiteId, since: datetime, until: datetime, limit: int = MAX_SPANS
) -> list[ConditionSpan]:
    """The conditions of a site that held at some time between two instants, the newest first."""
    rows = await conn.execute(
        "select type, status, reason, message, since, until, certain, late from condition_spans"
        " where site = %s and since < %s and (until is null or until > %s) order by since desc, type limit %s",
        (site, until, since, limit),
    )
    return [
        ConditionSpan(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            since=begin,
            until=end,
            uncertain=not certain,
            late=late,
        )
        for kind, status, reason, message, begin, end, certain, late in await rows.fetchall()
    ]


async def note_silences(conn: Connection, silences: Sequence[tuple[SiteId, datetime, datetime]]) -> None:
    """Keep when a site was not heard: since the report before, until the one that came."""
    if silences:
        sites, begins, ends = (list(column) for column in zip(*silences, strict=True))
        await conn.execute(
            "insert into silences (site, since, until) select * from unnest(%s::text[], %s::timestamptz[],"
            " %s::timestamptz[]) on conflict do nothing",
            (sites, begins, ends),
        )


async def note_fork(conn: Connection, site: SiteId, speaks: str, known: Runs, now: datetime) -> None:
    """Keep that two machines speak for a site, and since when; a day without it ends the one before."""
    runs = [speaks, *(run.id for run in known.earlier)]
    await conn.execute(
        "insert into identity_forks as f (site, since, last_at, runs) values (%(site)s, %(now)s, %(now)s, %(runs)s)"
        " on conflict (site) do update set last_at = excluded.last_at, runs = excluded.runs,"
        " since = case when f.last_at < excluded.last_at - interval '1 day' then excluded.since else f.since end",
        {"site": site, "now": now, "runs": runs},
    )


async def forks(conn: Connection, since: datetime) -> list[IdentityFork]:
    """Sites for which two machines spoke since then."""
    rows = await conn.execute(
        "select site, since, last_at, runs from identity_forks where last_at >= %s order by site", (since,)
    )
    return [
        IdentityFork(site=site, since=begin, last_at=last_at, runs=runs)
        for site, begin, last_at, runs in await rows.fetchall()
    ]


async def prune(conn: Connection, before: datetime) -> int:
    """Forget what ended before this instant; how many rows."""
    spans = await conn.execute("delete from condition_spans where until < %s", (before,))
    silences = await conn.execute("delete from silences where until < %s", (before,))
    boots = await conn.execute("delete from boots where last_at < %s", (before,))
    return spans.rowcount + silences.rowcount + boots.rowcount
