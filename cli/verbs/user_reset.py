"""`neopro user reset`: an account as new, for who forgot a password, lost a phone, or comes back."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from cli.accounts import ONE_TIME_LASTS, known, name_of, note, tell_password
from cli.database import with_database
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.verbs.user_add import require_tenant
from control_plane import passwords
from control_plane.core.people import Role
from control_plane.store import users
from control_plane.store.pool import Connection
from schemas.names import DocumentId


def user_reset(
    name: str,
    /,
    *,
    role: Role | None = None,
    tenant: str | None = None,
    team: Flag = False,
    config: Path | None = None,
    json: Flag = False,
) -> None:
    """Make an account as new, on the server's own machine: a one-time password, no one-time codes, not disabled.

    Its sessions end and its personal tokens are revoked. Role and tenant stay, unless others are given.

    Examples:

    - `neopro user reset marie`
    - `neopro user reset marie --role operator`

    Parameters
    ----------
    name
        Whose account.
    role
        Another role.
    tenant
        Another tenant.
    team
        No tenant any more: they know of all sites.
    config
        The server's settings.
    json
        Print it as JSON.
    """
    name = name_of(name)
    require_tenant(tenant)
    if team and tenant is not None:
        raise CommandFailed("cannot take both --team and --tenant: they say the opposite")
    now, password = datetime.now(UTC), passwords.make_password()
    ends_at = now + ONE_TIME_LASTS

    async def reset(conn: Connection) -> Role:
        found = await known(conn, name)
        new: tuple[Role, DocumentId | None] = (role or found.role, None if team else tenant or found.tenant)
        kept = passwords.hashed(password)
        await users.reset(conn, found.id, *new, password=kept, ends_at=ends_at, now=now)
        await note(conn, "user_reset", " ".join([name, new[0], new[1] or ""]).strip(), now)
        return new[0]

    tell_password(json, name, asyncio.run(with_database(config, reset)), password, ends_at)
