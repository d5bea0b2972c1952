"""The system calls with which the agent changes the file system, and what their errors mean.

`durable` makes every change through a `Calls`, so that a test can end the process at any of them.
"""

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, NamedTuple

from reconciler_agent.errors import AgentError, DiskFault, DiskFull

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_LINKED: Final = frozenset({errno.ELOOP, errno.ENOTDIR})
_RENAME_EXCHANGE: Final = 2
_FALLOC_FL_KEEP_SIZE: Final = 1

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def _exchange(folder_a: int, name_a: str, folder_b: int, name_b: str) -> None:
    """renameat2(2) with RENAME_EXCHANGE: both names stay, their files change places in one step."""
    if _libc.renameat2(folder_a, os.fsencode(name_a), folder_b, os.fsencode(name_b), _RENAME_EXCHANGE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _allocate(handle: int, size_bytes: int) -> None:
    """fallocate(2) without changing the file's size; a file system that cannot is no error."""
    if _libc.fallocate(handle, _FALLOC_FL_KEEP_SIZE, 0, size_bytes):
        code = ctypes.get_errno()
        if code not in (errno.EOPNOTSUPP, errno.ENOSYS):
            raise OSError(code, os.strerror(code))


def _sync_all(handle: int) -> None:
    """syncfs(2): everything of the file system that holds this file is on the disk when it returns."""
    if _libc.syncfs(handle):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Calls(NamedTuple):
    """Every system call with which the agent changes the file system; tests wrap them to die before or after one."""

    create: Callable[..., int] = os.open
    write: Callable[[int, bytes | memoryview], int] = os.write
    truncate: Callable[[int, int], None] = os.ftruncate
    allocate: Callable[[int, int], None] = _allocate
    chmod: Callable[[int, int], None] = os.fchmod
    chown: Callable[[int, int, int], None] = os.fchown
    fsync: Callable[[int], None] = os.fsync
    sync_all: Callable[[int], None] = _sync_all
    mkdir: Callable[..., None] = os.mkdir
    rename: Callable[..., None] = os.rename
    exchange: Callable[[int, str, int, str], None] = _exchange
    symlink: Callable[..., None] = os.symlink
    unlink: Callable[..., None] = os.unlink
    rmdir: Callable[..., None] = os.rmdir


SYSTEM: Final = Calls()


class Owner(NamedTuple):
    """Whom the files belong to that the agent makes for the box (`pi:pi`)."""

    uid: int
    gid: int


def fault(problem: OSError, verb: str, path: str) -> AgentError:
    """The AgentError that says `problem` in words."""
    if problem.errno in _FULL:
        return DiskFull(f"cannot {verb} {path}: the disk is full; make room on the box")
    if problem.errno in _LINKED:
        return DiskFault(f"cannot {verb} {path}: a link or a file stands where a folder belongs; remove it")
    return DiskFault(f"cannot {verb} {path}: {problem.strerror or problem}")


@contextmanager
def faults(verb: str, path: str) -> Iterator[None]:
    """Any OSError inside leaves as the AgentError that says it in words."""
    try:
        yield
    except OSError as problem:
        raise fault(problem, verb, path) from problem


class MissingIsNone:
    """Ends the block quietly when what it reads is not there; the function then returns None (or nothing)."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, problem: BaseException | None, _trace: TracebackType | None) -> bool:
        return isinstance(problem, DiskFault) and isinstance(problem.__cause__, FileNotFoundError)
