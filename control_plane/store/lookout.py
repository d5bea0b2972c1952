"""One look at the fleet shared by all who watch: pages, programs, metrics."""

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from control_plane.store import activity, alerts, outcomes, views
from control_plane.store.activity import Hour
from control_plane.store.alerts import AlertRow
from control_plane.store.pool import Pool, connection
from schemas.memory import Availability, Deployments, Period, Traffic, Trouble
from schemas.names import DocumentId

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
    traffic: list[Traffic]


RECENT: Final = 8
"""Alerts that a first page shows."""
RECENT_SINCE: Final = timedelta(days=2)
LATELY_LASTS_S: Final = 15.0


class Lately(NamedTuple):
    """The last 24 hours by the hour, and the alerts that fired or cleared in the last two days; a tenant's, or all."""

    hours: list[Hour]
    alerts: list[AlertRow]


class Lookout:
    """Reads the fleet; no more often than the fleet's size allows."""

    def __init__(self, pool: Pool, clock: Callable[[], datetime]) -> None:
        self._pool, self._clock = pool, clock
        self._seen: views.Fleet | None = None
        self._until = self._rest_s = 0.0
        self._one_at_a_time = asyncio.Lock()
        self._outcomes: dict[tuple[Period, int], tuple[float, Outcomes]] = {}
        self._one_outcome = asyncio.Lock()
        self._ahead: asyncio.Task[views.Fleet] | None = None
        self._lately: dict[DocumentId | None, tuple[float, Lately]] = {}

    async def fleet(self) -> views.Fleet:
        """The fleet as it is now, or a little ago; DatabaseUnavailable.

        Whoever watches a large one seldom waits: the next look is taken ahead, while the last one is still shown.
        """
        seen, now_s = self._seen, time.monotonic()
        if seen is None or now_s >= self._until + self._rest_s:
            return await self._look()
        if now_s >= self._until and (self._ahead is None or self._ahead.done()):
            self._ahead = asyncio.create_task(self._look(), name="look ahead")
            self._ahead.add_done_callback(_forget_failure)
        return seen

    async def _look(self) -> views.Fleet:
        async with self._one_at_a_time:
            if self._seen is None or time.monotonic() >= self._until:
                began = time.monotonic()
                async with connection(self._pool) as conn:
                    self._seen = await views.fleet(conn, self._clock())
                cost = time.monotonic() - began
                self._rest_s = cost * REST if len(self._seen.sites) > SMALL else 0
                self._until = time.monotonic() + self._rest_s
            return self._seen

    async def lately(self, tenant: DocumentId | None, but: Iterable[str]) -> Lately:
        """What went on lately, of all sites or of a tenant's; of those without the kinds of alerts in `but`."""
        until, found = self._lately.get(tenant, (0.0, None))
        if found is None or time.monotonic() >= until:
            now = self._clock()
            async with connection(self._pool) as conn:
                found = Lately(
                    await activity.last_hours(conn, now, tenant),
                    await alerts.recent_alerts(conn, now - RECENT_SINCE, RECENT, tenant=tenant, but=but),
                )
            self._lately[tenant] = (time.monotonic() + (0 if self._is_small else LATELY_LASTS_S), found)
        return found

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
                        await activity.traffic(conn, period, count, now),
                    )
                self._outcomes[period, count] = (time.monotonic() + (0 if self._is_small else OUTCOMES_LAST_S), found)
            return found

    @property
    def _is_small(self) -> bool:
        return self._seen is not None and len(self._seen.sites) <= SMALL


def _forget_failure(look: asyncio.Task[views.Fleet]) -> None:
    """Whoever comes when the last look is too old looks again, and is told what is wrong."""
    if not look.cancelled():
        look.exception()
