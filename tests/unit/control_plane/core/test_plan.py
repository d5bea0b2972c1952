"""The plan of a change: what it says against what the compiler made, on every mixture of edits of the sample fleet."""

import base64
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyrage import x25519

from control_plane.core.compile import CompiledFleet, CompiledSite, compile_commit
from control_plane.core.plan import Plan, plan
from control_plane.core.plan_changes import NO_PART, Differences, flat
from control_plane.core.plan_load import Observed
from control_plane.core.plan_words import megabytes
from schemas.api import ClubNames, SiteObservation, Standing
from schemas.manifest import SiteManifest
from schemas.status import RunningRelease
from tests.contract.golden import sample_files
from tests.support.fleet_generator import as_tree

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
FILES = sample_files()
Edits = Mapping[str, bytes | None]

NATIONAL = "video-sets/annonces-nationales.yaml"


def _with(path: str, old: bytes, new: bytes) -> Edits:
    """One file with something in it exchanged, once."""
    assert old in FILES[path]
    return {path: FILES[path].replace(old, new, 1)}


def _and(path: str, more: bytes) -> Edits:
    return {path: FILES[path] + more}


TREE = next(line.split()[1] for line in FILES["releases/2.1.3.yaml"].splitlines() if line.startswith(b"tree: "))
BOX_KEY = x25519.Identity.generate().to_public()


def _hotspot(passphrase: bytes) -> bytes:
    secret = base64.b64encode(pyrage.encrypt(passphrase, [BOX_KEY])).decode()
    return f'recipient: {BOX_KEY}\nhotspot: {{ssid: Club, passphrase: "age:{secret}"}}\n'.encode()


EDITS: dict[str, Edits] = {
    "config for all": _with("fleet.yaml", b"offsetX: 24", b"offsetX: 30"),
    "config taken away": _with("fleet.yaml", b"    liveScoreEnabled: false\n", b""),
    "release for rugby": _and("groups/rugby.yaml", b"release: 2.1.3\n"),
    "no longer beta": _with("groups/beta.yaml", b"release: 2.2.0", b"release: 2.1.3"),
    "video leaves": _with(NATIONAL, b"  - eau-vive\n", b""),
    "video replaced": _with("videos/voile-et-vent.yaml", b"digest: sha256:6563", b"digest: sha256:0000"),
    "campaign prolonged": _with(NATIONAL, b"until: 2027-06-30", b"until: 2027-12-31"),
    "site gone": {"sites/brest-handball.yaml": None},
    "site retired": _with("sites/rennes-fc.yaml", b"state: active", b"state: retired"),
    "site suspended": _with("sites/lyon-handball.yaml", b"state: active", b"state: suspended"),
    "site added": {"sites/quimper-rugby.yaml": FILES["sites/toulouse-rugby.yaml"].replace(b"Toulouse", b"Quimper")},
    "site renamed": _with("sites/paris-volley.yaml", b"name: ", b"name: Nouveau "),
    "reboot of beta": {
        "operations/spring-reboot.yaml": b"target: {group: beta}\naction: reboot\nnot_after: 2027-01-01T00:00:00Z\n"
    },
    "patched": _and(
        "releases/2.2.0.yaml",
        b"patches: [{from: 2.1.3, base: " + TREE + b", index: sha256:" + b"5" * 64 + b", size_bytes: 300}]\n",
    ),
    "hotspot": _and("sites/paris-volley.yaml", _hotspot(b"one")),
    "other hotspot": _and("sites/paris-volley.yaml", _hotspot(b"other")),
    "polls, hours, bandwidth": _and(
        "groups/premium.yaml",
        b"poll: {interval: 30s}\nbandwidth: {limit: 2MB/s}\n"
        b'maintenance: {windows: [{days: daily, from: "03:00", to: "05:00"}]}\n',
    ),
}


def edited(names: Iterable[str]) -> dict[str, bytes]:
    """The sample with these edits; of those that touch one file, the last counts."""
    files: dict[str, bytes | None] = dict(FILES)
    for name in names:
        files |= EDITS[name]
    return {path: data for path, data in files.items() if data is not None}


def compiled(names: Iterable[str], previous: CompiledFleet | None = None) -> CompiledFleet:
    fleet = compile_commit(*as_tree(edited(names)), previous)
    assert not fleet.has_errors, fleet.problems
    return fleet


