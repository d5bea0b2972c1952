"""The one thread beside the loop: it holds a long poll open, lays what came where the loop finds it, and wakes it."""

import random
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from reconciler_agent.client import HeadAnswer
from reconciler_agent.core.clock import backoff_s
from reconciler_agent.errors import AgentError, NetworkTrouble

LONG_POLL_S: Final = 50.0
SHORT_ANSWER_S: Final = 1.0
"""A server that says 'nothing new' sooner does not hold requests: it is asked once per interval."""
REFUSED_S: Final = 900.0


class Heads(Protocol):
    """Where heads come from."""

    def head(self, etag: str = "", wait_s: float = 0.0) -> HeadAnswer | None:
        """The newest head, or None while it has this tag."""


class Poller:
    """Asks for heads until it is stopped. `envelope` and `trouble` are replaced whole: any thread may read them."""

    def __init__(self, heads: Heads, wake: Callable[[], None]) -> None:
        self.envelope: bytes | None = None
        self.trouble: AgentError | None = None
        self.interval_s = 60.0
        self._heads = heads
        self._wake = wake
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin; the thread ends with the process at the latest."""
        threading.Thread(target=self._run, name="poll", daemon=True).start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()

    def _run(self) -> None:
        etag, failures = "", 0
        while not self._stop.is_set():
            started_s = time.monotonic()
            wait_s = 0.0
            try:
                answer = self._heads.head(etag, LONG_POLL_S)
            except AgentError as problem:
                failures += 1
                wait_s = self._patience_s(problem, failures)
                self._note(problem)
            else:
                failures = 0
                if answer is not None:
                    etag, self.envelope = answer.etag, answer.envelope
                elif time.monotonic() - started_s < SHORT_ANSWER_S:
                    wait_s = self.interval_s * random.uniform(0.5, 1.0)  # noqa: S311 (spreads boxes, guards nothing)
                self._note(None, news=answer is not None)
            self._stop.wait(wait_s)

    def _patience_s(self, problem: AgentError, failures: int) -> float:
        """Until the next try: as long as asked for, or by backoff.

        A refusal is not overcome by asking often, but for a box that was never served: it may be let in any moment.
        """
        asked_s = problem.retry_after_s if isinstance(problem, NetworkTrouble) else None
        often = isinstance(problem, NetworkTrouble) or self.envelope is None
        most_s = self.interval_s if often else REFUSED_S
        return backoff_s(failures, most_s, random.random(), asked_s)  # noqa: S311 (spreads boxes, guards nothing)

    def _note(self, trouble: AgentError | None, news: bool = False) -> None:
        changed = (trouble is None) != (self.trouble is None)
        self.trouble = trouble
        if changed or news:
            self._wake()
