"""A box as it stands in a club: folders, site.conf, key, a screen and a service manager that answer; the real agent.

`run` is one run of the command as a process, `converge` the same in this process, `agent` the agent that runs on:

    with LiveBox(tmp_path / "brest").switched_on() as box, served_world(tmp_path / "world", database) as served:
        box.provision(served.world, served.url)
        assert box.run("once").returncode == 0
        with box.agent():
            box.pass_rounds(10)
"""

import json
import signal
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization

from reconciler_agent.app import open_agent
from reconciler_agent.core.report import Round
from reconciler_agent.settings import load_settings
from schemas.names import SiteId
from tests.support.box_application import BoxApplication
from tests.support.box_configurations import sample
from tests.support.patience import PATIENCE_S, wait_for
from tests.support.trust_keys import Changes
from tests.support.world import ServedWorld, World

QUICK = {"within": "60s", "settle": "1s"}
"""A health check that is soon over where the release is well, and patient where the machine is busy."""
UNITS = 3
"""How many services a release has unless it says otherwise."""
SICK = b"# sick\n"
"""A release whose `server/app.py` begins so starts, but does not answer as it should."""


class ServiceSocket(socketserver.ThreadingUnixStreamServer):
    """A service manager that starts what it is asked to start, and remembers: `calls`; `looks` are not among them."""

    daemon_threads = True

    def __init__(self, path: Path, on_start: Callable[[str], None] = lambda _unit: None) -> None:
        self.calls: list[tuple[str, str]] = []
        self.looks = 0
        self.running: set[str] = set()
        self.answer: bytes | None = None
        self.on_start = on_start
        super().__init__(str(path), _Request)


class _Request(socketserver.StreamRequestHandler):
    server: ServiceSocket

    def handle(self) -> None:
        asked = json.loads(self.rfile.readline())
        if asked["verb"] == "state":
            self.server.looks += 1
        else:
            self.server.calls.append((asked["verb"], asked["unit"]))
            self.server.running.add(asked["unit"])
            self.server.on_start(asked["unit"])
        answer = {"ok": True, "active": asked["unit"] in self.server.running, "restarts": 0}
        self.wfile.write(self.server.answer or json.dumps(answer).encode() + b"\n")


