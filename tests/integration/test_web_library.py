"""Groups, library and releases: what the published commit holds, beside what boxes reported of it."""

import re
from collections.abc import AsyncIterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from control_plane.store import library, operation_logs
from schemas.desired import (
    AgentRelease,
    Document,
    Group,
    Media,
    Not,
    Operation,
    Release,
    Target,
    Video,
    VideoItem,
    VideoSet,
)
from schemas.names import digest_of
from schemas.status import Condition, Event, RunningRelease
from tests.integration.test_web_pages import page
from tests.support.api import Api, open_api
from tests.support.published import NOW, Box, Wanted, report

pytestmark = pytest.mark.anyio
JPEG = b"\xff\xd8\xff\xe0 a picture"


@pytest.fixture
async def api(tmp_path: Path, database: str) -> AsyncIterator[Api]:
    async with open_api(tmp_path, database) as opened:
        await fill(opened)
        yield opened


def video(name: str, **fields: Any) -> Video:
    return Video(**{"name": name, "digest": digest_of(name.encode()), "size_bytes": 42_000_000, **fields})


def release(version: str, **fields: Any) -> Release:
    return Release(**{"version": version, "tree": digest_of(version.encode()), "size_bytes": 25_000_000, **fields})


async def fill(api: Api) -> None:
    """Two sites in a group, three videos in a set and out of it, two releases of which one fails on a site."""
    documents: Mapping[tuple[str, str], Document] = {
        ("groups", "bretagne"): Group(name="Bretagne", select={"region": "Bretagne"}, priority=10),
        ("groups", "rest"): Group(name="The rest", select={"region": Not(not_=["Bretagne", "Loire"])}, priority=5),
        ("groups", "beta"): Group(name="Beta", sites=["brest"], priority=90, release="2.2.0"),
        ("videos", "noel"): video(
            "Noël",
            sponsor="decathlon",
            thumbnail=await api.put(JPEG),
            media=Media(duration_s=75.4, width=1920, height=1080, codec="h264"),
        ),
        ("videos", "advert"): video("Advert"),
        ("videos", "old"): video("Old one"),
        ("video-sets", "national"): VideoSet(
            name="National",
            category={"id": "a", "name": "A"},  # type: ignore[arg-type]
            videos=["advert", VideoItem(video="noel", until=date(2026, 3, 10))],
        ),
        ("releases", "2.1.3"): release("2.1.3"),
        ("releases", "2.10.0"): release("2.10.0", changelog="Faster replays.\nAnd more."),
        ("operations", "look"): Operation(
            target=Target(group="bretagne"), action="self_test", not_after=NOW + timedelta(days=1)
        ),
        ("agents", "1.2.0"): AgentRelease(version="1.2.0", tree=digest_of(b"agent"), size_bytes=1),
    }
    facts = {"groups": ["bretagne"], "video_sets": ["national"]}
    sites = {
        "brest": Wanted(Box("brest").identity, name="Brest", release="2.10.0", facts=facts),
        "nantes": Wanted(Box("nantes").identity, name="Nantes", release="2.10.0", facts=facts),
    }
    await api.publish(sites)
    async with api.connection() as conn:
        await library.replace(
            conn, {name: (f"{n:040x}", document) for n, (name, document) in enumerate(documents.items())}, NOW
        )
    generation = int(NOW.timestamp() * 1000)
    await api.report("brest", report(generation, agent_version="1.2.0", release=RunningRelease(version="2.10.0")))
    bad = Condition(type="Degraded", status="True", reason="ReleaseFailed", message="no answer on 3000", since=NOW)
    failing = report(
        generation - 1, head_generation=generation, release=RunningRelease(version="2.1.3"), conditions=[bad]
    )
    await api.report("nantes", failing)


async def test_groups_say_their_rule_their_layer_and_how_their_sites_stand(api: Api) -> None:
    text = (await page(api, "/groups")).text
    assert re.search(r"The rest region ≠ Bretagne \| Loire 5 0 .*Bretagne region = Bretagne 10 2", text)
    assert re.search(r"Beta release the sites that its file lists 90", text)
    one = await page(api, "/groups/bretagne")
    assert re.search(r"Brest Synced 2\.10\.0 Nantes Degraded no answer on 3000 2\.1\.3", one.text)
    assert "/sites/nantes" in one.links


async def test_library_says_where_each_video_is_wanted_and_where_it_is(api: Api) -> None:
    text = (await page(api, "/library")).text
    assert re.search(
        r"Noël decathlon 42\.0.MB · 1:15 · 1920 × 1080 National 1 / 2 10 Mar 2026 "
        r"Old one 42\.0.MB in no set that a site wants — — Advert 42\.0.MB National 1 / 2 —",
        text,
    ), "what ends soon, then what nobody wants, then the rest"
    one = await page(api, "/library/noel")
    assert re.search(r"Brest Synced 2\.10\.0 yes Nantes Degraded no answer on 3000 2\.1\.3 not yet", one.text)


