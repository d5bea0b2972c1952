"""The overview: the fleet in figures, the last 24 hours, recent alerts; and no more than a tenant's people may know."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from control_plane.api.pulse import Pulse
from control_plane.core.people import Reader
from control_plane.store import library, remotes
from control_plane.store.lookout import SMALL, Lookout
from control_plane.watching import Watch
from control_plane.web.kept import Kept
from control_plane.web.map_outlines import NoOutlines
from control_plane.web.pages import overview
from control_plane.web.pages.overview import OverviewPage
from control_plane.web.visit import Room, Visit
from control_plane.web.words import Words
from schemas.desired import Release
from schemas.names import digest_of
from schemas.status import Condition, RunningRelease
from tests.integration.test_web_pages import page
from tests.support.api import Api, open_api
from tests.support.published import NOW, Box, Wanted, report

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)


@pytest.fixture
async def api(tmp_path: Path, database: str) -> AsyncIterator[Api]:
    async with open_api(tmp_path, database) as opened:
        await fill(opened)
        yield opened


async def fill(api: Api) -> None:
    """Four sites: two of a tenant's, of which one is silent; one in trouble; one that is often away."""
    boxes = {site: Box(site) for site in ("brest", "nantes", "rennes", "vannes")}
    facts = {
        "brest": {"tenant": "fff"},
        "nantes": {"tenant": "fff"},
        "rennes": {},
        "vannes": {"connectivity": "matchdays"},
    }
    sites = {
        site: Wanted(box.identity, name=site.title(), release="2.9.0", facts=facts[site]) for site, box in boxes.items()
    }
    await api.publish(sites, subject="Start")
    releases = {
        ("releases", version): (version, Release(version=version, tree=digest_of(version.encode()), size_bytes=1))
        for version in ("2.9.0", "2.10.0")
    }
    async with api.connection() as conn:
        await library.replace(conn, releases, NOW)
    generation = int(NOW.timestamp() * 1000)
    bad = Condition(type="Degraded", status="True", reason="DiskFault", message="it fails", since=NOW)
    await api.report("brest", report(generation, release=RunningRelease(version="2.9.0")))
    await api.report("nantes", report(generation), at=NOW - 3 * HOUR)
    await api.report("rennes", report(generation, release=RunningRelease(version="2.10.0"), conditions=[bad]))
    await api.report("vannes", report(generation), at=NOW - 30 * HOUR)


async def seen_by(api: Api, tenant: str | None) -> OverviewPage:
    lookout, outlines = Lookout(api.pool, lambda: api.now), NoOutlines(path="", why="missing")
    room = Room(api.pool, lookout, api.objects, lambda: api.now, outlines, Kept())
    shown = await overview.show(room, Visit(Reader(name="ada", tenant=tenant), Words("en"), {}, {}))
    assert isinstance(shown.page, OverviewPage)
    return shown.page


def figures(shown: OverviewPage) -> dict[str, tuple[str, str]]:
    return {figure.key: (figure.value, figure.note) for figure in shown.figures}


async def test_figures_count_sites_and_name_the_newest_release(api: Api) -> None:
    shown = await page(api, "/")
    assert re.search(
        r"Online 2 heard within 15 min Offline 2 1 as is usual for it In trouble 1 2 need a person "
        r"Newest release 2\.10\.0 runs on 1 of 4 sites",
        shown.text,
    )
    assert {"/sites?standing=Offline", "/sites?standing=Degraded", "/releases/2.10.0"} <= set(shown.links)
    french = (await page(api, "/?lang=fr")).text
    assert re.search(r"En ligne 2 .*Hors ligne 2 dont 1 comme d’habitude .*tourne sur 1 / 4 sites", french)


async def test_last_day_is_shown_by_the_hour_and_as_a_table(api: Api) -> None:
    assert "Reports 0" in (await page(api, "/")).text
    pulse: Pulse = api.app.state.pulse
    for _ in range(3):
        pulse.tally.report("brest")
    pulse.tally.download("brest", 2_500_000)
    await pulse.beat()
    api.now += 2 * HOUR
    html = (await api.http.get("/")).text
    text = (await page(api, "/")).text
    assert re.search(r"Reports 3 .*Changes 1 .*Transfers 1 download 2\.5.MB", text)
    assert re.search(r"Hour Reports Changes Transfers 1 Mar, 12:00 UTC 3 1 2\.5.MB", text)
    assert html.count("<title>1 Mar, 12:00 UTC: 3</title>") == 1
    api.now += 24 * HOUR
    assert "Nothing in the last 24 hours." in (await page(api, "/")).text


async def test_recent_alerts_are_told_when_they_fired_and_cleared(api: Api) -> None:
    assert "None in the last two days." in (await page(api, "/")).text
    watch = Watch(api.pool, lambda: api.now, listens_since=api.now - HOUR)
    await watch.look()
    shown = await page(api, "/")
    assert re.search(r"Recent alerts .*Offline .*Nantes.* fired just now", shown.text)
    api.now += timedelta(minutes=10)
    await api.report("nantes", report(int(NOW.timestamp() * 1000), sequence=2))
    await watch.look()
    api.now += timedelta(minutes=6)
    await watch.look()
    assert re.search(r"Offline .*Nantes.* cleared just now · lasted 16 min", (await page(api, "/")).text)
    api.now += timedelta(days=3)
    assert "None in the last two days." in (await page(api, "/")).text


async def test_tenant_sees_figures_activity_and_alerts_of_its_own_sites_alone(api: Api) -> None:
    pulse: Pulse = api.app.state.pulse
    for site in ("brest", "rennes", "rennes"):
        pulse.tally.report(site)
    pulse.tally.download("rennes", 10**9)
    await pulse.beat()
    async with api.connection() as conn:
        await remotes.record_look(conn, api.now - HOUR, None, "cannot fetch: refused")
    await Watch(api.pool, lambda: api.now, listens_since=api.now - HOUR).look()
    team, own, other = await seen_by(api, None), await seen_by(api, "fff"), await seen_by(api, "nobody")
    assert figures(team)["release"] == ("2.10.0", "runs on 1 of 4 sites")
    assert figures(own) == {
        "online": ("1", "heard within 15 min"),
        "offline": ("1", ""),
        "troubled": ("0", "1 needs a person"),
        "release": ("2.9.0", "runs on 1 of 2 sites"),
    }
    assert [one.total for one in team.activity.bars] == ["3", "1", "1.0\u202fGB"]
    assert [one.total for one in own.activity.bars] == ["1", "1", "0\u202fB"]
    assert {"offline", "degraded", "remote"} <= {line.kind for line in team.alerts}
    assert [(line.kind, line.link) for line in own.alerts] == [("offline", "/sites/nantes")]
    assert (other.figures, other.alerts, other.total) == ([], [], "0")
    assert not any(one.bars for one in other.activity.bars)


async def test_look_at_a_large_fleet_is_taken_ahead_and_nobody_waits_for_it(api: Api) -> None:
    await api.publish({f"site-{number:03}": Wanted(None) for number in range(SMALL)})
    lookout = Lookout(api.pool, lambda: api.now)
    first = await lookout.fleet()
    assert await lookout.fleet() is first, "it is shared"
    await api.publish({"newest": Wanted(None)})
    async with asyncio.timeout(60):
        while (seen := await lookout.fleet()) is first:
            await asyncio.sleep(0.01)
    assert len(seen.sites) == len(first.sites) + 1
