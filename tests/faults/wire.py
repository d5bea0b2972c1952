"""A server on a real socket that may break every rule of HTTP and TCP, and the control plane that it otherwise is.

`Wire` reads a request and hands it to an `Act`, which has the connection for itself: the honest one answers as the
control plane does, out of a `Central`; any other does what is being tried.
"""

import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from schemas.names import digest_of
from schemas.status import StatusReport
from tests.support.agent_world import Central
from tests.support.patience import PATIENCE_S
from tests.support.trust_world import SITE

MAX_HEAD = 1 << 16


class Asked(NamedTuple):
    """A request as it came; the names of `headers` in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Reply(NamedTuple):
    """An answer, before it is bytes."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Line:
    """One request on its connection: what was asked, what the control plane would say, and the socket.

    `last`: no other follows on it.
    """

    def __init__(
        self, asked: Asked, answer: Callable[[Asked], Reply], connection: socket.socket, over: threading.Event
    ) -> None:
        self.asked = asked
        self._answer, self._connection, self._over = answer, connection, over
        self.open, self.last = True, False

    @property
    def honest(self) -> Reply:
        """What the control plane says; it has done what was asked when it is looked at."""
        return self._answer(self.asked)

    def send(self, data: bytes) -> bool:
        """Whether somebody still takes it."""
        try:
            self._connection.sendall(data)
        except OSError:
            self.open = False
        return self.open

    def reset(self) -> None:
        """Close so that the other side gets an error and not an end."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """End the connection."""
        self.open = False
        self._connection.close()

    def pause(self, seconds: float) -> bool:
        """Wait; whether to go on."""
        return not self._over.wait(seconds)

    def hold(self) -> None:
        """Say nothing until the other side leaves, or the test is over."""
        self._connection.settimeout(0.05)
        while not self._over.is_set():
            with suppress(TimeoutError):
                try:
                    if not self._connection.recv(1 << 16):
                        return
                except TimeoutError:
                    raise
                except OSError:
                    return


Act = Callable[[Line], None]


def render(reply: Reply, version: str = "1.1") -> bytes:
    """The bytes of an answer, with its length unless it says another."""
    named = {name.lower() for name in reply.headers}
    headers = dict(reply.headers)
    if not named & {"content-length", "transfer-encoding"} and reply.status not in (204, 304):
        headers["Content-Length"] = str(len(reply.body))
    try:
        words = HTTPStatus(reply.status).phrase
    except ValueError:
        words = "Something"
    lines = [f"HTTP/{version} {reply.status} {words}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + reply.body


def be_honest(line: Line) -> None:
    """What the control plane says."""
    line.send(render(line.honest))


class Wire:
    """Serves `answer` on loopback; `act` and `tls` may be replaced at any time. `asked`: every request so far."""

    def __init__(self, answer: Callable[[Asked], Reply], tls: ssl.SSLContext | None = None) -> None:
        self.act: Act = be_honest
        self.on_connect: Callable[[socket.socket], bool] = lambda _: True
        self.asked: list[Asked] = []
        self.over = threading.Event()
        self._answer, self.tls = answer, tls
        self._server = _Server(self)
        self.port: int = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    @contextmanager
    def serving(self) -> Iterator["Wire"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.over.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join(PATIENCE_S)

    def converse(self, plain: socket.socket) -> None:
        """One connection, to its end."""
        if not self.on_connect(plain):
            return
        with suppress(OSError):
            connection = self.tls.wrap_socket(plain, server_side=True) if self.tls else plain
            with connection.makefile("rb") as reader:
                while (asked := _read(reader)) is not None:
                    self.asked.append(asked)
                    line = Line(asked, self._answer, connection, self.over)
                    self.act(line)
                    if line.last or not line.open:
                        break
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what this is about."""


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.server.wire.converse(self.request)


def _read(reader: Any) -> Asked | None:
    """The next request; None at the end of the connection."""
    first = reader.readline(MAX_HEAD)
    if not first.strip():
        return None
    method, path, _ = first.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while (read := reader.readline(MAX_HEAD)) not in (b"\r\n", b"\n", b""):
        name, _, value = read.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return Asked(method, path, headers, reader.read(int(headers.get("content-length", 0))))


# The control plane

JSON = {"Content-Type": "application/json"}
PROBLEM = {"Content-Type": "application/problem+json"}
MISSING = Reply(404, PROBLEM, b'{"title": "Not found", "detail": "there is none"}')
_SITE = f"/v1/sites/{SITE}"


def answer_from(central: Central, asked: Asked) -> Reply:
    """What the control plane of this site says, and keeps."""
    if asked.method == "GET":
        return _give(central, asked)
    if asked.path == f"{_SITE}/status":
        central.report(msgspec.json.decode(asked.body, type=StatusReport))
    elif asked.path == f"{_SITE}/analytics":
        central.analytics(asked.body)
    elif asked.path == f"{_SITE}/backup":
        central.backup(asked.body)
    elif asked.path == f"{_SITE}/club":
        central.mirror(asked.body)
    else:
        central.log(asked.path.removeprefix(f"{_SITE}/logs/"), asked.body)
    return Reply(204)


def _give(central: Central, asked: Asked) -> Reply:
    kind, _, name = asked.path.removeprefix("/v1/").partition("/")
    found: bytes | None = None
    if asked.path == f"{_SITE}/head":
        return _head(central, asked)
    elif kind == "blobs":
        found = central.blobs.get(name)
        return MISSING if found is None else part_of(found, asked.headers.get("range"))
    documents = central.roots if kind == "trust" else central.lists
    found = documents.get(int(name))
    return MISSING if found is None else Reply(200, JSON, found)


def _head(central: Central, asked: Asked) -> Reply:
    assert central.envelope is not None
    tag = {"ETag": f'"{digest_of(central.envelope)[7:23]}"'}
    if asked.headers.get("if-none-match") == tag["ETag"]:
        return Reply(304, tag)
    return Reply(200, JSON | tag, central.envelope)


def part_of(blob: bytes, wanted: str | None) -> Reply:
    """A blob, or the end of it that was asked for."""
    plain = {"Content-Type": "application/octet-stream"}
    if wanted is None:
        return Reply(200, plain, blob)
    first = int(wanted.removeprefix("bytes=").rstrip("-"))
    if first >= len(blob):
        return Reply(416, {**PROBLEM, "Content-Range": f"bytes */{len(blob)}"}, b"{}")
    ranged = {"Content-Range": f"bytes {first}-{len(blob) - 1}/{len(blob)}"}
    return Reply(206, plain | ranged, blob[first:])
