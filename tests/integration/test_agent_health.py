"""Health by what the services answer: bodies, not status codes."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from reconciler_agent.observe import Health
from schemas.desired import HttpCheck
from tests.support.agent_world import AgentWorld, Units, application, manifest_of

APP = {"status": "ok", "service": "Neopro Socket.IO Server", "uptime": 3}
CONFIGURATION = {"sponsors": [], "categories": []}
WEB_PAGE = b"<html>every unknown path answers this, with 200</html>"


class Services(ThreadingHTTPServer):
    """The three services of a box on one port; `pages` says what each path answers."""

    daemon_threads = True

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {
            "/": json.dumps(APP).encode() + b" " * 10,
            "/api/auth/status": b'{"authenticated": false}',
            "/configuration.json": json.dumps(CONFIGURATION, indent=4).encode(),
        }
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Services

    def do_GET(self) -> None:
        body = self.server.pages.get(self.path, WEB_PAGE)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def services() -> Iterator[Services]:
    with Services() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def health(services: Services, units: Units | None = None, **changed: str) -> Health:
    urls = {"app_url": services.url, "admin_url": services.url, "page_url": ""} | changed
    return Health(units or Units(), configuration=lambda: json.dumps(CONFIGURATION).encode(), **urls)


def problems(looked: Health, units: list[str] | None = None, checks: list[HttpCheck] | None = None) -> list[str]:
    return list(looked.look(units or [], checks or []).problems)


def test_services_that_answer_as_they_should_are_healthy(services: Services) -> None:
    assert problems(health(services)) == []


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/", WEB_PAGE, "neopro-app"),
        ("/", b'{"status":"ok"}', "neopro-app"),
        ("/", b'{"status":"starting","service":"Neopro Socket.IO Server"}', "neopro-app"),
        ("/", b'["status"]', "neopro-app"),
        ("/api/auth/status", WEB_PAGE, "neopro-admin"),
        ("/api/auth/status", b"{}", "neopro-admin"),
    ],
)
def test_answer_of_another_shape_is_a_problem_whatever_its_status(
    services: Services, path: str, body: bytes, words: str
) -> None:
    services.pages[path] = body

    found = problems(health(services))

    assert len(found) == 1
    assert words in found[0]


def test_service_that_does_not_listen_is_a_problem(services: Services) -> None:
    assert len(problems(health(services, app_url="http://127.0.0.1:9"))) == 1


def test_service_that_the_box_has_not_is_not_asked(services: Services) -> None:
    assert problems(health(services, app_url="", admin_url="")) == []


def test_page_must_be_the_applications_and_show_the_configuration_of_the_disk(services: Services) -> None:
    looked = health(services, app_url="", admin_url="", page_url=services.url)
    assert "is not the application's" in problems(looked)[0]

    services.pages["/"] = b"<html><app-root></app-root></html>"
    assert problems(looked) == []

    services.pages["/configuration.json"] = b'{"sponsors": [1]}'
    assert "not what is on the disk" in problems(looked)[0]


def test_check_of_the_release_itself_looks_for_its_words(services: Services) -> None:
    services.pages["/ready"] = b"all good"
    right = HttpCheck(http=f"{services.url}/ready", expect="all good")
    wrong = HttpCheck(http=f"{services.url}/ready", expect="fine")

    assert problems(health(services), checks=[right]) == []
    assert len(problems(health(services), checks=[right, wrong])) == 1


def test_unit_that_does_not_run_is_a_problem_and_restarts_are_counted(services: Services) -> None:
    units = Units()
    units.restart("neopro-app")
    units.restarts = 3

    seen = health(services, units).look(["neopro-app", "neopro-admin"], [])

    assert seen.problems == ("neopro-admin does not run",)
    assert seen.restarts == {"neopro-app": 3, "neopro-admin": 3}


def test_restarts_of_services_are_measured_from_the_last_look(tmp_path: Path) -> None:
    world = AgentWorld(tmp_path)
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))
    world.units.restarts = 3
    world.converge()
    assert world.central.reports[-1].metrics.service_restarts == {"neopro-app": 3, "neopro-admin": 3}
