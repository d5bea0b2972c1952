"""Who is asking: a box by a token that it signed, an operator by a personal token. Never by the URL or the body."""

import base64
import binascii
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple

from litestar.connection import ASGIConnection
from prometheus_client import Counter

from control_plane.api.heads import Head, Heads
from control_plane.core.people import Reader
from control_plane.errors import DatabaseUnavailable, Forbidden, NotAuthenticated
from control_plane.store import tokens
from control_plane.store.pool import Pool, connection
from schemas import site_token
from schemas.dsse import Refused, load_public
from schemas.names import PublicKeyLine, SiteId

Connection = ASGIConnection[Any, Any, Any, Any]
MAX_VERIFIED: Final = 200_000
"""Tokens remembered as verified, some 700 bytes each; beyond it the oldest is verified again when it comes."""


class _Verified(NamedTuple):
    site: SiteId
    identity: PublicKeyLine
    expires_s: float


class Access:
    """Decides whose request it is; a token's signature is checked once and remembered until the token expires."""

    def __init__(self, heads: Heads, pool: Pool, clock: Callable[[], datetime], checks: Counter) -> None:
        self._heads, self._pool, self._clock = heads, pool, clock
        self._verified: dict[str, _Verified] = {}
        self._checks = checks

    def box(self, token: str | None) -> Head:
        """The head of the box that made the token; NotAuthenticated; Forbidden once it was told that its site ended."""
        if token is None or token.startswith(tokens.PREFIX):
            raise NotAuthenticated("cannot tell which box is asking: send its token as Authorization: Bearer")
        if not self._heads.loaded:
            raise DatabaseUnavailable("cannot check the token: nothing was read from the database yet; try again")
        known = self._verified.get(token)
        head = self._heads.get(known.site) if known else None
        if known is None or head is None or known.identity != head.identity or not self._is_current(known):
            head = self._verify(token)
        if head.told:
            raise Forbidden(f"cannot serve {head.site}: its site has ended and its box was told")
        return head

    def own_box(self, token: str | None, site: SiteId) -> Head:
        """As `box`, and Forbidden unless the box is that of `site`: the URL asks, the token decides."""
        head = self.box(token)
        if head.site != site:
            raise Forbidden(f"cannot speak for another site: the token is of {head.site}")
        return head

    async def reader(self, request: Connection, *, basic: bool = False) -> Reader:
        """Who asks with a personal token; NotAuthenticated, DatabaseUnavailable. `basic` as in `token`."""
        return (await self.token(request, basic=basic)).reader

    async def token(self, request: Connection, *, basic: bool = False) -> tokens.Token:
        """The personal token of a request, whatever it may do; NotAuthenticated, DatabaseUnavailable.

        `basic`: also as the password of HTTP Basic (RFC 7617).
        """
        token = bearer(request) or (_basic_password(request) if basic else None)
        if token is None or not token.startswith(tokens.PREFIX):
            raise NotAuthenticated("cannot tell who is asking: send a personal token; `neopro token add` makes one")
        async with connection(self._pool) as conn:
            found = await tokens.find_token(conn, token, self._clock())
        if found is None:
            raise NotAuthenticated("cannot accept the token: it is unknown, expired or revoked")
        return found

    def _verify(self, token: str) -> Head:
        now = self._clock()
        try:
            head = self._heads.get(site_token.claimed_site(token))
            if head is None or head.identity is None:
                raise NotAuthenticated("cannot accept the token: no box may speak for that site")
            self._checks.inc()
            claims = site_token.verify(token, load_public(head.identity), now)
        except Refused as problem:
            raise NotAuthenticated(f"cannot accept the token: {problem}") from None
        self._remember(token, _Verified(head.site, head.identity, claims.exp), now.timestamp())
        return head

    def _remember(self, token: str, verified: _Verified, now_s: float) -> None:
        # They were made with one lifetime, so the first in are the first to expire.
        while self._verified:
            oldest = next(iter(self._verified))
            if len(self._verified) < MAX_VERIFIED and self._verified[oldest].expires_s > now_s:
                break
            del self._verified[oldest]
        self._verified[token] = verified

    def _is_current(self, known: _Verified) -> bool:
        return self._clock().timestamp() <= known.expires_s


def bearer(request: Connection) -> str | None:
    """The token of `Authorization: Bearer TOKEN` (RFC 6750)."""
    scheme, _, token = (header(request, b"authorization") or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def is_personal(token: str | None) -> bool:
    """Whether it looks like a person's token, not like a box's."""
    return token is not None and token.startswith(tokens.PREFIX)


def header(request: Connection, name: bytes) -> str | None:
    """The first header of this name, which is in lower case as in ASGI.

    Litestar's own view decodes all of them into a map first, which a poll has no use for.
    """
    for key, value in request.scope["headers"]:
        if key == name:
            return value.decode("latin-1")
    return None


def _basic_password(request: Connection) -> str | None:
    scheme, _, encoded = (header(request, b"authorization") or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode().partition(":")[2] or None
    except (binascii.Error, UnicodeDecodeError):
        return None
