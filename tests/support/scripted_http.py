"""A real HTTP server that answers as a test says, also as no honest server would."""

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Say(NamedTuple):
    """An answer. `length`: what Content-Length claims, None for what is true; `hold`: waited for before the body."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""
    length: int | None = None
    hold: threading.Event | None = None
    drip_s: float = 0.0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def setup(self) -> None:
        self.server.connections += 1
        super().setup()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = Asked(self.command, self.path, dict(self.headers.items()), body)
        self.server.asked.append(asked)
        self._send(self.server.script(asked))

    do_GET = do_POST = do_PUT = _answer

    def _send(self, say: Say) -> None:
        length = len(say.body) if say.length is None else say.length
        self.send_response_only(say.status)
        for name, value in {"Content-Length": str(length), **say.headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if say.hold is not None:
            say.hold.wait(30)
        try:
            self._write(say)
        except OSError:
            self.close_connection = True
        self.close_connection = self.close_connection or length != len(say.body)

    def _write(self, say: Say) -> None:
        if not say.drip_s:
            self.wfile.write(say.body)
            return
        for at in range(0, len(say.body), 1024):
            self.wfile.write(say.body[at : at + 1024])
            threading.Event().wait(say.drip_s)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, script: Callable[[Asked], Say]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script
        self.asked: list[Asked] = []
        self.connections = 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what some tests are about."""


class ScriptedServer:
    """Answers every request by `script`; keeps what was asked."""

    def __init__(self, script: Callable[[Asked], Say], tls: ssl.SSLContext | None = None) -> None:
        self._http = _Server(script)
        if tls is not None:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._http.server_port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.visitors = ExitStack()
        """What is closed before the server."""

    @property
    def asked(self) -> list[Asked]:
        """Every request so far."""
        return self._http.asked

    @property
    def connections(self) -> int:
        """How many connections were made."""
        return self._http.connections

    @contextmanager
    def serving(self) -> Iterator["ScriptedServer"]:
        thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            with self.visitors:
                yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join()
