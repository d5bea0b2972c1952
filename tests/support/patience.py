"""How long tests wait, on a machine that may be busy with something else."""

import os
import time
from collections.abc import Callable

PATIENCE_S = 60.0
"""For what must come true: nothing waits longer than it takes, and a busy machine is no failure."""
_MOST = 4.0


def wait_for(condition: Callable[[], object], what: str = "it", within_s: float = PATIENCE_S) -> None:
    """Return as soon as the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.01)


def promised(seconds: float) -> float:
    """The limit to hold a promise of so many seconds to: just that on a machine with a core to spare.

    Up to four times that when more than half of the cores were wanted in the last minute, in proportion.
    """
    wanted = os.getloadavg()[0] / (os.cpu_count() or 1)
    return seconds * min(_MOST, max(1.0, 2 * wanted))
