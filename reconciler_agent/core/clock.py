"""Time as values: days, patience, and how long to wait before the next try."""

from datetime import date, datetime, tzinfo
from typing import Final

FIRST_BACKOFF_S: Final = 5.0
RETRY_AFTER_BOUNDS_S: Final = (1.0, 3600.0)


def local_day(instant: datetime, zone: tzinfo) -> date:
    """The day on the wall of the site at this instant."""
    return instant.astimezone(zone).date()


def backoff_s(failures: int, most_s: float, chance: float, retry_after_s: float | None = None) -> float:
    """Seconds to wait after `failures` in a row: exponential from 5 s to `most_s`, full jitter by `chance` in [0, 1).

    What the server asked for by Retry-After, between a second and an hour, is the least.
    """
    if failures < 1:
        return 0.0
    ceiling_s = min(max(most_s, FIRST_BACKOFF_S), FIRST_BACKOFF_S * 2.0 ** min(failures - 1, 16))
    least_s, most_asked_s = RETRY_AFTER_BOUNDS_S
    asked_s = 0.0 if retry_after_s is None else min(max(retry_after_s, least_s), most_asked_s)
    return max(ceiling_s * chance, asked_s)
