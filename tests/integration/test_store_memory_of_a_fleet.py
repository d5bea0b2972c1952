"""Ninety days of a fleet: what is asked of them agrees with what was put in, in as many points as were asked for."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from control_plane.store import conditions, metrics, outcomes
from control_plane.store.pool import Connection, connection, open_pool
from tests.support.memory_generator import COMMITS, remember, site_of

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SITES, DAYS = 50, 90
DAY = timedelta(days=1)


@pytest.fixture
async def conn(database: str) -> AsyncIterator[Connection]:
    async with open_pool(database, 2) as pool, connection(pool) as lent:
        await remember(lent, SITES, DAYS, NOW, minutes_of=20)
        yield lent


@pytest.mark.parametrize(("days", "points"), [(1, 288), (7, 300), (90, 300), (90, 1), (400, 50)])
async def test_figures_of_a_time_fit_in_so_many_points_and_add_up(conn: Connection, days: int, points: int) -> None:
    found = await metrics.series(conn, site_of(7), NOW - days * DAY, NOW, points)
    assert 0 < len(found) <= points
    remembered_s = min(days, 90.5) * 86_400
    assert abs(sum(p.measured_s for p in found) - remembered_s) <= 3600
    assert {(p.memory_percent, p.temperature_celsius, p.disk_percent, p.signal_dbm) for p in found} == {(7, 47, 7, -57)}
    assert [p.at for p in found] == sorted({p.at for p in found})
    assert found[-1].at < NOW


async def test_minutes_keep_their_grain_and_hours_theirs(conn: Connection) -> None:
    minutes = await metrics.series(conn, site_of(7), NOW - DAY, NOW, 1440)
    assert [p.cpu_percent for p in minutes] == [float(n % 60) for n in range(1440)]
    hours = await metrics.series(conn, site_of(7), NOW - 10 * DAY, NOW - 5 * DAY, 120)
    assert [p.cpu_percent for p in hours] == [7 + (12 + n) % 24 for n in range(120)]


async def test_availability_is_the_time_without_silences(conn: Connection) -> None:
    (_, last, _), (rare, *_) = [
        (await outcomes.availability(conn, "week", 2, NOW, site)) for site in (site_of(7), site_of(10))
    ]
    assert (last.known_s, last.heard_s, last.ran_s, last.ran_unheard_s) == (604_800, 604_800, 604_800, 0)
    assert (rare.known_s, rare.heard_s, rare.ran_unheard_s) == (604_800, 86_400, 604_800)
    _, fleet, _ = await outcomes.availability(conn, "week", 2, NOW)
    assert fleet.heard == pytest.approx((45 * 7 + 5) / (50 * 7))


async def test_deployments_count_every_site_of_every_commit(conn: Connection) -> None:
    found = await outcomes.deployments(conn, "month", 4, NOW)
    assert sum(one.published for one in found) == COMMITS * SITES
    assert sum(one.reached for one in found) == COMMITS * 45
    assert sum(one.overtaken for one in found) == (COMMITS - 1) * 5
    assert sum(one.waiting for one in found) == 5
    seconds = [n for n in range(1, SITES + 1) if n % 10]
    means = [one.mean_s for one in found if one.published]
    assert means == [pytest.approx(sum(seconds) / 45)] * len(means)


async def test_conditions_have_an_end_where_the_next_begins(conn: Connection) -> None:
    found = [s for s in await conditions.history_of(conn, site_of(3), NOW - 30 * DAY, NOW) if s.type == "Synced"]
    assert len(found) == 11
    assert found[0].until is None
    assert [later.since for later in found[:-1]] == [earlier.until for earlier in found[1:]]


async def test_troubles_are_counted_over_all_sites(conn: Connection) -> None:
    (disk,) = await outcomes.troubles(conn, NOW - 30 * DAY)
    assert (disk.reason, disk.events, disk.sites) == ("DiskFull", 6 * SITES, SITES)
