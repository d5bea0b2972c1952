"""PostgreSQL as a child process: the embedded default of one machine.

    FOLDER/          0700, ours
      lock           held (flock) by us and by the server: free means that no server of ours runs here
      password       0600, ours
      log            what the server says
      data/          0700, the server's user's; the socket lies in it

The server listens on a Unix socket alone, asks for a SCRAM password, and dies with us. It refuses to run as root, so
as root it runs as the owner of `data`, at first `nobody`. That user need not be able to walk to FOLDER: the server
inherits `data` as an open descriptor and names it `/proc/self/fd/N`.
"""

import asyncio
import fcntl
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from psycopg.conninfo import make_conninfo

from control_plane.errors import DatabaseUnavailable
from control_plane.store.binaries import Programs, anyone_may_reach, find_programs, forget_copy, reachable_copy

READY_TIMEOUT_S: Final = 120.0
STOP_TIMEOUT_S: Final = 4.0
DYING_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.004
_MAX_LOG_BYTES: Final = 4 << 20
_MAX_SOCKET_PATH_BYTES: Final = 107  # unix(7): sun_path
_USER: Final = "neopro"
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
_SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_directories": ".",
    "unix_socket_permissions": "0700",
    "shared_buffers": "32MB",
    "max_connections": "40",
    "jit": "off",
    "log_checkpoints": "off",
}
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


_Process = subprocess.Popen[bytes]


class _RunAs(NamedTuple):
    """The user that the server runs as; -1: the one we are."""

    uid: int
    gid: int


