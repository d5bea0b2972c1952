"""One look at the fleet shared by all who watch: pages, programs, metrics."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from control_plane.store import outcomes, views
from control_plane.store.pool import Pool, connection
from schemas.memory import Availability, Deployments, Period, Trouble

SMALL: Final = 500
"""A fleet of so many sites is looked at anew each time: nobody ever sees an old one."""
REST: Final = 20
"""A look at a larger one is shared for this many times of what it cost: watching takes a twentieth of a core."""


OUTCOMES_LAST_S: Final = 300.0
"""How it went by week and month changes slowly, and reads years of a large fleet: some seconds."""
TROUBLES_SINCE: Final = timedelta(days=30)


class Outcomes(NamedTuple):
    """How it went, by week or month, the oldest first; troubles of the last 30 days."""

    availability: list[Availability]
    deployments: list[Deployments]
    troubles: list[Trouble]


class Lookout:
    """Reads the fleet; no more often than the fleet's size allows."""

    def __init__(self, pool: Pool, clock: Callable[[], datetime]) -> None:
        self._pool, self._clock = pool, clock
        self._seen: views.Fleet | None = None
        self._until = 0.0
        self._one_at_a_time = asyncio.Lock()
        self._outcomes: dict[tuple[Period, int], tuple[float, Outcomes]] = {}
        self._one_outcome = asyncio.Lock()

    async def fleet(self) -> views.Fleet:
        """The fleet as it is now, or a little ago; DatabaseUnavailable."""
        async with self._one_at_a_time:
            if self._seen is None or time.monotonic() >= self._until:
                began = time.monotonic()
                async with connection(self._pool) as conn:
                    self._seen = await views.fleet(conn, self._clock())
                cost = time.monotonic() - began
                self._until = time.monotonic() + (cost * REST if len(self._seen.sites) > SMALL else 0)
            return self._seen

    async def outcomes(self, period: Period, count: int) -> Outcomes:
        """How it went in the last `count` weeks or months and the present one, as of now or of some minutes ago."""
        async with self._one_outcome:
            until, found = self._outcomes.get((period, count), (0.0, None))
            if found is None or time.monotonic() >= until:
                now = self._clock()
                async with connection(self._pool) as conn:
                    found = Outcomes(
                        await outcomes.availability(conn, period, count, now),
                        await outcomes.deployments(conn, period, count, now),
                        await outcomes.troubles(conn, now - TROUBLES_SINCE),
                    )
                small = self._seen is not None and len(self._seen.sites) <= SMALL
                self._outcomes[period, count] = (time.monotonic() + (0 if small else OUTCOMES_LAST_S), found)
            return found
