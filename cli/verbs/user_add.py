"""`neopro user add`: an account for somebody."""

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path

from cli.accounts import ONE_TIME_LASTS, TENANT, name_of, note, tell_password
from cli.database import with_database
from cli.errors import CommandFailed
from cli.flags import Flag
from control_plane import passwords
from control_plane.core.people import Role
from control_plane.store import users
from control_plane.store.pool import Connection


def user_add(
    name: str, /, *, role: Role = "viewer", tenant: str | None = None, config: Path | None = None, json: Flag = False
) -> None:
    """Make an account, on the server's own machine; its one-time password is shown this once.

    The server may be running. The password is good for a week and is changed at the first login. An admin also sets up
    one-time codes then. As soon as there is an account, people log in on the server's own machine too.

    Examples:

    - `neopro user add marie --role admin --config /etc/neopro/server.toml`
    - `neopro user add ligue.bretagne --tenant ligue-bretagne`

    Parameters
    ----------
    name
        The name that is typed to log in; case does not matter.
    role
        viewer reads; operator reads logs too and may have tokens that change; admin sees the audit too.
    tenant
        Of whose sites alone they know: the `tenant` of the sites' files; without it, of all.
    config
        The server's settings.
    json
        Print it as JSON.
    """
    name = name_of(name)
    require_tenant(tenant)
    now, password = datetime.now(UTC), passwords.make_password()
    ends_at = now + ONE_TIME_LASTS

    async def add(conn: Connection) -> None:
        kept = passwords.hashed(password)
        if await users.add_user(conn, name, role, tenant, password=kept, ends_at=ends_at, now=now) is None:
            raise CommandFailed(f"cannot make the account {name}: there is one; neopro user reset {name}", status=1)
        await note(conn, "user_added", f"{name} {role}" + (f" {tenant}" if tenant else ""), now)

    asyncio.run(with_database(config, add))
    tell_password(json, name, role, password, ends_at)


def require_tenant(tenant: str | None) -> None:
    """CommandFailed where no site can have this tenant."""
    if tenant is not None and not re.fullmatch(TENANT, tenant):
        raise CommandFailed(f"cannot use the tenant {tenant!r}: small letters, digits and hyphens, as in sites' files")
