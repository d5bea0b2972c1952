"""`neopro-agent` as a process: against a real control plane, screen and service manager; and where it cannot run."""

import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import socketio
from cryptography.hazmat.primitives import serialization

from reconciler_agent.errors import ServiceFailed
from reconciler_agent.services import SupervisorSocket
from schemas import dsse
from tests.support.box_application import BoxApplication
from tests.support.world import ServedWorld, served_world

SITE = "brest"


class ServiceSocket(socketserver.ThreadingUnixStreamServer):
    """A service manager that starts what it is asked to start, and remembers."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.calls: list[tuple[str, str]] = []
        self.running: set[str] = set()
        self.answer: bytes | None = None
        super().__init__(str(path), _Request)


class _Request(socketserver.StreamRequestHandler):
    server: ServiceSocket

    def handle(self) -> None:
        asked = json.loads(self.rfile.readline())
        if asked["verb"] != "state":
            self.server.calls.append((asked["verb"], asked["unit"]))
            self.server.running.add(asked["unit"])
        answer = {"ok": True, "active": asked["unit"] in self.server.running, "restarts": 0}
        self.wfile.write(self.server.answer or json.dumps(answer).encode() + b"\n")


def healthy(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """What the box's application answers at `/`, as nothing else does."""
    start("200 OK", [("Content-Type", "application/json")])
    return [b'{"status":"ok","service":"Neopro Socket.IO Server","extra":1}']