class EmbeddedPostgres:
    """A server on one folder, from `start` to `stop`."""

    def __init__(self, folder: Path, binaries: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        """`binaries`: where `postgres` and `initdb` are, if not to be found; `settings` go over our own."""
        self._folder, self._binaries = folder.resolve(), binaries
        self._settings = {**_SETTINGS, **(settings or {})}
        self._lock = -1
        self._copy: Path | None = None
        self._server: _Server | None = None

    async def start(self) -> str:
        """Start, making the database on the first time, and give the connection string, which holds the password.

        The string is good in this process and while it lives. DatabaseUnavailable says what is wrong; then nothing
        is left running.
        """
        return await asyncio.to_thread(self._start)

    async def stop(self) -> None:
        """Stop cleanly within four seconds, else at once (the next start then recovers)."""
        await asyncio.to_thread(self._stop)

    def _start(self) -> str:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _take_lock(self._folder)
            self._serve()
        except OSError as problem:
            self._stop()
            raise _unavailable(self._folder, f"{problem.strerror}: {problem.filename or ''}".rstrip(": ")) from None
        except BaseException:
            self._stop()
            raise
        return _conninfo(self._folder)

    def _serve(self) -> None:
        data = self._folder / "data"
        user = _run_as(data)
        programs = self._usable_programs(_major_of(data), user)
        if not data.exists():
            _make_cluster(self._folder, programs, user, self._lock)
        _drop_stale_pid_file(data)
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        command = [str(programs.folder / "postgres"), *options]
        self._server = _Server(command, data, user, self._lock, self._folder / "log")
        self._server.wait_until_ready()

    def _usable_programs(self, major: int | None, user: _RunAs) -> Programs:
        found = find_programs(self._binaries, major)
        record = self._folder / "programs"  # where a copy was made, so that one left by a crash is removed
        if record.exists():
            forget_copy(Path(record.read_text()))
            record.unlink()
        if user.uid < 0 or anyone_may_reach(found.folder / "postgres"):
            return found
        copy = reachable_copy(found)
        self._copy = copy.folder
        record.write_text(str(copy.folder))
        return copy

    def _stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._copy is not None:
            forget_copy(self._copy)
            (self._folder / "programs").unlink(missing_ok=True)
            self._copy = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def running_conninfo(folder: Path) -> str:
    """The connection string of the server that another process runs on `folder`; DatabaseUnavailable if none does."""
    folder = folder.resolve()
    try:
        ready = _is_locked(folder) and _is_ready(folder / "data")
    except OSError as problem:
        raise _unavailable(folder, f"{problem.strerror}", "reach") from None
    if not ready:
        raise _unavailable(folder, "none runs there; start it with: neopro serve", "reach")
    return _conninfo(folder)


class _Server:
    """The server's process.

    A thread of its own starts it and waits for it: the death signal follows the thread that started a process, not the
    process (prctl(2)), and the caller's thread may end sooner.
    """

    def __init__(self, command: Sequence[str], data: Path, user: _RunAs, lock: int, log: Path) -> None:
        self._command, self._data, self._user, self._lock, self._log = command, data, user, lock, log
        self._process: _Process | None = None
        self._failure: OSError | None = None
        self._spawned = threading.Event()
        self._logged_before = _trim(log)
        threading.Thread(target=self._run, name="postgres", daemon=True).start()

    def wait_until_ready(self) -> None:
        """DatabaseUnavailable, with what the server said, when it ends or is not ready in two minutes."""
        self._spawned.wait()
        deadline = time.monotonic() + READY_TIMEOUT_S
        while self._process is None or not _is_ready(self._data, self._process.pid):
            if self._process is None or self._process.poll() is not None:
                raise _unavailable(self._data.parent, f"{self._failure or self._said()}; its log is {self._log}")
            if time.monotonic() > deadline:
                raise _unavailable(self._data.parent, f"it is not ready after {READY_TIMEOUT_S:.0f} s: {self._said()}")
            time.sleep(_POLL_S)

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
            with self._log.open("ab") as log, _opened(self._data) as (data_fd, name):
                self._process = _launch(
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
            return _essence(log.read().decode(errors="replace"))


def _launch(
    command: Sequence[str], user: _RunAs, *, keep: Sequence[int], death: signal.Signals, output: int
) -> _Process:
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
def _opened(folder: Path) -> Iterator[tuple[int, str]]:
    """A descriptor of a folder, and the name that whoever inherits it has for the folder, wherever it may walk."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd, f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def _make_cluster(folder: Path, programs: Programs, user: _RunAs, lock: int) -> None:
    """Make `data` whole or not at all: it gets its name last."""
    making = folder / "making"
    shutil.rmtree(making, ignore_errors=True)
    password = secrets.token_urlsafe(32)
    for path in (making, making / "data"):
        path.mkdir(mode=0o700)
        _give(path, user)
    _write_secret(making / "password", password, user)
    _write_secret(folder / "password", password, _RunAs(-1, -1))
    flags = ["--username", _USER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"]
    flags += ["--locale-provider=builtin"] if programs.major >= 17 else []
    with (folder / "log").open("ab+") as log, _opened(making) as (making_fd, name):
        before = log.tell()
        command = [str(programs.folder / "initdb"), "-D", f"{name}/data", "--pwfile", f"{name}/password", *flags]
        process = _launch(command, user, keep=[lock, making_fd], death=signal.SIGKILL, output=log.fileno())
        if process.wait() != 0:
            log.seek(before)
            raise _unavailable(folder, _essence(log.read().decode(errors="replace")), "make a database by")
    (making / "data").rename(folder / "data")
    shutil.rmtree(making)


def _major_of(data: Path) -> int | None:
    """The version that made the data; None when there is none yet."""
    try:
        return int((data / "PG_VERSION").read_text().split(".")[0])
    except FileNotFoundError:
        return None


def _run_as(data: Path) -> _RunAs:
    """As root: the owner of the data, at first `nobody`; else: as we are."""
    if os.geteuid() != 0:
        return _RunAs(-1, -1)
    if data.exists() and data.stat().st_uid != 0:
        return _RunAs(data.stat().st_uid, data.stat().st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise _unavailable(data.parent, "PostgreSQL refuses to run as root, and there is no user nobody") from None
    return _RunAs(nobody.pw_uid, nobody.pw_gid)


def _give(path: Path, user: _RunAs) -> None:
    if user.uid >= 0:
        os.chown(path, user.uid, user.gid)


def _write_secret(path: Path, text: str, user: _RunAs) -> None:
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)
    _give(path, user)


def _take_lock(folder: Path) -> int:
    """The folder's lock, which the server inherits; waits while a server whose parent died is still ending."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + DYING_TIMEOUT_S
    while not _try_lock(lock):
        holder = os.pread(lock, 20, 0).decode().strip()
        if _is_alive(holder) or time.monotonic() > deadline:
            os.close(lock)
            raise _unavailable(folder, f"process {holder} has it running; stop that one, or use another data folder")
        time.sleep(_POLL_S)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_locked(folder: Path) -> bool:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    try:
        return not _try_lock(lock)
    finally:
        os.close(lock)


def _is_alive(pid: str) -> bool:
    """A zombie is dead: whoever reaps it may be late."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX" if pid else False
    except OSError:
        return False


def _drop_stale_pid_file(data: Path) -> None:
    """Remove the pid file of a server that is gone, when its number belongs to another process by now.

    PostgreSQL would refuse to start; in a container, where few numbers are used, for ever. A server that somebody runs
    here by hand does not hold our lock, but has `data` as its working folder: its pid file stays.
    """
    pid_file = data / "postmaster.pid"
    if not pid_file.exists():
        return
    try:
        ours = data.samefile(f"/proc/{_pid_file(data)[0]}/cwd")
    except OSError:
        ours = False
    if not ours:
        pid_file.unlink()


def _pid_file(data: Path) -> list[str]:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        lines = []
    return [line.strip() for line in lines] + [""] * 8


def _is_ready(data: Path, pid: int | None = None) -> bool:
    """Whether the server, the one of this process number if given, says in its pid file that it takes connections."""
    lines = _pid_file(data)
    return lines[7] == "ready" and (pid is None or lines[0] == str(pid))


def _conninfo(folder: Path) -> str:
    return make_conninfo(
        host=_short(folder / "data"),
        user=_USER,
        dbname="postgres",
        password=(folder / "password").read_text(),
        require_auth="scram-sha-256",
    )


def _short(data: Path) -> str:
    """A name of the folder that fits into a socket's address; for a deep one, a descriptor that stays open."""
    if len(os.fsencode(data / ".s.PGSQL.5432")) <= _MAX_SOCKET_PATH_BYTES:
        return str(data)
    return f"/proc/{os.getpid()}/fd/{os.open(data, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)}"


def _trim(log: Path) -> int:
    """Put a long log aside (one is kept); how many bytes this one has."""
    size = log.stat().st_size if log.exists() else 0
    if size <= _MAX_LOG_BYTES:
        return size
    log.replace(log.with_name("log.1"))
    return 0


def _essence(log: str) -> str:
    """The line of a log that says what went wrong, else its last one."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"\b(FATAL|PANIC|error):", line)]
    return (telling or lines or ["it says nothing"])[-1][:300]


def _unavailable(folder: Path, why: str, verb: str = "start") -> DatabaseUnavailable:
    return DatabaseUnavailable(f"cannot {verb} PostgreSQL in {folder}: {why}")
