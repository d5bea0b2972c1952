"""What the verbs of accounts share: who calls them, and which account they are about."""

import getpass
from datetime import datetime, timedelta
from typing import Final

from cli.errors import CommandFailed
from cli.output import Output
from control_plane.core.people import NAME, Role, folded
from control_plane.store import audit, users
from control_plane.store.audit import Act, Entry
from control_plane.store.pool import Connection
from control_plane.store.users import User
from schemas.names import ID_PATTERN

ONE_TIME_LASTS: Final = timedelta(days=7)
TENANT: Final = ID_PATTERN


def name_of(text: str) -> str:
    """The name of an account as it is kept; CommandFailed where nobody can have it."""
    name = folded(text)
    if not NAME.fullmatch(name):
        raise CommandFailed(
            f"cannot use {text!r} as an account's name: letters without accents, digits and . _ @ + -, at most 63, "
            "a letter or digit first"
        )
    return name


async def known(conn: Connection, name: str) -> User:
    """The account; CommandFailed where there is none."""
    found = await users.user_named(conn, name)
    if found is None:
        raise CommandFailed(f"cannot find the account {name}: neopro user list shows them all", status=1)
    return found


async def note(conn: Connection, act: Act, about: str, now: datetime) -> None:
    """Write down who did it by a command on this machine."""
    await audit.record(conn, Entry(act, getpass.getuser(), about=about, address=audit.SERVER), now)


def tell_password(json: bool, name: str, role: Role, password: str, ends_at: datetime) -> None:
    """Print a one-time password, this once."""
    output = Output(json)
    output.data({"name": name, "role": role, "password": password, "ends_at": ends_at})
    output.say(password)
    if not json:
        codes = ", and sets up one-time codes" if role == "admin" else ""
        output.note(f"the one-time password of {name} until {ends_at:%Y-%m-%d}; it is not shown again")
        output.note(f"{name} logs in with it, chooses another one{codes}")
