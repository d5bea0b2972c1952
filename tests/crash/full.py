"""A disk that is really full: another process takes the last inode, or block, of an ext4 while the agent lives.

From then on whatever takes room fails, wherever the kernel notices it; what gives room back does so.
"""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.crash.disks import Ext4
from tests.crash.dying import counting, in_child
from tests.crash.faults import live
from tests.crash.scenario import Scenario
from tests.crash.trial import WRONG, problem

PIECE_BYTES: Final = (1 << 20, 1 << 14, 1 << 10)
"""What is taken at once, while there is so much."""


class Out(NamedTuple):
    """The `number`th call (from 1) finds no room any more; of what: "inodes" or "blocks"."""

    of: str
    number: int


class Full:
    """Every call of a life, and the disk full from there on."""

    def __init__(self, scenario: Scenario, of: str, folder: Path) -> None:
        self.scenario = scenario
        self.scenario.partly = True
        self.of = of
        self._count = len(scenario.calls())
        self.move_to(folder)
        with self._disk.running(self._disk.empty):
            shutil.copytree(scenario.template, scenario.work, symlinks=True)
            self.surroundings = self._disk.surroundings()
        self._first = self._disk.copy()

    def move_to(self, folder: Path) -> None:
        """Use this folder from now on."""
        self._disk = Ext4(folder)
        self.scenario.move_to(folder)
        self.scenario.work = self._disk.root / "work"

    def points(self) -> list[Out]:
        """Before each call."""
        return [Out(self.of, number) for number in range(1, self._count + 1)]

    def look_at(self, out: Out) -> str:
        """A life on a disk that fills up, and one when there is room again."""
        ballast = self._disk.root / "ballast"
        try:
            with self._disk.running(self._first):
                self.scenario.outside.unlink(missing_ok=True)
                assert in_child(lambda: self._live_until(out, ballast)) == 0, "the agent did not live with it"
                assert ballast.exists(), "the disk was not full"
                self.scenario.require_playable()
                shutil.rmtree(ballast)
                assert in_child(self.scenario.update) == 0, "the next life failed"
                self.scenario.require_converged()
                self.scenario.require_rest()
        except WRONG as found:
            return problem(f"{self.scenario.name}: no {out.of} from call {out.number} on", found)
        return ""

    def _live_until(self, out: Out, ballast: Path) -> None:
        """In a child."""

        def before(number: int, _name: str, _arguments: tuple[Any, ...]) -> None:
            if number == out.number:
                ballast.mkdir()
                FILL[out.of](ballast)

        live(self.scenario, counting(before, lambda _number: None))


def _take_inodes(ballast: Path) -> None:
    def take(count: int) -> None:
        (ballast / str(count)).touch()

    _until_full(take)


def _take_blocks(ballast: Path) -> None:
    with (ballast / "room").open("wb") as file:
        for piece_bytes in PIECE_BYTES:

            def take(_count: int, piece_bytes: int = piece_bytes) -> None:
                os.write(file.fileno(), bytes(piece_bytes))
                os.fsync(file.fileno())

            _until_full(take)


def _until_full(take: Callable[[int], None]) -> None:
    count = 0
    try:
        while True:
            take(count := count + 1)
    except OSError as found:
        if found.errno != errno.ENOSPC:
            raise


FILL: Final[dict[str, Callable[[Path], None]]] = {"inodes": _take_inodes, "blocks": _take_blocks}
