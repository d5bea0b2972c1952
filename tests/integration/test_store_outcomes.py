"""How it went, by week and month, on real PostgreSQL: availability, deployments, troubles."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from control_plane.store import outcomes, reports
from control_plane.store.pool import Connection, connection, open_pool
from control_plane.store.reports import Received
from schemas.memory import Availability, Deployments
from schemas.status import Boot, Condition, Event, History, Sample, StatusReport
from tests.support.published import Wanted, publish, report

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]
MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
async def conn(database: str) -> AsyncIterator[Connection]:
    async with open_pool(database, 2) as pool, connection(pool) as lent:
        yield lent


async def tell(conn: Connection, site: str, at: datetime, said: StatusReport) -> None:
    await reports.record(conn, [Received(site, said, at)])


async def test_silence_is_taken_from_the_time_since_a_site_was_known(conn: Connection) -> None:
    await publish(conn, {"brest": Wanted(None), "nantes": Wanted(None), "retired": Wanted(None, state="retired")})
    first = MONDAY + DAY
    for site in ("brest", "retired"):
        await tell(conn, site, first, report(sequence=1))
    await tell(conn, "brest", first + 10 * MINUTE, report(sequence=2))
    await tell(conn, "brest", first + 2 * DAY, report(sequence=3))
    before, week, present = await outcomes.availability(conn, "week", 2, NOW)
    assert before == Availability(begins=date(2026, 11, 9), known_s=0, heard_s=0, ran_s=0, ran_unheard_s=0)
    assert before.heard is None
    assert (week.begins, week.known_s, week.heard_s) == (date(2026, 11, 16), 6 * 86_400, 600)
    assert (present.known_s, present.heard_s) == (2.5 * 86_400, 0), "it is silent to this day"
    assert await outcomes.availability(conn, "week", 2, NOW, "brest") == [before, week, present]
    nobody = await outcomes.availability(conn, "week", 0, NOW, "nantes")
    assert [one.known_s for one in nobody] == [0]
    (month,) = await outcomes.availability(conn, "month", 0, NOW)
    assert (month.begins, month.known_s, month.heard_s) == (date(2026, 11, 1), 8.5 * 86_400, 600)


async def test_box_that_ran_unheard_shows_when_it_tells(conn: Connection) -> None:
    await publish(conn, {"brest": Wanted(None)})
    await tell(conn, "brest", MONDAY, report(sequence=1))
    samples = [Sample(boot=0, uptime_s=3600 * (n + 1), span_s=3600) for n in range(48)]
    history = History(boots=[Boot(id="life", started_at=MONDAY + DAY)], samples=samples)
    await tell(conn, "brest", MONDAY + 7 * DAY, report(sequence=2, history=history))
    week, _ = await outcomes.availability(conn, "week", 1, NOW)
    assert (week.heard_s, week.ran_s, week.ran_unheard_s) == (0, 48 * 3600, 48 * 3600)


async def generation(conn: Connection, at: datetime, *sites: str) -> int:
    await publish(conn, {site: Wanted(None) for site in sites}, now=at)
    return int(at.timestamp() * 1000)


def degraded(status: Any, since: datetime) -> list[Condition]:
    return [Condition(type="Degraded", status=status, reason="ReleaseUnhealthy", since=since)]


async def test_each_generation_of_each_site_is_judged_once(conn: Connection) -> None:
    sites = ("fast", "slow", "broken", "away")
    first = await generation(conn, MONDAY, *sites)
    for site, minutes in (("fast", 1), ("slow", 9)):
        await tell(conn, site, MONDAY + minutes * MINUTE, report(first, sequence=1))
        await tell(conn, site, MONDAY + HOUR, report(first, sequence=2))
    for site in ("broken", "away"):
        await tell(conn, site, MONDAY, report(sequence=1))
    await tell(conn, "broken", MONDAY + HOUR, report(sequence=2, conditions=degraded("True", MONDAY + HOUR)))
    second = await generation(conn, MONDAY + DAY, *sites)
    await tell(conn, "broken", MONDAY + DAY + 2 * MINUTE, report(second, sequence=3))
    await tell(conn, "fast", MONDAY + DAY + 2 * MINUTE, report(second, sequence=3))

    week, present = await outcomes.deployments(conn, "week", 1, NOW)
    assert week == Deployments(
        begins=date(2026, 11, 16),
        published=8,
        reached=4,
        overtaken=1,
        failing=1,
        waiting=2,
        mean_s=(1 + 9 + 2 + 2) * 60 / 4,
        median_s=120,
    )
    assert week.success == 0.8
    assert (present.published, present.mean_s, present.success) == (0, None, None)
    (slow,) = await outcomes.deployments(conn, "month", 0, NOW, "slow")
    assert (slow.published, slow.reached, slow.waiting) == (2, 1, 1)


async def test_box_that_goes_past_a_generation_does_not_reach_it(conn: Connection) -> None:
    await generation(conn, MONDAY, "brest")
    newest = await generation(conn, MONDAY + HOUR, "brest")
    await tell(conn, "brest", MONDAY + 2 * HOUR, report(newest, sequence=1))
    week, _ = await outcomes.deployments(conn, "week", 1, NOW)
    assert (week.reached, week.overtaken, week.mean_s) == (1, 1, 3600)


async def test_troubles_are_counted_by_reason(conn: Connection) -> None:
    def told(*reasons: str) -> list[Event]:
        return [Event(number=n, at=NOW, severity="error", reason=r) for n, r in enumerate(reasons, start=1)]

    info = [Event(number=9, at=NOW, reason="Converged")]
    await tell(conn, "brest", NOW, report(sequence=1, events=[*told("DiskFull", "DiskFull", "NetworkTrouble"), *info]))
    await tell(conn, "nantes", NOW, report(sequence=1, events=told("DiskFull")))
    await tell(conn, "lyon", NOW - 9 * DAY, report(sequence=1, events=told("Old")))
    found = await outcomes.troubles(conn, NOW - DAY)
    assert [(t.reason, t.events, t.sites) for t in found] == [("DiskFull", 3, 2), ("NetworkTrouble", 1, 1)]
