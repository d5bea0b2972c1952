"""The descriptors that this process holds: counted file by file, and closed where a test ends an agent anywhere.

A process may have 1,024 of them for thousands of tests: a file that leaves more than a few fails at its end.
"""

import gc
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_HELD = Path("/proc/self/fd")
LEFT_BY_A_FILE = 32
"""What servers that live as long as the session hold, and what is still on its way to being closed."""
_MANY = 256
"""From so many on, what a few files left each is collected, too."""


def held_handles() -> dict[int, str]:
    """Each descriptor, and what it is of (a path as it is now; 'socket:[…]', 'pipe:[…]')."""
    held = {}
    for link in _HELD.iterdir():
        with suppress(FileNotFoundError):  # the one that lists
            held[int(link.name)] = str(link.readlink())
    return held


def _count() -> int:
    return sum(1 for _ in _HELD.iterdir())


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


class _Watch:
    """How many descriptors there were after the first test of a file, which may start servers for the session, and
    after which of the others there were more."""

    def __init__(self) -> None:
        self.file: Path | None = None
        self.before = self.last = 0
        self.is_first = True
        self.grown: dict[str, int] = {}

    def begin(self, item: pytest.Item) -> None:
        if item.path != self.file:
            self.file, self.grown, self.is_first = item.path, {}, True

    def end(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        now = _count()
        if self.is_first:
            self.before = self.last = now
            self.is_first = False
        if now > self.last:
            self.grown[item.name] = now - self.last
        self.last = now
        if nextitem is None or nextitem.path != self.file:
            self.file = None
            if now - self.before > LEFT_BY_A_FILE or now > _MANY:
                self._require_closed(item)

    def _require_closed(self, item: pytest.Item) -> None:
        """What only waits to be collected is no leak; nor what a control plane, for its whole life, keeps from that."""
        gc.unfreeze()
        gc.collect()
        held = held_handles()
        if len(held) - self.before > LEFT_BY_A_FILE:
            often = ", ".join(f"{of} ({times})" for of, times in Counter(held.values()).most_common(8))
            pytest.fail(
                f"{item.path.name} leaves {len(held) - self.before} descriptors open, {LEFT_BY_A_FILE} at most may be;"
                f" there are more after {self.grown}; most are of {often}",
                pytrace=False,
            )


_WATCH = _Watch()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Before anything of the test."""
    _WATCH.begin(item)
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """After everything of the test, and of its file with the last one."""
    yield
    _WATCH.end(item, nextitem)
