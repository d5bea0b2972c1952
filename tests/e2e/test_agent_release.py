"""A release of the agent, from the operator's desk to a box: the real bundle, launcher and control plane."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.agent_bundle import bundle_name, pack, tree_of
from reconciler_agent import launcher
from tests.e2e.test_cli_online import Desk
from tests.support.agent_bundle import bundle_files
from tests.support.command_line import neopro
from tests.support.live_box import LiveBox
from tests.support.patience import PATIENCE_S, wait_for
from tests.support.slots import launcher_in, lay_slot, point
from tests.support.world import ServedWorld, served_world

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def served(tmp_path: Path, database: str) -> Iterator[ServedWorld]:
    with served_world(tmp_path / "world", database) as world:
        yield world


@pytest.fixture
def box(tmp_path: Path) -> Iterator[LiveBox]:
    with LiveBox(tmp_path / "brest").switched_on() as live:
        yield live


def test_bundle_goes_from_the_operators_desk_to_a_box_that_runs_it(
    served: ServedWorld, box: LiveBox, tmp_path: Path
) -> None:
    (tmp_path / "desk").mkdir()
    desk = Desk(served, tmp_path / "desk")
    files = bundle_files("0.2.0")
    name = bundle_name("0.2.0", tree_of(files))
    bundle = tmp_path / f"{name}.tar"
    bundle.write_bytes(pack(name, files))
    words = ("release", "add", bundle, "--agent", "--version", "0.2.0", "--key", desk.key)
    done = neopro(*words, cwd=desk.checkout, env=desk.env())
    assert done.returncode == 0, done.stderr
    fleet = desk.checkout / "fleet.yaml"
    fleet.write_text(fleet.read_text().replace('"release":"1.0.0"', '"agent":"0.2.0"'))
    assert '"agent"' in fleet.read_text()
    assert desk.push("Agent 0.2.0") == "published"
    box.provision(served.world, served.url)
    slots = tmp_path / "agent" / "slots"
    slots.mkdir(parents=True)
    command = [*launcher_in(tmp_path / "agent"), "--conf", str(box.conf), "run"]
    point(slots, launcher.GOOD, old := lay_slot(slots, "0.1.0", bundle_files()))

    first = subprocess.run(command, capture_output=True, text=True, timeout=4 * PATIENCE_S, check=False)

    assert first.returncode == 0, first.stderr
    assert launcher.read_trial(slots) is not None, "the old agent ended for the new one"
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as second:
        wait_for(lambda: launcher.link(slots, launcher.GOOD) == name.removeprefix("neopro-agent-"), "it proves itself")
        second.terminate()
        assert second.wait(PATIENCE_S) == 0
    assert launcher.link(slots, launcher.PREVIOUS) == old
