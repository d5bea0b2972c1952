"""Which videos are on a box, as far as its report tells: every factor crossed with every other."""

from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from control_plane.core.standing import Verdict
from control_plane.store.views import SiteView
from control_plane.store.wanted import Since, Wants
from control_plane.web.present_content import content_of, there
from control_plane.web.words import Words
from schemas.desired import CategoryName, VideoSet
from schemas.manifest import Category, CategoryVideo, ContentFile, Loops, SiteManifest
from schemas.names import digest_of
from schemas.status import Difference, StatusReport
from tests.support.published import report

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TODAY, DAY = NOW.date(), timedelta(days=1)
GENERATION = 7
REPORTS: dict[str, StatusReport | None] = {
    "none": None,
    "older": report(GENERATION - 1),
    "accepted": report(GENERATION - 1, head_generation=GENERATION),
    "reached": report(GENERATION),
}


def shows(category: str, name: str = "goal", **days: Any) -> CategoryVideo:
    return CategoryVideo(name=name.title(), path=f"videos/{category}/{name}.mp4", video_id=name, **days)


DAYS: dict[str, list[CategoryVideo]] = {
    "always": [shows("A")],
    "to come": [shows("A", from_=TODAY + DAY)],
    "past": [shows("A", until=TODAY - DAY)],
    "first day": [shows("A", from_=TODAY)],
    "last day": [shows("A", until=TODAY)],
    "again": [shows("A", until=TODAY - DAY), shows("A", from_=TODAY + DAY)],
    "twice": [shows("A", until=TODAY - DAY), shows("A")],
    "nowhere shown": [],
}


def view(said: StatusReport | None, **facts: Any) -> SiteView:
    return SiteView(
        site="brest",
        name="Brest",
        state="active",
        gone=False,
        has_identity=True,
        revoked=False,
        generation=GENERATION,
        manifest=digest_of(b""),
        commit="0" * 40,
        published_at=NOW,
        desired_release=None,
        facts=facts,
        received_at=NOW if said else None,
        report=said,
        verdict=Verdict(standing="Synced", reason="Synced", message=""),
    )


def differing(*paths: str, kind: Any = "content") -> list[Difference]:
    return [Difference(kind=kind, what=path) for path in paths]


DIFFERENCES = {
    "nothing": [],
    "another file": differing("videos/A/other.mp4"),
    "its setting": differing("videos/A/goal.mp4", kind="configuration"),
    "this file": differing("videos/A/goal.mp4"),
    "as much as a report holds": differing(*(f"videos/A/{n}.mp4" for n in range(200))),
}


def expected(said: str, days: str, differs: str) -> str:
    if days in ("to come", "again"):
        return "later"
    if days == "past":
        return "over"
    if said == "none":
        return "unknown"
    if said == "older":
        return "untaken"
    return {"this file": "missing", "as much as a report holds": "unknown"}.get(differs, "there")


@pytest.mark.parametrize(("said", "days", "differs"), [*product(REPORTS, DAYS, DIFFERENCES)])
def test_file_is_there_only_where_the_box_spoke_of_what_is_wanted_now(said: str, days: str, differs: str) -> None:
    found = REPORTS[said]
    if found is not None:
        found = report(found.generation, head_generation=found.head_generation, differences=DIFFERENCES[differs])
    assert there(view(found), "videos/A/goal.mp4", DAYS[days], TODAY) == expected(said, days, differs)


def test_video_of_two_sets_is_shown_in_each_by_the_file_of_its_category() -> None:
    files = [ContentFile(path=f"videos/{c}/goal.mp4", digest=digest_of(b"goal"), size_bytes=5) for c in ("A", "B", "C")]
    categories = [Category(id=name, name=f"Category {name}", videos=[shows(name)]) for name in ("A", "B")]
    manifest = SiteManifest(
        schema=1,
        poll_interval_s=60,
        timezone="Europe/Paris",
        content=files,
        categories=categories,
        loops=Loops(sponsors=[shows("A")]),
    )
    sets = {
        name.lower(): VideoSet(name=f"Set {name}", category=CategoryName(id=name, name=name), videos=["goal", "gone"])
        for name in ("A", "B")
    }
    since = {digest_of(b"goal"): Since(at=NOW, certain=False)}
    site = view(report(GENERATION), video_sets=["b", "a", "unknown"])
    content = content_of(site, Wants(manifest, since, sets), NOW, Words("en"), team=True)
    assert [(one.title, [row.path for row in one.rows]) for one in content.sets] == [
        ("Set B", ["videos/B/goal.mp4"]),
        ("Set A", ["videos/A/goal.mp4"]),
        ("In no set", ["videos/C/goal.mp4"]),
    ]
    assert content.sets[1].rows[0].place == "Category A · Default loop"
    assert content.sets[1].rows[0].since == "1 Mar 2026 at least"
    assert (content.files, content.size_bytes, content.missing, content.known) == (3, 15, 0, True)


def test_days_of_a_file_span_all_that_want_it() -> None:
    categories = [
        Category(id="A", name="A", videos=[shows("A", from_=date(2026, 3, 1), until=date(2026, 3, 9)), shows("A")])
    ]
    manifest = SiteManifest(
        schema=1,
        poll_interval_s=60,
        timezone="Europe/Paris",
        content=[ContentFile(path="videos/A/goal.mp4", digest=digest_of(b"goal"), size_bytes=5)],
        categories=categories,
    )
    content = content_of(view(None), Wants(manifest, {}, {}), NOW, Words("en"), team=False)
    [row] = content.sets[0].rows
    assert (row.valid, row.since, row.link, row.there) == ("", "—", "", "unknown"), "one of them wants it always"
