"""A site's page: content, releases it had, operations and their texts, conditions over time; its acceptance sheet."""

import re
from datetime import date, datetime, timedelta
from typing import Any

import pytest
import zstandard

from control_plane.core.people import Reader
from control_plane.errors import NotFound
from control_plane.store import audit, clubs, library, operation_logs, partitions
from control_plane.store.lookout import Lookout
from control_plane.web.kept import Kept
from control_plane.web.map_outlines import NoOutlines
from control_plane.web.pages import acceptance, site
from control_plane.web.pages.site import WholeSite
from control_plane.web.visit import Room, Visit
from control_plane.web.words import Words
from schemas.club import ClubMirror
from schemas.desired import VideoItem, VideoSet
from schemas.manifest import (
    AgentTarget,
    Category,
    CategoryVideo,
    ContentFile,
    Loops,
    ManifestMaintenance,
    ManifestOperation,
    ManifestWindow,
    SiteManifest,
    SubCategory,
)
from schemas.names import digest_of
from schemas.status import Condition, Difference, Event, Link, Metrics, RunningRelease, Waiting
from tests.integration.test_web_pages import page
from tests.support.api import Api
from tests.support.published import NOW, Box, Wanted, manifest, report

pytestmark = pytest.mark.anyio
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SELF_TEST = """ok   release: 2.1.3
ok   unit neopro-app: runs, restarted 0 times by itself
FAIL unit neopro-kiosk: it does not run
ok   page: answers as it should
ok   http://localhost:3000/x: contains 'a: b'
ok   disk: 100 MB of 200 MB are free
"""


def file(name: str) -> ContentFile:
    return ContentFile(path=f"videos/A/{name}.mp4", digest=digest_of(name.encode()), size_bytes=12_000_000)


def shows(name: str, **days: Any) -> CategoryVideo:
    return CategoryVideo(name=name.title(), path=f"videos/A/{name}.mp4", video_id=name, **days)


def wanted_manifest(*names: str, **fields: Any) -> SiteManifest:
    """A manifest with these videos in a category: `spring` from tomorrow on, `winter` until yesterday."""
    days: dict[str, dict[str, date]] = {
        "spring": {"from_": NOW.date() + DAY, "until": NOW.date() + 90 * DAY},
        "winter": {"until": NOW.date() - DAY},
    }
    videos = [shows(name, **days.get(name, {})) for name in names if name != "loose"]
    loose = Loops(sponsors=[shows("loose")] if "loose" in names else [])
    category = Category(id="a", name="Annonces", videos=videos[:1])
    if len(videos) > 1:
        category = Category(
            id="a", name="Annonces", videos=videos[:1], subcategories=[SubCategory(id="b", name="B", videos=videos[1:])]
        )
    return manifest(content=[file(name) for name in names], categories=[category], loops=loose, **fields)


async def publish(api: Api, wanted: SiteManifest, **fields: Any) -> int:
    """Publish Brest with this manifest; its generation."""
    facts = {"club": "HB Brest", "video_sets": ["national"], "tenant": "fff", "contact": {"phone": "+33 1"}}
    identity = getattr(api, "identity", None) or Box("brest").identity
    api.identity = identity  # type: ignore[attr-defined]
    await api.publish({"brest": Wanted(identity, wanted, name="Brest", release="2.1.3", facts=facts, **fields)})
    names = [item.video_id for item in wanted.categories[0].videos + wanted.categories[0].subcategories[0].videos]
    national = VideoSet(
        name="National",
        category={"id": "a", "name": "Annonces"},  # type: ignore[arg-type]
        videos=[name if name != "spring" else VideoItem(video=name) for name in names],
    )
    async with api.connection() as conn:
        await library.replace(conn, {("video-sets", "national"): (api.now.isoformat(), national)}, api.now)
    return int(api.now.timestamp() * 1000)


async def keep_text(api: Api, operation: str, text: str) -> None:
    async with api.connection() as conn:
        packed = zstandard.ZstdCompressor().compress(text.encode("utf-8", "surrogateescape"))
        await operation_logs.keep(conn, "brest", operation, packed, api.now)


def room_of(api: Api) -> Room:
    def clock() -> datetime:
        return api.now

    outlines = NoOutlines(path="", why="missing")
    return Room(api.pool, Lookout(api.pool, clock), api.objects, clock, outlines, Kept())


