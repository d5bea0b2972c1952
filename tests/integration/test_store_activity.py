"""What is counted of boxes by the hour, who serves, and which releases ran: on real PostgreSQL."""

import asyncio
from datetime import timedelta

import pytest

from control_plane.api.pulse import Pulse, Tally
from control_plane.errors import DatabaseUnavailable
from control_plane.store import activity, control_planes, release_runs, retention
from control_plane.store.activity import Counted
from control_plane.store.control_planes import ControlPlane
from control_plane.store.pool import open_pool
from control_plane.store.release_runs import ReleaseRun
from schemas.manifest import ContentFile
from schemas.names import digest_of
from schemas.status import RunningRelease
from tests.integration.test_store_memory import KEEP
from tests.support.api import Api
from tests.support.published import NOW, Box, Wanted, manifest, report

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
VIDEO = b"film" * 1000


async def test_reports_and_downloads_are_counted_by_hour_and_tenant(api: Api) -> None:
    digest = await api.put(VIDEO)
    wanted = manifest(content=[ContentFile(path="videos/A/a.mp4", digest=digest, size_bytes=len(VIDEO))])
    boxes = {"brest": Box("brest"), "nantes": Box("nantes")}
    facts = {"brest": {"tenant": "fff"}, "nantes": {}}
    await api.publish({site: Wanted(box.identity, manifest=wanted, facts=facts[site]) for site, box in boxes.items()})
    for site, box in boxes.items():
        assert (await api.send(box, report(sequence=1))).status_code == 204
        answer = await api.http.get(f"/v1/blobs/{digest}", headers=box.headers(api.now) | {"Range": "bytes=0-99"})
        assert answer.status_code == 206, site
    await api.http.get(f"/v1/blobs/{digest}", headers=await api.operator("read"))
    pulse: Pulse = api.app.state.pulse
    await asyncio.gather(pulse.beat(), pulse.beat())
    async with api.connection() as conn:
        every = await activity.last_hours(conn, api.now)
        own = await activity.last_hours(conn, api.now, "fff")
        none = await activity.last_hours(conn, api.now, "other")
    assert len(every) == activity.HOURS
    assert (every[-1].at, every[0].at) == (NOW, NOW - 23 * HOUR)
    last, mine = every[-1], own[-1]
    assert (last.reports, last.downloads, last.download_bytes, last.changes) == (2, 2, 200, 1)
    assert (mine.reports, mine.downloads, mine.download_bytes, mine.changes) == (1, 1, 100, 1)
    assert not any(hour.reports or hour.downloads or hour.changes for hour in none), "nothing of others is told"


async def test_counts_of_several_control_planes_add_up_over_weeks_and_months(api: Api) -> None:
    async with api.connection() as conn:
        for at in (NOW, NOW, NOW - 8 * DAY):
            await activity.add(conn, [Counted(at=at, site="gone", reports=2, downloads=1, download_bytes=10**12)])
        weeks = await activity.traffic(conn, "week", 2, NOW)
        months = await activity.traffic(conn, "month", 1, NOW)
    assert [one.reports for one in weeks] == [0, 2, 4], "1 March 2026 is a Sunday"
    assert [(one.begins.month, one.download_bytes) for one in months] == [(2, 10**12), (3, 2 * 10**12)]


async def test_what_could_not_be_written_down_is_counted_the_next_time(database: str) -> None:
    async with open_pool(database) as pool:
        pulse = Pulse(pool, lambda: NOW)
        pulse.tally.report("brest")
    with pytest.raises(DatabaseUnavailable):
        await pulse.beat()
    pulse.tally.report("brest")
    assert pulse.tally.take() == [Counted(at=NOW, site="brest", reports=2)]


def test_what_is_counted_has_a_bound() -> None:
    tally = Tally(lambda: NOW)
    tally.give_back([Counted(at=NOW, site=f"s{n}", reports=1) for n in range(100_001)])
    tally.report("s0")
    assert len(tally.take()) == 100_000


async def test_control_planes_are_known_while_they_say_that_they_are_there(api: Api) -> None:
    pulse: Pulse = api.app.state.pulse
    old = ControlPlane(id="a", host="h", version="0.0.1", started_at=NOW - 9 * DAY, seen_at=NOW - 6 * DAY)
    async with api.connection() as conn:
        await control_planes.say(conn, old)
        await pulse.beat()
        assert [one.version == "0.0.1" for one in await control_planes.known(conn)] == [False, True]
        api.now += 2 * DAY
        await pulse.beat()
        assert [one.seen_at for one in await control_planes.known(conn)] == [api.now]
        async with Pulse(api.pool, lambda: api.now).beating():
            pass
        assert len(await control_planes.known(conn)) == 1, "one that was stopped in order is gone"


async def test_releases_that_ran_are_known_from_when_until_when(api: Api) -> None:
    def says(sequence: int, release: RunningRelease | None) -> None:
        said.append((report(sequence=sequence, release=release), NOW + sequence * HOUR))

    tree = digest_of(b"2.1.3")
    said: list = []  # type: ignore[type-arg]
    says(1, RunningRelease(version="2.1.2"))
    says(2, RunningRelease(version="2.1.2"))
    says(3, RunningRelease(version="2.1.3", tree=tree))
    says(4, None)
    says(5, RunningRelease(version="2.1.2", tree=tree))
    for one, at in said:
        await api.report("brest", one, at)
    async with api.connection() as conn:
        found = await release_runs.runs_of(conn, "brest")
        assert found == [
            ReleaseRun(version="2.1.2", tree=tree, since=NOW + 5 * HOUR, until=None),
            ReleaseRun(version="2.1.3", tree=tree, since=NOW + 3 * HOUR, until=NOW + 4 * HOUR),
            ReleaseRun(version="2.1.2", tree=None, since=NOW + HOUR, until=NOW + 3 * HOUR),
        ]
        keep = KEEP._replace(conditions=DAY, metrics=DAY)
        await activity.add(conn, [Counted(at=NOW, site="brest", reports=1)])
        await retention.tidy(conn, NOW + 30 * DAY, keep)
        assert [run.until for run in await release_runs.runs_of(conn, "brest")] == [None], "what runs is not forgotten"
        assert not any(hour.reports for hour in await activity.last_hours(conn, NOW))
