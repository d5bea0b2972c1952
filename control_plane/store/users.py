"""Accounts: who people are, and how they prove it."""

from datetime import datetime
from typing import Final, LiteralString

from msgspec import Struct
from psycopg.errors import UniqueViolation
from psycopg.rows import class_row

from control_plane.core.people import Role
from control_plane.store.pool import Connection
from schemas.names import DocumentId


class User(Struct, frozen=True, kw_only=True):
    """An account. `password`: argon2id, None: a provider knows them; `password_ends_at`: of a one-time password."""

    id: int
    name: str
    role: Role
    tenant: DocumentId | None
    password: str | None
    password_ends_at: datetime | None
    totp: str | None
    totp_step: int | None
    created_at: datetime
    disabled_at: datetime | None
    last_login_at: datetime | None

    def __repr__(self) -> str:
        # Hash and secret stay out of logs and tracebacks.
        return f"User(id={self.id}, name={self.name!r}, role={self.role!r}, tenant={self.tenant!r}, …)"


_SELECT: Final[LiteralString] = (
    "select u.id, u.name, u.role, u.tenant, u.password, u.password_ends_at, u.totp, u.totp_step, u.created_at,"
    " u.disabled_at, u.last_login_at from users u "
)


async def add_user(
    conn: Connection,
    name: str,
    role: Role,
    tenant: DocumentId | None,
    *,
    password: str | None,
    ends_at: datetime | None,
    now: datetime,
) -> int | None:
    """A new account's number; None where the name is taken. `ends_at`: until when the one-time password is good."""
    try:
        row = await conn.execute(
            "insert into users (name, role, tenant, password, password_ends_at, created_at)"
            " values (%s, %s, %s, %s, %s, %s) returning id",
            (name, role, tenant, password, ends_at, now),
        )
    except UniqueViolation:
        return None
    found = await row.fetchone()
    assert found is not None
    number: int = found[0]
    return number


async def user_named(conn: Connection, name: str) -> User | None:
    """The account of this name, disabled or not."""
    return await _one(conn, "where u.name = %s", name)


async def user(conn: Connection, number: int) -> User | None:
    """The account of this number, disabled or not."""
    return await _one(conn, "where u.id = %s", number)


async def list_users(conn: Connection) -> list[User]:
    """Every account, by name."""
    async with conn.cursor(row_factory=class_row(User)) as cursor:
        return await (await cursor.execute(_SELECT + "order by u.name")).fetchall()


async def has_users(conn: Connection) -> bool:
    """Whether there are accounts at all, disabled ones too."""
    row = await (await conn.execute("select exists (select from users)")).fetchone()
    return row is not None and bool(row[0])


async def disable(conn: Connection, number: int, now: datetime) -> bool:
    """Let nobody in by this account; False: it was disabled already. Ends its sessions; its tokens are dead with it."""
    async with conn.transaction():
        done = await conn.execute(
            "update users set disabled_at = %s where id = %s and disabled_at is null", (now, number)
        )
        await conn.execute("delete from sessions where account = %s", (number,))
    return bool(done.rowcount)


async def reset(
    conn: Connection,
    number: int,
    role: Role,
    tenant: DocumentId | None,
    *,
    password: str,
    ends_at: datetime,
    now: datetime,
) -> None:
    """As new: a one-time password, no codes, not disabled; sessions and tokens end."""
    async with conn.transaction():
        await conn.execute(
            "update users set password = %s, password_ends_at = %s, totp = null, totp_step = null, disabled_at = null,"
            " role = %s, tenant = %s where id = %s",
            (password, ends_at, role, tenant, number),
        )
        await conn.execute("delete from sessions where account = %s", (number,))
        await conn.execute(
            "update tokens set revoked_at = %s where owner = %s and revoked_at is null and expires_at > %s",
            (now, number, now),
        )


async def set_password(conn: Connection, number: int, password: str) -> None:
    """A password of their own."""
    await conn.execute("update users set password = %s, password_ends_at = null where id = %s", (password, number))


async def renew_hash(conn: Connection, number: int, before: str, password: str) -> None:
    """The same password under other parameters, unless it was changed meanwhile."""
    await conn.execute("update users set password = %s where id = %s and password = %s", (password, number, before))


async def use_step(conn: Connection, number: int, step: int) -> bool:
    """Note that the code of this step was used; False when one of it, or a later one, was used meanwhile."""
    done = await conn.execute(
        "update users set totp_step = %s where id = %s and (totp_step is null or totp_step < %s)", (step, number, step)
    )
    return bool(done.rowcount)


async def set_totp(conn: Connection, number: int, secret: str | None, step: int | None) -> None:
    """Codes by this secret, the one of `step` being used; None: no codes any more."""
    await conn.execute("update users set totp = %s, totp_step = %s where id = %s", (secret, step, number))


async def note_login(conn: Connection, number: int, now: datetime) -> None:
    """They came in."""
    await conn.execute("update users set last_login_at = %s where id = %s", (now, number))


async def _one(conn: Connection, where: LiteralString, key: object) -> User | None:
    async with conn.cursor(row_factory=class_row(User)) as cursor:
        await cursor.execute(_SELECT + where, (key,))
        return await cursor.fetchone()
