"""The installer on a machine that is up, where another agent of the same unit name runs: taken over, and given back."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler_agent.install.unit import UNIT, UNIT_PATH
from tests.support import trust_world
from tests.support.booted import Machine, booted, why_not

WHY_NOT = why_not()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]

PROGRAM = str(Path(sys.executable).parent / "neopro-agent")
OTHER = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
FIELD = "SITE_ID=brest\nCENTRAL_SERVER_URL=http://127.0.0.1:9\nCLUB_NAME=BREST FÉMININ\nNEOPRO_ROOT=/srv/neopro\n"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    given = [
        (UNIT_PATH, OTHER),
        ("/etc/passwd", Path("/etc/passwd").read_text() + "pi:x:1000:1000::/srv:/bin/sh\n"),
        (
            "/etc/systemd/system/neopro-admin.service",
            "[Service]\nEnvironment=NEOPRO_DIR=/srv/neopro\nExecStart=/bin/true\n",
        ),
        ("/etc/neopro/site.conf", FIELD),
        ("/etc/neopro/root-1.json", trust_world.sign_root(trust_world.root()).decode()),
        ("/srv/neopro/data/configuration.json", "{}"),
    ]
    with booted(tmp_path, *given) as up:
        up.run("systemctl", "enable", "--now", UNIT)
        yield up


def runs(machine: Machine) -> str:
    return machine.run("cat", f"/proc/{machine.property(UNIT, 'MainPID')}/cmdline").stdout.replace("\0", " ")


def test_other_agent_is_taken_over_from_and_given_back_to(machine: Machine) -> None:
    assert runs(machine).startswith("/bin/sleep")

    done = machine.run(PROGRAM, "install", "--trust", "/etc/neopro/root-1.json")
    assert done.returncode == 0, done.stderr
    assert f"{PROGRAM} --conf /etc/neopro/site.conf run" in runs(machine)
    assert machine.property(UNIT, "ActiveState") == "active"
    assert machine.property(UNIT, "UnitFileState") == "enabled"
    first = machine.property(UNIT, "MainPID")
    assert "nobody listens on port 3000" in done.stdout

    again = machine.run(PROGRAM, "install")
    assert ("Nothing was left to do." in again.stdout, machine.property(UNIT, "MainPID")) == (True, first), again.stderr

    undone = machine.run(PROGRAM, "uninstall")
    assert undone.returncode == 0, undone.stderr
    assert runs(machine).startswith("/bin/sleep")
    assert machine.run("cat", "/etc/neopro/site.conf").stdout == FIELD
    assert machine.property(UNIT, "UnitFileState") == "enabled"
