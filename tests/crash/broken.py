"""Whatever becomes of a file of the agent's own: it goes on, converges, and forgets nothing that another copy holds."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from reconciler_agent.beginning import read_state
from reconciler_agent.state import COPIES, State
from tests.crash.dying import in_child
from tests.crash.scenario import Scenario
from tests.crash.trial import WRONG, problem

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


class Damage(NamedTuple):
    """What becomes of which files, by `DAMAGE`."""

    kind: str
    paths: tuple[Path, ...]


class Broken:
    """A box at rest whose agent's own files are damaged, before the life that has something to do."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.files = own_files(scenario.template)

    def move_to(self, folder: Path) -> None:
        """Use this folder from now on."""
        self.scenario.move_to(folder)

    def points(self) -> list[Damage]:
        """Every kind of damage to every file, and to both copies of the state."""
        both = tuple(Path("state") / name for name in COPIES)
        return [Damage(kind, paths) for kind in DAMAGE for paths in [*((path,) for path in self.files), both]]

    def look_at(self, damage: Damage) -> str:
        """One life on what is damaged."""
        self.scenario.reset()
        known = self._without(damage.paths)
        for path in damage.paths:
            DAMAGE[damage.kind](self.scenario.work / path)
        try:
            assert in_child(lambda: self._live(known, damage.paths)) == 0, "the life failed"
            self.scenario.require_playable()
            self._require_converged(damage.paths)
        except WRONG as found:
            names = " and ".join(str(path) for path in damage.paths)
            return problem(f"{self.scenario.name}: {damage.kind} for {names}", found)
        return ""

    def _without(self, paths: tuple[Path, ...]) -> State | None:
        """What is known without these files."""
        kept = {path: (self.scenario.work / path).read_bytes() for path in paths}
        for path in paths:
            (self.scenario.work / path).unlink()
        known = read_state(self.scenario.settings())
        for path, data in kept.items():
            (self.scenario.work / path).write_bytes(data)
        return known

    def _live(self, known: State | None, paths: tuple[Path, ...]) -> None:
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
        events = {event.reason for report in central.reports[told:] for event in report.events}
        numbers = {event.number for report in central.reports[told:] for event in report.events}
        copies = {path.name for path in paths} & set(COPIES)
        assert "FirstStart" not in events, "it took itself for new"
        if copies == set(COPIES):
            assert "StateLost" in events, f"it did not say that it forgot: {sorted(events)}"
            return
        assert known is not None
        untold = {event.number for event in known.events}
        assert all(n in untold or n > known.last_event for n in numbers), "it began to count again"
        assert not copies or "StateDamaged" in events, f"it did not say what was damaged: {sorted(events)}"

    def _require_converged(self, paths: tuple[Path, ...]) -> None:
        if {path.name for path in paths} >= set(COPIES):
            assert self.scenario.look() == {"configuration": self.scenario.after, "version": self.scenario.ends_on}
            return
        self.scenario.require_converged()
