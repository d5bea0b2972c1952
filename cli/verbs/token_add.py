"""`neopro token add`: a personal token for an operator."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cli.accounts import known, name_of, note
from cli.database import with_database
from cli.errors import CommandFailed
from cli.flags import Flag, Several
from cli.output import Output
from control_plane.core.people import Scope, scopes_of
from control_plane.store.pool import Connection
from control_plane.store.tokens import add_token

MAX_DAYS = 3650


def token_add(
    name: str,
    /,
    *,
    scope: Several[Scope] = None,
    days: int = 90,
    owner: str | None = None,
    config: Path | None = None,
    json: Flag = False,
) -> None:
    """Make a personal token, on the server's own machine; it is shown this once.

    The server may be running. Give it to `neopro` as NEOPRO_TOKEN, or in a file that NEOPRO_TOKEN_FILE names.

    Examples:

    - `neopro token add marie --config /etc/neopro/server.toml`
    - `neopro token add laptop --owner marie`
    - `neopro token add ci --scope read --scope write --days 365`

    Parameters
    ----------
    name
        What it is called: whose it is, or what for.
    scope
        What it may do: read, write; without it, read alone.
    days
        How long it lives.
    owner
        Whose account it belongs to: it may do no more than they, and they see it on their page; nobody's without it.
    config
        The server's settings.
    json
        Print it as JSON.
    """
    if not 1 <= days <= MAX_DAYS:
        raise CommandFailed(f"cannot make a token for {days} days: from 1 to {MAX_DAYS}")
    scopes: list[Scope] = sorted(set(scope or ["read"]))
    now = datetime.now(UTC)
    expires_at = now + timedelta(days=days)

    async def add(conn: Connection) -> str:
        account = await known(conn, name_of(owner)) if owner else None
        if account and not set(scopes) <= scopes_of(account.role, account.tenant):
            raise CommandFailed(
                f"cannot make a token that writes for {account.name}: the account may only read", status=1
            )
        text = await add_token(
            conn, name, scopes, now=now, expires_at=expires_at, owner=account.id if account else None
        )
        await note(conn, "token_added", f"{name} {' '.join(scopes)}" + (f" ({owner})" if owner else ""), now)
        return text

    text = asyncio.run(with_database(config, add))
    output = Output(json)
    output.data({"name": name, "scopes": scopes, "expires_at": expires_at, "token": text})
    output.say(text)
    if not json:
        output.note(f"the token of {name} ({', '.join(scopes)}) until {expires_at:%Y-%m-%d}; it is not shown again")
