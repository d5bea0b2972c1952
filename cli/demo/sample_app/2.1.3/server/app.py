"""The box's application server: keeps the score and the phase, and tells every screen what changed.

Speaks Socket.IO v4 as the box's own server does. PORT chooses where it listens; NEOPRO_DIR is the box's root.
"""

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import socketio

VERSION = (Path(__file__).resolve().parent.parent / "VERSION").read_text(encoding="utf-8").strip()
SERVICE = "Neopro Socket.IO Server"

server = socketio.Server(async_mode="threading", cors_allowed_origins="*")
lock = threading.Lock()
screen: dict[str, Any] = {"score": {"homeScore": 0, "awayScore": 0}, "phase": "neutral"}


@server.event
def connect(sid: str, _environ: dict[str, Any]) -> None:
    """A screen or a remote has come: it learns what is going on."""
    with lock:
        score, phase = dict(screen["score"]), screen["phase"]
    server.emit("score-update", score, to=sid)
    server.emit("phase-change", {"phase": phase}, to=sid)


@server.on("score-update")
def score_update(_sid: str, score: dict[str, Any]) -> None:
    """The remote has changed the score."""
    with lock:
        screen["score"] = {key: score.get(key, 0) for key in ("homeScore", "awayScore")}
    server.emit("score-update", screen["score"])


@server.on("phase-change")
def phase_change(_sid: str, change: dict[str, Any]) -> None:
    """The remote has changed the phase of the match."""
    with lock:
        screen["phase"] = str(change.get("phase", "neutral"))
    server.emit("phase-change", {"phase": screen["phase"]})


@server.event
def config_updated(_sid: str, *_args: object) -> None:
    """The configuration on disk has changed: every screen reads it again."""
    server.emit("action", {"type": "reload-config"})


def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Plain HTTP: the health of the service, and 404 for all else."""
    if environ.get("PATH_INFO") != "/":
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"not found\n"]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [f'{{"status":"ok","service":"{SERVICE}","version":"{VERSION}"}}'.encode()]


class ThreadingServer(ThreadingMixIn, WSGIServer):
    """One thread per request, so that long polls do not keep others waiting."""

    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    """Long polls would fill the log."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "3000"))
    print(f"{SERVICE} {VERSION} on port {port}", flush=True)
    application = socketio.WSGIApp(server, answer)
    make_server("127.0.0.1", port, application, ThreadingServer, QuietHandler).serve_forever()
