"""One round on the box: observe, compare, plan, do what can be done now, and again until nothing is left to do.

Level-triggered: every pass looks again at what is there, and nothing is replayed. A step that fails has its next chance
in the next round; what does not depend on it goes on.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from reconciler_agent.core import attempt
from reconciler_agent.core.clock import local_day
from reconciler_agent.core.diff import Changes, Observed, diff, unneeded_content, wanted_content
from reconciler_agent.core.plan import (
    AdoptRelease,
    Moment,
    Plan,
    WriteConfiguration,
    describe,
    kind_of,
    name,
    plan,
)
from reconciler_agent.core.report import Failure
from reconciler_agent.core.trust import latest_instant
from reconciler_agent.download import Throttle
from reconciler_agent.errors import AgentError, NetworkTrouble, ServiceFailed, Superseded
from reconciler_agent.gate import Gatekeeper
from reconciler_agent.resources import configuration, release
from reconciler_agent.state import Installed, Store
from reconciler_agent.steps import KIOSK, Box, Steps, Wanted
from schemas.manifest import ReleaseTarget, SiteManifest
from schemas.names import Digest
from schemas.status import RunId, Waiting

MAX_PASSES: Final = 20
REQUIREMENT: Final = "RequirementNotMet"
REMOVAL_GRACE: Final = timedelta(minutes=5)
"""How long a file that nothing names any more stays: the screen may be playing it."""


class Progress(Struct, frozen=True, kw_only=True):
    """What a round came to. `settling`: something is under way that wants another look in a moment."""

    changes: Changes
    failures: tuple[Failure, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    trouble: NetworkTrouble | None = None
    settling: str = ""
    superseded: bool = False
    running: release.Observation = release.Observation()
    worked: bool = False


class _Round:
    """What is gathered while a round goes on."""

    def __init__(self) -> None:
        self.failures: dict[str, Failure] = {}
        self.untried: set[str] = set()
        self.waiting: tuple[Waiting, ...] = ()
        self.untold: list[Waiting] = []
        self.trouble: NetworkTrouble | None = None
        self.settling = ""
        self.superseded = False
        self.worked = False
        self.running = release.Observation()

    @property
    def over(self) -> bool:
        """Whether no further pass may follow."""
        return bool(self.settling) or self.superseded

    def note_unmet(self, changes: Changes) -> None:
        """Say which release has to come first, while one may not follow what runs."""
        self.failures.pop(REQUIREMENT, None)
        if (target := changes.unmet) is not None:
            runs = self.running.running.version if self.running.running is not None else "nothing"
            message = (
                f"cannot install release {target.version}: it may only follow a release {target.requires_from}, and"
                f" {runs} runs here; give this site such a release first"
            )
            self.failures[REQUIREMENT] = Failure(reason=REQUIREMENT, message=message)

    def not_told(self, what: str, outcome: str) -> None:
        """Say why the screen has not heard of the configuration; it is told again in the next round."""
        self.untried.add(what)
        why = "the box's application does not answer" if outcome == "untold" else "no page is connected to it"
        message = f"The screen was not told yet: {why}."
        self.untold.append(Waiting(step=what, reason="ScreenNotTold", message=message))

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """Steps of which no further one may be begun, since the agent is to end."""
        try:
            yield
        except Superseded:
            self.superseded = True

    def failed(self, what: str, problem: AgentError) -> None:
        """Remember why a step could not be done; trouble with the network is no failure of the box."""
        self.untried.add(what)
        if isinstance(problem, NetworkTrouble):
            self.trouble = self.trouble or problem
        elif isinstance(problem, Superseded):
            self.superseded = True
        else:
            self.failures[what] = Failure(reason=problem.reason, message=str(problem))


class Convergence:
    """Makes the box as a manifest wants it. `updates`: another release may follow the one that runs."""

    def __init__(
        self,
        box: Box,
        store: Store,
        steps: Steps,
        *,
        gates: Gatekeeper,
        throttle: Throttle,
        run: RunId,
        updates: bool = True,
    ) -> None:
        self._box = box
        self._store = store
        self._steps = steps
        self._throttle = throttle
        self._run_id = run
        self._gates = gates
        self._updates = updates
        self._configured: SiteManifest | None = None

    def recover(self) -> None:
        """Take up what an earlier run left; once, under the lock."""
        self._box.configuration.recover()

    def converge(
        self,
        manifest: SiteManifest,
        on_work: Callable[[str], None],
        on_bytes: Callable[[int], None] | None,
        check_services: bool = True,
    ) -> Progress:
        """Do all that can be done now.

        `on_work` hears each step before it is done, as the beginning of a sentence; it may raise Superseded to stop.
        """
        self._throttle.obey(manifest.bandwidth, self._gates.zone(manifest))
        self._face(manifest.release)
        gathered = _Round()
        self._settle(gathered)
        changes = Changes()
        stopped = self._stopped(manifest.release, gathered) if check_services else ()
        self._steps.watch_held(self._box.releases.observe().active if self._store.state.releases.held else None)
        for _ in range(MAX_PASSES):
            today = self._today(manifest)
            observed = self._observe(manifest, today, stopped, gathered)
            self._note_unneeded(manifest, today, observed)
            changes = diff(manifest, self._store.state.releases, observed, today)
            gathered.note_unmet(changes)
            self._gates.note(manifest, changes)
            planned = self._plan(changes, manifest, gathered)
            gathered.waiting = (*planned.waiting, *_switched_off(changes))
            self._look_ahead(planned, gathered)
            if not planned.steps or gathered.over:
                break
            wanted = Wanted(manifest=manifest, today=today, installed=frozenset(observed.sound))
            self._do(planned, wanted, gathered, on_work, on_bytes)
            stopped = ()
        self._rest(changes)
        return Progress(
            changes=changes,
            failures=tuple(gathered.failures.values()),
            waiting=(*gathered.waiting, *gathered.untold),
            trouble=gathered.trouble,
            settling=gathered.settling,
            superseded=gathered.superseded,
            running=gathered.running,
            worked=gathered.worked,
        )

    def _look_ahead(self, planned: Plan, gathered: _Round) -> None:
        """Say before the window comes what would keep a box that was installed by hand from being adopted in it."""
        adoption = name(AdoptRelease(before=None))
        if any(waiting.step == adoption for waiting in planned.waiting):
            try:
                self._box.admin.require_root()
            except AgentError as problem:
                gathered.failed(adoption, problem)

    def _settle(self, gathered: _Round) -> None:
        """What is seen on the box is to be what is on its disk; while it may not be, nothing is reached."""
        try:
            self._box.disk.settle()
        except AgentError as problem:
            gathered.failed("disk", problem)

    def _face(self, wanted: ReleaseTarget | None) -> None:
        """Bring what is known of releases up to this manifest and this run."""
        state = self._store.state
        known = attempt.resume(attempt.face(state.releases, wanted), self._run_id, self._box.clock.now())
        if known != state.releases:
            self._store.keep(replace(state, releases=known))
            if known.bad is not None and known.bad != state.releases.bad:
                self._steps.say("error", "ReleaseFailed", known.bad.message)

    def _observe(self, manifest: SiteManifest, today: date, stopped: tuple[str, ...], gathered: _Round) -> Observed:
        state = self._store.state
        sound = self._box.content.observe(state.ledger)
        if any(sound[path] is not state.ledger[path] for path in sound):
            self._store.hold(replace(state, ledger={**state.ledger, **sound}))
        found = self._observe_configuration(manifest, today, frozenset(sound), gathered)
        running = gathered.running = self._box.releases.observe()
        self._assume(manifest.release, running)
        return Observed(
            sound={path: entry.digest for path, entry in sound.items()},
            ledger=frozenset(state.ledger),
            referenced=found.references if found is not None else None,
            removable=self._removable(),
            configuration_settled=found is None or found.settled,
            configuration_lost=found is not None and found.lost,
            configuration_differences=tuple(found.differences) if found is not None else (),
            active=running.active,
            running=running.running.version if running.running is not None else None,
            trees=running.trees,
            damaged=running.damaged,
            lost=running.lost,
            by_hand=running.by_hand,
            adopting=running.adopting,
            closed=(*self._closed(), *running.closed),
            stopped=stopped,
            outdated=(*state.restart, KIOSK) if state.unseen else state.restart,
            updates=self._updates,
        )

    def _closed(self) -> list[str]:
        content, ledger = self._box.content, self._store.state.ledger
        return [*self._box.access.closed(ledger, self._box.configuration.path), *content.closed]

    def _observe_configuration(
        self, manifest: SiteManifest, today: date, installed: frozenset[str], gathered: _Round
    ) -> configuration.Observation | None:
        try:
            return self._box.configuration.observe(manifest, today, installed)
        except AgentError as problem:  # it does not parse, or no copy of it can be kept: the rest goes on
            gathered.failed(name(WriteConfiguration()), problem)
            return None

    def _assume(self, wanted: ReleaseTarget | None, running: release.Observation) -> None:
        state = self._store.state
        if state.releases.good is not None:
            return
        known = attempt.assume(state.releases, wanted, self._active(wanted, running))
        if known is not state.releases:
            self._store.keep(replace(state, releases=known))

    def _active(self, wanted: ReleaseTarget | None, running: release.Observation) -> ReleaseTarget | None:
        """The release of ours that is active."""
        if wanted is None or running.active is None or running.running is None:
            return None
        listing = self._store.listing(running.active)
        if listing is None:
            return None
        size_bytes = sum(file.size_bytes for file in listing.files)
        return attempt.found(running.running.version, running.active, size_bytes, wanted)

    def _plan(self, changes: Changes, manifest: SiteManifest, gathered: _Round) -> Plan:
        """The plan; the screen and the clocks are asked only when something may have to wait for its moment."""
        moment = Moment(configured=self._configured is manifest, failed=frozenset(gathered.untried))
        planned = plan(changes, moment)
        if not any(kind_of(step) for step in planned.steps):
            return planned
        return plan(changes, moment, self._gates.open(manifest))

    def _do(
        self,
        planned: Plan,
        wanted: Wanted,
        gathered: _Round,
        on_work: Callable[[str], None],
        on_bytes: Callable[[int], None] | None,
    ) -> None:
        """Each step of a plan; those that follow a failed one were possible without it."""
        gathered.worked = True
        running = self._steps.run_all(planned.steps, wanted, lambda step: on_work(describe(step)), on_bytes)
        with closing(running), gathered.stopping():
            for step, outcome in running:
                if isinstance(outcome, AgentError):
                    gathered.failed(name(step), outcome)
                    if gathered.superseded:
                        return
                elif isinstance(step, WriteConfiguration):
                    self._configured = wanted.manifest
                if outcome == "settling":
                    gathered.settling = describe(step) + "."
                if outcome in ("untold", "unseen"):
                    gathered.not_told(name(step), outcome)

    def _stopped(self, wanted: ReleaseTarget | None, gathered: _Round) -> tuple[str, ...]:
        """Units of the release that is in force which do not run."""
        known = self._store.state.releases
        running = known.good or wanted
        if running is None or known.attempt is not None or known.good is None:
            return ()
        try:
            return self._box.health.stopped(running.services)
        except ServiceFailed as problem:
            gathered.failed("services", problem)
            return ()

    # Removal

    def _note_unneeded(self, manifest: SiteManifest, today: date, observed: Observed) -> None:
        """Begin the grace of files that nothing wants any more; end it for those that are wanted again."""
        if observed.referenced is None:
            return
        unneeded = set(unneeded_content(wanted_content(manifest, today), observed))
        state = self._store.state
        ledger = dict(state.ledger)
        latest = self._latest()
        for path, entry in state.ledger.items():
            ahead = entry.unneeded_at is not None and entry.unneeded_at > latest  # by a clock gone wrong
            if (entry.unneeded_at is None) == (path in unneeded) or ahead:
                ledger[path] = replace(entry, unneeded_at=latest if path in unneeded else None)
        if ledger != state.ledger:
            self._store.keep(replace(state, ledger=ledger))

    def _removable(self) -> frozenset[str]:
        latest = self._latest()
        ledger: dict[str, Installed] = self._store.state.ledger
        return frozenset(
            path
            for path, entry in ledger.items()
            if entry.unneeded_at is not None and latest - entry.unneeded_at >= REMOVAL_GRACE
        )

    def _rest(self, changes: Changes) -> None:
        """Keep what was held; forget downloads that nothing wants any more."""
        self._store.keep(self._store.state)
        wanted: list[Digest] = [file.digest for file in changes.fetch]
        self._box.content.prune(wanted)
        self._box.releases.prune(changes.stage)
        self._box.releases.checkpoint()

    # Time

    def _latest(self) -> datetime:
        return latest_instant(self._store.state.trust, self._box.clock.now(), self._box.clock.synchronised())

    def _today(self, manifest: SiteManifest) -> date:
        """The local day of the site; in UTC where the box does not know the zone."""
        return local_day(self._latest(), self._gates.zone(manifest) or UTC)


def _switched_off(changes: Changes) -> tuple[Waiting, ...]:
    if (target := changes.switched_off) is None:
        return ()
    step = f"Release {target.version}"
    message = f"{step} waits: updates are switched off on this box ([features] auto_update in its site.conf)."
    return (Waiting(step=step, reason="SwitchedOff", message=message),)
