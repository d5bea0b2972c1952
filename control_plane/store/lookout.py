"""One look at the fleet shared by all who watch: pages, programs, metrics."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from control_plane.errors import DatabaseUnavailable
from control_plane.store import activity, alerts, outcomes, views
from control_plane.store.activity import Hour
from control_plane.store.alerts import AlertRow
from control_plane.store.pool import Connection, Pool, connection
from control_plane.store.renewal import renewed
from schemas.api import Change
from schemas.memory import Availability, Deployments, Period, Traffic, Trouble
from schemas.names import DocumentId, SiteId

LOG = logging.getLogger(__name__)

SMALL: Final = 500
"""A fleet of so many sites is looked at anew each time: nobody ever sees an old one."""
REST: Final = 20
"""A look at a larger one is shared for this many times of what it cost: watching takes a twentieth of a core."""
SHOWN_FOR_S: Final = 5.0
"""An old look at a larger one is shown for so long, while a new one is under way; nobody waits for it."""


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
    """Reads the fleet, no more often than its size allows; of a large one only what was heard of since."""

    def __init__(self, pool: Pool, clock: Callable[[], datetime], small: int = SMALL) -> None:
        self._pool, self._clock, self._small = pool, clock, small
        self.tell: Callable[[Collection[SiteId] | None], None] = lambda _: None
        """Called when news of these sites, or of any, is in a new look: who was shown the old one may ask again."""
        self._seen: views.Fleet | None = None
        self._until = self._shown_until = 0.0
        self._listens = self._shown_old = False
        self._unread: set[SiteId] | None = None
        """Of which sites there is news; None: of any, perhaps."""
        self._one_at_a_time = asyncio.Lock()
        self._renewal: asyncio.Task[None] | None = None
        self._outcomes: dict[tuple[Period, int], tuple[float, Outcomes]] = {}
        self._one_outcome = asyncio.Lock()
        self._changes: tuple[float, list[Change]] = (0.0, [])
        self._lately: dict[DocumentId | None, tuple[float, Lately]] = {}

    def heard(self, site: SiteId) -> None:
        """There is news of this site."""
        if self._unread is not None:
            self._unread.add(site)

    def listens(self, listens: bool) -> None:
        """Whether `heard` is called for all news from now on; what came before may have been missed."""
        self._listens, self._unread = listens, None

    async def fleet(self) -> views.Fleet:
        """The fleet as it is now, or a little ago; DatabaseUnavailable."""
        seen, now = self._seen, time.monotonic()
        if seen is None or now >= self._shown_until:
            return await self._look()
        if now >= self._until:
            self._shown_old = True
            if self._renewal is None or self._renewal.done():
                self._renewal = asyncio.create_task(self._renew(), name="look at the fleet")
        return seen

    async def _look(self) -> views.Fleet:
        async with self._one_at_a_time:
            if self._seen is not None and time.monotonic() < self._until:
                return self._seen
            began, unread = time.monotonic(), self._unread
            self._unread = set() if self._listens else None
            try:
                async with connection(self._pool) as conn:
                    self._seen = await self._read(conn, self._seen, unread)
            except BaseException:
                self._unread = None
                raise
            large = len(self._seen.sites) > self._small
            ended = time.monotonic()
            self._until = ended + (ended - began) * REST if large else 0.0
            self._shown_until = max(self._until, ended + SHOWN_FOR_S) if large else 0.0
            if self._shown_old and (unread is None or unread):
                self.tell(unread)
            self._shown_old = False
            return self._seen

    async def _read(self, conn: Connection, seen: views.Fleet | None, unread: set[SiteId] | None) -> views.Fleet:
        if seen is None or unread is None or len(seen.sites) <= self._small:
            return await views.fleet(conn, self._clock())
        return await renewed(conn, seen, unread, self._clock())

    async def _renew(self) -> None:
        try:
            await self._look()
        except DatabaseUnavailable as problem:
            LOG.warning("cannot look at the fleet: %s; who asks is told", problem)

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

    async def changes(self, limit: int) -> list[Change]:
        """The commits that were looked at last, and how far they got, as of now or of some seconds ago."""
        until, found = self._changes
        if time.monotonic() >= until:
            async with connection(self._pool) as conn:
                found = await views.changes(conn, limit)
            self._changes = (time.monotonic() + (0 if self._is_small else LATELY_LASTS_S), found)
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
        return self._seen is not None and len(self._seen.sites) <= self._small
