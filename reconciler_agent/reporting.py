"""Reports to the control plane: at once when something changed, now and then otherwise; none is lost, none repeated."""

import logging
import random
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, Protocol

from msgspec.structs import replace

from reconciler_agent import __version__
from reconciler_agent.core.clock import backoff_s
from reconciler_agent.core.report import Told, acknowledge
from reconciler_agent.errors import AccessDenied, AgentError, NetworkTrouble, UploadRefused
from reconciler_agent.history import History
from reconciler_agent.observe import SystemClock
from reconciler_agent.state import Store
from schemas.status import History as Batch
from schemas.status import Reason, RunId, RunningRelease, StatusReport

WORDS_S: Final = 2.0
"""The least time between two reports about work that goes on."""
REFUSED_S: Final = 3600.0
CATCH_UP_S: Final = 5.0
"""Between two reports while more was measured, with nobody taking it, than one of them holds."""

Say = Callable[[Literal["info", "warning", "error"], Reason, str], None]
log = logging.getLogger("neopro-agent")


class Desk(Protocol):
    """Who takes reports."""

    def report(self, report: StatusReport) -> None:
        """Hand a report over; it was kept when this returns. UploadRefused: it will not be taken."""


class Content(NamedTuple):
    """What a report says apart from figures and time; equal to the last one: nothing changed."""

    told: Told
    generation: int | None
    head_generation: int | None
    release: RunningRelease | None
    last_event: int


class Reporter:
    """Makes and sends the reports of one run; a report that could not be sent is made anew when its time has come.

    One that the control plane will never take is followed by one that says nothing of the past. If that is taken, what
    the other had of the past is given up, and an event says so: no word of yesterday may keep today from being told.
    """

    def __init__(
        self, *, desk: Desk, store: Store, history: History, clock: SystemClock, say: Say, run: RunId, report_s: float
    ) -> None:
        self._desk = desk
        self._say = say
        self._store = store
        self._history = history
        self._clock = clock
        self._run_id = run
        self._report_s = report_s
        self._sequence = 0
        self._failures = 0
        self._refused: StatusReport | None = None
        self._sent: Content | None = None
        self._sent_s = float("-inf")
        self._not_before_s = float("-inf")

    def wait_s(self) -> float:
        """Seconds until a report is due though nothing changes."""
        return max(self._not_before_s, self._due_s()) - self._clock.monotonic()

    def _due_s(self) -> float:
        return self._sent_s + (CATCH_UP_S if self._history.has_more() else self._report_s)

    @property
    def delivered(self) -> bool:
        """Whether a report of this run was taken."""
        return self._sent is not None

    def tell(self, content: Content) -> AgentError | None:
        """Send what changed, or what is due; what kept the control plane from taking it."""
        self._history.measure()
        now_s = self._clock.monotonic()
        if now_s < self._not_before_s or (content == self._sent and now_s < self._due_s()):
            return None
        return self._send(content)

    def hurry(self) -> None:
        """The control plane has news for us, so it knows us: what it refused before may be sent at once."""
        self._not_before_s = float("-inf")

    def mention(self, content: Content) -> None:
        """Send words about work in progress, if the control plane was there last and has had a moment of rest."""
        self._history.measure()
        if not self._failures and content != self._sent and self._clock.monotonic() - self._sent_s >= WORDS_S:
            self._send(content)

    def _send(self, content: Content) -> AgentError | None:
        report = self._make(content)
        if self._refused is not None:
            report = _without_past(report)
        try:
            self._desk.report(report)
        except (NetworkTrouble, AccessDenied, UploadRefused) as problem:
            log.info("%s", problem)
            if isinstance(problem, UploadRefused) and report != _without_past(report):
                self._refused = report
                return self._send(content)
            if isinstance(problem, UploadRefused):
                self._refused = None  # it was not for the past
            self._wait(problem)
            return problem
        self._failures, self._not_before_s = 0, float("-inf")
        self._sent, self._sent_s = content, self._clock.monotonic()
        if self._refused is None:
            self._forget(report, content.last_event)
        else:
            self._give_up(self._refused)
        return None

    def _wait(self, problem: AgentError) -> None:
        """Have patience after a report that was not taken."""
        self._failures += 1
        asked_s = problem.retry_after_s if isinstance(problem, NetworkTrouble) else None
        most_s = self._report_s if isinstance(problem, NetworkTrouble) else REFUSED_S
        patience_s = backoff_s(self._failures, most_s, random.random(), asked_s)  # noqa: S311 (guards nothing)
        self._not_before_s = self._clock.monotonic() + patience_s

    def _forget(self, taken: StatusReport, last_event: int) -> None:
        """Forget what the control plane has."""
        self._history.taken(taken.history)
        state = self._store.state
        if state.events or state.transitions:
            self._store.keep(replace(state, events=acknowledge(state.events, last_event), transitions=[]))

    def _give_up(self, refused: StatusReport) -> None:
        """Forget what the control plane will never take, and say so."""
        self._refused = None
        self._forget(refused, max((event.number for event in refused.events), default=0))
        lost = (len(refused.events), len(refused.transitions), len(refused.history.samples))
        what = "{} events, {} changes of conditions and {} measurements".format(*lost)
        self._say("warning", "UploadRefused", f"The control plane refused what was kept; lost are {what}.")

    def _make(self, content: Content) -> StatusReport:
        """Events that are not on disk (yet) would come again under another number after a cut: they wait."""
        self._sequence += 1
        kept = self._store.kept
        return StatusReport(
            run_id=self._run_id,
            sequence=self._sequence,
            at=self._clock.now(),
            clock_synchronised=self._clock.synchronised(),
            agent_version=__version__,
            generation=content.generation,
            head_generation=content.head_generation,
            release=content.release,
            conditions=content.told.conditions,
            differences=content.told.differences,
            waiting=content.told.waiting,
            metrics=self._history.now(),
            transitions=self._store.state.transitions,
            history=self._history.batch(),
            events=kept.events if kept is not None else [],
        )


def _without_past(report: StatusReport) -> StatusReport:
    """What a report says of now."""
    return replace(report, events=[], transitions=[], history=Batch())
