"""Reports that are refused, noted by site so that somebody learns of it; of a box gone wild once a minute at most."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from litestar.exceptions import HTTPException
from litestar.status_codes import HTTP_408_REQUEST_TIMEOUT, HTTP_500_INTERNAL_SERVER_ERROR
from prometheus_client import Counter

from control_plane.errors import DatabaseUnavailable
from control_plane.store import refusals
from control_plane.store.pool import Pool, connection
from schemas.names import SiteId

PAUSE: Final = timedelta(minutes=1)


class Refusals:
    """Who is refused, as far as this process knows; `counter` counts each."""

    def __init__(self, pool: Pool, clock: Callable[[], datetime], counter: Counter) -> None:
        self._pool, self._clock, self._counter = pool, clock, counter
        self._written: dict[SiteId, datetime] = {}
        self._unwritten: dict[SiteId, int] = {}

    async def note(self, site: SiteId, problem: HTTPException) -> None:
        """A box that proved to be this site's was answered with this; what broke off and a 5xx refuse nothing."""
        if problem.status_code >= HTTP_500_INTERNAL_SERVER_ERROR or problem.status_code == HTTP_408_REQUEST_TIMEOUT:
            return
        self._counter.inc()
        now, count = self._clock(), self._unwritten.get(site, 0) + 1
        self._unwritten[site] = count
        written_at = self._written.get(site)
        if written_at is not None and timedelta(0) <= now - written_at < PAUSE:
            return
        # The box is to hear why its report was refused; that the database is away is told elsewhere.
        with suppress(DatabaseUnavailable):
            async with connection(self._pool) as conn:
                await refusals.note(conn, site, problem.detail, count, now)
            self._written[site] = now
            self._unwritten[site] -= count
