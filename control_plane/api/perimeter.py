"""From where a request comes, and what may be open to it: a neighbour on loopback, or somebody behind a proxy."""

from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException

from control_plane.api.access import Access
from control_plane.core.people import NEIGHBOUR, Reader
from control_plane.settings import Settings

Connection = ASGIConnection[Any, Any, Any, Any]
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_FORWARDED: Final = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded", "via", "x-real-ip")
MISDIRECTED: Final = 421


class Perimeter:
    """Rules for what people read: pages and metrics."""

    def __init__(self, settings: Settings, access: Access) -> None:
        self._access = access
        self._loopback_only = _is_loopback(settings.address[0])
        self._behind_proxy = bool(settings.trusted_proxy)
        self._names = _LOOPBACK_NAMES | {(urlsplit(settings.public_url).hostname or "localhost").lower()}

    async def admit_reader(self, request: Connection) -> Reader:
        """Who reads: a neighbour, or whoever has a personal token with the scope read; NotAuthenticated, Forbidden.

        A neighbour: we listen on loopback only, the peer is there too, and nothing says that a proxy stands between.
        """
        host = _host_name(request)
        if self._loopback_only:
            self._require_our_name(host)
        if host in _LOOPBACK_NAMES and self._is_neighbour(request):
            return NEIGHBOUR
        return Reader(name=await self._access.operator(request, "read", basic=True), role="operator")

    def _require_our_name(self, host: str) -> None:
        # A page of another site whose name was made to point at 127.0.0.1 sends that name: DNS rebinding.
        if host not in self._names:
            raise HTTPException("cannot serve this host name here; use localhost", status_code=MISDIRECTED)

    def _is_neighbour(self, request: Connection) -> bool:
        peer = request.client
        if not self._loopback_only or self._behind_proxy:
            return False
        return peer is not None and _is_loopback(peer.host) and not any(name in request.headers for name in _FORWARDED)


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
