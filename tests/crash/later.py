"""The power goes later: an agent is killed, or an fsync fails, it starts anew and goes on, and then the power goes.

What an agent finds under a name on a machine that runs need not be on its disk. The disk is the `strict` model, and of
a file whose fsync failed nothing gets there: Linux takes its pages for written, and another fsync finds nothing to do.
"""

import errno
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

from reconciler_agent.errors import AgentError
from reconciler_agent.system_calls import SYSTEM
from tests.crash.disks import Strict
from tests.crash.dying import counting, die, in_child
from tests.crash.scenario import Scenario
from tests.crash.told import Told
from tests.crash.trial import WRONG, problem

TROUBLES = ("killed", "failed fsync")


class Trouble(NamedTuple):
    """In a first life, at the `number`th call (from 1): the agent is "killed" after it, or, a "failed fsync"."""

    kind: str
    number: int


class Later:
    """Every trouble of a kind in a life, the life that follows it, and then a power cut."""

    def __init__(self, scenario: Scenario, kind: str, folder: Path) -> None:
        self.scenario = scenario
        self._kind = kind
        self._calls = [name for name, _ in scenario.calls()]
        self.move_to(folder)
        with self._disk.running(self._disk.empty):
            shutil.copytree(scenario.template, scenario.work, symlinks=True)
        self._first = self._disk.copy()

    def move_to(self, folder: Path) -> None:
        """Use this folder from now on."""
        self._disk = Strict(folder)
        self._left = folder / "left"
        self.scenario.move_to(folder)
        self.scenario.work = self._disk.root / "work"

    def points(self) -> list[Trouble]:
        """At every call, or at every fsync."""
        return [
            Trouble(self._kind, number)
            for number, name in enumerate(self._calls, start=1)
            if self._kind == "killed" or name == "fsync"
        ]

    def look_at(self, trouble: Trouble) -> str:
        """Trouble, another life, the power off and on, and one more."""
        try:
            with self._boot(self._first, Told()):
                in_child(lambda: self._live(Told(), trouble))
                told = self._go_on()
                assert in_child(lambda: self._live(told)) == 0, "the life after the trouble failed"
                told, copy = self._go_on(), self._disk.copy()
            with self._boot(copy, told):
                told.require_known(self.scenario.settings())
                self.scenario.require_playable()
                assert in_child(self.scenario.update) == 0, "the life after the power cut failed"
                self.scenario.require_converged()
                self.scenario.require_rest()
        except WRONG as found:
            return problem(f"{self.scenario.name}: {trouble.kind} (call {trouble.number}), then a power cut", found)
        return ""

    @contextmanager
    def _boot(self, disk: bytes, told: Told) -> Iterator[None]:
        with self._disk.running(disk):
            self.scenario.outside.write_text("".join(f"{what}\n" for what in told.done))
            yield

    def _go_on(self) -> Told:
        """Know what the child knew of the disk when it ended; what it had told."""
        told, disk = pickle.loads(self._left.read_bytes())
        self._disk.go_on(disk)
        return cast(Told, told)

    def _live(self, told: Told, trouble: Trouble | None = None) -> None:
        """In a child, which leaves what the disk keeps, and what was told."""
        reports = self.scenario.world.central.reports
        before = len(reports)

        def leave() -> None:
            known = told.and_by(reports[before:])._replace(done=tuple(self.scenario.done()))
            self._left.write_bytes(pickle.dumps((known, self._disk.state())))

        def after(number: int) -> None:
            if trouble == ("killed", number):
                leave()
                die()

        def on_call(number: int, name: str, given: tuple[Any, ...]) -> None:
            if trouble == ("failed fsync", number) and name == "fsync":
                self._disk.lose(given[0])
                raise OSError(errno.EIO, "as the test has it")

        try:
            self.scenario.update(counting(on_call, after, self._disk.watched(SYSTEM)))
        except AgentError:
            assert trouble is not None
        leave()
