"""What was done by whom: logins, accounts, tokens, and who read the logs of boxes."""

from datetime import datetime
from typing import Final, Literal, NamedTuple, get_args

from control_plane.core.people import ATTEMPTS_WITHIN
from control_plane.store.pool import Connection

Act = Literal[
    "login",
    "login_failed",
    "login_limited",
    "logout",
    "session_ended",
    "password_changed",
    "totp_set",
    "totp_removed",
    "user_added",
    "user_changed",
    "user_linked",
    "user_disabled",
    "user_reset",
    "token_added",
    "token_revoked",
    "log_read",
]
ACTS: Final[tuple[Act, ...]] = get_args(Act)
SERVER: Final = "server"
"""The address of what was done by a command on the server's own machine."""


class Entry(NamedTuple):
    """An act. `who`: an account, a token, or whoever called a command; '' where nobody has the name that was given.

    `about`: whom or what else it was done to; what people type wrongly is never kept, it may be a password.
    """

    act: Act
    who: str
    account: int | None = None
    about: str = ""
    address: str = ""


class Record(NamedTuple):
    """An entry as it is kept."""

    id: int
    at: datetime
    act: Act
    who: str
    about: str
    address: str


async def record(conn: Connection, entry: Entry, now: datetime) -> None:
    """Write it down."""
    await conn.execute(
        "insert into audit (at, act, who, account, about, address) values (%s, %s, %s, %s, %s, %s)",
        (now, entry.act, entry.who, entry.account, entry.about, entry.address),
    )


async def records(
    conn: Connection, *, before: int | None = None, text: str = "", act: str = "", limit: int = 100
) -> list[Record]:
    """The newest first; `before`: older than this one; `text`: in who, whom or from where; `act`: of this kind."""
    rows = await conn.execute(
        "select id, at, act, who, about, address from audit where (%(before)s::bigint is null or id < %(before)s)"
        " and (%(act)s = '' or act = %(act)s)"
        " and (%(text)s = '' or strpos(lower(concat_ws(' ', who, about, address)), lower(%(text)s)) > 0)"
        " order by id desc limit %(limit)s",
        {"before": before, "act": act, "text": text, "limit": limit},
    )
    return [Record(*row) for row in await rows.fetchall()]


async def was_lately(conn: Connection, act: Act, address: str, now: datetime, *, who: str) -> bool:
    """Whether this was written down of somebody at this address within a quarter of an hour."""
    rows = await conn.execute(
        "select exists (select from audit where act = %s and who = %s and address = %s and at > %s)",
        (act, who, address, now - ATTEMPTS_WITHIN),
    )
    row = await rows.fetchone()
    return row is not None and bool(row[0])


async def prune_audit(conn: Connection, before: datetime) -> int:
    """Forget what was done before then; how many entries."""
    return (await conn.execute("delete from audit where at < %s", (before,))).rowcount
