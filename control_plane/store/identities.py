"""Accounts that an OpenID provider knows, and logins that were begun there and have not come back yet."""

import hashlib
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from control_plane.core.openid import Person
from control_plane.store import users
from control_plane.store.pool import Connection
from control_plane.store.users import User

LASTS: Final = timedelta(minutes=10)
"""For so long a login may take at the provider."""


class Begun(NamedTuple):
    """A login on its way. `next`: the path of ours that was asked for."""

    nonce: str
    verifier: str
    next: str


async def begin(conn: Connection, state: str, browser: str, begun: Begun, now: datetime) -> None:
    """Keep a login until it comes back. Of `state` and of the browser's cookie only the SHA-256 is kept."""
    await conn.execute("delete from openid_logins where began_at <= %s", (now - LASTS,))
    await conn.execute(
        "insert into openid_logins (state, browser, nonce, verifier, next, began_at) values (%s, %s, %s, %s, %s, %s)",
        (_hash(state), _hash(browser), *begun, now),
    )


async def take(conn: Connection, state: str, browser: str, now: datetime) -> Begun | None:
    """The login of this state that this browser began, once: of two that come at the same time one gets it."""
    rows = await conn.execute(
        "delete from openid_logins where state = %s and browser = %s and began_at > %s returning nonce, verifier, next",
        (_hash(state), _hash(browser), now - LASTS),
    )
    row = await rows.fetchone()
    return Begun(*row) if row else None


async def account_of(conn: Connection, issuer: str, subject: str) -> User | None:
    """The account of somebody at a provider, disabled or not."""
    rows = await conn.execute("select account from identities where issuer = %s and subject = %s", (issuer, subject))
    row = await rows.fetchone()
    return await users.user(conn, row[0]) if row else None


async def add_account(conn: Connection, person: Person, name: str, now: datetime) -> User | None:
    """A new account for somebody who came in for the first time; None where an account has that name."""
    async with conn.transaction():
        number = await users.add_user(conn, name, person.role, person.tenant, password=None, ends_at=None, now=now)
        if number is None:
            return None
        await conn.execute(
            "insert into identities (issuer, subject, account) values (%s, %s, %s)",
            (person.issuer, person.subject, number),
        )
        return await users.user(conn, number)


async def link(conn: Connection, number: int, issuer: str, subject: str) -> None:
    """From now on an account is whoever has this subject at that provider, and nobody by a password; sessions end.

    Whoever it was at a provider before is nobody here any more. Nobody else may have the subject.
    """
    async with conn.transaction():
        await conn.execute(
            "insert into identities (issuer, subject, account) values (%s, %s, %s)"
            " on conflict (account) do update set issuer = excluded.issuer, subject = excluded.subject",
            (issuer, subject, number),
        )
        await conn.execute("update users set password = null, password_ends_at = null where id = %s", (number,))
        await conn.execute("delete from sessions where account = %s", (number,))


async def follow(conn: Connection, number: int, person: Person) -> bool:
    """Give an account what the provider says of it now; whether that is something else than before."""
    done = await conn.execute(
        "update users set role = %(role)s, tenant = %(tenant)s where id = %(id)s"
        " and (role, tenant) is distinct from (%(role)s, %(tenant)s::text)",
        {"role": person.role, "tenant": person.tenant, "id": number},
    )
    return bool(done.rowcount)


async def shut_out(conn: Connection, number: int, now: datetime) -> None:
    """The provider grants an account nothing any more: its sessions and tokens end."""
    async with conn.transaction():
        await conn.execute("delete from sessions where account = %s", (number,))
        await conn.execute(
            "update tokens set revoked_at = %s where owner = %s and revoked_at is null and expires_at > %s",
            (now, number, now),
        )


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
