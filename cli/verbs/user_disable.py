"""`neopro user disable`: nobody comes in by an account any more."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from cli.accounts import known, name_of, note
from cli.database import with_database
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output
from control_plane.store import users
from control_plane.store.pool import Connection


def user_disable(name: str, /, *, config: Path | None = None, json: Flag = False) -> None:
    """Disable an account, on the server's own machine; at once: its sessions end, and its tokens let nobody in.

    The name stays taken, so that the audit tells of one person. `neopro user reset` lets them in again.

    Example:

    - `neopro user disable marie`

    Parameters
    ----------
    name
        Whose account.
    config
        The server's settings.
    json
        Print it as JSON.
    """
    name, now = name_of(name), datetime.now(UTC)

    async def disable(conn: Connection) -> None:
        if not await users.disable(conn, (await known(conn, name)).id, now):
            raise CommandFailed(f"cannot disable {name}: it is disabled", status=1)
        await note(conn, "user_disabled", name, now)

    asyncio.run(with_database(config, disable))
    output = Output(json)
    output.data({"name": name, "disabled_at": now})
    output.say(f"disabled {name}")
