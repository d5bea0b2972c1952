"""The agent's own update, after convergence in a round: staged by this agent, put on trial, proved by the next one.

What is on trial proves itself by what it does, a poll and a report; what failed is found in trial.json by the agent
that the launcher went back to.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from reconciler_agent import __version__
from reconciler_agent.core import agent_update
from reconciler_agent.core.report import Failure
from reconciler_agent.core.trust import require_release_allowed
from reconciler_agent.errors import AgentError, NetworkTrouble, Superseded
from reconciler_agent.observe import SystemClock
from reconciler_agent.resources.slots import Slots
from reconciler_agent.state import Store
from reconciler_agent.steps import Steps
from schemas.manifest import AgentTarget
from schemas.status import Difference, Waiting

_WHY: Final = {
    "unable": "the agent of this box was not installed from its bundle, and cannot update itself",
    "switched_off": "updates are switched off on this box ([features] auto_update in its site.conf)",
    "settle": "it is ready, and begins when the box is at rest",
}
_REASON: Final = {"unable": "AgentNotInSlot", "switched_off": "SwitchedOff", "settle": "Converging"}


class Reach(NamedTuple):
    """Where the control plane is; `ca`: the file of its own authority, empty: a public one."""

    url: str
    ca: str


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of it in a round. `hands_over`: the other agent is on trial from the next start on, so this one ends.

    `notes`: what is said and does not keep the box from being as desired.
    """

    difference: Difference | None = None
    failure: Failure | None = None
    trouble: NetworkTrouble | None = None
    superseded: bool = False
    waiting: tuple[Waiting, ...] = ()
    notes: tuple[Waiting, ...] = ()
    hands_over: bool = False


class SelfUpdate:
    """Keeps this agent at the release that is wanted. `slots`: None where it was not started from one."""

    def __init__(
        self, slots: Slots | None, store: Store, steps: Steps, clock: SystemClock, reach: Reach, *, allowed: bool
    ) -> None:
        self._slots = slots
        self._store = store
        self._steps = steps
        self._clock = clock
        self._reach = reach
        self._allowed = allowed
        self._proved = False

    def recover(self) -> None:
        """Remember the agent whose trial failed, if that is why this one runs; once, at the start."""
        slots = self._slots
        trial = slots.seen.trial if slots is not None else None
        if slots is None or trial is None or not trial.failed or trial.slot == slots.seen.running:
            return
        state = self._store.state
        known = agent_update.condemn(state.agent, trial, self._clock.now())
        if known != state.agent:
            self._store.hold(replace(state, agent=known))
            message = f"Agent {trial.version} failed, and {__version__} runs again: {trial.failed}."
            self._steps.say("error", "AgentReturned", message)
        slots.end_trial()

    def advance(
        self,
        wanted: AgentTarget | None,
        *,
        steady: bool,
        on_work: Callable[[str], None],
        on_bytes: Callable[[int], None] | None,
    ) -> Outcome:
        """All that can be done towards `wanted` now. `steady`: no release of the applications is on trial."""
        self._face(wanted)
        step = self._next(wanted, steady)
        if wanted is None or step == "rest":
            return Outcome(notes=self._notes())
        found = Outcome(
            difference=Difference(kind="agent", what="agent", desired=wanted.version, observed=__version__),
            notes=self._notes(),
        )
        try:
            if step == "stage":
                on_work(f"Fetching agent {wanted.version}")
                self._stage(wanted, on_bytes)
                step = self._next(wanted, steady)
            if step == "begin":
                on_work(f"Starting agent {wanted.version}")
                self._begin(wanted)
                return replace(found, hands_over=True)
        except NetworkTrouble as problem:
            return replace(found, trouble=problem)
        except Superseded:
            return replace(found, superseded=True)
        except AgentError as problem:
            return replace(found, failure=Failure(reason=problem.reason, message=str(problem)))
        return self._explain(step, wanted, found)

    def prove(self, wanted: AgentTarget | None, *, polled: bool, reported: bool) -> bool:
        """Whether this agent has just done what makes it the good one; then what is needed no more goes."""
        slots = self._slots
        if slots is None or self._proved or not (polled and reported):
            return False
        trial = slots.seen.trial
        slots.confirm()
        if trial is not None and trial.slot == slots.seen.running:
            self._steps.say("info", "AgentUpdated", f"Agent {trial.version} runs: it has polled and reported.")
            slots.end_trial()
        slots.prune(wanted)
        self._proved = True
        return trial is not None

    def _next(self, wanted: AgentTarget | None, steady: bool) -> agent_update.Next:
        seen = self._slots.seen if self._slots is not None else None
        known = self._store.state.agent
        return agent_update.decide(wanted, seen, known, __version__, updates=self._allowed, steady=steady)

    def _stage(self, wanted: AgentTarget, on_bytes: Callable[[int], None] | None) -> None:
        if self._slots is not None:
            self._require_allowed(wanted)
            self._slots.prune(wanted)
            self._slots.stage(wanted, on_bytes)

    def _begin(self, wanted: AgentTarget) -> None:
        if self._slots is not None:
            self._require_allowed(wanted)
            self._slots.begin(wanted, *self._reach)
            message = f"Agent {wanted.version} is ready, and takes over from {__version__}."
            self._steps.say("info", "AgentUpdating", message)

    def _explain(self, step: agent_update.Next, wanted: AgentTarget, found: Outcome) -> Outcome:
        """Why nothing more can be done now."""
        name, bad = f"Agent {wanted.version}", self._store.state.agent.bad
        if step == "refused" and bad is not None:
            message = f"{name} failed here, and {__version__} runs: {bad.message}"
            return replace(found, failure=Failure(reason="AgentFailed", message=message))
        message = f"{name} waits: {_WHY[step]}."
        return replace(found, waiting=(Waiting(step=name, reason=_REASON[step], message=message),))

    def _require_allowed(self, target: AgentTarget) -> None:
        """Nothing gets into a slot, and nothing is started, that no release key signed."""
        trust, clock = self._store.state.trust, self._clock
        now, synchronised = clock.now(), clock.synchronised()
        require_release_allowed(trust, target.version, target.tree, now, synchronised, kind="agent")

    def _face(self, wanted: AgentTarget | None) -> None:
        state = self._store.state
        running = self._slots.seen.running if self._slots is not None else ""
        known = agent_update.face(state.agent, wanted, running)
        if known != state.agent:
            self._store.keep(replace(state, agent=known))

    def _notes(self) -> tuple[Waiting, ...]:
        seen = self._slots.seen if self._slots is not None else None
        if seen is None or seen.trial is None or seen.trial.slot != seen.running or seen.good == seen.running:
            return ()
        message = f"Agent {seen.trial.version} is on trial until it has polled and reported."
        return (Waiting(step=f"Agent {seen.trial.version}", reason="AgentOnTrial", message=message),)
