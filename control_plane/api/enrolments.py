"""New boxes: an operator makes a one-time token for a site, a box sends its keys with it, a commit lets it in.

Nothing here lets a box in: it is known as soon as the published commit names its identity.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.exceptions import ClientException, HTTPException, NotFoundException, TooManyRequestsException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter
from litestar.status_codes import HTTP_409_CONFLICT, HTTP_410_GONE

from control_plane.api.access import bearer
from control_plane.api.bodies import read_body
from control_plane.errors import Forbidden, NotAuthenticated
from control_plane.store import enrolments
from control_plane.store.enrolments import Kept
from control_plane.store.pool import Pool, connection
from control_plane.web.visit import open_to, reader_of
from schemas import site_token
from schemas.dsse import Refused, load_public
from schemas.enrolment import MAX_REQUEST_BYTES, Enrolment, EnrolmentAnswer, EnrolmentRequest, NewEnrolment
from schemas.names import ID_PATTERN, SiteId

MAX_A_MINUTE: Final = 30
"""Attempts from one address."""
WITHIN: Final = timedelta(minutes=1)
MAX_ADDRESSES: Final = 10_000
Asked = Request[Any, Any, Any]
Days = Annotated[int, QueryParameter(ge=1, le=90, description="How long the token lives.")]
_REQUEST: Final = msgspec.json.Decoder(EnrolmentRequest)


class Enrolments:
    """The routes of enrolments."""

    def __init__(self, pool: Pool, clock: Callable[[], datetime]) -> None:
        self._pool, self._clock = pool, clock
        self._attempts = Attempts(clock)

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        one = "/v1/sites/{site:str}/enrolment"
        return [
            post(
                "/v1/enrolments",
                status_code=202,
                operation_id="enrol",
                **open_to("boxes"),
                request_max_body_size=MAX_REQUEST_BYTES,
            )(self.enrol),
            get("/v1/enrolments", operation_id="listEnrolments", **open_to("operators"))(self.list),
            post(one, status_code=201, operation_id="makeEnrolmentToken", **open_to("writers"))(self.make),
            delete(one, status_code=204, operation_id="revokeEnrolmentToken", **open_to("writers"))(self.revoke),
        ]

    async def enrol(self, request: Asked) -> EnrolmentAnswer:
        """Keep the public keys of a new box (an `EnrolmentRequest`) until a commit names them; again does no harm.

        The bearer token is made by the box with the very key that it sends. 401 for a secret that nobody made, 403 for
        the token of another site, 409 when another box used it, 410 when it expired or was revoked.
        """
        self._attempts.count(request.client.host if request.client else "")
        asked = _read(await read_body(request, MAX_REQUEST_BYTES))
        self._require_possession(bearer(request), asked)
        now = self._clock()
        async with connection(self._pool) as conn:
            token = await enrolments.find(conn, asked.secret)
            if token is None:
                raise NotAuthenticated("cannot enrol this box: nobody made this token; copy it again, whole")
            if _is_usable(token, asked, now) and not await enrolments.use(conn, token, asked, now):
                raise _conflict("somebody used or revoked its token just now")
        return EnrolmentAnswer(site=token.site, state="accepted" if token.accepted else "pending")

    async def list(self) -> Response[list[Enrolment]]:
        """The newest token of each site: unused, used by a box that waits, accepted, expired or revoked."""
        async with connection(self._pool) as conn:
            return Response(await enrolments.newest(conn, self._clock()), headers={"Cache-Control": "no-store"})

    async def make(self, request: Asked, site: FromPath[SiteId], days: Days = 7) -> Response[NewEnrolment]:
        """Make the one live token of a site; what was made for it before is revoked."""
        name = reader_of(request).name
        if not re.fullmatch(ID_PATTERN, site):
            raise NotFoundException(f"cannot make a token for {site[:80]!r}: no site can have that id")
        now = self._clock()
        expires_at = now + timedelta(days=days)
        async with connection(self._pool) as conn:
            secret = await enrolments.add(conn, site, name, now=now, expires_at=expires_at)
        made = NewEnrolment(site=site, secret=secret, expires_at=expires_at)
        return Response(made, status_code=201, headers={"Cache-Control": "no-store"})

    async def revoke(self, site: FromPath[SiteId]) -> None:
        """Revoke a site's token, and forget the box that used it; one that Git names already stays known."""
        async with connection(self._pool) as conn:
            if not await enrolments.revoke(conn, site, self._clock()):
                raise NotFoundException(f"cannot revoke an enrolment of {site}: there is none that lives")

    def _require_possession(self, token: str | None, asked: EnrolmentRequest) -> None:
        """Whoever sends a public key has the private one; Refused keys (small order, non-canonical) end here."""
        try:
            key = load_public(asked.identity)
        except Refused as problem:
            raise ClientException(f"cannot enrol this box: its identity is no sound key: {problem}") from None
        try:
            claims = site_token.verify(token or "", key, self._clock())
        except Refused as problem:
            raise NotAuthenticated(f"cannot enrol this box: {problem}") from None
        if claims.iss != asked.site:
            raise Forbidden(f"cannot enrol this box: it speaks for {claims.iss} and asks for {asked.site}")


class Attempts:
    """At most MAX_A_MINUTE attempts from one address within a minute, as far as this process knows."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._counts: OrderedDict[str, tuple[datetime, int]] = OrderedDict()

    def count(self, address: str) -> None:
        """One more; 429 when there were enough."""
        now = self._clock()
        self._forget_old(now)
        began, count = self._counts.get(address, (now, 0))
        if now - began >= WITHIN:
            began, count = now, 0
        if count >= MAX_A_MINUTE:
            raise TooManyRequestsException(f"cannot take more than {MAX_A_MINUTE} attempts to enrol in a minute; wait")
        self._counts[address] = (began, count + 1)
        self._counts.move_to_end(address)
        if len(self._counts) > MAX_ADDRESSES:
            self._counts.popitem(last=False)

    def _forget_old(self, now: datetime) -> None:
        """Those that asked last are at the end; a clock that was set back forgets nothing."""
        while self._counts and now - next(iter(self._counts.values()))[0] >= WITHIN:
            self._counts.popitem(last=False)


def _read(body: bytes) -> EnrolmentRequest:
    try:
        return _REQUEST.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError) as problem:
        raise ClientException(f"cannot read the request: {str(problem)[:200]}") from None


def _is_usable(token: Kept, asked: EnrolmentRequest, now: datetime) -> bool:
    """Whether the token is still to be used; False when this very box used it before. Else why not."""
    if token.site != asked.site:
        raise Forbidden(f"cannot enrol this box for {asked.site}: its token was made for {token.site}")
    if token.revoked_at is not None:
        raise _gone(f"its token was revoked on {token.revoked_at:%Y-%m-%d at %H:%M} UTC")
    if token.identity is not None:
        if (token.identity, token.recipient) == (asked.identity, asked.recipient):
            return False
        raise _conflict(f"its token was used by another box, or with another key, {token.identity[:20]}…")
    if token.expires_at <= now:
        raise _gone(f"its token expired on {token.expires_at:%Y-%m-%d at %H:%M} UTC")
    return True


def _conflict(why: str) -> HTTPException:
    return _refusal(why, HTTP_409_CONFLICT)


def _gone(why: str) -> HTTPException:
    return _refusal(why, HTTP_410_GONE)


def _refusal(why: str, status: int) -> HTTPException:
    advice = "ask an operator for a new one (neopro enrol token)"
    return HTTPException(f"cannot enrol this box: {why}; {advice}", status_code=status)
