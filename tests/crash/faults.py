"""A disk that fails: an error, or a short write, at one call of a life, or at that call and every one that follows.

Reads do not go through `system_calls`; the child of a point puts its own `os.read` in the place of the real one.
"""

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from reconciler_agent.errors import AgentError
from reconciler_agent.system_calls import SYSTEM, Calls
from tests.crash.dying import in_child
from tests.crash.scenario import Scenario
from tests.crash.told import nothing_told_too_early
from tests.crash.trial import WRONG, problem

LIFE_S: Final = 120
"""A life that has not ended by then never will."""
TAKES_ROOM: Final = frozenset({"create", "write", "allocate", "mkdir", "rename", "exchange", "symlink"})
"""What a full disk refuses; what gives room back goes on."""
MAKES_FILES: Final = frozenset({"create", "mkdir", "symlink"})
"""What a disk without a free inode refuses."""
DISK_ERRORS: Final = frozenset({"write", "fsync", "sync_all", "truncate", "rename", "exchange"})

READS_OF_A_COPY: Final = 2
"""Its bytes, and its end."""


class Fault(NamedTuple):
    """From the `number`th of the calls that can meet it (from 1); `lasting`: at all that follow, too."""

    kind: str
    number: int
    lasting: bool


class Kind(NamedTuple):
    """An error, and at which calls it is met; without an error: a write that takes only a part."""

    error: int
    met_by: frozenset[str]


KINDS: Final[dict[str, Kind]] = {
    "ENOSPC": Kind(errno.ENOSPC, TAKES_ROOM),
    "ENOSPC for inodes": Kind(errno.ENOSPC, MAKES_FILES),
    "EIO": Kind(errno.EIO, DISK_ERRORS),
    "EROFS": Kind(errno.EROFS, frozenset(Calls._fields) - {"fsync", "sync_all"}),
    "short write": Kind(0, frozenset({"write"})),
    "EIO on read": Kind(errno.EIO, frozenset({"read"})),
}


class FaultyDisk:
    """The calls of one life, which count those that can meet the fault; `fault` None: counted only."""

    def __init__(self, kind: str, fault: Fault | None = None) -> None:
        self.count = 0
        self._kind = KINDS[kind]
        self._fault = fault
        self.calls = Calls(*(self._wrap(name, call) for name, call in SYSTEM._asdict().items()))

    @contextmanager
    def reads(self) -> Iterator[None]:
        """With `os.read` wrapped as well."""
        real = os.read
        os.read = self._wrap("read", real)  # type: ignore[assignment]
        try:
            yield
        finally:
            os.read = real

    def _wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any, **named: Any) -> Any:
            if name not in self._kind.met_by or _is_there_already(name, arguments, named) or not self._strikes():
                return call(*arguments, **named)
            if self._kind.error:
                raise OSError(self._kind.error, os.strerror(self._kind.error))
            handle, data = arguments
            return call(handle, data[: max(1, len(data) // 2)])

        return made

    def _strikes(self) -> bool:
        self.count += 1
        fault = self._fault
        return fault is not None and (self.count == fault.number or (fault.lasting and self.count > fault.number))


def loses_state(fault: Fault) -> bool:
    """Both copies of the state can never be read, as where both are damaged: `test_broken_state` looks at that."""
    return fault.kind == "EIO on read" and fault.lasting and fault.number <= READS_OF_A_COPY


class Faults:
    """Every fault of a kind in a life, and what comes of it."""

    def __init__(self, scenario: Scenario, kind: str) -> None:
        self.scenario = scenario
        self.kind = kind

    def move_to(self, folder: Path) -> None:
        """Use this folder from now on."""
        self.scenario.move_to(folder)

    def points(self) -> list[Fault]:
        """At each call of an undisturbed life that can meet it: once, and from there on."""
        disk = FaultyDisk(self.kind)
        self.scenario.reset()
        with disk.reads():
            self.scenario.update(disk.calls)
        every = [Fault(self.kind, number, lasting) for number in range(1, disk.count + 1) for lasting in (False, True)]
        return [fault for fault in every if not loses_state(fault)]

    def look_at(self, fault: Fault) -> str:
        """A life in which the disk fails, and one in which it does not."""
        try:
            self.scenario.reset()
            assert in_child(lambda: self._live_with(fault)) == 0, "the agent did not live with it"
            self.scenario.require_playable()
            assert in_child(self.scenario.update) == 0, "the next life failed"
            self.scenario.require_converged()
            self.scenario.require_rest()
        except WRONG as found:
            lasting = " and from there on" if fault.lasting else ""
            return problem(f"{self.scenario.name}: {fault.kind} at call {fault.number}{lasting}", found)
        return ""

    def _live_with(self, fault: Fault) -> None:
        """In a child."""
        disk = FaultyDisk(fault.kind, fault)
        with disk.reads():
            live(self.scenario, disk.calls)


def live(scenario: Scenario, calls: Calls) -> None:
    """In a child: an AgentError may end a life, since it has said what is wrong; nothing else may.

    Nothing is told that is not on the disk, however the disk fails.
    """
    signal.alarm(LIFE_S)
    try:
        with nothing_told_too_early(scenario.world.central, scenario.settings()):
            scenario.update(calls)
    except AgentError as found:
        assert str(found).startswith("cannot "), found


def _is_there_already(name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> bool:
    """Whether a file is only opened again, which takes no inode."""
    try:
        return name == "create" and bool(os.lstat(arguments[0], dir_fd=named.get("dir_fd")))
    except FileNotFoundError:
        return False
