"""Child processes that never outlive whoever started them: a death signal, a process group, and an end in order."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_libc: Final = ctypes.CDLL(None, use_errno=True)

Process = subprocess.Popen[bytes]


def dies_with_parent(death_signal: int) -> Callable[[], None]:
    """What a child does between fork and exec so that the kernel sends it `death_signal` when its parent dies.

    The parent is the thread that forks (prctl(2)): fork from the main thread alone.
    """
    parent = os.getpid()

    def ask() -> None:
        # Asked after the fork: a parent that died before that is found by comparing.
        if _libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(127)

    return ask


def start(command: Sequence[str], log: Path, env: Mapping[str, str], cwd: Path) -> Process:
    """A child in a session of its own (Ctrl-C on our terminal does not reach it), its words in `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=dict(env),
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509 — two system calls, no lock
        )


def stop_all(children: Iterable[Process], patience_s: float) -> None:
    """Ask all of them at once to end, and end whatever is left of their groups when `patience_s` has passed."""
    living = list(children)
    for child in living:
        _signal(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + patience_s
    for child in living:
        with suppress(subprocess.TimeoutExpired):
            child.wait(max(0.0, deadline - time.monotonic()))
    for child in living:
        _signal_group(child.pid, signal.SIGKILL)
        child.wait()


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours with the interpreter that we run on."""
    return [sys.executable, "-m", module, *arguments]


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _signal_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
