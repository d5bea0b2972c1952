"""One look at the fleet shared by all who watch: pages, programs, metrics."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from control_plane.store import views
from control_plane.store.pool import Pool, connection

SMALL: Final = 500
"""A fleet of so many sites is looked at anew each time: nobody ever sees an old one."""
REST: Final = 20
"""A look at a larger one is shared for this many times of what it cost: watching takes a twentieth of a core."""


class Lookout:
    """Reads the fleet; no more often than the fleet's size allows."""

    def __init__(self, pool: Pool, clock: Callable[[], datetime]) -> None:
        self._pool, self._clock = pool, clock
        self._seen: views.Fleet | None = None
        self._until = 0.0
        self._one_at_a_time = asyncio.Lock()

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