async def seen_by(api: Api, tenant: str | None) -> WholeSite:
    shown = await site.show(room_of(api), Visit(Reader(name="ada", tenant=tenant), Words("en"), {}, {"site": "brest"}))
    assert not isinstance(shown, bytes) and isinstance(shown.page, WholeSite)
    return shown.page


async def test_content_is_told_set_by_set_with_days_and_whether_it_is_there(api: Api) -> None:
    await publish(api, wanted_manifest("goal", "winter"))
    api.now += 2 * DAY
    second = await publish(api, wanted_manifest("goal", "winter", "spring", "fresh", "loose"))
    text = (await page(api, "/sites/brest")).text
    assert "No report yet: what is on the box is not known." in text
    lacking = [Difference(kind="content", what="videos/A/fresh.mp4", observed="missing or different")]
    await api.report("brest", report(1, head_generation=second, differences=lacking))
    shown = await page(api, "/sites/brest")
    text = shown.text.replace("\u202f", " ")
    assert "1 is missing by the last report (just now)." in text
    digest = digest_of(b"goal")[7:15]
    assert "National 4 videos · 48.0 MB" in text, re.findall("National.{60}", text)
    assert f"Goal Annonces 12.0 MB {digest} — 1 Mar 2026 there" in text
    assert re.search(r"Winter Annonces › B 12\.0 MB \w{8} until 28 Feb 2026 1 Mar 2026 over", text)
    assert re.search(r"Fresh Annonces › B 12\.0 MB \w{8} — 3 Mar 2026 not yet there", text)
    assert re.search(r"In no set 1 video · 12\.0 MB .*Loose Default loop .*3 Mar 2026 there", text)
    assert "/library/goal" in shown.links
    api.now += DAY
    assert re.search(r"Spring .*there", (await page(api, "/sites/brest")).text)
    french = (await page(api, "/sites/brest?lang=fr")).text.replace("\u202f", " ")
    assert "1 manque au dernier rapport (il y a 24 h)." in french


async def test_content_that_the_box_has_not_taken_is_not_called_there(api: Api) -> None:
    first = await publish(api, wanted_manifest("goal", "winter"))
    await api.report("brest", report(first))
    api.now += HOUR
    await publish(api, wanted_manifest("goal", "fresh"))
    text = (await page(api, "/sites/brest")).text
    assert "The box has not taken the newest state; last heard 1 h ago." in text
    assert len(re.findall("not taken yet", text)) == 2


async def test_desired_observed_and_the_club_s_own_stand_side_by_side(api: Api) -> None:
    generation = await publish(
        api,
        wanted_manifest(
            "goal",
            "fresh",
            config={"scoreOverlay": 1, "liveScore": True},
            agent=AgentTarget(version="1.2.0", tree=digest_of(b"agent"), size_bytes=1),
            maintenance=ManifestMaintenance(
                windows=[ManifestWindow(kind="weekly", days=["mon", "tue"], from_="02:00", to="05:00")],
                max_deferral_s=14 * 86400,
            ),
        ),
    )
    club = ClubMirror(title="Salle A", timezone="Europe/Brussels", file_count=3, file_bytes=9_000_000)
    off = [Difference(kind="configuration", what="scoreOverlay", desired="1", observed="2")]
    async with api.connection() as conn:
        await clubs.keep(conn, "brest", club, api.now)
    await api.report("brest", report(1, head_generation=generation, agent_version="1.1.0", differences=off))
    text = (await page(api, "/sites/brest")).text.replace("\u202f", " ")
    for words in (
        "Agent 1.2.0 1.1.0",
        "Videos 2 videos · 24.0 MB as desired 3 files · 9.0 MB",
        "Settings liveScore, scoreOverlay 1 differs Salle A",
        "Time zone Europe/Paris Europe/Brussels",
        "Maintenance windows Mon, Tue 02:00–05:00 · after 14 days at the latest",
        "Contact +33 1",
    ):
        assert words in text, words


