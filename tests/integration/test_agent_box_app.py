"""The box's application, asked and told over a real Socket.IO server."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from reconciler_agent.box_app import BoxApp
from reconciler_agent.errors import SettingsInvalid
from tests.support.box_application import BoxApplication
from tests.support.hurried_clock import HurriedClock
from tests.support.patience import wait_for


@pytest.fixture(params=[True, False], ids=["acknowledged first", "events first"])
def application(request: pytest.FixtureRequest) -> Iterator[BoxApplication]:
    with BoxApplication(always_connect=request.param).serving() as running:
        yield running


def ask(application: BoxApplication) -> BoxApp:
    return BoxApp(application.url, HurriedClock(1.0))


@pytest.mark.parametrize(
    ("phase", "home", "away", "match"),
    [
        ("neutral", 0, 0, False),
        ("before", 0, 0, True),
        ("during", 0, 0, True),
        ("after", 2, 1, True),
        ("neutral", 1, 0, True),
        ("neutral", 0, 3, True),
        ("neutral", "0", "0", False),
        ("neutral", "0", "2", True),
        ("neutral", None, None, False),
    ],
)
def test_match_is_a_phase_or_a_score(phase: str, home: object, away: object, match: bool) -> None:
    with BoxApplication().serving() as application:
        application.phase = phase
        application.score = {"homeScore": home, "awayScore": away}
        state = ask(application).state()
        assert state is not None
        assert (state.match, state.stale) == (match, False)


@pytest.mark.parametrize(
    ("page", "connections", "remote"),
    [
        (b'{"status":"ok","service":"Neopro Socket.IO Server","connections":1}', 1, False),
        (b'{"status":"ok","service":"Neopro Socket.IO Server","connections":2}', 2, True),
        (b'{"status":"ok","service":"Neopro Socket.IO Server"}', None, None),
        (b'{"connections":true}', None, None),
        (b'{"connections":"2"}', None, None),
        (b"<html>", None, None),
    ],
)
def test_remote_is_a_second_page_that_is_connected(page: bytes, connections: int | None, remote: bool | None) -> None:
    def health(_environ: object, start: Callable[..., object]) -> list[bytes]:
        start("200 OK", [("Content-Type", "application/json")])
        return [page]

    with BoxApplication(page=health).serving() as application:
        state = ask(application).state()

    assert state is not None
    assert (state.connections, state.remote) == (connections, remote)


def test_notice_that_is_passed_on_is_delivered(application: BoxApplication) -> None:
    assert ask(application).notify() == "told"
    assert application.notices == 1


@pytest.mark.parametrize(("connections", "notice"), [(0, "nobody"), (1, "told"), (2, "told")])
def test_notice_tells_whether_a_page_was_there_to_hear_it(connections: int, notice: str) -> None:
    def health(_environ: object, start: Callable[..., object]) -> list[bytes]:
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"status": "ok", "connections": connections}).encode()]

    with BoxApplication(page=health).serving() as application:
        assert ask(application).notify() == notice
        assert application.notices == 1


def test_notice_that_is_not_passed_on_is_not_delivered() -> None:
    with BoxApplication().serving() as application:
        application.deaf = True
        assert ask(application).notify() == "silent"
        assert application.notices == 1


def test_no_session_is_left_behind(application: BoxApplication) -> None:
    app = ask(application)
    assert app.state()
    assert app.notify() == "told"
    wait_for(lambda: not application.sessions, "both have ended their sessions")


def test_application_that_is_away_shows_nothing_and_hears_nothing() -> None:
    with BoxApplication().serving() as application:
        app = ask(application)
    assert app.state() is None
    assert app.notify() == "silent"


class _Portal(BaseHTTPRequestHandler):
    answer = b"<html>login</html>"

    def _say(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    do_GET = do_POST = _say

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("answer", [b"<html>", b"0{", b'0{"sid": 3}', b"", b"0" + b"[" * 100_000, b"\xff" * 10])
def test_something_else_on_the_port_is_no_application(answer: bytes) -> None:
    handler = type("Handler", (_Portal,), {"answer": answer})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        app = BoxApp(f"http://127.0.0.1:{server.server_port}", HurriedClock(1.0))
        try:
            assert app.state() is None
            assert app.notify() == "silent"
        finally:
            server.shutdown()


@pytest.mark.parametrize("url", ["http://192.168.1.2:3000", "ftp://127.0.0.1", "http://user:x@127.0.0.1", ""])
def test_application_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(SettingsInvalid):
        BoxApp(url, HurriedClock(1.0))
