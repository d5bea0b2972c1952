"""Personal tokens of operators: shown once when they are made, then known by their SHA-256 only."""

import hashlib
import secrets
import string
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

from control_plane.store.pool import Connection

Scope = Literal["read", "write"]
PREFIX: Final = "neopro_"
LENGTH: Final = 43
"""Base-62 digits after the prefix: 256 bits, so an unsalted hash is enough."""
_ALPHABET: Final = string.ascii_letters + string.digits


class Token(NamedTuple):
    """A token without its secret."""

    id: int
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


async def add_token(
    conn: Connection, name: str, scopes: Sequence[Scope], *, now: datetime, expires_at: datetime
) -> str:
    """A new token, the only time that its text is seen. A name may have several; they are revoked together."""
    text = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(LENGTH))
    await conn.execute(
        "insert into tokens (name, hash, scopes, created_at, expires_at) values (%s, %s, %s, %s, %s)",
        (name, _hash(text), list(scopes), now, expires_at),
    )
    return text


async def list_tokens(conn: Connection) -> list[Token]:
    """Every token that was ever made, oldest first."""
    rows = await conn.execute(
        "select id, name, scopes, created_at, expires_at, revoked_at, last_used_at from tokens order by id"
    )
    return [Token(*row) for row in await rows.fetchall()]


async def revoke_token(conn: Connection, name: str, now: datetime) -> int:
    """Revoke every live token of this name; how many there were."""
    done = await conn.execute(
        "update tokens set revoked_at = %s where name = %s and revoked_at is null and expires_at > %s", (now, name, now)
    )
    return done.rowcount


async def find_token(conn: Connection, text: str, now: datetime) -> Token | None:
    """The live token with this text; notes its use, at most once a minute."""
    if not text.startswith(PREFIX) or len(text) != len(PREFIX) + LENGTH:
        return None
    rows = await conn.execute(
        "select id, name, scopes, created_at, expires_at, revoked_at, last_used_at from tokens"
        " where hash = %s and revoked_at is null and expires_at > %s",
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
