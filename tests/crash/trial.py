"""Points that are tried by several processes at once, each with a box of its own, forked from this one."""

import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory
from typing import Protocol, TypeVar

P_contra = TypeVar("P_contra", contravariant=True)
P = TypeVar("P")

WRONG = (AssertionError, OSError, ValueError)
"""What is raised where a box is not as it must be: by a look at it, or by reading what is missing or broken."""


class Trial(Protocol[P_contra]):
    """What can be tried at points, and tells of each what went wrong."""

    def move_to(self, folder: Path) -> None:
        """Use this folder from now on: it is another process's turn."""

    def look_at(self, point: P_contra) -> str:
        """What is wrong at this point; empty where nothing is."""


def look_at_all(trial: Trial[P], points: Sequence[P], jobs: int = 1) -> Generator[str, None, None]:
    """What is wrong at each of the points, in their order; empty where nothing is."""
    if jobs == 1:
        yield from map(trial.look_at, points)
        return
    with workshop() as folder, ProcessPoolExecutor(jobs, get_context("fork"), _begin, (trial, folder)) as pool:
        try:
            yield from pool.map(_look_at, points)
        finally:
            pool.shutdown(cancel_futures=True)  # when we are stopped, no further point is tried


@contextmanager
def workshop() -> Iterator[Path]:
    """A folder in memory, where there is such a file system; what is mounted beneath it is unmounted in the end."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None, prefix="neopro-crash-") as name:
        Path(name).chmod(0o711)  # a life may be that of a user who is not root
        try:
            yield Path(name)
        finally:
            for line in Path("/proc/mounts").read_text().splitlines():
                if (mount := line.split()[1]).startswith(f"{name}/"):
                    run(["umount", "-l", mount], check=False)


def problem(what: str, found: Exception) -> str:
    """The sentence for what was found wrong."""
    return f"{what}: {type(found).__name__}: {found}"


_trial: list[Trial[object]] = []
"""Of this process, when it is one of a pool: a pool hands its processes nothing but functions of a module."""


def _begin(trial: Trial[object], folder: Path) -> None:
    own = folder / str(os.getpid())
    own.mkdir()
    trial.move_to(own)
    _trial.append(trial)


def _look_at(point: object) -> str:
    return _trial[-1].look_at(point)
