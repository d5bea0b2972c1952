"""Cut the power at a system call: a real ext4 in a file, copied while the agent lives on it, and mounted again.

One life of the agent is one recording: before every call that changes the file system (and at its end) the backing
file is copied, which is what a disk holds at which the power goes there, with what the agent had told others until
then. Two kinds of kernel are recorded: a `lazy` one writes down nothing that it was not asked for, an `eager` one
commits its journal before every call, so that names are on the disk and bytes that were not synced are not.
`noauto_da_alloc`: by default ext4 hides a missing fsync behind renames.
"""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, NamedTuple

import zstandard

from reconciler_agent.app import read_state
from reconciler_agent.core.trust import current_head
from reconciler_agent.system_calls import Calls
from tests.crash.matrix import Scenario, counting, in_child

Kernel = Literal["lazy", "eager"]
KERNELS: Final[tuple[Kernel, ...]] = ("lazy", "eager")
SIZE_BYTES: Final = 24 << 20
OPTIONS: Final = "noauto_da_alloc"
SURROUNDINGS: Final = f"Linux {platform.release()}, ext4 ({OPTIONS}) on a loop device"

Seed = Callable[[Calls], Calls]
"""What a bug makes of the system calls."""


class Told(NamedTuple):
    """What others know from the box, and what must therefore outlive a cut: nothing of it is ever taken back."""

    committed: int = 0
    accepted: int = 0
    last_event: int = 0
    done: tuple[str, ...] = ()


class Cut(NamedTuple):
    """The disk before the `number`th call (from 1; one more than there are calls: at the end)."""

    number: int
    kind: str
    disk: bytes
    told: Told


def why_not() -> str:
    """Why power cannot be cut here; empty when it can."""
    if os.geteuid() != 0:
        return "cutting the power needs root, to mount a file system"
    missing = [tool for tool in ("mkfs.ext4", "mount", "umount") if not shutil.which(tool)]
    if missing:
        return f"{missing[0]} is not installed"
    with TemporaryDirectory() as folder:
        try:
            Machine(Path(folder)).close()
        except subprocess.CalledProcessError as problem:
            return f"no ext4 can be mounted from a file here: {problem.stderr.decode().strip()}"
    return ""


class Machine:
    """A disk in a file, mounted at `mount` while it runs."""

    def __init__(self, folder: Path) -> None:
        self.image = folder / "disk"
        self.mount = folder / "mount"
        self.mount.mkdir()
        with self.image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self.image))
        self._mounted = False
        self.start()

    def start(self) -> None:
        """Mount the disk, which takes up its journal."""
        _run("mount", "-o", f"loop,{OPTIONS}", str(self.image), str(self.mount))
        self._mounted = True

    def close(self) -> None:
        """Unmount the disk."""
        if self._mounted:
            _run("umount", str(self.mount))
            self._mounted = False

    def copy(self) -> bytes:
        """What the disk holds, and the kernel does not hold back, at one instant: none was half written; packed."""
        before, data = b"", self.image.read_bytes()
        while before != data:
            before, data = data, self.image.read_bytes()
        return zstandard.compress(data, 1)

    def restart(self, disk: bytes) -> None:
        """Begin again with this disk."""
        self.close()
        self.image.write_bytes(zstandard.decompress(disk))
        self.start()

    def commit(self) -> None:
        """Let the kernel write down its journal: of everything else what was not synced stays in memory."""
        with (self.mount / "unrelated").open("ab") as file:
            file.write(b".")
            file.flush()
            os.fsync(file.fileno())


class Recording:
    """The disks of one life, which follows on `before`."""

    def __init__(self, scenario: Scenario, machine: Machine, kernel: Kernel, before: Told) -> None:
        self._scenario = scenario
        self._machine = machine
        self._kernel = kernel
        self._before = before
        self._calls = 0
        self._reports = len(scenario.world.central.reports)

    def keep_in(self, folder: Path, seed: Seed) -> None:
        """In a child: live, and write what a cut would leave at each call."""

        def before(number: int, kind: str, _arguments: tuple[Any, ...]) -> None:
            self._calls = number
            if self._kernel == "eager":
                self._machine.commit()
            self._keep(folder, number, kind)

        self._scenario.update(seed(counting(before, lambda _number: None)))
        self._keep(folder, self._calls + 1, "the end")

    def _keep(self, folder: Path, number: int, kind: str) -> None:
        (folder / f"{number:05}.disk").write_bytes(self._machine.copy())
        (folder / f"{number:05}.told").write_text(json.dumps([kind, *self._told()]))

    def _told(self) -> Told:
        reports = self._scenario.world.central.reports[self._reports :]
        return Told(
            committed=max([self._before.committed, *(r.generation or 0 for r in reports)]),
            accepted=max([self._before.accepted, *(r.head_generation or 0 for r in reports)]),
            last_event=max([self._before.last_event, *(e.number for r in reports for e in r.events)]),
            done=tuple(self._scenario.done()),
        )


