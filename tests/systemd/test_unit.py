"""The agent's unit under a real systemd: it starts, says how it is, asks for units, writes where it may, is watched."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler_agent.install.unit import UNIT, UNIT_PATH, unit_text
from tests.support import trust_world
from tests.support.booted import Machine, booted, why_not
from tests.support.patience import wait_for

WHY_NOT = why_not()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]

PROGRAM = Path(sys.executable).parent / "neopro-agent"
CONF, ROOT, STATE = Path("/etc/neopro/site.conf"), Path("/srv/neopro"), Path("/var/lib/neopro-agent")
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


def test_agent_asks_for_the_boxes_units_from_within_its_walls(machine: Machine) -> None:
    machine.run("systemctl", "start", UNIT)
    process = machine.property(UNIT, "MainPID")
    asked = (
        "from reconciler_agent.systemd import Systemd; s = Systemd();"
        "print(s.restart('neopro-app').active, s.stop('neopro-app').active)"
    )
    bounded = ["setpriv", "--bounding-set=-all,+chown,+dac_override,+fowner", "--no-new-privs"]
    done = machine.run(
        "nsenter", "-t", process, "-m", *bounded, "env", f"PYTHONPATH={Path.cwd()}", sys.executable, "-c", asked
    )

    assert done.stdout == "True False\n", done.stderr


def test_agent_that_stands_still_is_started_anew(machine: Machine) -> None:
    drop_in = f"/run/systemd/system/{UNIT}.service.d"
    machine.run("mkdir", "-p", drop_in)
    machine.run(
        "sh", "-c", f"printf '[Service]\\nWatchdogSec=2\\nRestartSec=0\\nTimeoutAbortSec=1\\n' > {drop_in}/soon.conf"
    )
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
