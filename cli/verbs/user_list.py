"""`neopro user list`: who has an account."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from cli.database import with_database
from cli.flags import Flag
from cli.output import Output
from control_plane.store.users import User, list_users


def user_list(*, config: Path | None = None, json: Flag = False) -> None:
    """List accounts, on the server's own machine.

    Parameters
    ----------
    config
        The server's settings.
    json
        Print them as JSON.
    """
    found = asyncio.run(with_database(config, list_users))
    output, now = Output(json), datetime.now(UTC)
    output.data([_data(user, now) for user in found])
    output.table(
        ("NAME", "ROLE", "TENANT", "CODES", "MADE", "LAST LOGIN", "STATE"),
        [
            (
                user.name,
                user.role,
                user.tenant or "",
                "yes" if user.totp else "no",
                f"{user.created_at:%Y-%m-%d}",
                f"{user.last_login_at:%Y-%m-%d %H:%M}" if user.last_login_at else "never",
                _state(user, now),
            )
            for user in found
        ],
    )


def _data(user: User, now: datetime) -> dict[str, object]:
    return {
        "name": user.name,
        "role": user.role,
        "tenant": user.tenant,
        "codes": user.totp is not None,
        "created_at": user.created_at,
        "last_login_at": user.last_login_at,
        "state": _state(user, now),
    }


def _state(user: User, now: datetime) -> str:
    if user.disabled_at:
        return "disabled"
    if user.password is None:
        return "provider"
    if user.password_ends_at is None:
        return "live"
    return "one-time password" if user.password_ends_at > now else "password ended"