def read_cuts(folder: Path) -> Iterator[Cut]:
    """What a recording kept, in order."""
    for path in sorted(folder.glob("*.disk")):
        kind, committed, accepted, last_event, done = json.loads(path.with_suffix(".told").read_text())
        yield Cut(int(path.stem), kind, path.read_bytes(), Told(committed, accepted, last_event, tuple(done)))


class PowerMatrix:
    """Every cut of a scenario, and what came of it. Equal disks (with equal facts told) are tried once."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        self.failures: list[str] = []
        self.cuts = 0
        self.disks = 0
        self._boots = 0
        self._folder = folder
        self._tried: set[tuple[bytes, Told, bool]] = set()
        self.machine = Machine(folder)
        scenario.work = self.machine.mount / "work"
        shutil.copytree(scenario.template, scenario.work, symlinks=True)
        self.machine.close()
        self._first = self.machine.copy()

    def record(self, kernel: Kernel, after: Cut | None = None, seed: Seed = lambda calls: calls) -> list[Cut]:
        """Live once without a cut, on a fresh disk or `after` a cut."""
        before = after.told if after else Told()
        self._start(after.disk if after else self._first, before)
        kept = self._folder / "kept"
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir()
        recording = Recording(self.scenario, self.machine, kernel, before)
        status = in_child(lambda: recording.keep_in(kept, seed))
        assert status == 0, f"{self.scenario.name}: an undisturbed life failed"
        return list(read_cuts(kept))

    def try_cut(self, kernel: Kernel, cut: Cut, live: bool = True) -> None:
        """Power off there, on again, and see that it did no harm: at once and, with `live`, after another life."""
        self.cuts += 1
        if (cut.disk, cut.told, live) in self._tried:
            return
        self._tried.add((cut.disk, cut.told, live))
        self.disks += 1
        try:
            self._start(cut.disk, cut.told)
            self._require_told(cut.told)
            self.scenario.require_playable()
            if live:
                self._live_on(cut.told)
        except (AssertionError, OSError, ValueError) as problem:
            where = f"{self.scenario.name}: cut before call {cut.number} ({cut.kind}), {kernel} kernel"
            self.failures.append(f"{where}: {type(problem).__name__}: {problem}")

    def _live_on(self, told: Told) -> None:
        assert in_child(self.scenario.update) == 0, "the next life failed"
        self._require_told(told)
        self.scenario.require_converged()
        self.scenario.require_rest()

    def _start(self, disk: bytes, told: Told) -> None:
        """Boot with this disk, in a world where what was done stays done."""
        self.machine.restart(disk)
        self.scenario.outside.write_text("".join(f"{what}\n" for what in told.done))
        self._boots += 1
        self.scenario.world.clock.life = f"life {self._boots}"

    def _require_told(self, told: Told) -> None:
        """No fact that others were told is gone."""
        if told == Told():
            return
        state = read_state(self.scenario.settings())
        assert state is not None, "the box forgot everything"
        head = current_head(state.trust)
        assert (state.committed or 0) >= told.committed, f"committed {state.committed}, told {told.committed}"
        assert (head.generation if head else 0) >= told.accepted, f"it forgot generation {told.accepted}"
        assert state.last_event >= told.last_event, f"event {state.last_event} is the last, told {told.last_event}"

    def line(self, calls: int) -> str:
        """What was counted."""
        return (
            f"{self.scenario.name}: {self.cuts} power cuts tried of {calls} calls ({self.disks} different disks),"
            f" {len(self.failures)} failures; {SURROUNDINGS}"
        )


@contextmanager
def power_matrix(kind: type[Scenario]) -> Iterator[PowerMatrix]:
    """A matrix whose disk is a file in memory, where there is such a file system."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None, prefix="neopro-power-") as folder:
        made = PowerMatrix(kind(Path(folder)), Path(folder))
        try:
            yield made
        finally:
            made.machine.close()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
