"""What this process counts of boxes, and that it is there: told to the database now and then, so that pages can say it.

What was counted since the last beat is lost when the process is killed: it is for pages, and nothing hangs on it.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from importlib.metadata import version
from typing import Final

from msgspec.structs import replace

from control_plane.errors import FleetError
from control_plane.store import activity, control_planes
from control_plane.store.activity import Counted
from control_plane.store.control_planes import ControlPlane
from control_plane.store.pool import Pool, connection
from schemas.names import SiteId

BEAT_S: Final = 15.0
LAST_BEAT_S: Final = 2.0
MAX_COUNTED: Final = 100_000
"""Sites and hours that are counted while the database is away; beyond it new ones are not."""

logger = logging.getLogger(__name__)


class Tally:
    """Counts by site and hour, in memory."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._counted: dict[tuple[datetime, SiteId], Counted] = {}

    def report(self, site: SiteId) -> None:
        """A report was kept."""
        self._add(Counted(at=self._hour(), site=site, reports=1))

    def download(self, site: SiteId, size_bytes: int) -> None:
        """Bytes of a blob were handed out, or a link to them."""
        self._add(Counted(at=self._hour(), site=site, downloads=1, download_bytes=size_bytes))

    def take(self) -> list[Counted]:
        """What was counted since it was last taken."""
        taken, self._counted = self._counted, {}
        return list(taken.values())

    def give_back(self, counted: list[Counted]) -> None:
        """Count these again: they could not be written down."""
        for one in counted:
            self._add(one)

    def _hour(self) -> datetime:
        return self._clock().replace(minute=0, second=0, microsecond=0)

    def _add(self, one: Counted) -> None:
        key = (one.at, one.site)
        known = self._counted.get(key)
        if known is not None:
            one = replace(
                known,
                reports=known.reports + one.reports,
                downloads=known.downloads + one.downloads,
                download_bytes=known.download_bytes + one.download_bytes,
            )
        elif len(self._counted) >= MAX_COUNTED:
            return
        self._counted[key] = one


class Pulse:
    """Beats while the application runs."""

    def __init__(self, pool: Pool, clock: Callable[[], datetime]) -> None:
        self._pool, self._clock = pool, clock
        self._one_at_a_time = asyncio.Lock()
        self.tally = Tally(clock)
        now = clock()
        self._plane = ControlPlane(
            id=secrets.token_hex(8),
            host=socket.gethostname(),
            version=version("neopro-fleet"),
            started_at=now,
            seen_at=now,
        )

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Beat at once, then now and then, and a last time when the context is left: then this process is gone."""
        task = asyncio.create_task(self._go_on(), name="pulse")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            with contextlib.suppress(FleetError, TimeoutError):
                async with asyncio.timeout(LAST_BEAT_S):
                    await self.beat()
                    async with connection(self._pool) as conn:
                        await control_planes.leave(conn, self._plane)

    async def beat(self) -> None:
        """Write down what was counted, and that this process is there; DatabaseUnavailable."""
        async with self._one_at_a_time:
            counted = self.tally.take()
            try:
                async with connection(self._pool) as conn, conn.transaction():
                    await activity.add(conn, counted)
                    await control_planes.say(conn, replace(self._plane, seen_at=self._clock()))
            except BaseException:
                self.tally.give_back(counted)
                raise

    async def _go_on(self) -> None:
        trouble = ""
        while True:
            try:
                await self.beat()
                trouble = ""
            except FleetError as problem:
                if str(problem) != trouble:
                    logger.warning("failed", extra={"what": "pulse", "why": str(problem)})
                trouble = str(problem)
            await asyncio.sleep(BEAT_S)
