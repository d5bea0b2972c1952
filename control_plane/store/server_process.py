"""PostgreSQL's processes: started as another user without a path to walk, bound to our life, watched until ready."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from control_plane.errors import DatabaseUnavailable

READY_TIMEOUT_S: Final = 120.0
STOP_TIMEOUT_S: Final = 4.0
POLL_S: Final = 0.004
_MAX_LOG_BYTES: Final = 4 << 20
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
# The user is changed before the signal is asked for, because changing it takes the signal back (prctl(2)); who was
# orphaned before that exits. It is a program of its own because code between fork and exec is unsafe beside threads.
_LAUNCH: Final = """
import ctypes, os, sys
uid, gid, parent, death = map(int, sys.argv[1:5])
if uid >= 0:
    os.setgroups([]); os.setgid(gid); os.setuid(uid)
os.umask(0o077)
if ctypes.CDLL(None, use_errno=True).prctl(1, death, 0, 0, 0) or os.getppid() != parent:
    sys.exit("orphaned")
os.execve(sys.argv[5], sys.argv[5:], dict(os.environ))
"""

Process = subprocess.Popen[bytes]


class RunAs(NamedTuple):
    """The user that the server runs as; -1: the one we are."""

    uid: int
    gid: int


class Server:
    """The server's process.

    A thread of its own starts it and waits for it: the death signal follows the thread that started a process, not the
    process (prctl(2)), and the caller's thread may end sooner.
    """

    def __init__(self, command: Sequence[str], data: Path, user: RunAs, lock: int, log: Path) -> None:
        self._command, self._data, self._user, self._lock, self._log = command, data, user, lock, log
        self._process: Process | None = None
        self._failure: OSError | None = None
        self._spawned = threading.Event()
        self._logged_before = _trim(log)
        threading.Thread(target=self._run, name="postgres", daemon=True).start()

    def wait_until_ready(self) -> None:
        """DatabaseUnavailable, with what the server said, when it ends or is not ready in two minutes."""
        self._spawned.wait()
        deadline = time.monotonic() + READY_TIMEOUT_S
        while self._process is None or not is_ready(self._data, self._process.pid):
            if self._process is None or self._process.poll() is not None:
                raise unavailable(self._data.parent, f"{self._failure or self._said()}; its log is {self._log}")
            if time.monotonic() > deadline:
                raise unavailable(self._data.parent, f"it is not ready after {READY_TIMEOUT_S:.0f} s: {self._said()}")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Ask (SIGINT: fast shutdown), then insist (SIGQUIT: immediate), then end it."""
        self._spawned.wait()
        if self._process is None:
            return
        for number, patience_s in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, 5.0), (signal.SIGKILL, None)):
            self._process.send_signal(number)
            try:
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                continue
            return

    def _run(self) -> None:
        try:
            with self._log.open("ab") as log, opened_folder(self._data) as (data_fd, name):
                self._process = launch(
                    [*self._command, "-D", name],
                    self._user,
                    keep=[self._lock, data_fd],
                    death=signal.SIGQUIT,
                    output=log.fileno(),
                )
        except OSError as problem:
            self._failure = problem
        finally:
            self._spawned.set()
        if self._process is not None:
            self._process.wait()

    def _said(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._logged_before)
            return essence(log.read().decode(errors="replace"))


def launch(command: Sequence[str], user: RunAs, *, keep: Sequence[int], death: signal.Signals, output: int) -> Process:
    """Start `command` as `user`; it inherits the descriptors `keep`, and gets the signal `death` when we are gone."""
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCH, *map(str, (*user, os.getpid(), int(death)))]
    return subprocess.Popen(
        [*launcher, *command],
        cwd="/",
        env=_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=keep,
        start_new_session=True,  # Ctrl-C at the terminal is for us to pass on, in order
    )


@contextmanager
def opened_folder(folder: Path, how: int = os.O_PATH) -> Iterator[tuple[int, str]]:
    """A descriptor of a folder, and the name that whoever inherits it has for the folder, wherever it may walk."""
    fd = os.open(folder, how | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd, f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def pid_file(data: Path) -> list[str]:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        lines = []
    return [line.strip() for line in lines] + [""] * 8


def is_ready(data: Path, pid: int | None = None) -> bool:
    """Whether the server, the one of this process number if given, says in its pid file that it takes connections."""
    lines = pid_file(data)
    return lines[7] == "ready" and (pid is None or lines[0] == str(pid))


def _trim(log: Path) -> int:
    """Put a long log aside (one is kept); how many bytes this one has."""
    size = log.stat().st_size if log.exists() else 0
    if size <= _MAX_LOG_BYTES:
        return size
    log.replace(log.with_name("log.1"))
    return 0


def essence(log: str) -> str:
    """The line of a log that says what went wrong, else its last one."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"\b(FATAL|PANIC|error):", line)]
    return (telling or lines or ["it says nothing"])[-1][:300]


def unavailable(folder: Path, why: str, verb: str = "start") -> DatabaseUnavailable:
    return DatabaseUnavailable(f"cannot {verb} PostgreSQL in {folder}: {why}")
