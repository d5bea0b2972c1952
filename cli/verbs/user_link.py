"""`neopro user link`: an account is from now on somebody's at the OpenID provider."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

from cli.accounts import known, name_of, note
from cli.database import with_database
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output
from control_plane.core.openid import SUBJECT
from control_plane.settings import Settings
from control_plane.store import identities
from control_plane.store.pool import Connection


def user_link(name: str, subject: str, /, *, config: Path | None = None, json: Flag = False) -> None:
    """Give an account to somebody at the OpenID provider, on the server's own machine.

    For accounts that were there before the provider, and after the provider was replaced by another one. The account
    keeps its name, codes and tokens; its password and sessions end, and its role follows the provider's groups. Who
    somebody is there (`sub`) stands in the audit when they were refused because of the name.

    Example:

    - `neopro user link marie 8f4d2c10-5b1e-4a3c-9d57-1c0f6a2b7e44`

    Parameters
    ----------
    name
        Whose account.
    subject
        The claim `sub` by which the provider knows them.
    config
        The server's settings.
    json
        Print it as JSON.
    """
    name, now, issuer = name_of(name), datetime.now(UTC), Settings.load(config, os.environ).oidc_issuer
    if not issuer:
        raise CommandFailed(f"cannot link {name}: the server's settings name no provider; set oidc_issuer")
    if not SUBJECT.fullmatch(subject):
        raise CommandFailed(f"cannot link {name} to {subject[:80]!r}: a subject is 1 to 255 ASCII characters")

    async def link(conn: Connection) -> None:
        user = await known(conn, name)
        other = await identities.account_of(conn, issuer, subject)
        if other is not None:
            raise CommandFailed(f"cannot link {name} to {subject}: that is the account {other.name}", status=1)
        await identities.link(conn, user.id, issuer, subject)
        await note(conn, "user_linked", f"{name}: {subject}", now)

    asyncio.run(with_database(config, link))
    output = Output(json)
    output.data({"name": name, "issuer": issuer, "subject": subject})
    output.say(f"linked {name} to {subject} at {issuer}")
