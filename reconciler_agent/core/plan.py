"""Changes to the steps that are possible now, in order; what is to wait says why. No steps, none waiting: converged.

Order: content is fetched before the configuration names it, a release is staged before it is activated, and a file is
removed only when the configuration has stopped naming it. What is visible on the screen, or stops it, never happens in
a match; going back to the last good release waits for nothing.
"""

from collections.abc import Sequence, Set
from typing import Final

from msgspec import Struct

from reconciler_agent.core.diff import Changes
from schemas.manifest import ContentFile, ReleaseTarget
from schemas.names import Digest
from schemas.status import Waiting

LARGE_BYTES: Final = 64 << 20
"""More than this to fetch, and the configuration is written once before as well as after it."""
MATCH: Final = "MatchInProgress"


class FetchContent(Struct, frozen=True, kw_only=True, tag=True):
    """Bring a file under `videos/`."""

    file: ContentFile


class StageRelease(Struct, frozen=True, kw_only=True, tag=True):
    """Put a release's tree together, whole and verified, under `releases/`."""

    target: ReleaseTarget


class WriteConfiguration(Struct, frozen=True, kw_only=True, tag=True):
    """Merge configuration.json and tell the screen."""


class ActivateRelease(Struct, frozen=True, kw_only=True, tag=True):
    """Switch to a staged release and restart its services; `back`: to the last good one, after a failure."""

    target: ReleaseTarget
    back: bool = False


class TestRelease(Struct, frozen=True, kw_only=True, tag=True):
    """See whether the release that was activated is healthy, and stays so."""

    __test__ = False  # pytest takes it for a test case otherwise

    target: ReleaseTarget


class RepairRelease(Struct, frozen=True, kw_only=True, tag=True):
    """Put files and links of the active release right again."""

    paths: tuple[str, ...]


class StartUnit(Struct, frozen=True, kw_only=True, tag=True):
    """Start a service that does not run."""

    unit: str


class RemoveContent(Struct, frozen=True, kw_only=True, tag=True):
    """Take a file of ours from under `videos/`."""

    path: str


class RemoveRelease(Struct, frozen=True, kw_only=True, tag=True):
    """Take a release from under `releases/`."""

    tree: Digest


Step = (
    FetchContent
    | StageRelease
    | WriteConfiguration
    | ActivateRelease
    | TestRelease
    | RepairRelease
    | StartUnit
    | RemoveContent
    | RemoveRelease
)


class Moment(Struct, frozen=True, kw_only=True):
    """What decides whether a step may run now.

    `match`: there is one on the screen. `configured`: the configuration was written for this manifest already.
    `failed`: steps (`name`) that were tried in this round and failed; they have their next chance in the next one.
    """

    match: bool = False
    configured: bool = False
    failed: Set[str] = frozenset()


class Plan(Struct, frozen=True, kw_only=True):
    """The steps possible now, in order, and those that wait for something."""

    steps: tuple[Step, ...] = ()
    waiting: tuple[Waiting, ...] = ()


def plan(changes: Changes, moment: Moment) -> Plan:
    """What can be done now about `changes`."""
    fetches = _untried([FetchContent(file=file) for file in changes.fetch], moment)
    stages = _untried([StageRelease(target=changes.stage)] if changes.stage else [], moment)
    configure = _untried([WriteConfiguration()] if changes.configure else [], moment)
    long = sum(file.size_bytes for file in changes.fetch) > LARGE_BYTES and not moment.configured
    early = configure if fetches and long else []
    late = _untried(_switches(changes), moment) if fetches else [*configure, *_untried(_switches(changes), moment)]
    held = [step for step in (*early, *late) if moment.match and not _waits_for_nothing(step)]
    free = [step for step in (*early, *fetches, *stages, *late) if step not in held]
    waiting = tuple(
        Waiting(step=name(step), reason=MATCH, message=f"{describe(step)} waits for the end of the match.")
        for step in held
    )
    return Plan(steps=(*free, *_untried(_unseen(changes), moment)), waiting=waiting)


def name(step: Step) -> str:
    """What the step is and what it is about: the same for the same step in the next round."""
    return f"{type(step).__name__} {_subject(step)}".rstrip()


def describe(step: Step) -> str:
    """The step as the beginning of a sentence."""
    return f"{_VERBS[type(step)]} {_subject(step)}".rstrip()


_VERBS: Final[dict[type, str]] = {
    FetchContent: "Fetching",
    StageRelease: "Fetching release",
    WriteConfiguration: "Writing the configuration",
    ActivateRelease: "Activating release",
    TestRelease: "Testing release",
    RepairRelease: "Repairing files of the release:",
    StartUnit: "Starting",
    RemoveContent: "Removing",
    RemoveRelease: "Removing an old release,",
}


def _subject(step: Step) -> str:
    subject = ""
    match step:
        case FetchContent(file=file):
            subject = file.path
        case StageRelease(target=target) | ActivateRelease(target=target) | TestRelease(target=target):
            subject = target.version
        case RepairRelease(paths=paths):
            subject = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
        case StartUnit(unit=unit):
            subject = unit
        case RemoveContent(path=path):
            subject = path
        case RemoveRelease(tree=tree):
            subject = tree[:19] + "…"
        case WriteConfiguration():
            pass
    return subject


def _switches(changes: Changes) -> list[Step]:
    """What stops the screen for a moment: another release, once it is staged, or files of this one put right."""
    steps: list[Step] = []
    if changes.activate and changes.stage is None:
        steps.append(ActivateRelease(target=changes.activate, back=changes.back))
    if changes.repair:
        steps.append(RepairRelease(paths=changes.repair))
    return steps


def _unseen(changes: Changes) -> list[Step]:
    """What nobody who watches the screen notices, or is sorry about."""
    steps: list[Step] = [StartUnit(unit=unit) for unit in changes.start]
    if changes.test:
        steps.append(TestRelease(target=changes.test))
    steps += [RemoveContent(path=path) for path in changes.removable_content]
    return steps + [RemoveRelease(tree=tree) for tree in changes.unneeded_trees]


def _waits_for_nothing(step: Step) -> bool:
    return isinstance(step, ActivateRelease) and step.back


def _untried(steps: Sequence[Step], moment: Moment) -> list[Step]:
    return [step for step in steps if name(step) not in moment.failed]
