"""One-time tokens for new boxes: their secret is shown once and known by its SHA-256 only; one live token a site."""

import hashlib
import secrets
import string
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from control_plane.store.pool import Connection
from schemas.enrolment import SECRET_LENGTH, Enrolment, EnrolmentRequest
from schemas.names import PublicKeyLine, SiteId

KEPT: Final = timedelta(days=365)
"""How long a token that is of no use any more is remembered, to say why."""
_ALPHABET: Final = string.ascii_letters + string.digits


class Kept(NamedTuple):
    """What is known of a token by its secret. `accepted`: the published commit names the identity that used it."""

    id: int
    site: SiteId
    expires_at: datetime
    revoked_at: datetime | None
    identity: PublicKeyLine | None
    recipient: str | None
    accepted: bool


class Waiting(NamedTuple):
    """A new box that asked to be let in; `hostname` and `model` are its own words."""

    site: SiteId
    hostname: str
    model: str
    asked_at: datetime


async def add(conn: Connection, site: SiteId, made_by: str, *, now: datetime, expires_at: datetime) -> str:
    """A new token's secret, the only time that it is seen; those that were made for the site before end with it."""
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(SECRET_LENGTH))
    async with conn.transaction():
        await revoke(conn, site, now)
        await conn.execute("delete from enrolments where coalesce(revoked_at, expires_at) < %s", (now - KEPT,))
        await conn.execute(
            "insert into enrolments (site, hash, made_by, created_at, expires_at) values (%s, %s, %s, %s, %s)",
            (site, _hash(secret), made_by, now, expires_at),
        )
    return secret


async def revoke(conn: Connection, site: SiteId, now: datetime) -> bool:
    """End the site's live token, used or not; whether there was one."""
    done = await conn.execute(
        "update enrolments set revoked_at = %s where site = %s and revoked_at is null", (now, site)
    )
    return done.rowcount > 0


async def find(conn: Connection, secret: str) -> Kept | None:
    """The token with this secret, whatever became of it."""
    rows = await conn.execute(
        "select e.id, e.site, e.expires_at, e.revoked_at, e.identity, e.recipient,"
        " coalesce(s.identity = e.identity, false)"
        " from enrolments e left join sites s on s.site = e.site where e.hash = %s",
        (_hash(secret),),
    )
    row = await rows.fetchone()
    return Kept(*row) if row else None


async def use(conn: Connection, token: Kept, asked: EnrolmentRequest, now: datetime) -> bool:
    """Give a token to the box that asks; whether it still was to be had."""
    done = await conn.execute(
        "update enrolments set asked_at = %s, identity = %s, recipient = %s, hostname = %s, model = %s,"
        " agent_version = %s where id = %s and identity is null and revoked_at is null",
        (now, asked.identity, asked.recipient, asked.hostname, asked.model, asked.agent_version, token.id),
    )
    return done.rowcount == 1


async def newest(conn: Connection, now: datetime) -> list[Enrolment]:
    """The newest token of each site and what became of it, by site."""
    rows = await conn.execute(
        "select distinct on (e.site) e.site, case"
        " when e.identity is not null and s.identity = e.identity then 'accepted'"
        " when e.revoked_at is not null then 'revoked'"
        " when e.identity is not null then 'pending'"
        " when e.expires_at <= %s then 'expired' else 'unused' end,"
        " e.made_by, e.created_at, e.expires_at, e.asked_at, e.identity, e.recipient, e.hostname, e.model,"
        " e.agent_version from enrolments e left join sites s on s.site = e.site order by e.site, e.id desc",
        (now,),
    )
    names = Enrolment.__struct_fields__
    return [Enrolment(**dict(zip(names, row, strict=True))) for row in await rows.fetchall()]


async def waiting(conn: Connection) -> list[Waiting]:
    """The boxes that used a live token and that no commit names yet, by site."""
    rows = await conn.execute(
        "select e.site, e.hostname, e.model, e.asked_at from enrolments e left join sites s on s.site = e.site"
        " where e.identity is not null and e.revoked_at is null and s.identity is distinct from e.identity"
        " order by e.site"
    )
    return [Waiting(*row) for row in await rows.fetchall()]


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
