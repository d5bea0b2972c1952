"""How people come in by a browser: by a password and a code, or by a provider that knows them; and how they go.

`Entrance.open` is the one place where a session begins; its cookie changes whenever its rights rise.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.exceptions import ServiceUnavailableException

from control_plane import passwords
from control_plane.core import totp
from control_plane.core.people import STEPS_LAST, PasswordFault, buckets, fault_of, folded
from control_plane.errors import Forbidden
from control_plane.store import attempts, audit, sessions, users
from control_plane.store.audit import Act, Entry
from control_plane.store.pool import Connection, Pool, connection
from control_plane.store.sessions import Browser, Lasting, Session
from control_plane.store.users import User
from control_plane.web.visit import reader_of

Client = ASGIConnection[Any, Any, Any, Any]
COOKIE: Final = "neopro_session"
HASHES_AT_ONCE: Final = 2
"""64 MiB each."""
MAX_WAITING: Final = 100
"""Passwords that wait to be looked at: some five seconds of a quiet machine."""
T = TypeVar("T")
Refusal = Literal["wrong", "ended", "limited", "code", "stale"]
"""No such account or another password; a one-time password too late; too many attempts; a code that will not do; a
login by a provider that was too long ago."""


class Entrance:
    """The doors of the pages. `lasting`: how long sessions last."""

    def __init__(self, pool: Pool, clock: Callable[[], datetime], lasting: Lasting) -> None:
        self.pool, self.clock, self.lasting = pool, clock, lasting
        self._hashing, self._waiting = asyncio.Semaphore(HASHES_AT_ONCE), 0

    async def session(self, client: Client) -> Session | None:
        """The live session that a request comes with, whoever's and however far; see `Session.step`."""
        cookie = client.cookies.get(_cookie_name(client))
        if not cookie:
            return None
        async with connection(self.pool) as conn:
            return await sessions.find_session(conn, cookie, self.lasting, self.clock())

    async def open(self, client: Client, account: int, *, by_provider: bool, second_factor: bool) -> Cookie:
        """A new session of an account; set the cookie that it gives on the answer. What the browser had before ends.

        `by_provider`: another provider (OpenID Connect) has just proven who it is. With its word for a `second_factor`
        nothing more is asked for; else the session may have steps before it, as after a password.
        """
        async with connection(self.pool) as conn:
            return await self._open(
                conn, client, account, self.clock(), by_provider=by_provider, second_factor=second_factor
            )

    async def log_in(self, client: Client, name: str, password: str) -> Cookie | Refusal:
        """A session for whoever knows the password; the same answer, as late, for an account that does not exist."""
        name, address, now = folded(name), address_of(client), self.clock()
        async with connection(self.pool) as conn:
            if not await self._begin(conn, name, address, now):
                return "limited"
            user = await users.user_named(conn, name)
        right = await self.is_right(user.password if user else None, password)
        async with connection(self.pool) as conn:
            if user is None or not right or user.disabled_at is not None:
                # Of names that nobody has there are as many as somebody likes to type: one entry stands for all.
                if user is not None or not await audit.was_lately(conn, "login_failed", address, now, who=""):
                    await self._record(conn, "login_failed", user, address)
                return "wrong"
            if user.password_ends_at is not None and user.password_ends_at <= now:
                await self._record(conn, "login_failed", user, address)
                return "ended"
            await self._renew_hash(conn, user, password)
            return await self._open(conn, client, user.id, now, by_provider=False, second_factor=False)

    async def give_code(self, client: Client, session: Session, code: str) -> Cookie | Refusal:
        """Go on with a one-time code; each is good once."""
        user, address, now = session.user, address_of(client), self.clock()
        async with connection(self.pool) as conn:
            if not await self._begin(conn, user.name, address, now):
                return "limited"
            step = totp.step_of(user.totp or "", code, now, user.totp_step) if user.totp else None
            if step is None or not await users.use_step(conn, user.id, step):
                await self._record(conn, "login_failed", user, address)
                return "code"
            return await self._rise(conn, client, session, now, second_factor=True)

    async def choose_password(self, client: Client, session: Session, password: str) -> Cookie | PasswordFault:
        """Another password, whoever they are by now; every other session of the account ends.

        Forbidden where a provider knows them: it alone lets them in, and no more once it does not know them.
        """
        user = session.user
        if user.password is None:
            raise Forbidden("cannot choose a password: this account is a provider's; log in there")
        fault = fault_of(password, user.name)
        if fault is None and await self.is_right(user.password, password):
            fault = "same"
        if fault is not None:
            return fault
        kept = await self.hashed(password)
        async with connection(self.pool) as conn, conn.transaction():
            await users.set_password(conn, user.id, kept)
            await sessions.end_others(conn, user.id, session.id)
            await self._record(conn, "password_changed", user, address_of(client))
            return await self._rise(conn, client, session, self.clock())

    async def offered_totp(self, session: Session) -> str:
        """The secret that is shown in this session, the same one until a code proves that it was taken."""
        if session.totp_offered is not None:
            return session.totp_offered
        secret = passwords.make_totp_secret()
        async with connection(self.pool) as conn:
            await sessions.offer_totp(conn, session.id, secret)
        return secret

    async def take_totp(self, client: Client, session: Session, code: str) -> Cookie | Refusal:
        """From now on the account asks for codes by the secret that was shown; the first one proves that it was taken.

        Every other session of the account ends.
        """
        user = session.user
        step = totp.step_of(session.totp_offered, code, self.clock(), None) if session.totp_offered else None
        if step is None:
            return "code"
        async with connection(self.pool) as conn, conn.transaction():
            await users.set_totp(conn, user.id, session.totp_offered, step)
            await sessions.end_others(conn, user.id, session.id)
            await self._record(conn, "totp_set", user, address_of(client))
            return await self._rise(conn, client, session, self.clock(), second_factor=True)

    async def prove(self, client: Client, session: Session, password: str) -> Refusal | None:
        """Ask somebody who is in for their password once more, before what a stolen session must not do.

        Who has none here must have come from their provider just now.
        """
        user, address = session.user, address_of(client)
        against, now = buckets(user.name, address, known=True), self.clock()
        if user.password is None:
            return None if session.by_provider and session.began_at > now - STEPS_LAST else "stale"
        async with connection(self.pool) as conn:
            if not await attempts.begin(conn, against, now):
                return "limited"
        right = await self.is_right(user.password, password)
        async with connection(self.pool) as conn:
            if not right:
                await self._record(conn, "login_failed", user, address)
                return "wrong"
            await attempts.forgive(conn, user.name, address, [now])
        return None

    async def leave(self, client: Client) -> Cookie:
        """End the session, whatever it was; the cookie that takes it from the browser."""
        session = await self.session(client)
        if session is not None:
            async with connection(self.pool) as conn:
                await sessions.end_session(conn, session.user.id, session.id)
                await self._record(conn, "logout", session.user, address_of(client))
        return self._cookie(client, "", 0)

    async def is_right(self, kept: str | None, password: str) -> bool:
        """As `passwords.is_right`, in a thread."""
        return await self._hash(passwords.is_right, kept, password)

    async def hashed(self, password: str) -> str:
        """As `passwords.hashed`, in a thread."""
        return await self._hash(passwords.hashed, password)

    async def _hash(self, work: Callable[..., T], *given: object) -> T:
        """Two at a time in threads; 503 when so many wait that nobody should wait behind them."""
        if self._waiting >= MAX_WAITING:
            raise ServiceUnavailableException("cannot look at a password now: too many log in at once; try again")
        self._waiting += 1
        try:
            async with self._hashing:
                return await asyncio.to_thread(work, *given)
        finally:
            self._waiting -= 1

    async def _begin(self, conn: Connection, name: str, address: str, now: datetime) -> bool:
        """Count an attempt; one that is refused is written down when it is the first of its kind for a while."""
        known = await attempts.is_known(conn, name, address, now)
        allowed = await attempts.begin(conn, buckets(name, address, known=known), now)
        if not allowed and not await audit.was_lately(conn, "login_limited", address, now, who=""):
            await audit.record(conn, Entry("login_limited", "", address=address), now)
        return allowed

    async def _open(
        self, conn: Connection, client: Client, account: int, now: datetime, *, by_provider: bool, second_factor: bool
    ) -> Cookie:
        browser = Browser(address_of(client), client.headers.get("user-agent", "")[:200])
        held = client.cookies.get(_cookie_name(client))
        before = await sessions.find_session(conn, held, self.lasting, now) if held else None
        if before is not None:
            await sessions.end_session(conn, before.user.id, before.id)
        cookie = await sessions.open_session(
            conn, account, browser, now, second_factor=second_factor, by_provider=by_provider
        )
        session = await sessions.find_session(conn, cookie, self.lasting, now)
        if session is not None and session.step is None:
            await self._came_in(conn, session, browser.address, now)
        return self._cookie(client, cookie, int(self.lasting.longest.total_seconds()))

    async def _rise(
        self, conn: Connection, client: Client, session: Session, now: datetime, *, second_factor: bool | None = None
    ) -> Cookie:
        """Another cookie for a session whose rights rose. `now`: when the attempt began that let them rise."""
        cookie = await sessions.renew_session(conn, session.id, second_factor=second_factor)
        risen = await sessions.find_session(conn, cookie, self.lasting, now)
        if session.step is not None and risen is not None and risen.step is None:
            await self._came_in(conn, session, address_of(client), now)
        return self._cookie(client, cookie, int(self.lasting.longest.total_seconds()))

    async def _came_in(self, conn: Connection, session: Session, address: str, now: datetime) -> None:
        """They are in: the attempts of the password, by which the session began, and of the code were no failures."""
        await attempts.forgive(conn, session.user.name, address, [session.began_at, now])
        await users.note_login(conn, session.user.id, now)
        await self._record(conn, "login", session.user, address)

    async def _renew_hash(self, conn: Connection, user: User, password: str) -> None:
        if user.password is not None and passwords.is_dated(user.password):
            await users.renew_hash(conn, user.id, user.password, await self.hashed(password))

    async def _record(self, conn: Connection, act: Act, user: User | None, address: str) -> None:
        who, account = (user.name, user.id) if user else ("", None)
        await audit.record(conn, Entry(act, who, account, address=address), self.clock())

    def _cookie(self, client: Client, value: str, lasts_s: int) -> Cookie:
        return Cookie(
            key=_cookie_name(client),
            value=value,
            max_age=lasts_s,
            path="/",
            httponly=True,
            samesite="lax",
            secure=client.url.scheme == "https",
        )


def done_by(client: Client, act: Act, about: str = "") -> Entry:
    """What whoever was let in does, to be written down."""
    reader = reader_of(client)
    return Entry(act, reader.name, reader.account, about, address_of(client))


def address_of(client: Client) -> str:
    """The network address that a request comes from."""
    return client.client.host if client.client else ""


def _cookie_name(client: Client) -> str:
    """Over TLS a browser takes it from this host alone, for all of it, and sends it over TLS alone (RFC 6265bis)."""
    return f"__Host-{COOKIE}" if client.url.scheme == "https" else COOKIE
