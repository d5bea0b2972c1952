"""Changes and their order: a model of a box on which every plan is carried out comes to rest, nothing left to do."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler_agent.core import attempt
from reconciler_agent.core.attempt import Releases
from reconciler_agent.core.diff import Changes, Observed, diff, wanted_content
from reconciler_agent.core.plan import (
    LARGE_BYTES,
    ActivateRelease,
    FetchContent,
    Moment,
    RemoveContent,
    RemoveRelease,
    RepairRelease,
    StageRelease,
    StartUnit,
    Step,
    TestRelease,
    WriteConfiguration,
    name,
    plan,
)
from schemas.manifest import ReleaseHealth, ReleaseTarget, SiteManifest
from schemas.names import Digest, digest_of
from tests.support.agent_world import clip, manifest_of

TODAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, tzinfo=UTC)
DAY = timedelta(days=1)
RUN = "a" * 32
CLIPS = [clip(letter, letter.encode() * 10) for letter in "abcde"]
HEALTH = ReleaseHealth(within_s=1, settle_s=0)
TARGETS = [
    ReleaseTarget(version=f"{n}.0.0", tree=digest_of(b"%d" % n), size_bytes=1, services=["neopro-app"], health=HEALTH)
    for n in (1, 2, 3)
]


@dataclass
class ModelBox:
    """A box as the core sees it."""

    files: dict[str, Digest] = field(default_factory=dict)
    ledger: set[str] = field(default_factory=set)
    shown: frozenset[str] = frozenset()
    trees: set[Digest] = field(default_factory=set)
    active: Digest | None = None
    damaged: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    known: Releases = field(default_factory=Releases)
    sick: frozenset[Digest] = frozenset()

    def observe(self, manifest: SiteManifest) -> Observed:
        sound = {path: self.files[path] for path in self.ledger & self.files.keys()}
        return Observed(
            sound=sound,
            ledger=frozenset(self.ledger),
            referenced=self.shown,
            removable=frozenset(self.ledger),
            configuration_settled=self.shown == self.wanted(manifest),
            active=self.active,
            trees=frozenset(self.trees),
            damaged=self.damaged,
            stopped=self.stopped,
        )

    def wanted(self, manifest: SiteManifest) -> frozenset[str]:
        """What the configuration should show: what is wanted, and there."""
        return frozenset(p for p, f in wanted_content(manifest, TODAY).items() if self.files.get(p) == f.digest)

    def do(self, step: Step, manifest: SiteManifest) -> None:  # noqa: C901 (one case a step)
        match step:
            case FetchContent(file=file):
                self.ledger.add(file.path)
                self.files[file.path] = file.digest
            case WriteConfiguration():
                self.shown = self.wanted(manifest)
            case StageRelease(target=target):
                self.trees.add(target.tree)
            case ActivateRelease(target=target):
                assert target.tree in self.trees, "activated before it was staged"
                self.known = attempt.switched(attempt.begin(self.known, target, RUN))
                self.active = target.tree
            case TestRelease(target=target):
                if target.tree in self.sick:
                    self.known = attempt.fail(self.known, "ReleaseUnhealthy", "sick", RUN, NOW)
                else:
                    self.known = attempt.succeed(self.known)
            case RepairRelease():
                self.damaged = ()
            case StartUnit(unit=unit):
                self.stopped = tuple(u for u in self.stopped if u != unit)
            case RemoveContent(path=path):
                assert path not in self.shown, "removed while the configuration named it"
                self.ledger.discard(path)
                self.files.pop(path, None)
            case RemoveRelease(tree=tree):
                assert tree != self.active, "the active release was removed"
                self.trees.discard(tree)


def converge(box: ModelBox, manifest: SiteManifest) -> Changes:
    """Carry out plans until there is none; the changes that are left."""
    for _ in range(20):
        box.known = attempt.assume(attempt.face(box.known, manifest.release), manifest.release, box.active)
        changes = diff(manifest, box.known, box.observe(manifest), TODAY)
        planned = plan(changes, Moment())
        if not planned.steps:
            return changes
        for step in planned.steps:
            box.do(step, manifest)
    raise AssertionError("the box does not come to rest")


releases = st.none() | st.sampled_from(TARGETS)
manifests = st.builds(manifest_of, st.lists(st.sampled_from(CLIPS), unique_by=lambda c: c[0].path), releases)
boxes = st.builds(
    ModelBox,
    files=st.dictionaries(st.sampled_from([f.path for f, _ in CLIPS]), st.sampled_from([f.digest for f, _ in CLIPS])),
    ledger=st.sets(st.sampled_from([f.path for f, _ in CLIPS])),
    shown=st.frozensets(st.sampled_from([f.path for f, _ in CLIPS])),
    damaged=st.sampled_from([(), ("server/app.py",)]),
    stopped=st.sampled_from([(), ("neopro-app",)]),
    sick=st.frozensets(st.sampled_from([t.tree for t in TARGETS]), max_size=2),
)


@settings(max_examples=300, deadline=None)
@given(boxes, st.lists(manifests, min_size=1, max_size=4))
def test_plans_carried_out_leave_nothing_to_do(box: ModelBox, wanted: list[SiteManifest]) -> None:
    for manifest in wanted:
        left = converge(box, manifest)

        assert left == Changes()
        assert box.shown == frozenset(file.path for file in manifest.content)
        assert box.ledger == box.shown
        if manifest.release is not None and manifest.release.tree not in box.sick:
            assert box.active == manifest.release.tree
        if box.known.good is not None and not box.known.held:
            assert box.active == box.known.good.tree


def steps_of(changes: Changes, **moment: object) -> list[str]:
    return [name(step).split(" ")[0] for step in plan(changes, Moment(**moment)).steps]  # type: ignore[arg-type]


FILES = tuple(file for file, _ in CLIPS)
EVERYTHING = Changes(
    fetch=FILES[:2],
    configure=True,
    stage=TARGETS[1],
    activate=TARGETS[1],
    start=("neopro-app",),
    removable_content=("videos/OLD/x.mp4",),
)


def test_order_is_fetch_then_stage_then_what_names_them() -> None:
    assert steps_of(EVERYTHING) == ["FetchContent", "FetchContent", "StageRelease", "StartUnit", "RemoveContent"]
    fetched = replace(EVERYTHING, fetch=(), stage=None)
    assert steps_of(fetched) == ["WriteConfiguration", "ActivateRelease", "StartUnit", "RemoveContent"]


def test_configuration_does_not_wait_for_a_long_download() -> None:
    long = replace(EVERYTHING, fetch=(replace(FILES[0], size_bytes=LARGE_BYTES + 1),))

    assert steps_of(long)[0] == "WriteConfiguration"
    assert "WriteConfiguration" not in steps_of(long, configured=True)


def test_failed_fetch_holds_up_nothing_else() -> None:
    failed = {name(FetchContent(file=file)) for file in EVERYTHING.fetch}

    assert steps_of(EVERYTHING, failed=failed)[:2] == ["StageRelease", "WriteConfiguration"]


def test_failed_staging_is_not_followed_by_an_activation() -> None:
    changes = Changes(stage=TARGETS[1], activate=TARGETS[1])

    assert steps_of(changes, failed={name(StageRelease(target=TARGETS[1]))}) == []


def test_match_holds_what_is_visible_and_says_so() -> None:
    changes = Changes(configure=True, activate=TARGETS[1], repair=("server/app.py",), start=("neopro-app",))

    held = plan(changes, Moment(match=True))

    assert [type(step) for step in held.steps] == [StartUnit]
    assert {waiting.reason for waiting in held.waiting} == {"MatchInProgress"}
    assert len(held.waiting) == 3


def test_match_does_not_hold_the_way_back() -> None:
    changes = Changes(activate=TARGETS[0], back=True)

    assert steps_of(changes, match=True) == ["ActivateRelease"]


def test_match_does_not_hold_downloads() -> None:
    assert steps_of(EVERYTHING, match=True)[:3] == ["FetchContent", "FetchContent", "StageRelease"]


@pytest.mark.parametrize(
    ("from_", "until", "wanted"),
    [
        (None, None, True),
        (TODAY, TODAY, True),
        (TODAY + DAY, None, True),
        (None, TODAY - DAY, False),
        (TODAY - DAY, TODAY - DAY, False),
    ],
)
def test_file_is_wanted_until_its_last_day_is_over_and_fetched_ahead(
    from_: date | None, until: date | None, wanted: bool
) -> None:
    manifest = manifest_of([clip("a", b"a", from_=from_, until=until)])

    assert bool(wanted_content(manifest, TODAY)) is wanted


def test_file_that_several_items_name_is_wanted_while_any_is() -> None:
    file, over = clip("a", b"a", until=TODAY - DAY)
    _, on = clip("a", b"a")
    manifest = manifest_of([(file, over)])
    manifest = replace(manifest, loops=replace(manifest.loops, before=[on]))

    assert list(wanted_content(manifest, TODAY)) == [file.path]


def test_file_that_the_configuration_names_is_never_unneeded() -> None:
    observed = Observed(ledger=frozenset({"videos/A/x.mp4"}), referenced=frozenset({"videos/A/x.mp4"}))

    assert diff(manifest_of([]), Releases(), observed, TODAY) == Changes()
    unknown = replace(observed, referenced=None)
    assert diff(manifest_of([]), Releases(), unknown, TODAY) == Changes()
