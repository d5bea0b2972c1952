"""Rests of the real loop that pass by putting the clock forward, and rests of its poller that pass sooner."""

import threading
from collections.abc import Callable
from typing import Final

from reconciler_agent.app import Agent
from tests.support.agent_world import FastClock

HURRY: Final = 600.0
"""A minute of the poller's is a tenth of a second."""


class Slumber(threading.Event):
    """The loop's wake: a wait is over when it was set, or when the clock has been put forward as far.

    When the time that was given to pass is over, `ask` says until when the next ends; meanwhile it may do anything.
    """

    clock: FastClock
    until_s: float
    ask: Callable[[], float]

    def wait(self, timeout: float | None = None) -> bool:
        """See Event."""
        left_s = timeout or 0.0
        while not self.is_set():
            passes_s = min(left_s, self.until_s - self.clock.monotonic())
            self.clock.sleep(passes_s)
            left_s -= passes_s
            if left_s <= 0:
                return False
            self.until_s = self.ask()
        return True


class Hurried(threading.Event):
    """An event that is waited for so many times shorter."""

    def wait(self, timeout: float | None = None) -> bool:
        """See Event."""
        return super().wait(None if timeout is None else timeout / HURRY)


def put_to_sleep(agent: Agent, clock: FastClock, ask: Callable[[], float]) -> None:
    """Have the rests of this agent pass so, from its first one on."""
    wake, stop = agent.loop._wake, agent.loop._parts.poller._stop
    wake.__class__, stop.__class__ = Slumber, Hurried
    assert isinstance(wake, Slumber)
    wake.clock, wake.until_s, wake.ask = clock, clock.monotonic(), ask
