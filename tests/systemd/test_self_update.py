"""A box from its bundle on, under a real systemd: installed without a network, updated, gone back, switched off."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler_agent.install.unit import UNIT, UNIT_PATH
from tests.support import machine_fleet
from tests.support.agent_bundle import bundle_files, unpack_bundle
from tests.support.agent_world import manifest_of
from tests.support.booted import Machine, booted, why_not
from tests.support.machine_fleet import Desk, Fleet
from tests.support.patience import wait_for
from tests.support.trust_world import SITE

WHY_NOT = why_not()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT),
    pytest.mark.timeout(1200),
]

SLOTS = "/opt/neopro-agent/slots"
BROKEN = "raise SystemError('broken before anything')\n"
HANGS = "import signal\nsignal.pause()\n"
OTHER = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
SOON = "[Service]\nRestartSec=0\nTimeoutStartSec=10\nTimeoutAbortSec=1\n"


class Box:
    """The machine, as a technician sees it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.desk = Desk(machine)

    def sh(self, script: str) -> str:
        done = self.machine.run("sh", "-c", script)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def good(self) -> str:
        return self.machine.run("readlink", f"{SLOTS}/good").stdout.partition("-")[0]

    def running(self) -> str:
        """The version whose slot the unit's process runs from."""
        words = self.machine.run("cat", f"/proc/{self.machine.property(UNIT, 'MainPID')}/cmdline").stdout
        return words.partition(f"{SLOTS}/")[2].partition("-")[0]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("fleet")
    fleet = Fleet(folder / "central")
    agents = [
        None,
        fleet.add_agent("0.2.0", bundle_files("0.2.0")),
        fleet.add_agent("0.3.0", bundle_files("0.3.0", __main__=BROKEN)),
        fleet.add_agent("0.4.0", bundle_files("0.4.0", __main__=HANGS)),
        fleet.add_agent("0.5.0", bundle_files("0.5.0")),
    ]
    fleet.publish(*(manifest_of([], agent=agent) for agent in agents))
    bundle = unpack_bundle(folder, bundle_files())
    given = [
        (UNIT_PATH, OTHER),
        ("/etc/passwd", Path("/etc/passwd").read_text() + "pi:x:1000:1000::/srv:/bin/sh\n"),
        (
            "/etc/systemd/system/neopro-admin.service",
            "[Service]\nEnvironment=NEOPRO_DIR=/home/pi/neopro\nExecStart=/bin/true\n",
        ),
        ("/etc/systemd/system/central.service", machine_fleet.UNIT),
        ("/home/pi/neopro/data/configuration.json", '{"sponsors": [], "timeCategories": []}'),
        ("/etc/neopro/root-1.json", (fleet.folder / "root-1").read_text()),
    ]
    trees = {machine_fleet.FOLDER: fleet.folder, f"/srv/{bundle.name}": bundle}
    with booted(tmp_path_factory.mktemp("box"), *given, trees=trees) as machine:
        machine.run("systemctl", "enable", "--now", UNIT)
        found = Box(machine)
        yield found


def require_installed(box: Box) -> None:
    """Installed once, by the first test that needs it."""
    if box.machine.run("test", "-e", "/opt/neopro-agent/launcher").returncode == 0:
        return
    box.machine.write(f"/run/systemd/system/{UNIT}.service.d/soon.conf", SOON)
    box.machine.run("systemctl", "daemon-reload")
    words = ["--trust", "/etc/neopro/root-1.json", "--site", SITE, "--central", "http://127.0.0.1:8099"]
    done = box.machine.run(
        "sh", "-c", f"exec /usr/bin/python3 /srv/neopro-agent-0.1.0-*/start.py install {' '.join(words)}"
    )
    assert done.returncode == 0, done.stderr + done.stdout


def test_agent_is_installed_from_the_bundle_without_a_network_and_runs_from_its_slot(box: Box) -> None:
    require_installed(box)

    assert (box.machine.property(UNIT, "ActiveState"), box.running()) == ("active", "0.1.0")
    assert box.machine.run("neopro-agent", "status").returncode == 1, "it has no news yet"
    assert box.sh(f"find {SLOTS} /srv/neopro-agent-0.1.0-* -name '*.pyc' | wc -l") == "0"
    assert int(box.sh("find /run/neopro-agent -name '*.pyc' | wc -l")) > 50, "compiled once, in memory"