async def test_releases_it_had_say_from_when_until_when_and_which_failed_and_why(api: Api) -> None:
    await publish(api, wanted_manifest("goal", "fresh"))
    tree = digest_of(b"tree")
    why = "going back to the last good one"
    failed = [
        Event(
            number=number,
            at=NOW + hours * HOUR,
            severity="error",
            reason="ReleaseFailed",
            message=f"Release {version} failed, {why}: {what}",
        )
        for number, hours, version, what in ((1, 1, "2.2.0", "no answer on 3000"), (2, 3, "2.3.0", "no picture"))
    ]
    said = [
        (0, "2.1.3", None),
        (60, "2.2.0", tree),
        (65, "2.1.3", tree),
        (600, "2.1.3", tree),
    ]
    for sequence, (minutes, version, digest) in enumerate(said, 1):
        one = report(sequence=sequence, release=RunningRelease(version=version, tree=digest), events=failed)
        await api.report("brest", one, NOW + timedelta(minutes=minutes))
    api.now += 10 * HOUR
    text = (await page(api, "/sites/brest")).text
    assert re.search(
        r"Releases it had .*2\.3\.0 Release 2\.3\.0 failed, [^:]*: no picture"
        r" 1 Mar 2026, 15:00 UTC was tried and failed —"
        r" 2\.1\.3 1 Mar 2026, 13:05 UTC runs 8 h"
        r" 2\.2\.0 Release 2\.2\.0 failed, [^:]*: no answer on 3000 1 Mar 2026, 13:00 UTC 1 Mar 2026, 13:05 UTC 5 min"
        r" 2\.1\.3 installed by hand 1 Mar 2026, 12:00 UTC 1 Mar 2026, 13:00 UTC 1 h",
        text,
    )


async def test_operations_say_how_they_stand_and_the_team_reads_their_texts(api: Api) -> None:
    def asked(name: str, action: Any, hours: int = 24) -> ManifestOperation:
        return ManifestOperation(id=name, action=action, not_after=NOW + hours * HOUR)

    operations = [
        asked("look", "self_test"),
        asked("again", "reboot"),
        asked("late", "retry", -1),
        asked("logs", "fetch_logs"),
    ]
    generation = await publish(api, wanted_manifest("goal", "fresh", operations=operations))
    events = [
        Event(
            number=1, at=NOW, reason="OperationSucceeded", message="Operation look (self_test): all 9 checks passed."
        ),
        Event(number=2, at=NOW, reason="OperationFailed", message="Operation old (restart_service): it did not."),
    ]
    waits = [Waiting(step="Operation again", reason="OutsideWindow", message="A reboot (again) waits for 02:00.")]
    await api.report("brest", report(generation, events=events, waiting=waits))
    await keep_text(api, "look", SELF_TEST)
    shown = await page(api, "/sites/brest")
    text = shown.text
    assert re.search(r"look self_test An operation was done all 9 checks passed\. just now Read \d+.B · just now", text)
    assert re.search(r"again reboot Waits for a maintenance window A reboot \(again\) waits for 02:00\.", text)
    assert re.search(r"late retry Nothing was heard of it in time", text)
    assert re.search(r"logs fetch_logs The box knows of it not after 2 Mar 2026, 12:00 UTC —", text)
    assert re.search(r"old restart_service An operation failed it did not\. just now —", text)
    assert "/sites/brest/logs/look" in shown.links
    own = await seen_by(api, "fff")
    assert [(row.name, row.log) for row in own.operations if row.log] == []
    assert not any(row.link for one in (own.content.sets if own.content else []) for row in one.rows)


async def test_text_is_read_whole_as_a_file_and_its_end_on_the_page(api: Api) -> None:
    await publish(api, wanted_manifest("goal", "fresh"))
    lines = [f"line {number}" for number in range(2500)] + ["<script>\u202e\x07 \udcff"]
    await keep_text(api, "logs", "\n".join(lines))
    answer = await api.http.get("/sites/brest/logs/logs")
    assert "The last 2,000 of 2,501 lines" in answer.text
    assert "line 500\n" not in answer.text and "line 501\n" in answer.text
    assert "&lt;script&gt;\ufffd\ufffd \ufffd" in answer.text
    assert "live.js" not in answer.text and "refresh" not in answer.text, "a reading is one reading"
    whole = await api.http.get("/sites/brest/logs/logs?download=1")
    assert whole.headers["content-disposition"] == 'attachment; filename="logs-brest.log"'
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    assert whole.text.splitlines()[:2] == ["line 0", "line 1"]
    async with api.connection() as conn:
        read = await audit.records(conn, act="log_read")
    assert [(one.about, one.address) for one in read] == [("brest logs", "127.0.0.1")] * 2, (
        "each reading is written down"
    )
    for wrong in ("brest/logs/none", "nantes/logs/logs", "brest/logs/..%2fx", "%00/logs/logs"):
        assert (await api.http.get(f"/sites/{wrong}")).status_code == 404, wrong


