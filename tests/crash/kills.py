"""Kill the agent at a system call, look at what is on the disk, let it go on, and look again."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from reconciler_agent.system_calls import Calls
from tests.crash.dying import Point, counting, dying_at, in_child
from tests.crash.scenario import Scenario
from tests.crash.trial import WRONG, problem


class Kill(NamedTuple):
    """Where a life ends, and, where there is a `then`, where the next one does. `live`: another one is to follow."""

    point: Point
    then: Point | None = None
    live: bool = True


class Kills:
    """Every kill of a life. `seed`: a bug that is put under the agent."""

    def __init__(self, scenario: Scenario, seed: Callable[[Calls], Calls] = lambda calls: calls) -> None:
        self.scenario = scenario
        self._seed = seed
        self.kinds = self._kinds()

    def move_to(self, folder: Path) -> None:
        """Use this folder from now on."""
        self.scenario.move_to(folder)

    def _kinds(self) -> list[str]:
        """The name of every call of an undisturbed life, in order."""
        names: list[str] = []
        self.scenario.reset()
        calls = counting(lambda _number, name, _given: names.append(name), lambda _number: None)
        self.scenario.update(self._seed(calls))
        return names

    def points(self) -> list[Point]:
        """Before and after every call, and within every write."""
        found = []
        for number, kind in enumerate(self.kinds, start=1):
            found += [Point(number, "before"), Point(number, "after")]
            if kind == "write":
                found.append(Point(number, "within"))
        return found

    def look_at(self, kill: Kill) -> str:
        """Die there, and see that it does no harm."""
        point, then, live = kill
        what = f"{self.scenario.name}: killed {point.where} call {point.number} ({self.kinds[point.number - 1]})"
        what += f", then {then.where} call {then.number} of its second life" if then else ""
        try:
            self.scenario.reset()
            assert os.WIFSIGNALED(self._die(point)), "it was not killed"
            self.scenario.require_playable()
            if then is not None:
                self._die(then)
                self.scenario.require_playable()
            if live:
                self._live_on()
        except WRONG as found:
            return problem(what, found)
        return ""

    def _live_on(self) -> None:
        assert in_child(self.scenario.update) == 0, "the next life failed"
        self.scenario.require_converged()
        self.scenario.require_rest()

    def _die(self, point: Point) -> int:
        return in_child(lambda: self.scenario.update(self._seed(dying_at(point))))