def planned(base: Iterable[str], head: Iterable[str], observed: Observed | None = None, **more: Any) -> Plan:
    before = compiled(base)
    return plan(before, compiled(head, before), observed, NOW, names=("BASE", "HEAD"), **more)


def manifest(site: CompiledSite) -> SiteManifest:
    return msgspec.json.decode(site.body, type=SiteManifest)


BLANK = NO_PART.manifest


def view(found: SiteManifest) -> dict[str, Any]:
    """What a plan speaks of, in a manifest."""
    return {
        "content": {file.path: file.size_bytes for file in found.content},
        "release": found.release and found.release.version,
        "config": flat(found.config, "config"),
        "poll": found.poll_interval_s,
        "bandwidth": found.bandwidth and found.bandwidth.limit_bytes_s,
        "windows": found.maintenance and msgspec.to_builtins(found.maintenance.windows),
        "operations": [operation.id for operation in found.operations],
    }


def applied(before: dict[str, Any], change: Differences) -> dict[str, Any]:
    """The view after what the plan says was done to it."""
    after = dict(before)
    gone = {video.path for video in change.videos_removed}
    after["content"] = {path: size for path, size in before["content"].items() if path not in gone} | {
        video.path: video.size_bytes for video in change.videos_added
    }
    if change.release:
        assert change.release.old == before["release"]
        after["release"] = change.release.new
    config = dict(before["config"])
    for altered in change.config:
        assert config.get(altered.key) == altered.old
        config = {k: v for k, v in (config | {altered.key: altered.new}).items() if v is not None}
    after["config"] = config
    new = {altered.key: altered.new for altered in change.settings}
    names = {"poll": "poll.interval_s", "bandwidth": "bandwidth.limit_bytes_s", "windows": "maintenance.windows"}
    for key, name in names.items():
        after[key] = new.get(name, before[key])
    ids = [one for one in before["operations"] if one not in change.operations_removed]
    after["operations"] = ids + [operation.id for operation in change.operations_added]
    return after


mixtures = st.lists(st.sampled_from(sorted(EDITS)), unique=True, max_size=5)


@settings(max_examples=60, deadline=None)
@given(mixtures)
def test_plan_of_a_fleet_and_itself_is_empty(names: list[str]) -> None:
    made = planned(names, names)
    assert made.is_empty and made.sites == {} and made.impact.sites == 0 and not made.cautions
    again = plan(compiled(names), compiled(names), None, NOW)
    assert again.is_empty, "compiled apart from each other"


@settings(max_examples=100, deadline=None)
@given(mixtures, mixtures)
def test_plan_applied_to_the_base_gives_the_head(base: list[str], head: list[str]) -> None:
    before, after = compiled(base), compiled(head)
    made = plan(before, after, None, NOW)
    for site in before.sites.keys() | after.sites.keys():
        old, new = before.sites.get(site), after.sites.get(site)
        one = made.sites.get(site)
        if new is None:
            assert one and made.changes[one.change].kind == "removed"
            continue
        change = made.changes[one.change] if one else None
        if change is None or change.kind == "record":
            assert old and (old.manifest, old.state) == (new.manifest, new.state)
        state = change.state.new if change and change.state else old.state if old else "active"
        assert state == new.state
        if new.state == "active":
            start = view(manifest(old) if old else BLANK)
            assert applied(start, change.differences if change else Differences()) == view(manifest(new))


@settings(max_examples=30, deadline=None)
@given(mixtures, mixtures)
def test_plan_does_not_depend_on_what_was_compiled_before(base: list[str], head: list[str]) -> None:
    before = compiled(base)
    one, other = (plan(before, after, None, NOW) for after in (compiled(head, before), compiled(head)))
    assert msgspec.json.encode(one) == msgspec.json.encode(other)
    assert msgspec.json.decode(msgspec.json.encode(one), type=Plan) == one, "what --json prints reads back"


def test_sites_with_the_same_change_are_one_change() -> None:
    made = planned([], ["config for all"])
    assert [len(change.sites) for change in made.changes] == [made.totals.changed]
    (change,) = made.changes
    assert [(a.key, a.old, a.new) for a in change.differences.config] == [("config.scoreOverlay.offsetX", 24, 30)]
    assert made.totals.download_bytes == 0 and made.totals.restarts == 0


