"""Whatever becomes of a file of the agent's own: it goes on, converges, and forgets nothing that another copy holds."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler_agent.app import read_state
from reconciler_agent.state import COPIES
from tests.crash.matrix import Heal, Scenario, Update, in_child, matrix

NOBODY = 65534


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "below").write_bytes(b"something")


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "0 bytes": lambda path: path.write_bytes(b""),
    "NULs": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "garbage": lambda path: path.write_bytes(b"\xff{garbage" * 40),
    "a folder": as_folder,
    "unreadable": lambda path: path.chmod(0),
}


def own_files(work: Path) -> list[Path]:
    """Every file that the agent keeps for itself, in its folder and in the box's."""
    folders = (work / "state", work / "neopro/data/agent")
    return sorted(p.relative_to(work) for folder in folders for p in folder.rglob("*") if p.is_file())


class Damaged:
    """A box at rest whose agent's own files are damaged, before the life that has an update to make."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.points = 0
        self.failures: list[str] = []

    def try_damage(self, paths: list[Path], damage: str) -> None:
        """One life on what was damaged."""
        self.points += 1
        work = self.scenario.work
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(self.scenario.template, work, symlinks=True)
        known = read_state(self.scenario.settings())
        assert known is not None
        for path in paths:
            DAMAGE[damage](work / path)
        try:
            assert in_child(lambda: self._live(known.last_event, paths)) == 0, "the life failed"
            self.scenario.require_playable()
            self._require_converged(paths)
        except (AssertionError, OSError, ValueError) as problem:
            names = " and ".join(str(path) for path in paths)
            self.failures.append(f"{self.scenario.name}: {damage} for {names}: {type(problem).__name__}: {problem}")

    def _live(self, last_event: int, paths: list[Path]) -> None:
        """In a child, not as root, for whom every file is readable."""
        if os.geteuid() == 0:
            for folder in (self.scenario.work.parent, *self.scenario.work.parent.rglob("*")):
                os.chown(folder, NOBODY, NOBODY, follow_symlinks=False)
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        central = self.scenario.world.central
        told = len(central.reports)
        self.scenario.update()
        events = {event.reason: event for report in central.reports[told:] for event in report.events}
        copies = {path.name for path in paths} & set(COPIES)
        assert "FirstStart" not in events, "it took itself for new"
        if copies == set(COPIES):
            assert "StateLost" in events, f"it did not say that it forgot: {sorted(events)}"
            return
        assert min(event.number for event in events.values()) > last_event, "it began to count again"
        assert not copies or "StateDamaged" in events, f"it did not say what was damaged: {sorted(events)}"

    def _require_converged(self, paths: list[Path]) -> None:
        if {path.name for path in paths} >= set(COPIES):
            assert self.scenario.look() == {"configuration": self.scenario.after, "version": self.scenario.ends_on}
            return
        self.scenario.require_converged()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", [Update, pytest.param(Heal, marks=pytest.mark.slow)], ids=lambda kind: kind.name)
def test_damaged_file_of_its_own_does_not_stop_the_agent(
    kind: type[Scenario], capsys: pytest.CaptureFixture[str]
) -> None:
    with matrix(kind) as made:
        tried = Damaged(made.scenario)
        files = own_files(made.scenario.template)
        assert {path.name for path in files} >= set(COPIES)
        both = [Path("state") / name for name in COPIES]
        for damage in DAMAGE:
            for paths in [*([path] for path in files), both]:
                tried.try_damage(paths, damage)
    with capsys.disabled():
        print(
            f"\n{kind.name}: {tried.points} points ({len(DAMAGE)} kinds of damage to {len(files)} files and to both"
            f" copies of the state), {len(tried.failures)} failures"
        )
    assert not tried.failures, "\n".join(tried.failures[:40])