@contextmanager
def listening(server: socketserver.BaseServer) -> Iterator[None]:
    """The server answers while the context lasts."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class LiveBox:
    """A box in `folder`. Its application runs what was in `server/app.py` when the service manager last started it."""

    def __init__(self, folder: Path, site: SiteId = "brest", **settings: str) -> None:
        self.folder, self.site, self.root, self.conf = folder, site, folder / "neopro", folder / "site.conf"
        self._settings = settings
        self._loaded = b""
        (self.root / "data").mkdir(parents=True)
        self.club = sample("club-handball")
        (self.root / "data/configuration.json").write_text(json.dumps(self.club, indent=2))
        self.services = ServiceSocket(folder / "services.sock", self._start)
        self.screen = BoxApplication(page=self._answer)
        self.write()

    @contextmanager
    def switched_on(self) -> Iterator["LiveBox"]:
        """Its application and its service manager answer."""
        with listening(self.services), self.screen.serving():
            yield self

    def write(self, **settings: str) -> None:
        """site.conf: what was given before, and these settings over it."""
        self._settings |= settings
        given = {
            "services": f"unix:{self.folder / 'services.sock'}",
            "app_url": self.screen.url,
            "heal_s": "0.1",
            "report_s": "300",
        }
        given |= {"url": "http://127.0.0.1:9", "ca": "", "sticks": ""} | self._settings
        self.conf.write_text(
            f"[site]\nid = {self.site}\nroot = {self.root}\nstate = {self.folder / 'state'}\n"
            f"key = {self.folder / 'etc/site.key'}\ntrust = {self.folder / 'root.json'}\n"
            f"[box]\napp_url = {given['app_url']}\nadmin_url =\npage_url =\nservices = {given['services']}\nowner =\n"
            f"sticks = {given['sticks']}\n"
            f"clock = trusted\n[central]\nurl = {given['url']}\nca = {given['ca']}\n"
            f"[agent]\nheal_s = {given['heal_s']}\nreport_s = {given['report_s']}\n"
        )

    def provision(self, world: World, url: str) -> None:
        """What an installer does: the trust root, the key, where the control plane is."""
        (self.folder / "root.json").write_text(world.file("trust/root-1.json"))
        pem = world.site_key(self.site).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self.folder / "etc/site.key"
        path.parent.mkdir()
        path.touch(0o600)
        path.write_bytes(pem)
        self.write(url=url)

    # The agent

    def command(self, *words: str) -> list[str]:
        """The words of a run of `neopro-agent` on this box."""
        return [sys.executable, "-m", "reconciler_agent", "--conf", str(self.conf), *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One run of the command, to its end."""
        return subprocess.run(self.command(*words), capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    def converge(self) -> Round:
        """What `once` does, in this process."""
        with open_agent(load_settings(self.conf)) as agent:
            answer = agent.control_plane.head()
            return agent.loop.settle(answer.envelope if answer is not None else None)

    @contextmanager
    def agent(self) -> Iterator[subprocess.Popen[bytes]]:
        """`neopro-agent run`, ended as its service would be."""
        with (self.folder / "agent.log").open("ab") as log, subprocess.Popen(self.command("run"), stderr=log) as agent:
            try:
                yield agent
                assert agent.poll() is None, (self.folder / "agent.log").read_text()
            finally:
                agent.send_signal(signal.SIGTERM)
                agent.wait(PATIENCE_S)

    def pass_rounds(self, count: int) -> None:
        """Wait until a running agent has begun so many rounds; in each it asks for every unit of the release."""
        wanted = self.services.looks + UNITS * (count + 1)
        wait_for(lambda: self.services.looks >= wanted, f"{count} rounds of the agent")

    # What is on the box

    def configuration(self) -> dict[str, Any]:
        """configuration.json."""
        found: dict[str, Any] = json.loads((self.root / "data/configuration.json").read_bytes())
        return found

    def shown(self) -> set[str]:
        """The names of the central videos that the configuration shows, in any category."""
        central = [c for c in self.configuration()["categories"] if c.get("owner") == "neopro"]
        return {Path(v["path"]).name.rpartition("-")[0] for c in central for v in c["videos"]}

    def active(self) -> str:
        """The version of the active release."""
        return (self.root / "VERSION").read_text().strip()

    def contents(self) -> dict[str, tuple[str, bytes]]:
        """Everything under the box's root, but for the agent's own folder, as it is read: whoever wrote it when."""
        found: dict[str, tuple[str, bytes]] = {}
        private = self.root / "data/agent"
        for path in sorted(p for p in self.root.rglob("*") if p != private and private not in p.parents):
            with suppress(FileNotFoundError):  # a running agent may be at work
                mode = oct(path.lstat().st_mode)
                link = str(path.readlink()).encode() if path.is_symlink() else b""
                found[str(path)] = (mode, link or (path.read_bytes() if path.is_file() else b""))
        return found

    def traces(self) -> dict[str, tuple[int, int, int]]:
        """Inode and times of everything under root and state: any write, rename, link or chmod changes them."""
        paths = [p for folder in (self.root, self.folder / "state") for p in (folder, *sorted(folder.rglob("*")))]
        found = {str(path): path.lstat() for path in paths}
        return {path: (s.st_ino, s.st_mtime_ns, s.st_ctime_ns) for path, s in found.items()}

    def disturbances(self) -> tuple[list[tuple[str, str]], int]:
        """What the club would notice: every start and restart so far, and how often the screen was told to reload."""
        return list(self.services.calls), self.screen.notices

    # The box's own application

    def _start(self, unit: str) -> None:
        if unit == "neopro-app":
            self._loaded = (self.root / "server/app.py").read_bytes()

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """What the application answers at `/`, as nothing else does."""
        start("200 OK", [("Content-Type", "application/json")])
        status = "failing" if self._loaded.startswith(SICK) else "ok"
        return [json.dumps({"status": status, "service": "Neopro Socket.IO Server", "extra": 1}).encode()]


@contextmanager
def live_boxes(served: ServedWorld, folder: Path, *sites: SiteId) -> Iterator[list[LiveBox]]:
    """Boxes of these sites, switched on and provisioned."""
    with ExitStack() as stack:
        boxes = [stack.enter_context(LiveBox(folder / site, site).switched_on()) for site in sites]
        for box in boxes:
            box.provision(served.world, served.url)
        yield boxes


def application(version: str, *, sick: bool = False, **more: bytes) -> dict[str, bytes]:
    """The files of a small release; `sick`: its application starts and does not answer as it should."""
    return {
        "VERSION": f"{version}\n".encode(),
        "webapp/index.html": f"<app-root></app-root> {version}\n".encode(),
        "webapp/logo.svg": b"<svg/> the same in every release\n",
        "server/app.py": (SICK if sick else b"") + f"print('server {version}')\n".encode(),
        "server/shared.py": b"print('the same in every release')\n",
        "scripts/tool.sh": b"#!/bin/sh\ntrue\n",
    } | {path.replace("__", "/"): data for path, data in more.items()}


def release_changes(world: World, version: str, files: dict[str, bytes], **health: str) -> Changes:
    """Upload and allow a release whose health check is quick, and want it everywhere."""
    made = world.add_release(version, files, health=QUICK | health)
    return made | {"fleet.yaml": with_release(world.file("fleet.yaml"), version)}


def with_release(fleet: str, version: str) -> str:
    """`fleet.yaml` with another release in its defaults."""
    lines = [line.partition(": ") for line in fleet.splitlines()]
    found = {key: json.loads(value) for key, _, value in lines}
    found["defaults"]["release"] = version
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in found.items())
