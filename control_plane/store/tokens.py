"""Personal tokens of operators: shown once when they are made, then known by their SHA-256 only."""

import hashlib
import secrets
import string
from collections.abc import Sequence
from datetime import datetime
from typing import Final, LiteralString, NamedTuple

from control_plane.core.people import Reader, Role, Scope, scopes_of
from control_plane.store.pool import Connection
from schemas.names import DocumentId

PREFIX: Final = "neopro_"
LENGTH: Final = 43
"""Base-62 digits after the prefix: 256 bits, so an unsalted hash is enough."""
_ALPHABET: Final = string.ascii_letters + string.digits


class Token(NamedTuple):
    """A token without its secret. `owner`: an account, whose rights it never exceeds; None: made on the server.

    `owner_disabled_at`: since when it is dead with its owner.
    """

    id: int
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None
    owner: int | None = None
    owner_name: str | None = None
    owner_role: Role | None = None
    owner_tenant: DocumentId | None = None
    owner_disabled_at: datetime | None = None

    @property
    def reader(self) -> Reader:
        """Who asks with it."""
        role = self.owner_role or "operator"
        scopes = frozenset(self.scopes) & scopes_of(role, self.owner_tenant)
        return Reader(
            name=self.owner_name or self.name, role=role, tenant=self.owner_tenant, scopes=scopes, account=self.owner
        )


_SELECT: Final[LiteralString] = (
    "select t.id, t.name, t.scopes, t.created_at, t.expires_at, t.revoked_at, t.last_used_at, t.owner, u.name, u.role,"
    " u.tenant, u.disabled_at from tokens t left join users u on u.id = t.owner"
)


async def add_token(
    conn: Connection,
    name: str,
    scopes: Sequence[Scope],
    *,
    now: datetime,
    expires_at: datetime,
    owner: int | None = None,
) -> str:
    """A new token, the only time that its text is seen. A name may have several; they are revoked together."""
    text = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(LENGTH))
    await conn.execute(
        "insert into tokens (name, hash, scopes, created_at, expires_at, owner) values (%s, %s, %s, %s, %s, %s)",
        (name, _hash(text), list(scopes), now, expires_at, owner),
    )
    return text


async def list_tokens(conn: Connection) -> list[Token]:
    """Every token that was ever made, oldest first."""
    rows = await conn.execute(_SELECT + " order by t.id")
    return [Token(*row) for row in await rows.fetchall()]


async def tokens_of(conn: Connection, owner: int, now: datetime) -> list[Token]:
    """The live tokens of an account, the newest first."""
    rows = await conn.execute(
        _SELECT + " where t.owner = %s and t.revoked_at is null and t.expires_at > %s order by t.id desc", (owner, now)
    )
    return [Token(*row) for row in await rows.fetchall()]


async def revoke_own_token(conn: Connection, owner: int, number: int, now: datetime) -> str | None:
    """Revoke one live token of an account; its name, or None where the account has none of that number."""
    rows = await conn.execute(
        "update tokens set revoked_at = %s where id = %s and owner = %s and revoked_at is null and expires_at > %s"
        " returning name",
        (now, number, owner, now),
    )
    row = await rows.fetchone()
    return row[0] if row else None


async def revoke_token(conn: Connection, name: str, now: datetime) -> int:
    """Revoke every live token of this name; how many there were."""
    done = await conn.execute(
        "update tokens set revoked_at = %s where name = %s and revoked_at is null and expires_at > %s", (now, name, now)
    )
    return done.rowcount


async def find_token(conn: Connection, text: str, now: datetime) -> Token | None:
    """The live token with this text, of nobody or of a live account; notes its use, at most once a minute."""
    if not text.startswith(PREFIX) or len(text) != len(PREFIX) + LENGTH:
        return None
    rows = await conn.execute(
        _SELECT + " where t.hash = %s and t.revoked_at is null and t.expires_at > %s and u.disabled_at is null",
        (_hash(text), now),
    )
    row = await rows.fetchone()
    if row is None:
        return None
    await conn.execute(
        "update tokens set last_used_at = %s where id = %s"
        " and (last_used_at is null or last_used_at < %s::timestamptz - interval '1 minute')",
        (now, row[0], now),
    )
    return Token(*row)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