def test_release_is_fetched_whole_without_a_patch_and_restarts_services() -> None:
    made = planned(["no longer beta"], [])
    moved = [change for change in made.changes if change.differences.release]
    assert moved and all(c.differences.release and c.differences.release.new == "2.2.0" for c in moved)
    assert made.totals.restarts == made.totals.releases == sum(len(c.sites) for c in moved)
    size = next(manifest(s).release for s in compiled([]).sites.values() if s.release == "2.2.0")
    assert size and made.totals.download_bytes == size.size_bytes * made.totals.releases


@pytest.mark.parametrize(
    ("edit", "sites", "removals"),
    [
        ("site gone", 1, 1),
        ("site retired", 1, 1),
        ("site suspended", 1, 0),
        ("site added", 0, 0),
        ("site renamed", 0, 0),
    ],
)
def test_impact_counts_what_is_there_and_is_touched(edit: str, sites: int, removals: int) -> None:
    impact = planned([], [edit]).impact
    assert (impact.sites, impact.removals, impact.total) == (sites, removals, 12)


def test_suspended_site_fetches_nothing_and_says_so() -> None:
    made = planned(["site suspended"], ["site suspended", "config for all"])
    one = made.changes[made.sites["lyon-handball"].change] if "lyon-handball" in made.sites else None
    assert one is None or (one.differences == Differences() and one.download_bytes == 0)


# -- what boxes reported ---------------------------------------------------------------------------------------------


def seen(site: str, standing: Standing = "Synced", **facts: Any) -> SiteObservation:
    given: dict[str, Any] = {"last_report_at": NOW - timedelta(minutes=1), "generation": 1}
    return SiteObservation(site=site, standing=standing, **given | facts)


def observed(*sites: SiteObservation, manifests: Mapping[str, SiteManifest] | None = None) -> Observed:
    return Observed(at=NOW, sites={one.site: one for one in sites}, manifests=manifests or {})


def cautions(made: Plan, site: str) -> dict[str, str]:
    return {caution.code: caution.sites[site] for caution in made.cautions if site in caution.sites}


SITE = "nantes-basket"
BOX = "vannes-rugby"
"""A site with an identity."""


@pytest.mark.parametrize("base_has_it", [True, False])
@pytest.mark.parametrize("box_has_it", [True, False, None])
def test_bytes_to_fetch_are_less_what_the_box_is_known_to_hold(base_has_it: bool, box_has_it: bool | None) -> None:
    """A video leaves and comes back; the box reports the one or the other generation, or none that is known."""
    with_it, without = compiled([]), compiled(["video leaves"])
    base, head = (with_it if base_has_it else without), compiled(["config for all"])
    reported = None if box_has_it is None else (with_it if box_has_it else without).sites[SITE]
    facts = {"manifest": reported.manifest} if reported else {"manifest": "sha256:" + "9" * 64}
    known = {reported.manifest: manifest(reported)} if reported else {}
    made = plan(base, head, observed(seen(SITE, **facts), manifests=known), NOW)
    size = next(file.size_bytes for file in manifest(with_it.sites[SITE]).content if "eau-vive" in file.path)
    holds = base_has_it if box_has_it is None else box_has_it
    assert made.sites[SITE].download_bytes == (0 if holds else size)
    assert any("not known here" in sentence for sentence in made.unknown) is (box_has_it is None)


def test_box_that_never_reported_fetches_everything() -> None:
    made = planned([], ["config for all"], observed())
    whole = manifest(compiled([]).sites[SITE])
    assert whole.release
    everything = sum(file.size_bytes for file in whole.content) + whole.release.size_bytes
    assert made.sites[SITE].download_bytes == everything
    assert cautions(made, BOX) == {"NeverReported": ""}


