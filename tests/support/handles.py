"""The descriptors that this process holds, and the end of a process that lives in it: the kernel closes them then."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_HELD = Path("/proc/self/fd")


def held_handles() -> dict[int, str]:
    """Each descriptor, and what it is of (a path as it is now; 'socket:[…]', 'pipe:[…]')."""
    held = {}
    for number in os.listdir(_HELD):
        with suppress(FileNotFoundError):  # the one that lists
            held[int(number)] = os.readlink(_HELD / number)
    return held


@contextmanager
def life_of_a_process(folder: Path) -> Iterator[None]:
    """What is opened beneath the folder is closed with the context, as for a process however it ends.

    For code that holds bare descriptors, as the agent's disk does: closed twice, a number may be somebody else's.
    """
    before = held_handles()
    try:
        yield
    finally:
        for handle, of in held_handles().items():
            if before.get(handle) != of and Path(of).is_relative_to(folder.resolve()):
                os.close(handle)


@pytest.fixture
def process_life(tmp_path: Path) -> Iterator[None]:
    """The test is the life of a process on its folder: for agents that are cut off, or never closed."""
    with life_of_a_process(tmp_path):
        yield
