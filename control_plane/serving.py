"""The web server: granian inside our own process and event loop, so that one process is the whole control plane.

granian's embedded server fits: TLS 1.3 only, HTTP/2, one loop. Two things are ours. The socket is bound before
anything else is started: granian itself would share a port that is taken (SO_REUSEPORT). And requests are counted, so
that a stop ends those that go on for too long instead of waiting for them.
"""

import asyncio
import errno
import logging
import os
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Any, Final

from granian._granian import SocketHolder
from granian.constants import Interfaces
from granian.http import HTTP2Settings
from granian.log import LogLevels
from granian.server.embed import Server

from control_plane.errors import SettingsInvalid

Application = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application: (scope, receive, send)."""
Network = IPv4Network | IPv6Network

BACKLOG: Final = 4096
CONCURRENT_REQUESTS: Final = 1 << 20
GRACE_S: Final = 2.0
DEAD_AFTER: Final = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 15, socket.TCP_KEEPCNT: 4}
"""A box whose power is cut, or a laptop that falls asleep, says no farewell: two minutes of silence, and it is gone."""
PING_MS: Final = 30_000
PONG_S: Final = 20
"""The same for HTTP/2, whose connections may rest for as long as they like."""

logger = logging.getLogger(__name__)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; SettingsInvalid when the address is taken or is not ours. Port 0: any free one."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _notice_the_dead(listener)
        listener.setblocking(False)
    except OSError as problem:
        raise SettingsInvalid(f"cannot listen on {host}:{port}: {problem.strerror}; set listen") from None
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as problem:
        listener.close()
        taken = problem.errno == errno.EADDRINUSE
        advice = "stop what listens there, or set listen to another port" if taken else "set listen"
        raise SettingsInvalid(f"cannot listen on {host}:{port}: {problem.strerror}; {advice}") from None
    return listener


def _notice_the_dead(listener: socket.socket) -> None:
    """Every connection that it accepts inherits this (Linux)."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in DEAD_AFTER.items():
        listener.setsockopt(socket.IPPROTO_TCP, option, value)


def require_certificate(certificate: Path, key: Path) -> None:
    """SettingsInvalid unless the two can be read and belong together."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except ssl.SSLError as problem:
        raise SettingsInvalid(
            f"cannot use tls_certificate {certificate} with tls_key {key}: {problem.reason or problem}"
        ) from None
    except OSError as problem:
        raise SettingsInvalid(
            f"cannot read tls_certificate {certificate} or tls_key {key}: {problem.strerror}"
        ) from None


async def serve(
    app: Application,
    lifespan: AbstractAsyncContextManager[None],
    listener: socket.socket,
    stop: asyncio.Event,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
) -> None:
    """Answer on `listener`, which is closed in the end, until `stop` is set; then within GRACE_S.

    `lifespan` is the application's: it is left as soon as nothing new is accepted, so that what waits (long polls) can
    answer. Requests that do not end by themselves are cancelled.
    """
    _raise_descriptor_limit()
    counted = CountedRequests(app)
    server = _Embedded(counted, listener, certificate, key)
    async with lifespan:
        serving = asyncio.create_task(server.serve())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        server.stop()  # type: ignore[no-untyped-call]
    await asyncio.wait({serving}, timeout=GRACE_S)
    if not serving.done():
        logger.info("cut", extra={"requests": counted.cancel()})
        await asyncio.wait({serving}, timeout=GRACE_S / 2)
    if serving.done():
        serving.result()
    else:
        # Only a client that reads nothing keeps a connection now; it ends with the process.
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


class _Embedded(Server):
    """granian on a socket that is already bound; its logger speaks through ours."""

    def __init__(self, app: Application, listener: socket.socket, certificate: Path | None, key: Path | None) -> None:
        self._listener = listener
        host, port = listener.getsockname()[:2]
        super().__init__(
            app,
            host,
            port,
            interface=Interfaces.ASGINL,
            websockets=False,
            backlog=BACKLOG,
            # Every long poll is a request: the default would let a thousand boxes wait and nobody else in.
            backpressure=CONCURRENT_REQUESTS,
            http2_settings=HTTP2Settings(keep_alive_interval=PING_MS, keep_alive_timeout=PONG_S),
            ssl_cert=certificate,
            ssl_key=key,
            log_level=LogLevels.error,  # below it, only that it starts, stops, and is experimental
            log_dictconfig={"loggers": {"_granian": {"handlers": [], "propagate": True}}},
        )

    def _init_shared_socket(self) -> None:
        # granian closes the descriptor that it is given: it gets one of its own.
        self._ssp = None
        holder: Any = SocketHolder  # its stub leaves the constructor out, which pickling uses: (fd, is Unix, backlog)
        self._shd = holder(os.dup(self._listener.fileno()), False, BACKLOG)
        self._listener.close()


class CountedRequests:
    """An application that knows the requests it is answering, to cancel those that do not end."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._tasks: set[asyncio.Task[Any]] = set()
        self._cut = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on; a request that is cut ends without an answer."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if not self._cut:
                raise
        finally:
            self._tasks.discard(task)

    def cancel(self) -> int:
        """Cut every request that is being answered; how many."""
        self._cut = True
        for task in self._tasks:
            task.cancel()
        return len(self._tasks)


class Forwarded:
    """An application behind proxies: their X-Forwarded-For and X-Forwarded-Proto are believed, nobody else's."""

    def __init__(self, app: Application, trusted: Sequence[Network]) -> None:
        self._app, self._trusted = app, trusted

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on with the client's own address and scheme."""
        if scope["type"] == "http" and scope.get("client") and self._trusts(scope["client"][0]):
            headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
            if client := self._client(headers.get(b"x-forwarded-for", "")):
                scope["client"] = (client, 0)
            if (scheme := headers.get(b"x-forwarded-proto", "")) in {"http", "https"}:
                scope["scheme"] = scheme
        await self._app(scope, receive, send)

    def _client(self, forwarded: str) -> str | None:
        """The nearest hop that is not a proxy of ours: what stands to its left is the client's own invention."""
        hops = [hop.strip() for hop in forwarded.split(",")]
        return next((hop for hop in reversed(hops) if _is_address(hop) and not self._trusts(hop)), None)

    def _trusts(self, address: str) -> bool:
        return _is_address(address) and any(ip_address(address) in network for network in self._trusted)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _raise_descriptor_limit() -> None:
    """Every long poll holds a descriptor: take as many as we may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
