"""Logging in by an OpenID provider: to it, back from it, and away from it.

A login is bound to the browser that began it by a cookie, good once and for ten minutes. Whatever goes wrong ends on
one page in words, and in the audit with what only whoever runs the server should read.
"""

import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args
from urllib.parse import urlencode

from litestar import Request, Response, get
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect
from msgspec import Struct

from control_plane.core.openid import Reason, Trouble
from control_plane.core.people import Bucket, local_path, neighbourhood
from control_plane.openid import CALLBACK, Provider, Returned, Ticket
from control_plane.store import attempts, audit, identities
from control_plane.store.audit import Act, Entry
from control_plane.store.identities import Begun
from control_plane.store.pool import connection
from control_plane.web.admission import Admission
from control_plane.web.entrance import Entrance, address_of
from control_plane.web.frame import Frame
from control_plane.web.visit import Shown, open_to

Asked = Request[Any, Any, Any]
Answer = Response[Any]
BEGIN: Final = "/login/openid"
REFUSED: Final = "/login/openid/refused"
FAREWELL: Final = "/login/openid/farewell"
COOKIE: Final = "neopro_openid"
MOST: Final = 30
"""Logins that an address may begin within a quarter of an hour and not bring to a good end."""
STATUS: Final[Mapping[Reason, int]] = {
    "unreachable": 503,
    "unusable": 502,
    "failed": 502,
    "stale": 400,
    "code": 400,
    "taken": 409,
    "limited": 429,
}
"""403 for what is not here."""
MAX_ABOUT: Final = 300
LOG: Final = logging.getLogger(__name__)


class RefusedPage(Struct, frozen=True, kw_only=True):
    """Why nobody was logged in by `provider`."""

    why: Reason
    provider: str


class OpenId:
    """The routes of one provider."""

    def __init__(self, provider: Provider, entrance: Entrance, frame: Frame) -> None:
        self._provider, self._entrance, self._frame = provider, entrance, frame
        self._admission = Admission(provider.rules, entrance.pool, entrance.clock)

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        whom: dict[str, Any] = {"include_in_schema": False, **open_to("everyone")}
        return [
            get(BEGIN, **whom)(self.begin),
            get(CALLBACK, **whom)(self.come_back),
            get(REFUSED, **whom)(self.refused),
            get(FAREWELL, **whom)(self.farewell),
        ]

    async def begin(self, request: Asked) -> Answer:
        """To the provider, with a state that only this browser can bring back."""
        if limited := await self._counted(request):
            return await self._refuse(request, limited)
        ticket = Ticket(*(secrets.token_urlsafe(32) for _ in range(3)))
        away = await self._provider.begin(ticket, self._frame.words(request).language)
        if isinstance(away, Trouble):
            return await self._refuse(request, away)
        browser, asked = secrets.token_urlsafe(32), local_path(request.query_params.get("next", "/"))
        async with connection(self._entrance.pool) as conn:
            begun = Begun(ticket.nonce, ticket.verifier, asked)
            await identities.begin(conn, ticket.state, browser, begun, self._entrance.clock())
        return _go(away, _cookie(request, browser))

    async def come_back(self, request: Asked) -> Answer:
        """From the provider, with a code for whoever logged in there."""
        query = request.query_params
        state, browser = query.get("state", ""), request.cookies.get(_cookie_name(request), "")
        async with connection(self._entrance.pool) as conn:
            begun = await identities.take(conn, state, browser, self._entrance.clock())
        if begun is None:
            stale = Trouble(reason="stale", detail="this browser began nothing of the kind")
            return await self._refuse(request, await self._counted(request) or stale)
        ticket = Ticket(state, begun.nonce, begun.verifier)
        returned = Returned(query.get("code", ""), query.get("iss", ""), query.get("error", ""))
        claims = await self._provider.redeem(ticket, returned)
        found = claims if isinstance(claims, Trouble) else await self._admission.admit(claims, address_of(request))
        if isinstance(found, Trouble):
            return await self._refuse(request, found)
        cookie = await self._entrance.open(request, found.account, by_provider=True, second_factor=found.second_factor)
        async with connection(self._entrance.pool) as conn:
            await attempts.forget(conn, _bucket(request))
        return _go(f"/login?{urlencode({'next': begun.next})}", cookie)

    async def refused(self, request: Asked) -> Answer:
        """Why a login came to nothing, in words."""
        asked = request.query_params.get("why", "")
        why: Reason = next((reason for reason in get_args(Reason) if reason == asked), "failed")
        page = RefusedPage(why=why, provider=self._provider.label)
        answer = self._frame.page(request, self._frame.words(request), None, Shown("openid.html", page, kept=False))
        answer.status_code = STATUS.get(why, 403)
        return answer

    async def farewell(self) -> Answer:
        """To where the provider ends its own session; to our way in, where it offers nothing of the kind."""
        return _go(await self._provider.farewell() or "/login")

    async def _counted(self, request: Asked) -> Trouble | None:
        """Count a login that was begun, or one that nobody began; a Trouble where there were too many."""
        async with connection(self._entrance.pool) as conn:
            if await attempts.begin(conn, [_bucket(request)], self._entrance.clock()):
                return None
        return Trouble(reason="limited", detail=f"more than {MOST} logins that came to nothing")

    async def _refuse(self, request: Asked, trouble: Trouble) -> Answer:
        """Write it down and show it, at an address that holds no code and may be loaded again."""
        LOG.warning("no login by %s: %s: %s", self._provider.issuer, trouble.reason, trouble.detail)
        address, now = address_of(request), self._entrance.clock()
        act: Act = "login_limited" if trouble.reason == "limited" else "login_failed"
        about = f"{self._provider.label}: {trouble.reason}: {trouble.detail}"[:MAX_ABOUT]
        async with connection(self._entrance.pool) as conn:
            if act == "login_failed" or not await audit.was_lately(conn, act, address, now, who=""):
                await audit.record(conn, Entry(act, "", about=about, address=address), now)
        return _go(f"{REFUSED}?{urlencode({'why': trouble.reason})}")


def _go(where: str, cookie: Cookie | None = None) -> Answer:
    return Redirect(where, status_code=303, cookies=[cookie] if cookie else None, headers=_AWAY)


_AWAY: Final = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def _bucket(request: Asked) -> Bucket:
    return Bucket(f"openid {neighbourhood(address_of(request))}", MOST)


def _cookie(request: Asked, value: str) -> Cookie:
    """Lax: it has to come back with a link that the provider's page follows."""
    return Cookie(
        key=_cookie_name(request),
        value=value,
        max_age=int(identities.LASTS.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def _cookie_name(request: Asked) -> str:
    return f"__Host-{COOKIE}" if request.url.scheme == "https" else COOKIE
