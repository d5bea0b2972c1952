"""Cut the power at a system call: what a disk holds then is copied while the agent lives on it, and booted from.

One life of the agent is one recording: before every call that changes the file system (and at its end) the disk is
copied, with what the agent had told others until then. Each life is recorded on several machines (`disks.KERNELS`): a
`lazy` kernel writes down nothing that it was not asked for, an `eager` one commits its journal before every call, and
a `strict` one, a model, keeps nothing but what was synced, name by name.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from reconciler_agent.system_calls import SYSTEM, Calls
from tests.crash.disks import KERNELS, Machine
from tests.crash.dying import counting, in_child
from tests.crash.scenario import Scenario
from tests.crash.told import Told
from tests.crash.trial import WRONG, problem

Seed = Callable[[Calls], Calls]
"""What a bug makes of the system calls."""


class Cut(NamedTuple):
    """The disk before the `number`th call (from 1; one more than there are calls: at the end).

    `after`: where the power was cut before, in words. `live`: another life is to follow, and not only a look.
    """

    number: int
    kind: str
    disk: bytes
    told: Told
    after: str = ""
    live: bool = True

    @property
    def where(self) -> str:
        """In words."""
        return f"{self.after}before call {self.number} ({self.kind})"


class Recording:
    """What a cut would leave at each call of one life, written down in a child."""

    def __init__(self, scenario: Scenario, machine: Machine, before: Told, wanted: Callable[[], bool]) -> None:
        self._scenario = scenario
        self._machine = machine
        self._before = before
        self._wanted = wanted
        self._calls = 0
        self._reports = len(scenario.world.central.reports)

    def keep_in(self, folder: Path, seed: Seed) -> None:
        """Live."""

        def before(number: int, kind: str, _arguments: tuple[Any, ...]) -> None:
            self._calls = number
            self._machine.before_call()
            self._keep(folder, number, kind)

        watched = self._machine.watched(SYSTEM)
        self._scenario.update(seed(counting(before, lambda _number: None, watched)))
        self._keep(folder, self._calls + 1, "the end")

    def _keep(self, folder: Path, number: int, kind: str) -> None:
        if self._wanted():
            (folder / f"{number:05}.disk").write_bytes(self._machine.copy())
            (folder / f"{number:05}.told").write_text(json.dumps([kind, *self._told()]))

    def _told(self) -> Told:
        reports = self._scenario.world.central.reports[self._reports :]
        return self._before.and_by(reports)._replace(done=tuple(self._scenario.done()))


class Power:
    """The cuts of a life on one kind of machine."""

    def __init__(self, scenario: Scenario, kernel: str, folder: Path) -> None:
        self.scenario = scenario
        self.kernel = kernel
        self.calls = len(scenario.calls())
        self._boots = 0
        self.move_to(folder)
        with self._machine.running(self._machine.empty):
            shutil.copytree(scenario.template, scenario.work, symlinks=True)
            self.surroundings = self._machine.surroundings()
        self._first = self._machine.copy()

    def move_to(self, folder: Path) -> None:
        """Use this folder from now on."""
        self._folder = folder
        self._machine = KERNELS[self.kernel](folder)
        self.scenario.move_to(folder)
        self.scenario.work = self._machine.root / "work"

    def record(
        self, after: Cut | None = None, seed: Seed = lambda calls: calls, wanted: Callable[[], bool] = lambda: True
    ) -> list[Cut]:
        """The cuts of a life that is not cut, on a fresh disk or `after` a cut; `wanted`: whether to keep the next."""
        told = after.told if after else Told()
        kept = self._folder / "kept"
        kept.mkdir()
        with self._boot(after.disk if after else self._first, told):
            recording = Recording(self.scenario, self._machine, told, wanted)
            assert in_child(lambda: recording.keep_in(kept, seed)) == 0, f"{self.scenario.name}: a whole life failed"
        found = list(_read(kept, f"{after.where}, then " if after else ""))
        shutil.rmtree(kept)
        return found

    def look_at(self, cut: Cut) -> str:
        """Power off there, on again: does it do no harm, at once and, if it is to live, after another life?"""
        try:
            with self._boot(cut.disk, cut.told):
                cut.told.require_known(self.scenario.settings())
                self.scenario.require_playable()
                if cut.live:
                    self._live_on(cut.told)
        except WRONG as found:
            return problem(f"{self.scenario.name}: cut {cut.where}, {self.kernel} machine", found)
        return ""

    def _live_on(self, told: Told) -> None:
        assert in_child(self.scenario.update) == 0, "the next life failed"
        told.require_known(self.scenario.settings())
        self.scenario.require_converged()
        self.scenario.require_rest()

    @contextmanager
    def _boot(self, disk: bytes, told: Told) -> Iterator[None]:
        """With this disk, in a world where what was done stays done."""
        with self._machine.running(disk):
            self.scenario.outside.write_text("".join(f"{what}\n" for what in told.done))
            self._boots += 1
            self.scenario.world.clock.life = f"life {self._boots}"
            yield


def different(cuts: Iterable[Cut]) -> list[Cut]:
    """Each disk once, with what was told: equal ones come to the same."""
    return list({(cut.disk, cut.told, cut.live): cut for cut in cuts}.values())


def _read(folder: Path, after: str) -> Iterator[Cut]:
    """What a recording kept, in order."""
    for path in sorted(folder.glob("*.disk")):
        kind, committed, accepted, last_event, done = json.loads(path.with_suffix(".told").read_text())
        yield Cut(int(path.stem), kind, path.read_bytes(), Told(committed, accepted, last_event, tuple(done)), after)