async def test_conditions_over_time_are_stripes_and_a_table(api: Api) -> None:
    generation = await publish(api, wanted_manifest("goal", "fresh"))
    async with api.connection() as conn:
        await partitions.make(conn, NOW)
    good = Condition(type="Synced", status="True", reason="Converged", since=NOW)
    bad = Condition(type="Synced", status="False", reason="DiskFull", since=NOW + 6 * HOUR)
    for sequence, condition in enumerate((good, bad), 1):
        at = NOW + (sequence - 1) * 6 * HOUR
        await api.report("brest", report(generation, sequence=sequence, conditions=[condition]), at)
    api.now += 12 * HOUR
    html = (await api.http.get("/sites/brest")).text
    text = (await page(api, "/sites/brest")).text
    assert re.search(r'aria-label="As desired: Yes 25\.0% · No 25\.0%"', html)
    assert len(re.findall(r'<rect class="(good|bad)" x="[\d.]+" width="150\.0"', html)) == 2
    assert re.search(r"1 Mar 2026, 18:00 UTC As desired: No The disk is full 6 h, and still so", text)
    assert re.search(r"1 Mar 2026, 12:00 UTC As desired: Yes Converged 6 h", text)


async def test_sheet_says_what_passed_what_failed_and_what_nobody_checked(api: Api) -> None:
    generation = await publish(api, wanted_manifest("goal", "fresh"))
    text = (await page(api, "/sites/brest/acceptance")).text
    assert "Not complete: 16 checks are open." in text
    assert "No self-test was handed over yet." in text
    assert "neopro op self-test --site brest --commit" in text
    cable = Link(interface="e", kind="cable")
    metrics = Metrics(temperature_celsius=51.25, strain=[], past_strain=["under_voltage"], link=cable)
    done = Event(number=1, at=NOW, reason="OperationSucceeded", message="Operation look (self_test): well.")
    running = RunningRelease(version="2.1.3", tree=digest_of(b"tree"))
    await api.report("brest", report(generation, metrics=metrics, release=running, events=[done]))
    await keep_text(api, "look", SELF_TEST)
    text = (await page(api, "/sites/brest/acceptance")).text
    for words in (
        "Not to be accepted: 2 checks failed.",
        "Received 1 Mar 2026, 12:00 UTC, by look.",
        "Service neopro-app runs passed runs, restarted 0 times by itself",
        "Service neopro-kiosk runs failed it does not run",
        "http://localhost:3000/x passed contains 'a: b'",
        "The screen’s page answers passed",
        "neopro-admin answers not checked —",
        "Clock not checked",
        "As desired passed Synced",
        "Content complete passed All there, by the last report (just now).",
        "Temperature passed 51.2 °C",
        "Power failed Was too weak",
        "Network passed Cable",
        "HB Brest",
        "2.1.3 (desired: 2.1.3)",
    ):
        assert words in text, words
    assert "Service neopro-admin" not in text, "the release has no such unit"
    assert "Recette impossible : 2 vérifications en échec." in (await page(api, "/sites/brest/acceptance?lang=fr")).text
    api.now += HOUR
    text = (await page(api, "/sites/brest/acceptance?lang=en")).text
    assert "As desired not checked Offline" in text and "Content complete not checked" in text, "old evidence is none"


async def test_sheet_is_for_the_people_of_its_own_tenant(api: Api) -> None:
    await publish(api, wanted_manifest("goal", "fresh"))
    room = room_of(api)
    for tenant in ("fff", None):
        await acceptance.show(room, Visit(Reader(name="x", tenant=tenant), Words("en"), {}, {"site": "brest"}))
    with pytest.raises(NotFound):
        await acceptance.show(room, Visit(Reader(name="x", tenant="other"), Words("en"), {}, {"site": "brest"}))
