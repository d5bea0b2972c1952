"""What is measured on the box, once a minute, and kept until the control plane took it.

On disk it is only while nobody takes it, written with the hourly checkpoint: a power cut costs an hour of it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from reconciler_agent.core import history
from reconciler_agent.core.history import Life
from reconciler_agent.metrics import Meter
from reconciler_agent.observe import SystemClock
from reconciler_agent.state import Store
from schemas.status import Boot, Metrics
from schemas.status import History as Batch

SAMPLE_S: Final = 55.0
"""Between two measurements: the rounds of a box at rest are a minute apart."""
FIRST_S: Final = 60.0
"""What the first measurement of a run stands for."""
UNTAKEN: Final = timedelta(minutes=15)
"""What is younger is on its way to the control plane, and not worth a write."""
_LIVES: Final = msgspec.json.Decoder(tuple[Life, ...])


class History:
    """Without a `meter` nothing is measured. `floor`: the time that it is at least."""

    def __init__(self, store: Store, clock: SystemClock, floor: Callable[[], datetime], meter: Meter | None) -> None:
        self._store = store
        self._clock = clock
        self._floor = floor
        self._meter = meter
        self._measured_s: float | None = None
        self._lives: tuple[Life, ...] = ()
        self._written = False

    def load(self) -> bool:
        """Take up what an earlier run left; False when that was damaged and is lost."""
        body = self._store.history()
        self._written = body is not None
        if not body:
            return body is None
        try:
            self._lives = _LIVES.decode(body)
        except msgspec.DecodeError:  # whole, but of an agent that writes it otherwise
            return False
        return True

    def measure(self) -> None:
        """Once a minute, take down the figures of now."""
        now_s = self._clock.monotonic()
        elapsed_s = FIRST_S if self._measured_s is None else now_s - self._measured_s
        if self._meter is None or elapsed_s < SAMPLE_S:
            return
        self._measured_s = now_s
        sample = history.sample_of(self._meter.measure(), self._clock.uptime(), elapsed_s)
        self._lives = history.add(self._lives, self.boot(), sample)

    def now(self) -> Metrics:
        """The figures of now."""
        return Metrics() if self._meter is None else self._meter.measure(mark=False)

    def boot(self) -> Boot:
        """The present life of the machine, and when it began as far as that is known."""
        believed = self._clock.believed()
        now = believed or self._floor()
        started_at = now - timedelta(seconds=self._clock.uptime())
        return Boot(id=self._clock.boot(), started_at=started_at, certain=believed is not None)

    def batch(self) -> Batch:
        """The oldest that was not taken yet."""
        return history.batch(self._lives)

    def taken(self, batch: Batch) -> None:
        """Forget what the control plane took; when nothing is left, also on disk."""
        if (last := history.last_of(batch)) is not None:
            self._lives = history.drop(self._lives, last)
        if self._written and not self._lives:
            self._store.drop_history()
            self._written = False

    def has_more(self) -> bool:
        """Whether there is more than one report takes: the next one need not wait."""
        return history.is_more(self._lives)

    def checkpoint(self) -> None:
        """Thin what is old, and write it if nobody takes it."""
        self._lives = history.thin(self._lives, self._floor())
        if not self._lives:
            return
        oldest = self._lives[0].boot.started_at + timedelta(seconds=self._lives[0].samples[0].uptime_s)
        if self._floor() - oldest >= UNTAKEN:
            self._store.keep_history(msgspec.json.encode(self._lives))
            self._written = True
