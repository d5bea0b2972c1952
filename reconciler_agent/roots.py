"""The folders that disks are opened on: made where they are missing, and locked for one run."""

import fcntl
import os
from pathlib import Path
from typing import Final

from reconciler_agent.errors import AlreadyRunning
from reconciler_agent.system_calls import SYSTEM, Calls, faults

_FOLDER: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY


def make_root(folder: Path, mode: int, calls: Calls = SYSTEM) -> None:
    """Make a folder that a `Disk` is to be opened on, and those above it, where they are missing.

    One that is empty may have been made by a run that did not get to sync it.
    """
    with faults("make folder", str(folder)):
        if folder.is_dir() and any(folder.iterdir()):
            return
    make_root(folder.parent, 0o755, calls)
    with faults("make folder", str(folder)):
        if not folder.is_dir():
            calls.mkdir(folder, mode)
        above = os.open(folder.parent, _FOLDER)
        try:
            calls.fsync(above)
        finally:
            os.close(above)


def take_lock(folder: Path) -> int:
    """The handle that holds `folder` for this process; AlreadyRunning when another has it. The kernel frees it.

    The folder itself is locked: a file for it could be damaged or replaced.
    """
    with faults("lock", str(folder)):
        handle = os.open(folder, _FOLDER)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise AlreadyRunning(f"cannot lock {folder}: another agent runs on it; stop that one first") from None
    return handle
