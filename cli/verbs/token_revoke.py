"""`neopro token revoke`: a personal token ends."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from cli.accounts import note
from cli.database import with_database
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output
from cli.words import count
from control_plane.store.pool import Connection
from control_plane.store.tokens import revoke_token


def token_revoke(name: str, /, *, config: Path | None = None, json: Flag = False) -> None:
    """Revoke every live token of a name, on the server's own machine; at once.

    Example:

    - `neopro token revoke marie`

    Parameters
    ----------
    name
        Whose tokens.
    config
        The server's settings.
    json
        Print how many there were as JSON.
    """

    async def revoke(conn: Connection) -> int:
        now = datetime.now(UTC)
        revoked = await revoke_token(conn, name, now)
        if revoked:
            await note(conn, "token_revoked", name, now)
        return revoked

    revoked = asyncio.run(with_database(config, revoke))
    if not revoked:
        raise CommandFailed(f"cannot revoke tokens of {name}: no live one has that name", status=1)
    output = Output(json)
    output.data({"name": name, "revoked": revoked})
    output.say(f"revoked {count(revoked, 'token')} of {name}")
