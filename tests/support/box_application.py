"""A real Socket.IO server that behaves as the box's own application does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import socketio


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class BoxApplication:
    """Its score and phase can be set; `deaf` makes it take a notice and pass nothing on; `page` answers the rest."""

    def __init__(self, *, always_connect: bool = True, page: Any = None) -> None:
        self.score: dict[str, Any] = {"homeTeam": "DOMICILE", "awayTeam": "EXTÉRIEUR", "homeScore": 0, "awayScore": 0}
        self.phase: Any = "neutral"
        self.deaf = False
        self.notices = 0
        self.sessions: set[str] = set()
        self.server = socketio.Server(async_mode="threading", always_connect=always_connect)
        self.server.on("connect", self._connect)
        self.server.on("disconnect", self._disconnect)
        self.server.on("config_updated", self._config_updated)
        self._http = make_server("127.0.0.1", 0, socketio.WSGIApp(self.server, page), _Server, _Quiet)
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    @contextmanager
    def serving(self) -> Iterator["BoxApplication"]:
        thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    def _connect(self, sid: str, _environ: Any) -> None:
        self.sessions.add(sid)
        self.server.emit("score-update", self.score, to=sid)
        self.server.emit("phase-change", {"phase": self.phase}, to=sid)

    def _disconnect(self, sid: str, *_reason: Any) -> None:
        self.sessions.discard(sid)

    def _config_updated(self, _sid: str, *_data: Any) -> None:
        self.notices += 1
        if not self.deaf:
            self.server.emit("noise", {"text": "é\u2028"})
            self.server.emit("action", {"type": "reload-config"})