async def test_thumbnail_is_a_picture_and_nothing_else(api: Api) -> None:
    found = await api.http.get("/library/noel/thumbnail")
    assert (found.status_code, found.headers["content-type"], found.content) == (200, "image/jpeg", JPEG)
    assert found.headers["x-content-type-options"] == "nosniff"
    assert (await api.http.get("/library/advert/thumbnail")).status_code == 404
    hostile = await api.put(b"<svg onload=alert(1)>")
    async with api.connection() as conn:
        entry = ("f" * 40, video("Evil", thumbnail=hostile))
        await library.replace(conn, {("videos", "evil"): entry}, NOW)
    assert (await api.http.get("/library/evil/thumbnail")).headers["content-type"] == "application/octet-stream"


async def test_releases_say_where_they_run_and_where_they_failed_and_why(api: Api) -> None:
    text = (await page(api, "/releases")).text
    assert re.search(r"2\.10\.0 Faster replays\. 25\.0.MB 1 .*wanted by 2 1 2\.1\.3 25\.0.MB 1 wanted by 0 —", text)
    assert re.search(r"Releases of the agent .*1\.2\.0 1.B 1", text)
    one = (await page(api, "/releases/2.10.0")).text
    assert "Faster replays. And more." in one
    assert re.search(r"Failed on .*Nantes Degraded no answer on 3000 2\.1\.3 .*Sites that want or run it", one)
    why = "Release 2.10.0 failed, going back to the last good one: no answer on 3000"
    told = [
        Event(number=1, at=NOW, severity="error", reason="ReleaseFailed", message=why),
        Event(number=2, at=NOW, severity="error", reason="ReleaseFailed", message=why.replace("2.10.0", "2.10.01")),
    ]
    await api.report("brest", report(int(NOW.timestamp() * 1000), sequence=2, events=told))
    one = (await page(api, "/releases/2.10.0")).text
    assert re.search(rf"Every failure that is remembered .*Brest 1 Mar 2026, 12:00 UTC {why}", one)
    assert "2.10.01" not in one


async def test_change_says_how_fast_it_got_there_and_who_is_missing_and_why(api: Api) -> None:
    links = [link for link in (await page(api, "/changes")).links if link.startswith("/changes/")]
    (link,) = links
    text = (await page(api, link)).text
    assert re.search(r"Change something .*Sites .*1 of 2 sites", text)
    assert re.search(r"Sites that are there, over time 1 of 2 sites .*2 sites Who is missing", text)
    assert re.search(r"How fast it got there .*1 \(50 %\)", text)
    assert re.search(r"Who is there .*Brest 1 Mar 2026, 12:00 UTC less than a minute", text)
    assert re.search(r"Who is missing, and why .*Nantes Degraded no answer on 3000 2\.1\.3", text)
    for wrong in ("/changes/xyz", "/changes/fffffff", "/changes/abc"):
        assert (await api.http.get(wrong)).status_code == 404


async def test_operation_says_who_did_it_and_how_it_went(api: Api) -> None:
    generation = int(NOW.timestamp() * 1000)
    done = Event(number=1, at=NOW, reason="OperationFailed", message="Operation look (self_test): the disk is slow")
    await api.report("brest", report(generation, sequence=2, events=[done]))
    text = (await page(api, "/operations")).text
    assert re.search(r"look self_test bretagne 2 Mar 2026, 12:00 UTC 1 / 2 1", text)
    assert re.search(r"look Brest An operation failed Operation look \(self_test\): the disk is slow", text)
    async with api.connection() as conn:
        await operation_logs.keep(conn, "brest", "look", b"packed", NOW)
    shown = await page(api, "/operations/look")
    assert re.search(r"Action self_test For bretagne Not after 2 Mar 2026, 12:00 UTC", shown.text)
    assert re.search(r"Brest An operation failed the disk is slow just now 6.B · just now", shown.text)
    assert re.search(r"Nantes The box knows of it not after 2 Mar 2026, 12:00 UTC —", shown.text)
    assert {"/sites/brest/logs/look", "/sites/nantes"} <= set(shown.links)
    async with api.connection() as conn:
        await library.replace(conn, {}, NOW)
    shown = await page(api, "/operations/look")
    assert re.search(r"Action self_test State No longer in Git .*Brest An operation failed", shown.text)
    assert "/sites/nantes" not in shown.links


async def test_reports_and_system_say_how_it_went_and_what_it_runs_on(api: Api) -> None:
    for by in ("week", "month"):
        text = (await page(api, f"/reports?by={by}")).text
        assert "Availability" in text
        assert re.search(r"Deployments .* 2 100\.0% .*— 1 less than a minute", text), "one waits, and is no failure"
    await api.app.state.pulse.beat()
    text = (await page(api, "/system")).text
    assert re.search(r"Database PostgreSQL 1[58]", text)
    assert "a folder of the server works" in text
    assert re.search(r"Control planes of the last week .* \d+\.\d+\.\d+ 1 Mar 2026, 12:00 UTC serves", text)
    assert re.search(r"First head of a site 8 Mar 2026, 12:00 UTC 7 days", text)


MISSING = ["/groups/nowhere", "/library/nothing", "/library/nothing/thumbnail", "/releases/9.9.9", "/operations/none"]


@pytest.mark.parametrize("path", MISSING)
async def test_what_is_not_published_is_not_found(api: Api, path: str) -> None:
    assert (await api.http.get(path)).status_code == 404
