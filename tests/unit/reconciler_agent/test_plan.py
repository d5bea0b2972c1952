"""Changes and their order: a model of a box on which every plan is carried out comes to rest, nothing left to do."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler_agent.core import attempt
from reconciler_agent.core.attempt import Attempt, Releases
from reconciler_agent.core.diff import Changes, Observed, diff, wanted_content
from reconciler_agent.core.plan import (
    LARGE_BYTES,
    ActivateRelease,
    AdoptRelease,
    FetchContent,
    Gate,
    Moment,
    RemoveContent,
    RemoveRelease,
    RepairRelease,
    StageRelease,
    StartUnit,
    Step,
    TestRelease,
    WriteConfiguration,
    kind_of,
    name,
    plan,
    topic,
    topics,
)
from reconciler_agent.core.windows import MATCH, Kind
from schemas.manifest import ReleaseHealth, ReleaseTarget, SiteManifest
from schemas.names import Digest, digest_of
from tests.support.agent_world import clip, manifest_of

TODAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, tzinfo=UTC)
DAY = timedelta(days=1)
RUN = "a" * 32
CLIPS = [clip(letter, letter.encode() * 10) for letter in "abcde"]
ADOPTED = digest_of(b"by hand")
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
    by_hand: bool = False

    @property
    def target(self) -> ReleaseTarget | None:
        """The release that is active, if it is one of ours."""
        return next((target for target in TARGETS if target.tree == self.active), None)

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
            running=self.active or ("1.0.0" if self.by_hand else None),
            by_hand=self.by_hand,
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
            case AdoptRelease(before=before):
                assert before is not None
                adopted = replace(before, version="0.9.0", tree=ADOPTED)
                self.known, self.by_hand = attempt.adopt(self.known, adopted, before), False
                self.trees.add(adopted.tree)
                self.active = adopted.tree
            case ActivateRelease(target=target):
                assert not self.by_hand, "what was installed by hand was replaced before it was adopted"
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
        box.known = attempt.assume(attempt.face(box.known, manifest.release), manifest.release, box.target)
        changes = diff(manifest, box.known, box.observe(manifest), TODAY)
        planned = plan(changes, Moment())
        if not planned.steps:
            return changes
        for step in planned.steps:
            box.do(step, manifest)
    raise AssertionError("the box does not come to rest")


def holding(*kinds: Kind) -> Gate:
    """A gate that is shut for these kinds of steps."""
    return lambda step: MATCH if kind_of(step) in kinds else None


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
    by_hand=st.booleans(),
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


SHUT, OPEN = holding("disruptive", "visible", "recovering"), holding()


@settings(max_examples=200, deadline=None)
@given(
    boxes,
    st.lists(st.tuples(manifests, st.sets(st.sampled_from(["disruptive", "visible", "recovering"]))), max_size=6),
    manifests,
)
def test_plans_that_were_held_at_random_come_to_rest_when_nothing_holds(
    box: ModelBox, held: list[tuple[SiteManifest, set[Kind]]], last: SiteManifest
) -> None:
    for manifest, shut in held:
        box.known = attempt.assume(attempt.face(box.known, manifest.release), manifest.release, box.target)
        changes = diff(manifest, box.known, box.observe(manifest), TODAY)
        for step in plan(changes, Moment(), holding(*shut)).steps:
            assert kind_of(step) not in shut
            box.do(step, manifest)

    assert converge(box, last) == Changes()
    assert box.stopped == ()


def steps_of(changes: Changes, gate: Gate = OPEN, **moment: object) -> list[str]:
    planned = plan(changes, Moment(**moment), gate)  # type: ignore[arg-type]
    return [name(step).split(" ")[0] for step in planned.steps]


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
    assert steps_of(fetched) == ["WriteConfiguration", "ActivateRelease", "RemoveContent"]


def test_configuration_does_not_wait_for_a_long_download() -> None:
    long = replace(EVERYTHING, fetch=(replace(FILES[0], size_bytes=LARGE_BYTES + 1),))

    assert steps_of(long)[0] == "WriteConfiguration"
    assert "WriteConfiguration" not in steps_of(long, configured=True)


def test_nothing_is_fetched_while_a_release_is_on_trial() -> None:
    assert steps_of(Changes(fetch=FILES, configure=True, test=TARGETS[1])) == ["TestRelease"]
    assert steps_of(Changes(configure=True, test=TARGETS[1])) == ["WriteConfiguration", "TestRelease"]


def test_failed_fetch_holds_up_nothing_else() -> None:
    failed = {name(FetchContent(file=file)) for file in EVERYTHING.fetch}

    assert steps_of(EVERYTHING, failed=failed)[:2] == ["StageRelease", "WriteConfiguration"]


def test_failed_staging_is_not_followed_by_an_activation() -> None:
    changes = Changes(stage=TARGETS[1], activate=TARGETS[1])

    assert steps_of(changes, failed={name(StageRelease(target=TARGETS[1]))}) == []


def test_held_steps_say_why_and_the_rest_goes_on() -> None:
    changes = Changes(configure=True, activate=TARGETS[1], repair=("server/app.py",), start=("neopro-app",))

    held = plan(changes, Moment(), SHUT)

    assert [type(step) for step in held.steps] == [StartUnit]
    assert [(waiting.step, waiting.reason, waiting.message) for waiting in held.waiting] == [
        ("WriteConfiguration", "MatchInProgress", "Writing the configuration waits for the end of the match."),
        ("ActivateRelease 2.0.0", "MatchInProgress", "Activating release 2.0.0 waits for the end of the match."),
        (
            "RepairRelease server/app.py",
            "MatchInProgress",
            "Repairing files of the release: server/app.py waits for the end of the match.",
        ),
    ]


WELL = Changes(restore=("VERSION",), repair=("a.py", "b.py"), start=("neopro-app",), restart=("neopro-admin",))


ADOPTION = Changes(activate=TARGETS[0], adopt=True)


@pytest.mark.parametrize(
    ("changes", "shut", "done"),
    [
        (Changes(configure=True), ["visible"], []),
        (Changes(configure=True), ["disruptive"], ["WriteConfiguration"]),
        (Changes(configure=True, configuration_lost=True), ["visible"], ["WriteConfiguration lost"]),
        (Changes(activate=TARGETS[0]), ["disruptive"], []),
        (Changes(activate=TARGETS[0], recovers=True), ["disruptive"], ["ActivateRelease"]),
        (Changes(activate=TARGETS[0], recovers=True), ["recovering"], []),
        (Changes(activate=TARGETS[0], back=True), ["disruptive", "visible", "recovering"], ["ActivateRelease"]),
        (ADOPTION, ["disruptive"], []),
        (ADOPTION, [], ["AdoptRelease"]),
        (replace(ADOPTION, stage=TARGETS[0]), [], ["StageRelease"]),
        (replace(ADOPTION, adopting=True), ["disruptive"], ["AdoptRelease"]),
        (replace(ADOPTION, adopting=True, activate=None), ["disruptive"], ["AdoptRelease"]),
        (replace(ADOPTION, adopting=True, stage=TARGETS[0]), ["disruptive"], ["StageRelease", "AdoptRelease"]),
        (replace(ADOPTION, adopting=True), ["recovering"], []),
        (WELL, ["disruptive"], ["RepairRelease lost", "StartUnit neopro-app"]),
        (WELL, ["recovering"], ["RepairRelease", "StartUnit neopro-app", "StartUnit neopro-admin"]),
        (WELL, [], ["RepairRelease lost", "RepairRelease", "StartUnit neopro-app", "StartUnit neopro-admin"]),
        # what will be replaced at once is not put right before
        (replace(WELL, activate=TARGETS[0]), [], ["ActivateRelease"]),
        # what waits for days is kept well meanwhile
        (replace(WELL, activate=TARGETS[0]), ["disruptive"], ["RepairRelease lost", "StartUnit neopro-app"]),
        (replace(WELL, activate=TARGETS[0], stage=TARGETS[0]), ["disruptive"], None),
    ],
)
def test_steps_wait_by_how_much_they_disturb(changes: Changes, shut: list[Kind], done: list[str] | None) -> None:
    found = []
    for step in plan(changes, Moment(), holding(*shut)).steps:
        kind = type(step).__name__
        kind += f" {step.unit}" if isinstance(step, StartUnit) else ""
        kind += " lost" if isinstance(step, RepairRelease | WriteConfiguration) and step.lost else ""
        found.append(kind)
    assert found == (done if done is not None else ["StageRelease", "RepairRelease lost", "StartUnit neopro-app"])


def test_patience_is_counted_for_what_may_wait_for_a_window() -> None:
    both = replace(WELL, activate=TARGETS[0], stage=TARGETS[0], configure=True)

    assert topics(both, bind_visible=False) == {f"release {TARGETS[0].tree}", "RepairRelease", "StartUnit"}
    assert topics(both, bind_visible=True) == topics(both, bind_visible=False) | {"WriteConfiguration"}
    assert topics(replace(both, back=True), bind_visible=False) == {"RepairRelease", "StartUnit"}
    adopting = AdoptRelease(before=TARGETS[0])
    assert topic(adopting) == topic(ActivateRelease(target=TARGETS[0])), "the release has one patience"


def test_match_does_not_hold_downloads() -> None:
    assert steps_of(EVERYTHING, SHUT)[:3] == ["FetchContent", "FetchContent", "StageRelease"]


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


NEEDS_TWO = replace(TARGETS[2], requires_from=">=2.0.0")


@pytest.mark.parametrize("attempted", [False, True])
@pytest.mark.parametrize(
    ("running", "good", "may"),
    [
        ("1.0.0", TARGETS[0], False),
        ("2.0.0", TARGETS[1], True),
        ("by-hand", None, False),
        (None, None, True),  # a bare box has nothing to come from
        (None, TARGETS[0], False),  # the link is lost, what ran is known
        (None, TARGETS[1], True),
        ("1.0.0", NEEDS_TWO, True),  # what was good here may come back
    ],
)
def test_release_is_kept_back_until_what_it_needs_runs(
    running: str | None, good: ReleaseTarget | None, may: bool, attempted: bool
) -> None:
    known = Releases(good=good, attempt=Attempt(target=NEEDS_TWO, phase="activating", run=RUN) if attempted else None)
    observed = Observed(running=running, active=TARGETS[0].tree)

    changes = diff(manifest_of([], NEEDS_TWO), known, observed, TODAY)

    expected = (NEEDS_TWO, None) if may or attempted else (None, NEEDS_TWO)
    assert (changes.activate, changes.unmet) == expected
    assert (changes.stage is not None) is (may or attempted)
