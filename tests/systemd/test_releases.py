"""Releases of the applications under a real systemd, the machine started anew in each phase; and one that fails."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler_agent.install.unit import UNIT, UNIT_PATH, unit_text
from schemas.manifest import ManifestBandwidth, ManifestMaintenance, ManifestWindow, ReleaseHealth
from tests.support import machine_fleet
from tests.support.agent_world import manifest_of
from tests.support.booted import Machine, booted, why_not
from tests.support.machine_fleet import Desk, Fleet
from tests.support.patience import wait_for
from tests.support.trust_world import SITE

WHY_NOT = why_not()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT), pytest.mark.timeout(900)]

PROGRAM = Path(sys.executable).parent / "neopro-agent"
CONF, ROOT, STATE = Path("/etc/neopro/site.conf"), Path("/home/pi/neopro"), Path("/var/lib/neopro-agent")
SETTINGS = f"""\
[site]
id = {SITE}
[box]
owner = nobody
clock = trusted
admin_url =
page_url =
[central]
url = {machine_fleet.URL}
[agent]
heal_s = 1
"""
APP_UNIT = f"""\
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/usr/bin/python3 {ROOT}/server/app.py
Restart=always
RestartSec=1
"""
APP = """\
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "STATUS", "service": "Neopro Socket.IO Server"}')

HTTPServer(("127.0.0.1", 3000), Handler).serve_forever()
"""
SLOW = ManifestBandwidth(limit_bytes_s=200_000)
SOMETIME = datetime.now(UTC) + timedelta(days=3)
CLOSED = ManifestMaintenance(
    windows=[ManifestWindow(kind="weekly", days=[SOMETIME.strftime("%a").lower()], from_="03:00", to="04:00")]  # type: ignore[list-item]
)


def files(version: str, status: str = "ok", size_bytes: int = 0) -> dict[str, bytes]:
    return {
        "VERSION": f"{version}\n".encode(),
        "server/app.py": APP.replace("STATUS", status).encode(),
        "server/part.bin": version.encode() * (size_bytes // len(version)),
    }


class Box:
    """The machine, and what its control plane hears."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.desk = Desk(machine)

    def active(self) -> str:
        return self.machine.run("cat", f"{ROOT}/VERSION").stdout.strip()

    def has(self, pattern: str) -> bool:
        return self.machine.run("sh", "-c", f"ls -d {pattern}").returncode == 0

    def is_healthy(self, version: str) -> bool:
        """Whether the release passed its test, and is what runs."""
        return self.active() == version and self.desk.passed()[-1:] == [version]

    def start_anew(self) -> None:
        """A reboot; this machine boots into basic.target alone."""
        self.machine.reboot()
        self.start()

    def start(self) -> None:
        self.machine.run("systemctl", "start", "--no-block", "central", "neopro-app", UNIT)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    fleet = Fleet(tmp_path_factory.mktemp("fleet") / "central")
    health = ReleaseHealth(within_s=40, settle_s=10)
    first = fleet.add_release("1.0.0", files("1.0.0"), health)
    second = fleet.add_release("2.0.0", files("2.0.0", size_bytes=4_000_000), health)
    sick = fleet.add_release("3.0.0", files("3.0.0", status="sick"), health)
    fleet.publish(
        manifest_of([], first),
        manifest_of([], second, bandwidth=SLOW, maintenance=CLOSED),
        manifest_of([], second),
        manifest_of([], sick),
    )
    given = [
        (UNIT_PATH, unit_text(program=PROGRAM, conf=CONF, root=ROOT, state=STATE)),
        (str(CONF), SETTINGS),
        ("/etc/neopro/root.json", (fleet.folder / "root-1").read_text()),
        (f"{ROOT}/data/configuration.json", '{"sponsors": [], "timeCategories": []}'),
        (f"{STATE}/.keep", ""),
        ("/etc/systemd/system/neopro-app.service", APP_UNIT),
        ("/etc/systemd/system/central.service", machine_fleet.UNIT),
    ]
    with booted(tmp_path_factory.mktemp("box"), *given, trees={machine_fleet.FOLDER: fleet.folder}) as machine:
        machine.run(str(PROGRAM), "identity")
        found = Box(machine)
        found.start()
        wait_for(lambda: found.is_healthy("1.0.0"), "the first release is healthy")
        yield found


def test_release_survives_a_reboot_in_each_phase_and_one_that_fails_is_taken_back(box: Box) -> None:
    box.desk.want(1)
    wait_for(lambda: box.has(f"{ROOT}/data/agent/partial/tree-*"), "it is being downloaded")
    box.start_anew()
    assert box.active() == "1.0.0"

    wait_for(lambda: box.has(f"{ROOT}/releases/2.0.0-*"), "it is staged, and waits for its window")
    box.start_anew()
    wait_for(lambda: "OutsideWindow" in box.desk.reasons(), "it still waits")
    assert box.active() == "1.0.0"

    box.desk.want(2)
    wait_for(lambda: box.active() == "2.0.0", "it is activated, and on trial")
    box.start_anew()
    wait_for(lambda: box.is_healthy("2.0.0"), "it is healthy")

    box.desk.want(3)
    wait_for(lambda: box.active() == "3.0.0", "the sick one is on trial")
    box.start_anew()
    wait_for(lambda: box.active() == "2.0.0", "the good one came back", within_s=120)
    wait_for(lambda: box.desk.events("ReleaseFailed"), "the sick one is told of")
    wait_for(lambda: "Healthy" in box.desk.reasons(), "the good one is healthy")
    assert '"ok"' in box.machine.run("curl", "-s", "http://127.0.0.1:3000/").stdout
    assert box.active() == "2.0.0"
