"""Steps, done. Each leaves the state on disk such that a run that ends at any instant is taken up by the next.

A step that cannot be done raises the AgentError that says why; it is tried again in a later round.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from datetime import date, datetime
from itertools import groupby
from typing import Final, Literal, NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import replace

from reconciler_agent.core import attempt
from reconciler_agent.core.attempt import Watch
from reconciler_agent.core.plan import (
    ActivateRelease,
    AdoptRelease,
    FetchContent,
    OpenUp,
    RemoveContent,
    RemoveRelease,
    RepairRelease,
    StageRelease,
    StartUnit,
    Step,
    TestRelease,
    WriteConfiguration,
)
from reconciler_agent.core.report import enqueue, numbered
from reconciler_agent.core.screen import Notice, ScreenState
from reconciler_agent.core.trust import require_release_allowed
from reconciler_agent.durable import Disk
from reconciler_agent.errors import AgentError, DiskFault, DiskFull, ServiceFailed
from reconciler_agent.observe import Health, SystemClock
from reconciler_agent.resources.access import Access
from reconciler_agent.resources.admin_unit import AdminUnit
from reconciler_agent.resources.configuration import Configuration, news
from reconciler_agent.resources.content import Content
from reconciler_agent.resources.downloads import Downloads
from reconciler_agent.resources.release import Releases
from reconciler_agent.resources.trees import FOLDER
from reconciler_agent.services import ServiceManager
from reconciler_agent.state import Installed, Store
from schemas.desired import AppService
from schemas.manifest import ContentFile, ReleaseTarget, SiteManifest
from schemas.names import Digest
from schemas.status import Reason, RunId

MAX_WHY: Final = 1000
KIOSK: Final = "neopro-kiosk"
Outcome = Literal["done", "settling", "untold", "unseen"]
"""`settling`: look again in a moment. `untold`, `unseen`: done, but the screen did not hear of it yet, since the
application did not answer, or since no page was there."""
OUTCOMES: Final[Mapping[Notice, Outcome]] = {"told": "done", "silent": "untold", "nobody": "unseen"}


class Screen(Protocol):
    """What is on the screen."""

    def state(self) -> ScreenState | None:
        """None when the application does not answer, and so shows nothing."""


class Box(NamedTuple):
    """The parts of the box that steps act on."""

    disk: Disk
    content: Content
    downloads: Downloads
    configuration: Configuration
    releases: Releases
    admin: AdminUnit
    access: Access
    services: ServiceManager
    health: Health
    screen: Screen
    clock: SystemClock


class Wanted(Struct, frozen=True, kw_only=True):
    """What the steps of a pass work towards; `installed`: paths under `videos/` that are there and sound."""

    manifest: SiteManifest
    today: date
    installed: frozenset[str]


class Steps:
    """Does steps on `box` and keeps what they must not forget in `store`."""

    def __init__(self, box: Box, store: Store, run: RunId) -> None:
        self._box = box
        self._store = store
        self._run_id = run
        self._watch: Watch | None = None

    def say(self, severity: Literal["info", "warning", "error"], reason: Reason, message: str) -> None:
        """Put an event into the outbox, durably."""
        state, now = self._store.state, self._box.clock.now()
        new = numbered(state.last_event, now, (severity, reason, message))
        self._store.keep(replace(state, events=enqueue(state.events, new), last_event=state.last_event + 1))

    def run_all(
        self,
        steps: Sequence[Step],
        wanted: Wanted,
        on_begin: Callable[[Step], None],
        on_bytes: Callable[[int], None] | None,
    ) -> Generator[tuple[Step, Outcome | AgentError], None, None]:
        """Do the steps in their order, files that follow one another several at a time; what each came to.

        `on_bytes` may be called in other threads. Close the iterator to do no more.
        """
        self._intend(steps)
        for fetching, group in groupby(steps, lambda step: isinstance(step, FetchContent)):
            if fetching:
                yield from self._fetch(
                    {step.file: step for step in group if isinstance(step, FetchContent)}, on_begin, on_bytes
                )
                continue
            for step in group:
                on_begin(step)
                try:
                    outcome: Outcome | AgentError = self._run(step, wanted, on_bytes)
                except AgentError as problem:
                    outcome = problem
                yield step, outcome

    def _run(self, step: Step, wanted: Wanted, on_bytes: Callable[[int], None] | None) -> Outcome:
        outcome: Outcome = "done"
        match step:
            case StageRelease(target=target):
                self._stage(target, on_bytes)
            case WriteConfiguration():
                outcome = self._write_configuration(wanted)
            case AdoptRelease() | ActivateRelease():
                self._switch(step)
            case TestRelease(target=target):
                outcome = self._test(target)
            case OpenUp() | RepairRelease() | StartUnit():
                self._tend(step, wanted.manifest.release)
            case RemoveContent(path=path):
                self._remove(path)
            case RemoveRelease(tree=tree):
                self._box.releases.remove(tree)
            case FetchContent():
                raise AssertionError("files are fetched by `_fetch`, several at once")
        return outcome

    def _fetch(
        self, steps: dict[ContentFile, Step], on_begin: Callable[[Step], None], on_bytes: Callable[[int], None] | None
    ) -> Generator[tuple[Step, Outcome | AgentError], None, None]:
        fetching = self._box.downloads.fetch(
            list(steps), lambda: self._store.state.ledger, lambda file: on_begin(steps[file]), on_bytes
        )
        with closing(fetching):
            for file, found in fetching:
                if isinstance(found, Installed):
                    self._enter(file.path, found)
                yield steps[file], "done" if isinstance(found, Installed) else found

    def _intend(self, steps: Sequence[Step]) -> None:
        """Name what is about to be installed in the ledger, so that it is known for ours whatever happens then.

        A file of the club's is never named there, and so neither written over nor removed.
        """
        ledger = self._store.state.ledger
        files = [step.file for step in steps if isinstance(step, FetchContent)]
        new = {
            file.path: Installed(digest=file.digest)
            for file in files
            if (file.path not in ledger or ledger[file.path].digest != file.digest)
            and self._box.content.is_ours(file, ledger)
        }
        if new:
            self._store.keep(replace(self._store.state, ledger={**ledger, **new}))

    def _enter(self, path: str, entry: Installed) -> None:
        state = self._store.state
        self._store.hold(replace(state, ledger={**state.ledger, path: entry}))

    def _remove(self, path: str) -> None:
        state = self._store.state
        self._box.content.remove(path, state.ledger[path])
        self._store.keep(replace(state, ledger={p: e for p, e in state.ledger.items() if p != path}))

    def _write_configuration(self, wanted: Wanted) -> Outcome:
        applied = self._box.configuration.apply(wanted.manifest, wanted.today, wanted.installed)
        for said in news(applied):
            self.say(*said)
        absent = applied.notice == "nobody" and applied.absent
        shows = absent and self._shows(KIOSK)
        if absent and not shows:  # there is no screen to tell
            self._box.configuration.spare_notice()
        self._store.keep(replace(self._store.state, unseen=shows))
        return OUTCOMES[applied.notice] if shows or not absent else "done"

    def _shows(self, unit: str) -> bool:
        try:
            return self._box.services.state(unit).active
        except ServiceFailed:
            return False

    # Releases

    def _require_allowed(self, target: ReleaseTarget) -> None:
        """Nothing gets under `releases/`, not even inactive, that no release key signed; the good one may come back."""
        state, clock = self._store.state, self._box.clock
        if state.releases.good is None or state.releases.good.tree != target.tree:
            require_release_allowed(state.trust, target.version, target.tree, clock.now(), clock.synchronised())

    def _stage(self, target: ReleaseTarget, on_bytes: Callable[[int], None] | None) -> None:
        self._require_allowed(target)
        if troubles := self._box.releases.stage(target, on_bytes):
            why = "; ".join(troubles)[:MAX_WHY]
            self.say("warning", "PatchUnusable", f"Release {target.version} was (partly) fetched as whole files: {why}")

    def _switch(self, step: AdoptRelease | ActivateRelease) -> None:
        match step:
            case AdoptRelease(before=before, begun=begun):
                self._adopt(before if not begun else None)
            case ActivateRelease(target=target, back=back):
                self._activate(target, back)

    def _adopt(self, before: ReleaseTarget | None) -> None:
        """Make what was installed by hand the way back from `before`; None: go on with an adoption that has begun."""
        if before is not None:
            self._box.admin.require_root()
        self._box.configuration.secure()
        if before is not None:
            survey = self._box.releases.survey()
            found = attempt.found(survey.version, survey.tree, survey.size_bytes, before)
            self._remember(attempt.adopt(self._store.state.releases, found, before))
        self._box.releases.adopt(self._store.state.releases.good if before is not None else None)
        known = self._store.state.releases.good
        version = known.version if known is not None else "of unknown version"
        said = f"What was installed by hand ({version}) lies under releases/ now, and can be gone back to."
        self.say("info", "ReleaseAdopted", said)

    def _activate(self, target: ReleaseTarget, back: bool) -> None:
        state, now = self._store.state, self._box.clock.now()
        if not back:
            self._require_allowed(target)
            self._box.configuration.secure()
        self._ask_all(target.services, back)
        self._remember(attempt.begin(state.releases, target, self._run_id))
        try:
            self._box.releases.activate(target)
        except AgentError as problem:
            if not back and self._box.releases.observe().active != target.tree:
                self._remember(attempt.give_up(self._store.state.releases))
            else:
                self._try_again_or_fail(problem, now)
            raise
        self._restart(target.services, now)
        self._remember(attempt.switched(self._store.state.releases))
        self._watch = Watch(started_s=self._box.clock.monotonic())
        self.say("info", "ReleaseActivated", f"Release {target.version} was activated and is tested now.")

    def _ask_all(self, units: list[AppService], back: bool) -> None:
        """A service manager that does not answer says nothing about a release: then none is switched to."""
        for unit in units if not back else []:
            self._box.services.state(unit)

    def _restart(self, units: list[AppService], now: datetime) -> None:
        try:
            for unit in units:
                self._box.services.restart(unit)
        except AgentError as problem:
            self._try_again_or_fail(problem, now)
            raise

    def _try_again_or_fail(self, problem: AgentError, now: datetime) -> None:
        """Between the bars: what is not the release's fault has three tries, and so has all on the way back."""
        known = self._store.state.releases
        blameless = isinstance(problem, DiskFault | DiskFull) or (known.attempt is not None and known.attempt.back)
        if blameless and (again := attempt.hindered(known)) is not None:
            self._remember(again)
        else:
            self._fail(problem.reason, str(problem), now)

    def _test(self, target: ReleaseTarget) -> Outcome:
        clock = self._box.clock
        watch = attempt.take_up(self._watch or Watch(started_s=clock.monotonic()), clock.monotonic())
        seen = self._box.health.look(target.services, target.health.checks)
        self._watch, verdict = attempt.look(watch, clock.monotonic(), seen.problems, seen.restarts, target.health)
        if verdict == "settling":
            return "settling"
        self._watch = None
        if verdict == "healthy":
            self._remember(attempt.succeed(self._store.state.releases))
            self.say("info", "ReleaseHealthy", f"Release {target.version} is healthy.")
        else:
            problems = "; ".join(seen.problems) or "its services kept restarting"
            self._fail("ReleaseUnhealthy", problems, clock.now())
        return "done"

    def watch_held(self, active: Digest | None) -> None:
        """Look once at what a held box was left with: whatever kept it from being well may have passed."""
        target = attempt.playing(self._store.state.releases, active)
        if target is None:
            return
        now_s = self._box.clock.monotonic()
        seen = self._box.health.look(target.services, target.health.checks)
        watch = self._watch or Watch(started_s=now_s)
        watch, verdict = attempt.look(watch, now_s, seen.problems, seen.restarts, target.health)
        self._watch = watch if verdict == "settling" else None
        if verdict == "healthy":
            self._remember(attempt.recover(self._store.state.releases, target))
            self.say("info", "ReleaseRecovered", f"Release {target.version}, which was left playing, is healthy.")

    def _fail(self, reason: Reason, message: str, now: datetime) -> None:
        known = self._store.state.releases
        failed = attempt.fail(known, reason, message, self._run_id, now)
        self._remember(failed)
        version = known.attempt.target.version if known.attempt is not None else "?"
        way = "there is no way back, what plays is left" if failed.held else "going back to the last good one"
        self.say("error", "ReleaseFailed", f"Release {version} failed, {way}: {message}")

    def _tend(self, step: OpenUp | RepairRelease | StartUnit, wanted: ReleaseTarget | None) -> None:
        match step:
            case OpenUp(paths=paths):
                self._open_up(paths)
            case RepairRelease(paths=paths):
                self._repair(paths, wanted)
            case StartUnit(unit=unit):
                self._start(unit)

    def _repair(self, paths: tuple[str, ...], target: ReleaseTarget | None) -> None:
        running = self._store.state.releases.good or target
        if running is not None and self._box.releases.is_run(paths):
            self._store.keep(replace(self._store.state, restart=tuple(running.services)))
        if "/webapp" in paths:
            self._box.configuration.secure()
        self._box.releases.repair(paths)
        self.say("warning", "LocalOverride", f"{', '.join(paths[:5])}: changed on the box, now as released again.")

    def _open_up(self, paths: tuple[str, ...]) -> None:
        released = [path for path in paths if path.startswith(f"{FOLDER}/")]
        self._box.releases.open_up(released)
        self._box.access.open_up([path for path in paths if path not in released])
        said = f"{', '.join(paths[:5])}: closed to the box's services, now open to them again."
        self.say("warning", "PermissionsRestored", said)

    def _start(self, unit: str) -> None:
        """Start a unit, or start it anew where it may still run what was changed under it."""
        state = self._store.state
        self._box.services.restart(unit)
        if unit in state.restart:
            self._store.keep(replace(state, restart=tuple(u for u in state.restart if u != unit)))
        elif unit == KIOSK and state.unseen:
            self._box.configuration.spare_notice()
            self._store.keep(replace(state, unseen=False))
            self.say("info", "ScreenRestarted", f"No page heard of the new configuration: {KIOSK} was started anew.")
        else:
            self.say("warning", "ServiceStarted", f"{unit} did not run and was started.")

    def _remember(self, known: attempt.Releases) -> None:
        self._store.keep(replace(self._store.state, releases=known))
