"""A real clock that runs faster, so that waits of seconds pass in milliseconds: sleeping is still sleeping."""

import time
from datetime import UTC, datetime


class HurriedClock:
    """Its seconds are `factor` times shorter than real ones."""

    def __init__(self, factor: float) -> None:
        self._factor = factor

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic() * self._factor

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / self._factor)
