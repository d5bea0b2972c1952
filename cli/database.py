"""The server's own database, for verbs that run on its machine, whether `neopro serve` runs or not."""

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

from cli.errors import CommandFailed
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
    _require_database(settings)
    async with open_database(settings) as conninfo, open_pool(conninfo, 1) as pool, connection(pool) as conn:
        await migrate(conn)
        return await work(conn)


def _require_database(settings: Settings) -> None:
    """The embedded database must be there: on a machine that is not the server's, an empty one would be made."""
    embedded = not settings.database_url and not settings.database_url_file
    if embedded and not (settings.data_dir / "postgres").is_dir():
        raise CommandFailed(
            f"cannot find the control plane's database in {settings.data_dir}: `neopro serve` has not run here with "
            "these settings; name its settings with --config"
        )
