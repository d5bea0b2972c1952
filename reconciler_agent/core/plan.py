"""Changes to the steps that are possible now, in order; what is to wait says why. No steps, none waiting: converged.

Order: content is fetched before the configuration names it, a release is staged before it is activated, and a file is
removed only when the configuration has stopped naming it. What may have to wait for its moment is of a kind
(`kind_of`); a gate (`core.windows`) says whether that moment is now. Going back to the last good release waits for
nothing.
"""

from collections.abc import Callable, Sequence, Set
from typing import Final

from msgspec import Struct

from reconciler_agent.core.diff import Changes
from reconciler_agent.core.windows import Hold, Kind
from schemas.manifest import ContentFile, ReleaseTarget
from schemas.names import Digest
from schemas.status import Waiting

LARGE_BYTES: Final = 64 << 20
"""More than this to fetch, and the configuration is written once before as well as after it."""


class FetchContent(Struct, frozen=True, kw_only=True, tag=True):
    """Bring a file under `videos/`."""

    file: ContentFile


class StageRelease(Struct, frozen=True, kw_only=True, tag=True):
    """Put a release's tree together, whole and verified, under `releases/`."""

    target: ReleaseTarget


class WriteConfiguration(Struct, frozen=True, kw_only=True, tag=True):
    """Merge configuration.json and tell the screen; `lost`: it is not where it belongs."""

    lost: bool = False


class AdoptRelease(Struct, frozen=True, kw_only=True, tag=True):
    """Make what was installed by hand a release, so that there is a way back; `begun`: go on with it.

    `before`: the release that is to follow.
    """

    before: ReleaseTarget | None
    begun: bool = False


class ActivateRelease(Struct, frozen=True, kw_only=True, tag=True):
    """Switch to a staged release and restart its services; `back`: to the last good one, after a failure.

    `recovers`: as in Changes.
    """

    target: ReleaseTarget
    back: bool = False
    recovers: bool = False


class TestRelease(Struct, frozen=True, kw_only=True, tag=True):
    """See whether the release that was activated is healthy, and stays so."""

    __test__ = False  # pytest takes it for a test case otherwise

    target: ReleaseTarget


class RepairRelease(Struct, frozen=True, kw_only=True, tag=True):
    """Put files and links of the active release right again; `lost`: they are not there at all."""

    paths: tuple[str, ...]
    lost: bool = False


class OpenUp(Struct, frozen=True, kw_only=True, tag=True):
    """Let the box's services read what they must read."""

    paths: tuple[str, ...]


class StartUnit(Struct, frozen=True, kw_only=True, tag=True):
    """Start a service that does not run; `anew`: it runs, and runs what was replaced."""

    unit: str
    anew: bool = False


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
    | AdoptRelease
    | ActivateRelease
    | TestRelease
    | RepairRelease
    | OpenUp
    | StartUnit
    | RemoveContent
    | RemoveRelease
)


Gate = Callable[[Step], Hold | None]
"""What holds a step now; None: nothing does."""


class Moment(Struct, frozen=True, kw_only=True):
    """What else decides whether a step may run now.

    `configured`: the configuration was written for this manifest already. `failed`: steps (`name`) that were tried in
    this round and failed; they have their next chance in the next one.
    """

    configured: bool = False
    failed: Set[str] = frozenset()


class Plan(Struct, frozen=True, kw_only=True):
    """The steps possible now, in order, and those that wait for something."""

    steps: tuple[Step, ...] = ()
    waiting: tuple[Waiting, ...] = ()


def plan(changes: Changes, moment: Moment, gate: Gate = lambda _step: None) -> Plan:
    """What can be done now about `changes`. What stays as it is while a release waits is kept well meanwhile.

    Files are not fetched while a release is on trial: it is looked at until it stood its test or is gone back from.
    """
    on_trial = changes.test is not None
    fetches = _untried([FetchContent(file=file) for file in changes.fetch if not on_trial], moment)
    stages = _untried([StageRelease(target=changes.stage)] if changes.stage else [], moment)
    configure = _untried([WriteConfiguration(lost=changes.configuration_lost)] if changes.configure else [], moment)
    long = sum(file.size_bytes for file in changes.fetch) > LARGE_BYTES and not moment.configured
    early = configure if fetches and long else []
    late = [] if fetches or (on_trial and changes.fetch) else configure
    switch = _untried(_switch(changes), moment)
    held = {name(step): hold for step in (*early, *late, *switch) if (hold := gate(step))}
    switches = any(name(step) not in held for step in switch)
    upkeep = [] if switches else _untried(_upkeep(changes), moment)
    held |= {name(step): hold for step in upkeep if (hold := gate(step))}
    opened = _untried([OpenUp(paths=changes.open_up)] if changes.open_up else [], moment)
    ordered = (*opened, *early, *fetches, *stages, *late, *switch, *upkeep, *_untried(_unseen(changes), moment))
    return Plan(
        steps=tuple(step for step in ordered if name(step) not in held),
        waiting=tuple(_waiting(step, held[name(step)]) for step in ordered if name(step) in held),
    )


