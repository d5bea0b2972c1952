"""A real clock that runs faster, so that waits of seconds pass in milliseconds: sleeping is still sleeping."""

import time
from datetime import UTC, datetime


class HurriedClock:
    """Its seconds are `factor` times shorter than real ones."""

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._real_s = time.monotonic()
        self._own_s = self._real_s * factor  # the same for all clocks of one pace, as one machine has one clock

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return self._own_s + (time.monotonic() - self._real_s) * self._factor

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / self._factor)

    def run_at(self, factor: float) -> None:
        """Go on at another pace: what has a deadline must get real time enough on a slow machine, too."""
        self._own_s, self._real_s = self.monotonic(), time.monotonic()
        self._factor = factor
