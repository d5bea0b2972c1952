"""What is remembered, on real PostgreSQL: each thing once, thinned with age, dropped in time, never of now."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from control_plane.store import conditions, metrics, partitions, playbacks, reports, retention
from control_plane.store.pool import Connection, Pool, connection, open_pool
from control_plane.store.reports import Received
from control_plane.store.retention import Keep
from control_plane.store.sessions import Lasting
from schemas.analytics import Batch, Playback
from schemas.memory import MetricsPoint
from schemas.status import Boot, Condition, History, Sample, StatusReport, Transition

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
KEEP = Keep(
    events=90 * DAY,
    conditions=366 * DAY,
    metrics=5 * 366 * DAY,
    playbacks=5 * 366 * DAY,
    audit=366 * DAY,
    sessions=Lasting(DAY, 7 * DAY),
)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with open_pool(database, 4) as opened:
        yield opened


@pytest.fixture
async def conn(pool: Pool) -> AsyncIterator[Connection]:
    async with connection(pool) as lent:
        yield lent


def report(sequence: int = 1, run: str = "a", **changes: Any) -> StatusReport:
    return StatusReport(run_id=run * 32, sequence=sequence, at=NOW, agent_version="1.0.0", **changes)


def measured(first: datetime, count: int, span_s: int = 60, boot: str = "life", **figures: Any) -> History:
    """So many samples in a row, the first of which began then, in a life of the machine that began a day before."""
    started_at = first - DAY
    samples = [
        Sample(boot=0, uptime_s=86_400 + span_s * (n + 1), span_s=span_s, **({"cpu_percent": float(n % 60)} | figures))
        for n in range(count)
    ]
    return History(boots=[Boot(id=boot, started_at=started_at)], samples=samples)


async def tell(conn: Connection, report: StatusReport, at: datetime = NOW, site: str = "brest") -> reports.Taken:
    return await reports.record(conn, [Received(site, report, at)])


async def points(conn: Connection, since: datetime, until: datetime = NOW, count: int = 2000) -> list[MetricsPoint]:
    return await metrics.series(conn, "brest", since, until, count)


async def rows(conn: Connection, table: str) -> int:
    row = await (await conn.execute(f"select count(*) from {table}".encode())).fetchone()
    assert row is not None
    return int(row[0])


async def test_minutes_come_back_as_they_were_measured(conn: Connection) -> None:
    await tell(conn, report(history=measured(NOW - 5 * MINUTE, 5, temperature_celsius=55.5, strain=["throttled"])))
    found = await points(conn, NOW - HOUR)
    assert [p.at for p in found] == [NOW - n * MINUTE for n in (5, 4, 3, 2, 1)]
    assert found[0] == MetricsPoint(
        at=NOW - 5 * MINUTE,
        measured_s=60,
        cpu_percent=0,
        temperature_celsius=55.5,
        weak_power=False,
        slowed=True,
    )


async def test_same_samples_in_another_report_and_by_another_run_count_once(conn: Connection) -> None:
    history = measured(NOW - 5 * MINUTE, 5)
    await tell(conn, report(1, history=history))
    await tell(conn, report(1, history=history))
    await tell(conn, report(2, run="b", history=history))
    assert await rows(conn, "metrics_minutes") == 5


async def test_two_servers_at_once_keep_each_sample_once(pool: Pool) -> None:
    began = NOW - 9 * MINUTE
    good = [Condition(type="Synced", status="True", reason="Converged", since=began)]

    async def tell_both(sequence: int) -> None:
        async with connection(pool) as conn:
            received = [
                Received(site, report(sequence, history=measured(began, sequence), conditions=good), NOW)
                for site in ("nantes", "brest", "lyon")
            ]
            await reports.record(conn, received if sequence % 2 else received[::-1])

    await asyncio.gather(*(tell_both(sequence) for sequence in range(1, 9)))
    async with connection(pool) as conn:
        assert await rows(conn, "metrics_minutes") == 3 * 8
        assert await rows(conn, "condition_spans") == 3


async def test_weeks_that_come_at_once_lie_where_they_belong_and_are_marked_late(conn: Connection) -> None:
    began = NOW - 30 * DAY
    await tell(conn, report(1, conditions=[Condition(type="Synced", status="True", reason="Converged", since=began)]))
    hours = measured(began, 500, span_s=3600)
    await tell(conn, report(2, history=hours), NOW + MINUTE)
    assert await rows(conn, "metrics_hours") == 500
    assert await rows(conn, "metrics_days") == 22
    found = await points(conn, began - DAY, count=400)
    assert {p.late_s == p.measured_s for p in found} == {True}
    assert sum(p.measured_s for p in found) == 500 * 3600
    stored = await reports.report_of(conn, "brest")
    assert stored is not None
    assert stored.received_at == NOW + MINUTE
    assert await points(conn, NOW - 2 * DAY) == [], "nothing of it is of now"


async def test_minutes_are_thinned_to_hours_and_days_and_dropped(conn: Connection) -> None:
    start = datetime(2026, 11, 22, tzinfo=UTC)
    await tell(conn, report(1, history=measured(start, 60, temperature_celsius=50.0)), start + 2 * HOUR)
    await tell(conn, report(2, history=measured(start + HOUR, 30, boot="b", temperature_celsius=70)), start + 3 * HOUR)
    assert await retention.tidy(conn, start + 2 * DAY + HOUR - MINUTE, KEEP)
    assert await rows(conn, "metrics_minutes") == 90
    done = await retention.tidy(conn, start + 2 * DAY + HOUR, KEEP)
    assert (done.thinned, await rows(conn, "metrics_minutes")) == (1, 0)
    assert (await retention.tidy(conn, start + 2 * DAY + HOUR, KEEP)) == (0, 0, 0, 0)

    first, second = await points(conn, start, start + DAY)
    assert (first.at, first.measured_s, first.cpu_percent, first.temperature_celsius) == (start, 3600, 29.5, 50)
    assert (second.measured_s, second.cpu_percent, second.temperature_celsius) == (1800, 14.5, 70)
    row = await (await conn.execute("select at, span_s, round(cpu), temperature from metrics_days")).fetchone()
    assert row == (start, 5400, 24, 70)


async def test_late_hour_is_weighed_into_the_one_that_is_there(conn: Connection) -> None:
    began = NOW - 10 * DAY
    await tell(conn, report(1, history=measured(began, 1, span_s=1200, cpu_percent=10.0, signal_dbm=-60)))
    await tell(conn, report(2, history=measured(began, 1, span_s=600, boot="b", cpu_percent=40.0)))
    (point,) = await points(conn, began - HOUR, NOW)
    assert (point.measured_s, point.cpu_percent, point.signal_dbm) == (1800, 20, -60)


async def test_hours_are_dropped_after_ninety_days_and_their_days_stay(conn: Connection) -> None:
    began = NOW - 80 * DAY
    await tell(conn, report(1, history=measured(began, 24, span_s=3600)))
    later = NOW + 30 * DAY
    done = await retention.tidy(conn, later, KEEP)
    assert done.dropped >= 1
    assert await rows(conn, "metrics_hours") == 0
    found = await points(conn, began - 2 * DAY, later, 2000)
    assert sum(p.measured_s for p in found) == 24 * 3600
    assert len(found) == 2
    much_later = NOW + 7 * 366 * DAY
    await retention.tidy(conn, much_later, KEEP)
    assert await rows(conn, "metrics_days") == 0


async def test_hours_and_their_days_count_once_in_one_series(conn: Connection) -> None:
    for sequence, days in enumerate((85, 40, 10), start=1):
        history = measured(NOW - days * DAY, 100, span_s=3600, boot=f"life {days}")
        await tell(conn, report(sequence, history=history))
    found = await points(conn, NOW - 100 * DAY, count=100)
    assert sum(p.measured_s for p in found) == 300 * 3600
    assert len(found) <= 100


async def test_partitions_are_made_by_themselves_when_the_jobs_did_not_run(conn: Connection) -> None:
    years = NOW + 3 * 366 * DAY
    assert (await tell(conn, report(history=measured(years - 5 * MINUTE, 5)), years)).news == {"brest"}
    assert len(await points(conn, years - HOUR, years)) == 5


async def test_partitions_are_made_once_whoever_makes_them(pool: Pool) -> None:
    async def make() -> int:
        async with connection(pool) as conn:
            return await partitions.make(conn, NOW)

    made = await asyncio.gather(make(), make(), make())
    async with connection(pool) as conn:
        assert await partitions.make(conn, NOW) == 0
        there = [len(await partitions.existing(conn, table)) for table in partitions.TABLES]
    assert sum(made) == sum(there) > 20


async def test_conditions_are_known_since_when_and_for_how_long(conn: Connection) -> None:
    def synced(status: Any, reason: str, since: datetime) -> list[Condition]:
        return [Condition(type="Synced", status=status, reason=reason, since=since)]

    await tell(conn, report(1, conditions=synced("True", "Converged", NOW - DAY)), NOW)
    await tell(conn, report(2, conditions=synced("True", "Converged", NOW - DAY)), NOW + 5 * MINUTE)
    await tell(conn, report(3, conditions=synced("False", "DiskFull", NOW + 9 * MINUTE)), NOW + 10 * MINUTE)
    await tell(conn, report(2, conditions=synced("True", "Converged", NOW - DAY)), NOW + 11 * MINUTE)
    going, past = await conditions.history_of(conn, "brest", NOW - DAY, NOW + HOUR)
    assert (going.reason, going.since, going.until, going.late) == ("DiskFull", NOW + 9 * MINUTE, None, False)
    assert (past.reason, past.since, past.until) == ("Converged", NOW - DAY, NOW + 9 * MINUTE)
    assert await conditions.history_of(conn, "brest", NOW + 10 * MINUTE, NOW + HOUR) == [going]
    assert await conditions.history_of(conn, "nantes", NOW - DAY, NOW + HOUR) == []


async def test_conditions_of_a_silence_are_told_late_once_and_in_order(conn: Connection) -> None:
    since = NOW - 20 * DAY
    good = Condition(type="Synced", status="True", reason="Converged", since=since)
    await tell(conn, report(1, conditions=[good]), NOW - 20 * DAY)
    queued = [
        Transition(boot="b", uptime_s=60, at=NOW - 9 * DAY, type="Synced", status="False", reason="ReleaseUnhealthy"),
        Transition(boot="b", uptime_s=90, at=NOW - 8 * DAY, type="Synced", status="True", reason="Converged"),
    ]
    for sequence in (2, 3):
        await tell(conn, report(sequence, conditions=[good], transitions=queued), NOW + sequence * MINUTE)
    found = await conditions.history_of(conn, "brest", NOW - 30 * DAY, NOW + HOUR)
    assert [(s.reason, s.since, s.until, s.late) for s in found] == [
        ("Converged", NOW - 8 * DAY, None, True),
        ("ReleaseUnhealthy", NOW - 9 * DAY, NOW - 8 * DAY, True),
        ("Converged", since, NOW - 9 * DAY, False),
    ]
    assert await rows(conn, "silences") == 1


async def test_two_machines_with_one_identity_are_noted(conn: Connection) -> None:
    for minute in range(3):
        for run in "ab":
            await tell(conn, report(minute + 1, run=run), NOW + minute * MINUTE)
    (fork,) = await conditions.forks(conn, NOW)
    assert (fork.site, fork.since, fork.last_at) == ("brest", NOW + 2 * MINUTE, NOW + 2 * MINUTE)
    assert set(fork.runs) == {"a" * 32, "b" * 32}
    assert await conditions.forks(conn, NOW + HOUR) == []


async def test_agent_that_starts_anew_is_no_second_machine(conn: Connection) -> None:
    for number, run in enumerate("abcdef"):
        await tell(conn, report(1, run=run), NOW + number * MINUTE)
        await tell(conn, report(2, run=run), NOW + number * MINUTE)
    assert await conditions.forks(conn, NOW - DAY) == []


async def test_what_was_played_lies_by_months_and_is_dropped_by_them(conn: Connection) -> None:
    def played(at: datetime, name: str) -> Playback:
        return Playback(video_filename=name, played_at=at, category="sponsor", trigger_type="auto")

    nobody_knows_when = datetime(1970, 1, 1, tzinfo=UTC)
    next_year = NOW + 200 * DAY
    batch = Batch(kind="event", playbacks=[played(NOW, "a"), played(nobody_knows_when, "b"), played(next_year, "c")])
    await retention.tidy(conn, NOW, KEEP)
    assert await playbacks.keep(conn, "brest", batch, NOW) == 3
    assert await playbacks.keep(conn, "brest", batch, NOW) == 0
    assert await rows(conn, "playbacks_other") == 2

    await retention.tidy(conn, next_year, KEEP)
    assert await rows(conn, "playbacks_other") == 1, "a month is made for what was dated ahead"
    assert await playbacks.keep(conn, "brest", batch, next_year) == 0
    assert [p.video_filename for p in await playbacks.playbacks_of(conn, "brest", "event", 9)] == ["c", "a", "b"]

    later = NOW + KEEP.playbacks + 40 * DAY
    await retention.tidy(conn, later, KEEP)
    assert [p.video_filename for p in await playbacks.playbacks_of(conn, "brest", "event", 9)] == ["c"]