@contextmanager
def listening(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class Box:
    """A box's folders and its site.conf."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder, self.root = folder, folder / "neopro"
        self.conf = folder / "site.conf"
        self.settings = settings
        (self.root / "data").mkdir(parents=True)
        (self.root / "data/configuration.json").write_text('{"auth": {"password": "club"}, "sponsors": []}')
        self.write()

    def write(self, **settings: str) -> None:
        given = {"app_url": "http://127.0.0.1:9", "services": "unix:/nowhere", "url": "http://127.0.0.1:9"}
        given |= self.settings | settings
        self.conf.write_text(
            f"[site]\nid = {SITE}\nroot = {self.root}\nstate = {self.folder / 'state'}\n"
            f"key = {self.folder / 'etc/site.key'}\ntrust = {self.folder / 'root.json'}\n"
            f"[box]\napp_url = {given['app_url']}\nadmin_url =\npage_url =\nservices = {given['services']}\nowner =\n"
            f"clock = trusted\n[central]\nurl = {given['url']}\n[agent]\nheal_s = 1\n"
        )

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "reconciler_agent", "--conf", str(self.conf), *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*words), capture_output=True, text=True, timeout=60, check=False)

    def provision(self, served: ServedWorld) -> None:
        """What an installer does: the trust root and the key."""
        (self.folder / "root.json").write_text(served.world.file("trust/root-1.json"))
        key = served.world.site_key(SITE)
        path = self.folder / "etc/site.key"
        path.parent.mkdir()
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        path.chmod(0o600)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_box_converges_over_the_wire_and_reports(box: Box, database: str, tmp_path: Path) -> None:
    services = ServiceSocket(tmp_path / "services.sock")
    with listening(services), BoxApplication().serving() as app, served_world(tmp_path / "world", database) as served:
        app._http.set_app(socketio.WSGIApp(app.server, healthy))
        served.publish({"releases/1.0.0.yaml": quick(served.world.file("releases/1.0.0.yaml"))}, "Settle sooner")
        box.provision(served)
        box.write(app_url=app.url, services=f"unix:{tmp_path / 'services.sock'}", url=served.url)

        first = box.run("once")
        again = box.run("once")
        said = box.run("status", "--json")

    assert (first.returncode, first.stdout) == (0, "Converged: The box is as desired.\n"), first.stderr
    assert again.returncode == 0
    assert (box.root / "VERSION").read_text() == "1.0.0\n"
    assert len(list((box.root / "videos").rglob("*.mp4"))) == 2
    assert app.notices >= 1
    assert {unit for verb, unit in services.calls if verb == "restart"} >= {"neopro-app", "neopro-admin"}
    assert len(services.calls) == len(set(services.calls))
    status = json.loads(said.stdout)
    assert said.returncode == 0
    assert status["accepted_generation"] == status["reached_generation"]
    assert (status["release"], status["files"]) == ("1.0.0", 2)


def quick(release: str) -> str:
    """The release's file with a short health check."""
    return release + 'health: {"within": "20s", "settle": "1s"}\n'


def test_running_agent_ends_at_once_on_sigterm(box: Box, database: str, tmp_path: Path) -> None:
    with served_world(tmp_path / "world", database) as served:
        box.provision(served)
        box.write(url=served.url, services=f"unix:{tmp_path / 'none.sock'}")
        with subprocess.Popen(box.command("run"), stderr=subprocess.DEVNULL) as agent:
            wait_for(lambda: (tmp_path / "state/state-a").exists() or (tmp_path / "state/state-b").exists())
            started = time.monotonic()
            agent.send_signal(signal.SIGTERM)
            status = agent.wait(10)

    assert status == 0
    assert time.monotonic() - started < 5


def wait_for(condition: Callable[[], object], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def test_identity_is_made_once_for_its_owner_alone(box: Box) -> None:
    first, second = box.run("identity"), box.run("identity")

    assert first.returncode == 0
    assert first.stdout == second.stdout
    dsse.load_public(first.stdout.strip())
    key = box.folder / "etc/site.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in key.parent.iterdir()] == ["site.key"]


def test_status_before_the_first_run_says_so(box: Box) -> None:
    said = box.run("status")

    assert said.returncode == 1
    assert "has not run here yet" in said.stdout


def no_conf(box: Box) -> None:
    box.conf.unlink()


def no_site(box: Box) -> None:
    box.conf.write_text("[site]\n")


def not_ini(box: Box) -> None:
    box.conf.write_text("SITE_ID=brest\n")


def http_afar(box: Box) -> None:
    box.write(url="http://example.org")


def unknown_key(box: Box) -> None:
    box.conf.write_text(box.conf.read_text() + "hael_s = 3\n")


def no_key(box: Box) -> None:
    box.conf.touch()


def open_key(box: Box) -> None:
    box.run("identity")
    (box.folder / "etc/site.key").chmod(0o644)


def no_trust(box: Box) -> None:
    box.run("identity")


def broken_trust(box: Box) -> None:
    box.run("identity")
    (box.folder / "root.json").write_text("{}")


def no_root(box: Box) -> None:
    box.run("identity")
    (box.root / "data/configuration.json").unlink()
    (box.root / "data").rmdir()
    box.root.rmdir()


BROKEN = {
    no_conf: "there is no such file",
    no_site: "[site] id",
    not_ini: "site.conf",
    http_afar: "write https://HOST",
    unknown_key: "hael_s",
    no_key: "neopro-agent identity",
    open_key: "chmod 600",
    no_trust: "trust root",
    broken_trust: "trust root",
    no_root: "there is no such folder",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_agent_that_cannot_run_says_why_in_one_sentence_and_changes_nothing(
    box: Box, broken: Callable[[Box], None]
) -> None:
    broken(box)
    before = sorted(str(p) for p in box.root.rglob("*"))

    ended = box.run("once")

    assert ended.returncode == 2
    assert BROKEN[broken] in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert ended.stderr.startswith("neopro-agent: cannot ")
    assert sorted(str(p) for p in box.root.rglob("*")) == before


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b'{"ok": false, "error": "unit is masked"}\n', "unit is masked"),
        (b"not json\n", "does not answer"),
        (b"", "does not answer"),
    ],
)
def test_service_manager_that_refuses_or_talks_nonsense_is_a_service_failure(
    tmp_path: Path, answer: bytes, words: str
) -> None:
    server = ServiceSocket(tmp_path / "services.sock")
    server.answer = answer or b"\n"
    with listening(server), pytest.raises(ServiceFailed, match=words):
        SupervisorSocket(tmp_path / "services.sock").restart("neopro-app")


def test_unit_that_is_none_of_the_boxes_is_never_asked_about(tmp_path: Path) -> None:
    with pytest.raises(ServiceFailed, match="none of the box's services"):
        SupervisorSocket(tmp_path / "services.sock").stop("sshd")


@pytest.mark.skipif(os.geteuid() != 0, reason="an owner is looked up only by root")
def test_owner_that_does_not_exist_is_named(box: Box) -> None:
    box.run("identity")
    box.conf.write_text(box.conf.read_text().replace("owner =", "owner = nobody-here"))

    ended = box.run("once")

    assert ended.returncode == 2
    assert "nobody-here" in ended.stderr
