"""Sessions of browsers: a random cookie, known here by its SHA-256 only."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString, NamedTuple

from msgspec import Struct

from control_plane.core.people import STEPS_LAST, Reader, Standing, Step, next_step, scopes_of
from control_plane.store.pool import Connection
from control_plane.store.users import User


class Lasting(NamedTuple):
    """How long sessions last: without a request, and altogether."""

    idle: timedelta
    longest: timedelta


class Session(Struct, frozen=True, kw_only=True):
    """A session and whose it is. `address` and `agent`: from where it was opened, and by which browser."""

    id: int
    began_at: datetime
    seen_at: datetime
    second_factor: bool
    by_provider: bool
    totp_offered: str | None
    address: str
    agent: str
    user: User

    @property
    def step(self) -> Step | None:
        """What is still to be done before its owner is in; None: they are."""
        user = self.user
        one_time = user.password_ends_at is not None and not self.by_provider
        return next_step(Standing(user.role, user.totp is not None, one_time, self.second_factor))

    @property
    def reader(self) -> Reader:
        """Its owner, once they are in. Browsers change nothing, so it reads."""
        user = self.user
        scopes = scopes_of(user.role, user.tenant) & {"read"}
        return Reader(
            name=user.name, role=user.role, tenant=user.tenant, scopes=scopes, account=user.id, session=self.id
        )


_SESSION: Final[LiteralString] = (
    "select s.id, s.began_at, s.seen_at, s.second_factor, s.by_provider, s.totp_offered, s.address, s.agent, u.id,"
    " u.name, u.role, u.tenant, u.password, u.password_ends_at, u.totp, u.totp_step, u.created_at, u.disabled_at,"
    " u.last_login_at from sessions s join users u on u.id = s.account"
)


class Browser(NamedTuple):
    """From where a session is opened."""

    address: str
    agent: str


async def open_session(
    conn: Connection, account: int, browser: Browser, now: datetime, *, second_factor: bool, by_provider: bool
) -> str:
    """A new session's cookie, the only time that it is seen."""
    cookie = secrets.token_urlsafe(32)
    await conn.execute(
        "insert into sessions (hash, account, began_at, seen_at, second_factor, by_provider, address, agent)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s)",
        (_hash(cookie), account, now, now, second_factor, by_provider, browser.address, browser.agent),
    )
    return cookie


async def find_session(conn: Connection, cookie: str, lasting: Lasting, now: datetime) -> Session | None:
    """The live session of this cookie; notes its use, at most once a minute."""
    rows = await conn.execute(
        _SESSION + " where s.hash = %s and s.seen_at > %s and s.began_at > %s and u.disabled_at is null",
        (_hash(cookie), now - lasting.idle, now - lasting.longest),
    )
    row = await rows.fetchone()
    if row is None:
        return None
    session = _session(row)
    if session.step is not None and session.began_at <= now - STEPS_LAST:
        return None
    if session.seen_at <= now - timedelta(minutes=1):
        await conn.execute("update sessions set seen_at = %s where id = %s", (now, session.id))
    return session


async def renew_session(conn: Connection, number: int, *, second_factor: bool | None = None) -> str:
    """Another cookie for the session, whose rights rise; the one before is worth nothing any more."""
    cookie = secrets.token_urlsafe(32)
    await conn.execute(
        "update sessions set hash = %s, totp_offered = null, second_factor = coalesce(%s, second_factor) where id = %s",
        (_hash(cookie), second_factor, number),
    )
    return cookie


async def offer_totp(conn: Connection, number: int, secret: str) -> None:
    """Keep a secret that is shown in this session."""
    await conn.execute("update sessions set totp_offered = %s where id = %s", (secret, number))


async def sessions_of(conn: Connection, account: int, lasting: Lasting, now: datetime) -> list[Session]:
    """The live sessions of an account, the newest first."""
    rows = await conn.execute(
        _SESSION + " where s.account = %s and s.seen_at > %s and s.began_at > %s order by s.began_at desc, s.id desc",
        (account, now - lasting.idle, now - lasting.longest),
    )
    return [_session(row) for row in await rows.fetchall()]


async def end_session(conn: Connection, account: int, number: int) -> bool:
    """End one session of an account; False: it has none of that number."""
    done = await conn.execute("delete from sessions where account = %s and id = %s", (account, number))
    return bool(done.rowcount)


async def end_others(conn: Connection, account: int, kept: int) -> int:
    """End every session of an account but one; how many."""
    return (await conn.execute("delete from sessions where account = %s and id <> %s", (account, kept))).rowcount


async def prune_sessions(conn: Connection, lasting: Lasting, now: datetime) -> int:
    """Forget sessions that are over; how many."""
    done = await conn.execute(
        "delete from sessions where seen_at <= %s or began_at <= %s", (now - lasting.idle, now - lasting.longest)
    )
    return done.rowcount


def _session(row: tuple[Any, ...]) -> Session:
    own, owner = Session.__struct_fields__[:-1], User.__struct_fields__
    user = User(**dict(zip(owner, row[len(own) :], strict=True)))
    return Session(**dict(zip(own, row[: len(own)], strict=True)), user=user)


def _hash(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()
