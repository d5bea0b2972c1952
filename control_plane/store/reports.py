"""What the boxes say of themselves: the last report of each, what it brings from the past, what happened on them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
from psycopg.errors import CheckViolation

from control_plane.core import samples, spans
from control_plane.core.runs import Run, Runs, follow
from control_plane.core.samples import Life, Measured
from control_plane.store import conditions, metrics, partitions, release_runs
from control_plane.store.pool import Connection
from schemas.names import SiteId
from schemas.status import BootId, Event, History, StatusReport, Transition

CHANNEL: Final = "neopro_reported"
_NEW: Final = 0x6E656F
_RUNS: Final = msgspec.json.Decoder(Runs)


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


class _Known(NamedTuple):
    """What was known of a site before a report; its row is locked."""

    run: Run
    received_at: datetime
    generation: int | None
    told: str
    runs: Runs
    running: str


class _Arrival(NamedTuple):
    """A report beside what was known; `runs` is None when it is no news."""

    received: Received
    known: _Known | None
    lives: dict[BootId, Life]
    runs: Runs | None
    told: str


class Taken(NamedTuple):
    """What a batch brought: the sites whose report was news, how many samples in time and late, how long it took boxes
    to reach the generations that they reached, in seconds."""

    news: set[SiteId]
    samples: int = 0
    late_samples: int = 0
    reached_after_s: Sequence[float] = ()


async def record(conn: Connection, received: Sequence[Received]) -> Taken:
    """Keep these reports and what they bring from the past. One a site in a batch.

    Idempotent: a report by (run_id, sequence), so that a repetition and what was overtaken change nothing; what was
    measured and how conditions changed by the life of the machine and the seconds in it; events by their number.
    """
    if not received:
        return Taken(set())
    try:
        return await _record(conn, received)
    except CheckViolation:
        # Partitions are made ahead by a job; after a long rest of the server reports may come before it has run.
        await partitions.make(conn, max(one.received_at for one in received))
        return await _record(conn, received)


async def heard_since(conn: Connection, since: datetime) -> frozenset[SiteId]:
    """The sites whose boxes have spoken since then."""
    rows = await conn.execute("select site from reports where received_at >= %s", (since,))
    return frozenset(site for (site,) in await rows.fetchall())


async def _record(conn: Connection, received: Sequence[Received]) -> Taken:
    async with conn.transaction():
        arrivals = await _arrivals(conn, sorted(received, key=lambda one: one.site))
        news = [one for one in arrivals if one.runs is not None]
        await _write_reports(conn, news)
        await _write_events(conn, received)
        measured = await _write_measured(conn, arrivals)
        await _write_conditions(conn, arrivals)
        reached_after_s = await _write_reached(conn, news)
        await _write_releases(conn, news)
        await _write_lives(conn, arrivals)
        sites = [one.received.site for one in news]
        await conn.execute("select pg_notify(%s, site) from unnest(%s::text[]) site", (CHANNEL, sites))
    late = sum(1 for row in measured if row.late_s)
    return Taken(set(sites), len(measured) - late, late, reached_after_s)


async def _arrivals(conn: Connection, received: Sequence[Received]) -> list[_Arrival]:
    """What is known of the senders. Their rows are locked in one order, so that two servers do not wait in a circle."""
    known = await _known(conn, received)
    if new := [one.site for one in received if one.site not in known]:
        # There is no row yet that could be locked, and another server may hear of the same site at this moment.
        await conn.execute("select pg_advisory_xact_lock(%s, hashtext(site)) from unnest(%s::text[]) site", (_NEW, new))
        known = await _known(conn, received)
    # A statement of its own: what another server wrote while we waited for a lock is seen by the next one only.
    lives = await _lives(conn, received)
    return [_arrival(one, known.get(one.site), lives.get(one.site, {})) for one in received]


async def _known(conn: Connection, received: Sequence[Received]) -> dict[SiteId, _Known]:
    rows = await conn.execute(
        "select site, run_id, sequence, received_at, generation, told, runs::text, running from reports"
        " where site in (select json_array_elements_text(%s)) order by site for update",
        (_json([one.site for one in received]),),
    )
    return {
        site: _Known(Run(run, sequence), at, generation, told, _RUNS.decode(runs), running)
        for site, run, sequence, at, generation, told, runs, running in await rows.fetchall()
    }


async def _lives(conn: Connection, received: Sequence[Received]) -> dict[SiteId, dict[BootId, Life]]:
    """What was taken of the lives of machines that these reports speak of."""
    named = [{"site": one.site, "boot": boot} for one in received for boot in samples.boots_of(one.report)]
    rows = await conn.execute(
        "select b.site, b.boot, b.started_at, b.certain, b.sampled_s, b.turned_s"
        " from json_to_recordset(%s) as n (site text, boot text) join boots b on b.site = n.site and b.boot = n.boot",
        (_json(named),),
    )
    found: dict[SiteId, dict[BootId, Life]] = {}
    for site, boot, started_at, certain, sampled_s, turned_s in await rows.fetchall():
        life = Life(boot=boot, started_at=started_at, certain=certain, sampled_s=sampled_s, turned_s=turned_s)
        found.setdefault(site, {})[boot] = life
    return found


def _arrival(received: Received, known: _Known | None, lives: dict[BootId, Life]) -> _Arrival:
    run = Run(received.report.run_id, received.report.sequence)
    runs = follow(known.run, known.runs, run) if known else Runs()
    return _Arrival(received, known, lives, runs, spans.told(received.report.conditions))


async def _write_reports(conn: Connection, news: Sequence[_Arrival]) -> None:
    if news:
        await conn.execute(_UPSERT, (_json([_report_row(one) for one in news]),))
    for one in news:
        if one.runs is not None and one.runs.forked and one.known is not None and one.runs != one.known.runs:
            received = one.received
            await conditions.note_fork(conn, received.site, received.report.run_id, one.runs, received.received_at)


_UPSERT = (
    "insert into reports (site, run_id, sequence, received_at, generation, head_generation, body, told, runs, running,"
    " first_at) select site, run_id, sequence, received_at, generation, head_generation, body, told, runs, running,"
    " received_at"
    " from json_to_recordset(%s) as r (site text, run_id text, sequence bigint, received_at timestamptz,"
    " generation bigint, head_generation bigint, body jsonb, told text, runs jsonb, running text)"
    " on conflict (site) do update set run_id = excluded.run_id, sequence = excluded.sequence,"
    " received_at = excluded.received_at, generation = excluded.generation,"
    " head_generation = excluded.head_generation, body = excluded.body, told = excluded.told, runs = excluded.runs,"
    " running = excluded.running"
)


def _report_row(one: _Arrival) -> dict[str, object]:
    report = one.received.report
    return {
        "site": one.received.site,
        "run_id": report.run_id,
        "sequence": report.sequence,
        "received_at": one.received.received_at,
        "generation": report.generation,
        "head_generation": report.head_generation,
        "body": msgspec.structs.replace(report, events=[], transitions=[], history=History()),
        "told": one.told,
        "runs": one.runs,
        "running": release_runs.told(report.release),
    }


async def _write_events(conn: Connection, received: Sequence[Received]) -> None:
    rows = [
        {"site": one.site, "received_at": one.received_at, **msgspec.structs.asdict(event)}
        for one in received
        for event in one.report.events
    ]
    if rows:
        await conn.execute(
            "insert into events (site, number, at, received_at, severity, reason, message)"
            " select * from json_to_recordset(%s) as r (site text, number bigint, at timestamptz,"
            " received_at timestamptz, severity text, reason text, message text) on conflict do nothing",
            (_json(rows),),
        )


async def _write_measured(conn: Connection, arrivals: Sequence[_Arrival]) -> Sequence[Measured]:
    rows = [
        row
        for one in arrivals
        for row in samples.new_samples(one.received.site, one.received.report, one.lives, one.received.received_at)
    ]
    if rows:
        await metrics.keep(conn, rows, max(one.received.received_at for one in arrivals))
    return rows


async def _write_conditions(conn: Connection, arrivals: Sequence[_Arrival]) -> None:
    """Conditions that changed, and silences that are over; most reports bring neither."""
    turned = [(one, samples.new_transitions(one.received.report, one.lives)) for one in arrivals]
    turned = [(one, said) for one, said in turned if said or _tells_otherwise(one)]
    if turned:
        going_on = await conditions.going_on(conn, [one.received.site for one, _ in turned])
        await conditions.write(conn, {one.received.site: _spans(one, said, going_on) for one, said in turned})
    silences = [
        (one.received.site, one.known.received_at, one.received.received_at)
        for one in arrivals
        if one.known is not None and one.received.received_at - one.known.received_at > spans.LATE
    ]
    await conditions.note_silences(conn, silences)


def _tells_otherwise(one: _Arrival) -> bool:
    return one.runs is not None and (one.known is None or one.known.told != one.told)


def _spans(
    one: _Arrival, said: list[Transition], going_on: Mapping[SiteId, Mapping[str, spans.Span]]
) -> list[spans.Span]:
    _, report, now = one.received
    return spans.follow(going_on[one.received.site], said, report if one.runs is not None else None, now)


async def _write_reached(conn: Connection, news: Sequence[_Arrival]) -> Sequence[float]:
    """When a box has come to another generation than before; after how many seconds each."""
    rows = [
        (one.received.site, one.received.report.generation, one.received.received_at)
        for one in news
        if one.received.report.generation not in (None, one.known.generation if one.known else None)
    ]
    if not rows:
        return ()
    reached = await conn.execute(
        "update generations g set reached_at = r.at from unnest(%s::text[], %s::bigint[], %s::timestamptz[])"
        " r (site, generation, at) where g.site = r.site and g.generation = r.generation and g.reached_at is null"
        " returning greatest(extract(epoch from g.reached_at - g.published_at), 0)::float8",
        _columns(rows),
    )
    return [seconds for (seconds,) in await reached.fetchall()]


async def _write_releases(conn: Connection, news: Sequence[_Arrival]) -> None:
    """When a box runs another release than before."""
    await release_runs.write(
        conn,
        [
            release_runs.Started(one.received.site, one.received.report.release, one.received.received_at)
            for one in news
            if release_runs.told(one.received.report.release) != (one.known.running if one.known else "")
        ],
    )


async def _write_lives(conn: Connection, arrivals: Sequence[_Arrival]) -> None:
    rows = [
        {"site": one.received.site, "at": one.received.received_at, **msgspec.structs.asdict(life)}
        for one in arrivals
        for life in samples.lives(one.received.report, one.lives, one.received.received_at)
    ]
    if rows:
        await conn.execute(
            "insert into boots as b (site, boot, started_at, certain, first_at, last_at, sampled_s, turned_s)"
            " select site, boot, started_at, certain, at, at, sampled_s, turned_s from json_to_recordset(%s) as r"
            " (site text, boot text, started_at timestamptz, certain boolean, at timestamptz,"
            " sampled_s double precision, turned_s double precision)"
            " on conflict (site, boot) do update set started_at = excluded.started_at, certain = excluded.certain,"
            " last_at = excluded.last_at, sampled_s = excluded.sampled_s, turned_s = excluded.turned_s",
            (_json(rows),),
        )


def _json(rows: Sequence[object]) -> str:
    """Rows for json_to_recordset: one parameter, which PostgreSQL reads five times as fast as as many arrays."""
    return msgspec.json.encode(rows).decode()


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


async def events_of(
    conn: Connection, site: SiteId, limit: int = 100, *, reasons: Collection[str] | None = None
) -> list[Event]:
    """What happened on a site, newest first; with `reasons`, only what happened for one of them."""
    rows = await conn.execute(
        "select number, at, severity, reason, message from events where site = %(site)s"
        " and (%(reasons)s::text[] is null or reason = any(%(reasons)s))"
        " order by received_at desc, number desc limit %(limit)s",
        {"site": site, "limit": limit, "reasons": None if reasons is None else list(reasons)},
    )
    return [
        Event(number=number, at=at, severity=severity, reason=reason, message=message)
        for number, at, severity, reason, message in await rows.fetchall()
    ]


async def prune_events(conn: Connection, before: datetime) -> int:
    """Forget the events that were received before this instant; how many."""
    return (await conn.execute("delete from events where received_at < %s", (before,))).rowcount
