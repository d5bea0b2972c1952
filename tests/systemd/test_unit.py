"""The agent's unit under a real systemd: it starts, says how it is, asks for units, writes where it may, is watched."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler_agent.install.unit import UNIT, UNIT_PATH, unit_text
from reconciler_agent.settings import STICKS
from schemas.stick import FOLDER
from tests.support import trust_world
from tests.support.booted import Machine, booted, why_not
from tests.support.patience import wait_for

WHY_NOT = why_not()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]

PROGRAM = Path(sys.executable).parent / "neopro-agent"
PLACES = STICKS.split()
CONF, ROOT, STATE = Path("/etc/neopro/site.conf"), Path("/home/pi/neopro"), Path("/var/lib/neopro-agent")
SETTINGS = f"""\
[site]
id = brest
root = {ROOT}
[box]
owner = nobody
page_url =
[central]
url = http://127.0.0.1:9
[agent]
heal_s = 1
"""
APP = "[Service]\nExecStart=/bin/sleep infinity\n"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    unit = unit_text(program=PROGRAM, conf=CONF, root=ROOT, state=STATE)
    given = [
        (UNIT_PATH, unit),
        (str(CONF), SETTINGS),
        ("/etc/neopro/root.json", trust_world.sign_root(trust_world.root()).decode()),
        (f"{ROOT}/data/configuration.json", "{}"),
        (f"{STATE}/.keep", ""),
        ("/etc/systemd/system/neopro-app.service", APP),
    ]
    with booted(tmp_path_factory.mktemp("box"), *given) as up:
        up.run(str(PROGRAM), "identity")
        yield up


def test_agent_is_ready_and_says_how_it_is(machine: Machine) -> None:
    done = machine.run("systemctl", "start", UNIT)

    assert (done.returncode, machine.property(UNIT, "ActiveState")) == (0, "active"), done.stderr
    wait_for(lambda: machine.property(UNIT, "StatusText"), "a status")
    assert machine.property(UNIT, "NRestarts") == "0"


def test_agent_is_kept_to_its_folders_and_capabilities(machine: Machine) -> None:
    machine.run("systemctl", "start", UNIT)
    process = machine.property(UNIT, "MainPID")
    said = machine.run("grep", "-E", "NoNewPrivs|CapBnd", f"/proc/{process}/status").stdout.split()

    def can_write(path: str) -> bool:
        return machine.run("nsenter", "-t", process, "-m", "touch", path).returncode == 0

    assert said == ["CapBnd:", "000000000000000b", "NoNewPrivs:", "1"], "chown, dac_override, fowner"
    assert {path: can_write(path) for path in (f"{ROOT}/x", f"{STATE}/x", "/etc/neopro/x", "/usr/x", "/home/x")} == {
        f"{ROOT}/x": True, f"{STATE}/x": True, "/etc/neopro/x": False, "/usr/x": False, "/home/x": False,
    }  # fmt: skip


def test_stick_that_is_mounted_later_can_be_read_within_the_walls_and_pulled_again(machine: Machine) -> None:
    machine.run("mount", "--make-rshared", "/")  # as systemd finds it, or makes it, on every machine but a container
    machine.run("systemctl", "restart", UNIT)
    process = machine.property(UNIT, "MainPID")
    for place in PLACES:
        assert machine.run("mkdir", "-p", f"{place}/STICK").returncode == 0
        assert machine.run("mount", "-t", "tmpfs", "tmpfs", f"{place}/STICK").returncode == 0
        machine.run("mkdir", "-p", f"{place}/STICK/{FOLDER}/heads")
        machine.run("sh", "-c", f"echo hello > {place}/STICK/{FOLDER}/heads/brest.json")
        read = machine.run("nsenter", "-t", process, "-m", "cat", f"{place}/STICK/{FOLDER}/heads/brest.json")
        assert read.stdout == "hello\n", (place, read.stderr)
        assert machine.run("umount", f"{place}/STICK").returncode == 0, "nothing holds it"


def test_agent_can_do_within_its_walls_all_that_it_does(machine: Machine) -> None:
    unit = unit_text(program=PROGRAM, conf=CONF, root=ROOT, state=STATE)
    walls = f"ExecStart={sys.executable} -m tests.systemd.walls {ROOT}\nWorkingDirectory={Path.cwd()}"
    lines = [walls if line.startswith("ExecStart=") else line for line in unit.splitlines()]
    unwatched = ("Type=", "Restart=", "WatchdogSec=", "NotifyAccess=")
    text = "\n".join(line for line in lines if not line.startswith(unwatched)).replace(
        "[Service]", "[Service]\nType=oneshot"
    )
    machine.write("/run/systemd/system/walls.service", text)
    machine.run("systemctl", "daemon-reload")

    done = machine.run("systemctl", "start", "walls")

    assert done.returncode == 0, machine.run("journalctl", "--no-pager", "--output=cat", "--unit=walls").stdout
    assert machine.run("stat", "--format=%u %g", f"{ROOT}/videos/MATCH/a.mp4").stdout == "1000 1000\n"


def test_agent_that_stands_still_is_started_anew(machine: Machine) -> None:
    soon = "[Service]\nWatchdogSec=2\nRestartSec=0\nTimeoutAbortSec=1\n"
    machine.write(f"/run/systemd/system/{UNIT}.service.d/soon.conf", soon)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", UNIT)
    first = machine.property(UNIT, "MainPID")
    machine.run("kill", "-STOP", first)

    wait_for(lambda: machine.property(UNIT, "NRestarts") == "1", "the watchdog")
    wait_for(lambda: machine.property(UNIT, "ActiveState") == "active", "it is back")
    assert machine.property(UNIT, "MainPID") != first


def test_agent_that_is_stopped_ends_well(machine: Machine) -> None:
    machine.run("systemctl", "start", UNIT)
    machine.run("systemctl", "stop", UNIT)

    assert (machine.property(UNIT, "Result"), machine.property(UNIT, "ExecMainStatus")) == ("success", "0")
