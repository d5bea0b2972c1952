"""What others know from the box, and what must therefore outlive a cut: nothing of it is ever taken back."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from reconciler_agent.beginning import read_state
from reconciler_agent.core.trust import current_head
from reconciler_agent.settings import Settings
from schemas.status import StatusReport
from tests.support.agent_world import Central


class Told(NamedTuple):
    """Generations and events by their numbers, and what was done to the world."""

    committed: int = 0
    accepted: int = 0
    last_event: int = 0
    done: tuple[str, ...] = ()

    def and_by(self, reports: Sequence[StatusReport]) -> "Told":
        """With what these reports say."""
        return self._replace(
            committed=max([self.committed, *(r.generation or 0 for r in reports)]),
            accepted=max([self.accepted, *(r.head_generation or 0 for r in reports)]),
            last_event=max([self.last_event, *(e.number for r in reports for e in r.events)]),
        )

    def require_known(self, settings: Settings) -> None:
        """AssertionError when the box has forgotten any of it, by what is on its disk."""
        if self._replace(done=()) == Told():
            return
        with sound_reads():
            state = read_state(settings)
        assert state is not None, "the box forgot everything"
        head = current_head(state.trust)
        assert (state.committed or 0) >= self.committed, f"committed {state.committed}, told {self.committed}"
        assert (head.generation if head else 0) >= self.accepted, f"it forgot generation {self.accepted}"
        assert state.last_event >= self.last_event, f"event {state.last_event} is the last, told {self.last_event}"


_read = os.read


@contextmanager
def sound_reads() -> Iterator[None]:
    """With the real `os.read`, whatever a test has put in its place."""
    put, os.read = os.read, _read
    try:
        yield
    finally:
        os.read = put


@contextmanager
def nothing_told_too_early(central: Central, settings: Settings) -> Iterator[None]:
    """AssertionError at a report that says what is not on the disk when it is sent."""
    take = central.report

    def report(said: StatusReport) -> None:
        Told().and_by([said]).require_known(settings)
        take(said)

    central.report = report  # type: ignore[method-assign]
    try:
        yield
    finally:
        central.report = take  # type: ignore[method-assign]
