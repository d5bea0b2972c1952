"""A box whose services are real processes under a real supervisor, and what a release's may do instead of serving.

`PROGRAM` is that of a unit, in one file: what it does is its `BEHAVIOUR`.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from cli.demo.supervisor import BoxUnits, UnitFile
from reconciler_agent.app import Agent, Outside, assemble, open_files
from reconciler_agent.download import Throttle
from reconciler_agent.journal import Journal
from reconciler_agent.services import SupervisorSocket, UnitState
from reconciler_agent.state import Store
from schemas.manifest import ReleaseTarget
from tests.support.agent_world import AgentWorld, FastClock, clip, manifest_of
from tests.support.agent_world import application as files_of
from tests.support.patience import PATIENCE_S, promised, wait_for

UNITS: Final = ("neopro-app", "neopro-admin")
PROGRAM: Final = """
import http.server, json, os, signal, sys, threading, time
VERSION, BEHAVIOUR, WHO = "{version}", "{behaviour}", "{who}"
UNIT, PORT = os.environ["UNIT"], int(os.environ["PORT"])
began = time.monotonic()
behaviour = BEHAVIOUR if UNIT == WHO else "serves"
if behaviour == "exits 0":
    sys.exit(0)
if behaviour == "crashes":
    raise SystemExit(3)
if behaviour == "is killed by a signal":
    os.kill(os.getpid(), signal.SIGSEGV)
if behaviour == "hangs before it listens":
    time.sleep(3600)
if behaviour == "does not end when it is told to":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if behaviour == "takes a request and hangs":
            time.sleep(3600)
        body = {{"status": "ok", "service": "Neopro Socket.IO Server", "authenticated": False, "version": VERSION}}
        data = json.dumps(body).encode()
        if behaviour == "answers a page":
            data = b"<html><app-root>200 OK</app-root></html>"
        if behaviour == "says that it is failing":
            data = json.dumps({{"status": "failing", "service": body["service"]}}).encode()
        if behaviour == "answers nothing":
            data = b""
        status = 500 if behaviour == "answers 500" else 200
        self.send_response(status)
        if behaviour == "answers without end":
            self.end_headers()
            while True:
                self.wfile.write(b" " * 65536)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if behaviour == "drips":
            for byte in data:
                self.wfile.write(bytes([byte]))
                time.sleep(0.5)
        else:
            self.wfile.write(data)
    def log_message(self, *_):
        pass
def end(seconds, status):
    time.sleep(seconds)
    os._exit(status)
later = {{"flaps": (0.4, 1), "flaps and exits 0": (0.4, 0), "dies late in its test": (1.6, 1)}}
later["dies after its test"] = (6, 1)
if behaviour in later:
    threading.Thread(target=end, args=later[behaviour], daemon=True).start()
http.server.ThreadingHTTPServer.allow_reuse_address = True
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
"""
GONE_BACK_FROM: Final = (
    "exits 0",
    "crashes",
    "is killed by a signal",
    "hangs before it listens",
    "takes a request and hangs",
    "answers a page",
    "says that it is failing",
    "answers nothing",
    "answers without end",
    "drips",
    "flaps",
    "flaps and exits 0",
    "dies late in its test",
)
"""Behaviours by which a release fails its test."""
KEPT: Final = ("serves", "does not end when it is told to", "answers 500")
"""Behaviours by which it does not: bodies count, not status codes."""
SICK: Final = {"within_s": 4, "settle_s": 2}
WELL: Final = {"within_s": 60, "settle_s": 1}
A: Final = clip("a", b"a" * 1000)


class Paced(FastClock):
    """The date of the tests' documents, at the pace of the real time: the processes have no other."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        super().__init__()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began_s

    @elapsed_s.setter
    def elapsed_s(self, _: float) -> None:
        """It passes by itself."""

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Watched(SupervisorSocket):
    """Remembers what it was asked to do."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, timeout_s=promised(5.0))
        self.restarted: list[str] = []

    def restart(self, unit: str) -> UnitState:
        self.restarted.append(unit)
        return super().restart(unit)


class Box(AgentWorld):
    """A box in `folder` that runs release 1.0.0, and the supervisor of its processes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.central.add(b"a" * 1000)
        self.clock = Paced()
        self.socket = folder / "services.sock"
        self.services = Watched(self.socket)
        self.ports = {unit: _free_port() for unit in UNITS}
        url = {unit: f"http://127.0.0.1:{port}" for unit, port in self.ports.items()}
        self.settings = msgspec.structs.replace(self.settings, app_url=url["neopro-app"], admin_url=url["neopro-admin"])
        units = [
            UnitFile(
                name=unit,
                command=[sys.executable, "-I", "-S", "server/app.py"],
                cwd=str(self.root),
                env={"UNIT": unit, "PORT": str(port)},
                log=str(folder / f"{unit}.log"),
                needs=str(self.root / "server/app.py"),
                stop_within_s=0.5,
            )
            for unit, port in self.ports.items()
        ]
        (folder / "units.json").write_bytes(msgspec.json.encode([BoxUnits(socket=str(self.socket), units=units)]))

    @contextmanager
    def supervised(self) -> Iterator[subprocess.Popen[bytes]]:
        """The supervisor runs; its units end with it."""
        command = [sys.executable, "-m", "cli.demo.supervisor", str(self.folder / "units.json")]
        with (self.folder / "supervisor.log").open("ab") as log, subprocess.Popen(command, stderr=log) as process:
            try:
                wait_for(self.socket.exists, "the supervisor listens")
                yield process
            finally:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(PATIENCE_S)
                process.kill()

    @contextmanager
    def agent(self, *_: Any) -> Iterator[Agent]:
        with open_files(self.settings) as files:
            throttle = Throttle(self.clock)
            journal = Journal([str(self.folder / "journalctl")], within_s=PATIENCE_S)
            outside = Outside(self.central, self.tv, self.services, self.clock, throttle, journal)
            yield assemble(self.settings, files, Store(files.state), outside)

    def release(self, version: str, behaviour: str = "serves", who: str = "neopro-app", **health: int) -> ReleaseTarget:
        """Publish a release whose unit `who` behaves so."""
        program = PROGRAM.format(version=version, behaviour=behaviour, who=who).encode()
        files = files_of(version) | {"server/app.py": program}
        target = self.central.add_release(version, files, **(WELL | health))
        self.central.publish(manifest_of([A], target))
        return target

    def settle_for(self, agent: Agent, condition: Any, what: str, within_s: float = PATIENCE_S) -> None:
        """Rounds until the condition holds."""
        deadline_s = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline_s, f"not within {within_s:.0f} s: {what}"
            self.settle(agent)

    def serving(self, unit: str) -> str:
        """The version that a unit's process answers with; empty where it does not."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.ports[unit]}/", timeout=2, trust_env=False)
            return str(json.loads(answer.content).get("version", ""))
        except (httpx.HTTPError, ValueError):
            return ""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