@pytest.mark.parametrize(
    ("free", "short"), [(None, False), (0, True), (100_000 // 10 + 7_100, True), (100_000 // 10 + 8_000, False)]
)
def test_disk_that_keeps_no_tenth_free_is_told(free: int | None, short: bool) -> None:
    """Release 2.2.0 has 7.2 kB; a disk of 100 kB keeps 10 kB."""
    base = compiled(["release for rugby", "no longer beta"])
    site = next(name for name, one in compiled([]).sites.items() if one.release == "2.2.0" and one.identity)
    disk = {"disk_total_bytes": 100_000, "disk_free_bytes": free}
    old = base.sites[site]
    reports = observed(seen(site, manifest=old.manifest, release=RunningRelease(version="2.1.3"), **disk))
    made = plan(base, compiled([]), reports, NOW)
    assert ("DiskTooSmall" in cautions(made, site)) is short
    if short:
        assert cautions(made, site)["DiskTooSmall"].startswith("needs 7.2 kB, has ")


def test_bytes_that_come_free_afterwards_are_counted_once() -> None:
    base, head = compiled([]), compiled(["video leaves", "video replaced"])
    reported = compiled(["config taken away"]).sites[BOX]
    disk = {"disk_total_bytes": 1000, "disk_free_bytes": 100}
    report = seen(BOX, manifest=reported.manifest, release=RunningRelease(version="2.1.3"), **disk)
    made = plan(base, head, observed(report, manifests={reported.manifest: manifest(reported)}), NOW)
    old, new = ({f.digest: f.size_bytes for f in manifest(one).content} for one in (reported, head.sites[BOX]))
    freed = sum(size for digest, size in old.items() if digest not in new)
    assert cautions(made, BOX)["DiskTooSmall"].endswith(f"has 0 B to spare, {megabytes(freed)} come free afterwards")


CLUB_SITE = "brest-handball"


def told_by_club(categories: list[str], paths: list[str], **more: Any) -> Observed:
    club = ClubNames(site=CLUB_SITE, received_at=NOW, categories=categories, paths=paths, **more)
    return msgspec.structs.replace(observed(seen(CLUB_SITE)), clubs={CLUB_SITE: club})


def test_category_and_file_that_the_club_has_already_are_told_with_what_becomes_of_them() -> None:
    wanted = manifest(compiled([]).sites[CLUB_SITE])
    ours, path = wanted.categories[0].id, wanted.content[0].path
    made = planned(["site gone"], [], told_by_club([ours, f"{ours}_club", "match"], [path, "videos/own.mp4"]))
    found = cautions(made, CLUB_SITE)
    assert found["ClubHasCategory"] == f"{ours} is kept as {ours}_club_2"
    assert found["ClubHasFile"] == path
    assert made.unknown == []


def test_what_the_club_has_and_the_fleet_gave_before_is_no_news() -> None:
    wanted = manifest(compiled([]).sites[CLUB_SITE])
    clashing = told_by_club([c.id for c in wanted.categories], [f.path for f in wanted.content])
    assert (
        not {"ClubHasCategory", "ClubHasFile"} & cautions(planned([], ["config for all"], clashing), CLUB_SITE).keys()
    )


def test_club_whose_box_never_told_is_counted_as_unknown_where_something_is_added() -> None:
    made = planned(["site gone"], [], observed(seen(CLUB_SITE)))
    assert [s for s in made.unknown if "on 1 box: it was not told" in s]
    assert planned([], ["config for all"], observed(seen(CLUB_SITE))).unknown == []


def test_disk_that_is_too_small_is_told_with_what_the_club_has_on_it() -> None:
    disk = seen(CLUB_SITE, disk_total_bytes=1000, disk_free_bytes=0)
    full = msgspec.structs.replace(
        told_by_club([], [], file_count=3, file_bytes=2_100_000_000), sites={CLUB_SITE: disk}
    )
    found = cautions(planned(["site gone"], [], full), CLUB_SITE)["DiskTooSmall"]
    assert found.endswith("has 0 B to spare; the club's own files have 2.1 GB")


def test_silent_box_is_told_with_its_silence() -> None:
    silent = seen(BOX, "Offline", last_report_at=NOW - timedelta(days=9))
    assert cautions(planned([], ["config for all"], observed(silent)), BOX) == {"Silent": "for 9 d"}


def test_box_without_identity_or_with_a_revoked_one_is_told() -> None:
    made = planned([], ["config for all"])
    without = {name for name, one in compiled([]).sites.items() if one.identity is None} & made.sites.keys()
    assert without and all("NoIdentity" in cautions(made, site) for site in without)


@pytest.mark.parametrize(("running", "told"), [("2.0.9", True), ("2.1.3", False), ("by hand", True), (None, False)])
def test_release_that_may_not_follow_what_runs_is_told(running: str | None, told: bool) -> None:
    """2.2.0 needs >=2.1.0; without a report, what the base gives the site counts (2.1.3)."""
    release = {"release": RunningRelease(version=running)} if running else {}
    made = planned(["no longer beta"], [], observed(seen(SITE, **release)))
    assert ("RequirementNotMet" in cautions(made, SITE)) is told
    if told:
        assert cautions(made, SITE)["RequirementNotMet"] == f"runs {running}, 2.2.0 needs >=2.1.0"


def test_operation_is_once_and_touches_its_targets_alone() -> None:
    made = planned([], ["reboot of beta"])
    (change,) = made.changes
    assert [(one.id, one.action) for one in change.differences.operations_added] == [("spring-reboot", "reboot")]
    assert set(change.sites) == {name for name, one in compiled([]).sites.items() if "beta" in one.facts["groups"]}
    assert made.totals.operations == 1 and made.totals.download_bytes == 0


@pytest.mark.parametrize(("running", "patched"), [("2.1.3", True), ("2.0.0", False)])
def test_box_that_has_what_a_patch_starts_from_fetches_the_patch(running: str, patched: bool) -> None:
    base, head = compiled(["no longer beta"]), compiled(["patched"])
    assert plan(base, head, None, NOW).sites[SITE].download_bytes == 300, "the base gives it 2.1.3"
    held = manifest(base.sites[SITE])
    tree = TREE.decode() if patched else "sha256:" + "7" * 64
    assert held.release
    older = msgspec.structs.replace(held, release=msgspec.structs.replace(held.release, version=running, tree=tree))
    name = "sha256:" + "9" * 64
    report = seen(SITE, manifest=name, release=RunningRelease(version=running, tree=tree))
    made = plan(base, head, observed(report, manifests={name: older}), NOW)
    assert made.sites[SITE].download_bytes == (300 if patched else 7188)


def test_hotspot_is_shown_without_its_passphrase() -> None:
    made = planned([], ["hotspot"])
    text = msgspec.json.encode(made).decode()
    assert "hotspot.ssid" in text and "(secret)" in text and "age:" not in text
    again = msgspec.json.encode(planned(["hotspot"], ["other hotspot"])).decode()
    assert "(another secret)" in again and "age:" not in again


MATCHES = b"""BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//club//EN\r
BEGIN:VEVENT\r
UID:1@club\r
DTSTAMP:20250101T000000Z\r
DTSTART:20250301T150000Z\r
DTEND:20250301T170000Z\r
SUMMARY:Match\r
END:VEVENT\r
END:VCALENDAR\r
"""


def test_calendar_that_has_ended_is_told() -> None:
    clause = b'maintenance: {windows: [{days: daily, from: "03:00", to: "05:00"}], calendars: [matches]}\n'
    files = edited([]) | {"calendars/matches.ics": MATCHES}
    files[f"sites/{BOX}.yaml"] += clause
    head = compile_commit(*as_tree(files))
    assert not head.has_errors, head.problems
    made = plan(compiled([]), head, None, NOW)
    assert "CalendarPassed" in cautions(made, BOX) and "fixtures until" in msgspec.json.encode(made).decode()


def test_revoked_box_is_told() -> None:
    identity = compiled([]).sites[BOX].identity
    assert identity
    files = edited(["config for all"]) | {"revoked.yaml": b"identities: [" + identity.encode() + b"]\n"}
    made = plan(compiled([]), compile_commit(*as_tree(files)), None, NOW)
    assert cautions(made, BOX) == {"IdentityRevoked": ""}
    assert made.changes[made.sites[BOX].change].identity == "revoked"


def test_new_name_of_a_silent_box_cautions_nobody() -> None:
    made = planned([], ["site renamed"], observed(seen("paris-volley", "Offline")))
    assert made.totals.record == 1 and made.cautions == []


def test_revocation_alone_is_a_change_that_no_guard_counts() -> None:
    identity = compiled([]).sites[BOX].identity
    assert identity
    head = compile_commit(*as_tree(edited([]) | {"revoked.yaml": b"identities: [" + identity.encode() + b"]\n"}))
    made = plan(compiled([]), head, None, NOW)
    assert [(c.kind, c.identity, c.sites) for c in made.changes] == [("record", "revoked", [BOX])]
    assert (made.impact.sites, made.impact.removals) == (0, 0), "it takes effect in a held commit, too"
    assert plan(head, head, None, NOW).is_empty


def test_without_observations_what_could_not_be_known_is_said() -> None:
    made = planned([], ["config for all"])
    assert made.observed_at is None and len(made.unknown) == 2
    assert planned([], ["config for all"], observed()).unknown == []


def test_first_publication_has_no_guard_and_adds_everything() -> None:
    made = plan(None, compiled([]), None, NOW)
    assert made.totals.added == 12 and made.impact.total == 0 and not made.guard.held
