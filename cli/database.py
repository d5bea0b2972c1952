"""The server's own database, for verbs that run on its machine, whether `neopro serve` runs or not."""

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

from control_plane.app import open_database
from control_plane.settings import Settings
from control_plane.store.migrate import migrate
from control_plane.store.pool import Connection, connection, open_pool

T = TypeVar("T")


async def with_database(
    config: Path | None, work: Callable[[Connection], Awaitable[T]], env: Mapping[str, str] = os.environ
) -> T:
    """What `work` makes of a connection to the database of these settings; a FleetError says what is in the way."""
    settings = Settings.load(config, env)
    async with open_database(settings) as conninfo, open_pool(conninfo, 1) as pool, connection(pool) as conn:
        await migrate(conn)
        return await work(conn)
