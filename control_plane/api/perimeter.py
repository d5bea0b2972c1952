"""Who is let in where: every route says whom it is for, and one hook sees to it before anything else is done.

Under `/v1` people are known by a personal token alone. Pages know them by the session of their browser, by a personal
token, or as neighbours: on loopback, as long as there are no accounts.
"""

from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException

from control_plane.api.access import Access, bearer, is_personal
from control_plane.core.people import NEIGHBOUR, Audience, Reader, may_see, scope_for
from control_plane.errors import Forbidden, NotAuthenticated
from control_plane.settings import Settings
from control_plane.store import users
from control_plane.store.pool import Pool, connection
from control_plane.web.entrance import Entrance
from control_plane.web.visit import OPEN_TO

Asked = Request[Any, Any, Any]
Connection = ASGIConnection[Any, Any, Any, Any]
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_FORWARDED: Final = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded", "via", "x-real-ip")
MISDIRECTED: Final = 421


class Perimeter:
    """Decides for every request whether it is let in; handlers find who asks by `reader_of`."""

    def __init__(self, settings: Settings, access: Access, entrance: Entrance, pool: Pool) -> None:
        self._access, self._entrance, self._pool = access, entrance, pool
        self._loopback_only = _is_loopback(settings.address[0])
        self._behind_proxy = bool(settings.trusted_proxy)
        self._names = _LOOPBACK_NAMES | {(urlsplit(settings.public_url).hostname or "localhost").lower()}

    async def let_in(self, request: Asked) -> None:
        """Whom the route is for; else NotAuthenticated, Forbidden. A box is asked by the handler.

        Not a guard of the framework's, nor a middleware: it copies the whole handler for each of those, and wraps each
        of these; together that was a third of what a poll takes.
        """
        handler = request.route_handler
        if request.method == "OPTIONS":
            return  # the framework's own: which methods there are, as the API's description says too
        audiences: tuple[Audience, ...] = handler.opt.get(OPEN_TO, ())
        if audiences in (("everyone",), ("boxes",)) or ("boxes" in audiences and not is_personal(bearer(request))):
            return
        reader = await self._reader(request, open_to_neighbours="neighbours" in audiences)
        if not any(may_see(reader, audience) for audience in audiences):
            raise Forbidden(_why_not(reader, audiences))
        request.state.reader = reader

    async def _reader(self, request: Connection, *, open_to_neighbours: bool) -> Reader:
        if request.scope["path"].startswith("/v1/"):
            return await self._access.reader(request)
        host = _host_name(request)
        if self._loopback_only:
            self._require_our_name(host)
        session = await self._entrance.session(request)
        if session is not None:
            if session.step is not None:
                raise NotAuthenticated("cannot show this yet: the login is not finished")
            return session.reader
        near = host in _LOOPBACK_NAMES and self._is_neighbour(request)
        if near and (open_to_neighbours or not await self._has_accounts()):
            return NEIGHBOUR
        return await self._access.reader(request, basic=True)

    async def _has_accounts(self) -> bool:
        async with connection(self._pool) as conn:
            return await users.has_users(conn)

    def _require_our_name(self, host: str) -> None:
        # A page of another site whose name was made to point at 127.0.0.1 sends that name: DNS rebinding.
        if host not in self._names:
            raise HTTPException("cannot serve this host name here; use localhost", status_code=MISDIRECTED)

    def _is_neighbour(self, request: Connection) -> bool:
        """We listen on loopback only, the peer is there too, and nothing says that a proxy stands between."""
        peer = request.client
        if not self._loopback_only or self._behind_proxy:
            return False
        return peer is not None and _is_loopback(peer.host) and not any(name in request.headers for name in _FORWARDED)


def _why_not(reader: Reader, audiences: tuple[Audience, ...]) -> str:
    needed = {scope for audience in audiences if (scope := scope_for(audience))}
    if needed and not needed & reader.scopes:
        return f"cannot do this with the token of {reader.name}: it lacks the scope {', '.join(sorted(needed))}"
    return "cannot do this with this account: it is for others"


def _host_name(request: Connection) -> str:
    """The name in the Host header without its port, in lower case; IPv6 in its brackets."""
    host = request.headers.get("host", "").strip().lower()
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.partition(":")[0]


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