def _waiting(step: Step, hold: Hold) -> Waiting:
    return Waiting(step=name(step), reason=hold.reason, message=f"{describe(step)} waits {hold.why}.", until=hold.until)


def kind_of(step: Step) -> Kind | None:
    """How much a step disturbs, and so what it has to wait for; None: nothing."""
    kind: Kind | None = None
    match step:
        case ActivateRelease(back=back, recovers=recovers):
            kind = None if back else "recovering" if recovers else "disruptive"
        case AdoptRelease(begun=begun):
            kind = "recovering" if begun else "disruptive"
        case RepairRelease(lost=lost):
            kind = "recovering" if lost else "disruptive"
        case StartUnit(anew=anew):
            kind = "disruptive" if anew else None
        case WriteConfiguration(lost=lost):
            kind = "recovering" if lost else "visible"
        case FetchContent() | StageRelease() | OpenUp() | TestRelease() | RemoveContent() | RemoveRelease():
            pass
    return kind


def topic(step: Step) -> str:
    """What the patience of a step is counted for: the same while it is the same change that waits."""
    target = step.before if isinstance(step, AdoptRelease) else None
    target = step.target if isinstance(step, ActivateRelease) else target
    return f"release {target.tree}" if target is not None else type(step).__name__


def topics(changes: Changes, bind_visible: bool) -> frozenset[str]:
    """The topics of all changes that may have to wait for a window, whether their steps are possible yet or not."""
    steps: list[Step] = [*_upkeep(changes)]
    steps += [WriteConfiguration(lost=changes.configuration_lost)] if changes.configure else []
    if changes.activate is not None:
        steps.append(ActivateRelease(target=changes.activate, back=changes.back, recovers=changes.recovers))
    kinds = ("disruptive", "visible") if bind_visible else ("disruptive",)
    return frozenset(topic(step) for step in steps if kind_of(step) in kinds)


def name(step: Step) -> str:
    """What the step is and what it is about: the same for the same step in the next round."""
    return f"{type(step).__name__} {_subject(step)}".rstrip()


def describe(step: Step) -> str:
    """The step as the beginning of a sentence."""
    verb = "Restarting" if isinstance(step, StartUnit) and step.anew else _VERBS[type(step)]
    return f"{verb} {_subject(step)}".rstrip()


_VERBS: Final[dict[type, str]] = {
    FetchContent: "Fetching",
    StageRelease: "Fetching release",
    WriteConfiguration: "Writing the configuration",
    AdoptRelease: "Adopting what was installed by hand",
    ActivateRelease: "Activating release",
    TestRelease: "Testing release",
    RepairRelease: "Repairing files of the release:",
    OpenUp: "Opening to the box's services:",
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
        case RepairRelease(paths=paths) | OpenUp(paths=paths):
            subject = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
        case StartUnit(unit=unit):
            subject = unit
        case RemoveContent(path=path):
            subject = path
        case RemoveRelease(tree=tree):
            subject = tree[:19] + "…"
        case WriteConfiguration() | AdoptRelease():
            pass
    return subject


def _switch(changes: Changes) -> list[Step]:
    """Another release, once it is staged; what was installed by hand is adopted before."""
    if changes.adopt and (changes.adopting or changes.stage is None):
        return [AdoptRelease(before=changes.activate, begun=changes.adopting)]
    if changes.activate is None or changes.stage is not None:
        return []
    return [ActivateRelease(target=changes.activate, back=changes.back, recovers=changes.recovers)]


def _upkeep(changes: Changes) -> list[Step]:
    """What makes the active release as it was released, and run."""
    steps: list[Step] = [RepairRelease(paths=changes.restore, lost=True)] if changes.restore else []
    steps += [RepairRelease(paths=changes.repair)] if changes.repair else []
    steps += [StartUnit(unit=unit) for unit in changes.start]
    return steps + [StartUnit(unit=unit, anew=True) for unit in changes.restart]


def _unseen(changes: Changes) -> list[Step]:
    """What nobody who watches the screen notices."""
    steps: list[Step] = [TestRelease(target=changes.test)] if changes.test else []
    steps += [RemoveContent(path=path) for path in changes.removable_content]
    return steps + [RemoveRelease(tree=tree) for tree in changes.unneeded_trees]


def _untried(steps: Sequence[Step], moment: Moment) -> list[Step]:
    return [step for step in steps if name(step) not in moment.failed]