def require_updated(box: Box) -> None:
    """The box has 0.2.0, whatever it was told to have since: news never goes back."""
    require_installed(box)
    box.machine.run("systemctl", "start", "central")
    if box.desk.wanted() == 0:
        box.desk.want(1)
    wait_for(lambda: box.good() == box.running() == "0.2.0", "the new agent is good")


def test_good_agent_takes_over(box: Box) -> None:
    require_updated(box)

    wait_for(lambda: box.desk.events("Agent")[-1:] == ["AgentUpdated"], "it says so")
    assert (box.running(), box.desk.last()["agent_version"]) == ("0.2.0", "0.2.0")
    assert box.machine.run("test", "-e", f"{SLOTS}/trial.json").returncode == 1


def test_broken_agent_is_gone_back_from(box: Box) -> None:
    require_updated(box)
    box.desk.want(2)

    wait_for(lambda: box.desk.events("Agent")[-1:] == ["AgentReturned"], "it went back")
    wait_for(lambda: any(c["reason"] == "AgentFailed" for c in box.desk.last()["conditions"]), "it says why")
    assert (box.running(), box.good()) == ("0.2.0", "0.2.0")


def test_hanging_agent_is_ended_by_the_service_manager_and_gone_back_from(box: Box) -> None:
    require_updated(box)
    box.desk.want(3)

    wait_for(lambda: "0.4.0" in box.sh(f"cat {SLOTS}/trial.json || true"), "it is on trial")
    wait_for(lambda: box.desk.events("Agent")[-1:] == ["AgentReturned"], "it went back")
    assert box.running() == "0.2.0"


def test_good_agent_on_a_box_without_a_network_stays_over_a_reboot_and_proves_itself_later(box: Box) -> None:
    require_updated(box)
    box.machine.write(f"/run/systemd/system/{UNIT}.service.d/soon.conf", "[Service]\nRestartSec=600\n")
    box.machine.run("systemctl", "daemon-reload")
    box.desk.want(4)
    wait_for(lambda: box.machine.property(UNIT, "ActiveState") == "activating", "the old agent ended for the new one")
    box.machine.run("systemctl", "stop", "central", UNIT)
    box.machine.run("systemctl", "start", "--no-block", UNIT)
    wait_for(lambda: box.running() == "0.5.0", "the new agent runs")
    assert box.good() == "0.2.0"

    box.machine.reboot()
    box.machine.run("systemctl", "start", "--no-block", UNIT)  # this machine boots into basic.target alone
    wait_for(lambda: "on trial" in box.machine.run("neopro-agent", "status").stdout, "it runs, and is on trial")
    assert (box.running(), box.good()) == ("0.5.0", "0.2.0")

    box.machine.run("systemctl", "start", "central")
    wait_for(lambda: box.good() == "0.5.0", "it proves itself when it can")


def test_agent_that_stands_still_is_started_anew_from_its_slot(box: Box) -> None:
    require_installed(box)
    box.machine.write(f"/run/systemd/system/{UNIT}.service.d/soon.conf", f"{SOON}WatchdogSec=4\n")
    box.machine.run("systemctl", "daemon-reload")
    box.machine.run("systemctl", "restart", UNIT)
    first = box.machine.property(UNIT, "MainPID")
    box.machine.run("kill", "-STOP", first)

    wait_for(lambda: box.machine.property(UNIT, "MainPID") not in ("0", first), "the watchdog")
    wait_for(lambda: box.machine.property(UNIT, "ActiveState") == "active", "it is back")


def test_uninstalled_box_is_as_before(box: Box) -> None:
    require_installed(box)
    done = box.machine.run("neopro-agent", "uninstall")

    assert done.returncode == 0, done.stderr
    assert box.machine.run("cat", UNIT_PATH).stdout == OTHER
    left = box.machine.run("sh", "-c", "ls /opt/neopro-agent /usr/local/bin/neopro-agent")
    assert left.stdout.split() == ["/opt/neopro-agent:"], left.stderr
