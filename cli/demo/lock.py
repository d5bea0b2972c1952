"""One demo at a time in a folder: a lock that the kernel lets go of when its holder dies, however it dies."""

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from cli.demo.places import Places
from cli.errors import CommandFailed

STOP_WITHIN_S: Final = 10.0
_MARK: Final = "neopro demo, process "


@contextmanager
def held(places: Places) -> Iterator[None]:
    """Hold the demo's folder; CommandFailed when another demo does, or when the folder is something else's."""
    _require_ours(places.root)
    places.root.mkdir(parents=True, exist_ok=True)
    descriptor = _try_lock(places.lock)
    if descriptor is None:
        raise CommandFailed(
            f"cannot start the demo in {places.root}: it is running already (process {_holder(places.lock)}); "
            "use that one, stop it with Ctrl-C, or set NEOPRO_DEMO_DIR to another folder"
        )
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{_MARK}{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def stop_and_forget(places: Places) -> bool:
    """Stop the demo that runs in the folder, if one does, and remove the folder; whether there was one."""
    if not places.root.exists():
        return False
    _require_ours(places.root)
    descriptor = _lock_after_stopping(places)
    try:
        shutil.rmtree(places.root)
    except OSError as problem:
        raise CommandFailed(f"cannot remove {problem.filename or places.root}: {problem.strerror}") from None
    finally:
        os.close(descriptor)
    return True


def _lock_after_stopping(places: Places) -> int:
    deadline = time.monotonic() + STOP_WITHIN_S
    asked = False
    while (descriptor := _try_lock(places.lock)) is None:
        holder = _holder(places.lock)
        if holder and not asked:
            with suppress(ProcessLookupError):
                os.kill(holder, signal.SIGTERM)
            asked = True
        if time.monotonic() > deadline:
            raise CommandFailed(f"cannot forget the demo: process {holder} does not stop")
        time.sleep(0.05)
    return descriptor


def _require_ours(root: Path) -> None:
    """The folder is removed as a whole one day: it must be one that the demo made."""
    if root.exists() and not (root / "lock").is_file() and (not root.is_dir() or any(root.iterdir())):
        raise CommandFailed(f"cannot use {root} for the demo: it is not empty and was not made by it")


def _try_lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _holder(path: Path) -> int:
    """The process that wrote itself into the lock; 0 while none did."""
    with suppress(OSError, ValueError):
        return int(path.read_text("utf-8").removeprefix(_MARK))
    return 0
