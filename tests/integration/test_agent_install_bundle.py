"""The agent installed from its bundle: a slot, the launcher, the command; cut off anywhere, upgraded, taken away."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler_agent import launcher
from reconciler_agent.errors import SettingsInvalid
from reconciler_agent.install.installer import UNIT_FILE, Wish, plan_install, plan_uninstall
from reconciler_agent.install.software import COMMAND, FOLDER, LAUNCHER, SLOTS, read_bundle
from reconciler_agent.install.steps import run_steps
from reconciler_agent.install.target import Target
from reconciler_agent.system_calls import SYSTEM, Calls
from tests.support import trust_world
from tests.support.agent_bundle import bundle_files, unpack_bundle
from tests.support.slots import OTHER_MACHINE, slot_files

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="files of several users are made only by root"),
    pytest.mark.usefixtures("process_life"),
]

FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\npi:x:1000:1000::/home/pi:/bin/bash\n",
    "etc/neopro/site.conf": "[site]\nid = brest\n[central]\nurl = https://fleet.example\n",
    "etc/systemd/system/neopro-sync-agent.service": "[Service]\nExecStart=/usr/bin/node index.js\n",
    "etc/systemd/system/neopro-admin.service": "[Service]\nEnvironment=NEOPRO_DIR=/home/pi/neopro\n",
    "home/pi/neopro/data/x": "",
}
OTHER_PART = {f"{OTHER_MACHINE}/part.so": b"elf"}


class Box:
    """A box of the field in a folder, that is switched off: an image, or a machine whose units nobody asks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "box"
        for path, text in FILES.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
        (self.folder / "var/lib").mkdir(parents=True)
        self.trust = folder / "root-1.json"
        self.trust.write_bytes(trust_world.sign_root(trust_world.root()))
        self.said: list[str] = []

    def at(self, path: Path) -> Path:
        return self.folder / path.relative_to("/")

    def install(self, bundle: Path, calls: Calls = SYSTEM) -> int:
        wish = Wish(
            conf=Path("/etc/neopro/site.conf"), program=Path("/none"), trust=self.trust, given={},
            bundle=read_bundle(bundle),
        )  # fmt: skip
        steps, _ = plan_install(wish, Target(self.folder, calls), None)
        return run_steps(steps, self.said.append, dry_run=False)

    def uninstall(self) -> int:
        return run_steps(plan_uninstall(Target(self.folder), None), self.said.append, dry_run=False)

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): path.readlink().name.encode()
            if path.is_symlink()
            else path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_symlink() or path.is_file()
        }


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A bundle of a few files."""
    return unpack_bundle(tmp_path, slot_files("1.0.0", "print('agent 1')", **OTHER_PART))


def test_bundle_becomes_the_slot_that_the_unit_starts(box: Box, small: Path) -> None:
    box.install(small)

    slots, name = box.at(SLOTS), small.name.removeprefix("neopro-agent-")
    assert (launcher.link(slots, "good"), launcher.is_whole(slots, name)) == (name, True)
    assert (slots / name / OTHER_MACHINE / "part.so").exists(), "an image may be for another machine"
    assert f"ExecStart={LAUNCHER} --conf /etc/neopro/site.conf run" in box.at(UNIT_FILE).read_text()
    assert box.at(LAUNCHER).read_text().startswith("#!/usr/bin/python3 -IS\n")
    assert (box.at(COMMAND).readlink(), box.at(LAUNCHER).stat().st_mode & 0o777) == (LAUNCHER, 0o755)
    assert slots.stat().st_mode & 0o777 == 0o700
    assert (box.install(small), box.said[-1][:18]) == (0, "  as it should be:")


def test_newer_bundle_takes_over_and_the_older_one_is_kept_to_go_back_to(box: Box, small: Path, tmp_path: Path) -> None:
    box.install(small)
    (box.at(SLOTS) / "trial.json").write_text("{}")
    newer = unpack_bundle(tmp_path, slot_files("1.1.0", "print('agent 2')"))
    box.install(newer)

    slots = box.at(SLOTS)
    assert launcher.link(slots, "good") == newer.name.removeprefix("neopro-agent-")
    assert launcher.link(slots, "previous") == small.name.removeprefix("neopro-agent-")
    assert not (slots / "trial.json").exists()


def test_uninstalled_box_has_nothing_of_the_software_left(box: Box, small: Path) -> None:
    before = box.files()
    box.install(small)
    assert box.uninstall() > 0

    left = {path for path in box.files() if not path.startswith(("etc/neopro/site.key", "var/lib/neopro-agent"))}
    assert left == set(before)
    assert list(box.at(FOLDER).iterdir()) == []


def test_changed_bundle_is_refused_before_anything_is_done(box: Box, small: Path) -> None:
    before = box.files()
    (small / "start.py").write_text("print('of somebody else')")
    with pytest.raises(SettingsInvalid, match="its files are not those that it was made of; copy the bundle anew"):
        box.install(small)
    assert box.files() == before


def test_damaged_slot_is_laid_anew(box: Box, small: Path) -> None:
    box.install(small)
    part = next(box.at(SLOTS).glob("*/any/part.py"))
    part.write_bytes(b"")
    assert box.install(small) == 1
    assert part.read_bytes() == b"PART = 1\n"


class CutOffError(Exception):
    """The power went."""


def cut_off(at: int) -> Calls:
    """Calls of which the one with this number does not happen."""
    numbers = iter(range(1, 1 << 30))

    def wrap(real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if next(numbers) == at:
                raise CutOffError
            return real(*arguments, **options)

        return call

    return Calls(*(wrap(real) for real in SYSTEM))


def cuts(box: Box, small: Path, tmp_path: Path) -> Iterator[int]:
    """How many calls an installation makes."""
    count = 0

    def wrap(real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            return real(*arguments, **options)

        return call

    whole = Box(tmp_path / "whole")
    whole.install(small, Calls(*(wrap(real) for real in SYSTEM)))
    yield from range(1, count + 1)


def test_installation_that_is_cut_off_at_any_call_is_brought_to_its_end_by_the_next(
    box: Box, small: Path, tmp_path: Path
) -> None:
    box.install(small)
    done = {path: data for path, data in box.files().items() if "site.key" not in path}
    for number in cuts(box, small, tmp_path):
        other = Box(tmp_path / f"cut-{number}")
        with pytest.raises(CutOffError):
            other.install(small, cut_off(number))
        unit = other.at(UNIT_FILE).read_text()
        if "launcher" in unit:
            assert launcher.settled(other.at(SLOTS)), "the unit has something to start"
            assert other.at(LAUNCHER).exists()
        other.install(small)
        assert {path: data for path, data in other.files().items() if "site.key" not in path} == done, number


def test_real_bundle_installs_with_nothing_but_python(box: Box, tmp_path: Path) -> None:
    bundle = unpack_bundle(tmp_path, bundle_files())
    python = ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin", sys.executable, "-I", "-S"]

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*python, *words], capture_output=True, text=True, check=False)

    done = call(str(bundle / "start.py"), "install", "--root", str(box.folder), "--trust", str(box.trust))
    assert (done.returncode, done.stderr) == (0, "")
    assert "lay agent 0.1.0 into /opt/neopro-agent/slots/0.1.0-" in done.stdout
    assert not list(bundle.rglob("__pycache__")), "nothing is left beside the bundle"
    said = call(str(box.at(LAUNCHER)), "--conf", str(box.folder / "etc/neopro/site.conf"), "status")
    assert (said.stdout, said.returncode) == ("brest: the agent has not run here yet.\n", 1), said.stderr
