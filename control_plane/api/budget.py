"""How much each box may leave within a day, so that one gone wild fills nobody's disk."""

from collections.abc import Callable
from datetime import datetime, timedelta

from litestar.exceptions import TooManyRequestsException

from schemas.names import SiteId

DAY = timedelta(days=1)


class DailyBudget:
    """At most `most` of `what` of each site within a day, as far as this process knows."""

    def __init__(self, clock: Callable[[], datetime], most: int, what: str) -> None:
        self.now = clock
        self._most, self._what = most, what
        self._day = clock()
        self._taken: dict[SiteId, int] = {}

    def take(self, site: SiteId, count: int = 1) -> None:
        """Count so many more; 429 when the site had its share."""
        if self.now() - self._day >= DAY:
            self._day = self.now()
            self._taken.clear()
        taken = self._taken.get(site, 0) + count
        if taken > self._most:
            raise TooManyRequestsException(f"cannot keep more than {self._most} {self._what} of a site in a day")
        self._taken[site] = taken
