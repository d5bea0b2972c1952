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
import secrets
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from psycopg.conninfo import make_conninfo

from control_plane.store.binaries import Programs, anyone_may_reach, find_programs, forget_copy, reachable_copy
from control_plane.store.server_process import (
    POLL_S,
    RunAs,
    Server,
    essence,
    is_ready,
    launch,
    opened_folder,
    pid_file,
    unavailable,
)

DYING_TIMEOUT_S: Final = 10.0
_MAX_SOCKET_PATH_BYTES: Final = 107  # unix(7): sun_path
_USER: Final = "neopro"
_SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_directories": ".",
    "unix_socket_permissions": "0700",
    "shared_buffers": "32MB",
    "max_connections": "40",
    "jit": "off",
    "log_checkpoints": "off",
}


class EmbeddedPostgres:
    """A server on one folder, from `start` to `stop`."""

    def __init__(self, folder: Path, binaries: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        """`binaries`: where `postgres` and `initdb` are, if not to be found; `settings` go over our own."""
        self._folder, self._binaries = folder.resolve(), binaries
        self._settings = {**_SETTINGS, **(settings or {})}
        self._lock = -1
        self._copy: Path | None = None
        self._server: Server | None = None

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
            return _conninfo(self._folder)
        except OSError as problem:
            self._stop()
            raise unavailable(self._folder, f"{problem.strerror}: {problem.filename or ''}".rstrip(": ")) from None
        except BaseException:
            self._stop()
            raise

    def _serve(self) -> None:
        data = self._folder / "data"
        user = _run_as(data)
        programs = self._usable_programs(_major_of(data), user)
        if not data.exists():
            _make_cluster(self._folder, programs, user, self._lock)
        _drop_stale_pid_file(data)
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        command = [str(programs.folder / "postgres"), *options]
        self._server = Server(command, data, user, self._lock, self._folder / "log")
        self._server.wait_until_ready()

    def _usable_programs(self, major: int | None, user: RunAs) -> Programs:
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
            os.ftruncate(self._lock, 0)  # whoever comes next waits for what is left of the server, and not for us
            os.close(self._lock)
            self._lock = -1


def running_conninfo(folder: Path) -> str:
    """The connection string of the server that another process runs on `folder`; DatabaseUnavailable if none does."""
    folder = folder.resolve()
    try:
        ready = _is_locked(folder) and is_ready(folder / "data")
    except OSError as problem:
        raise unavailable(folder, f"{problem.strerror}", "reach") from None
    if not ready:
        raise unavailable(folder, "none runs there; start it with: neopro serve", "reach")
    return _conninfo(folder)


def _make_cluster(folder: Path, programs: Programs, user: RunAs, lock: int) -> None:
    """Make `data` whole or not at all: it gets its name last."""
    making = folder / "making"
    shutil.rmtree(making, ignore_errors=True)
    password = secrets.token_urlsafe(32)
    for path in (making, making / "data"):
        path.mkdir(mode=0o700)
        _give(path, user)
    _write_secret(making / "password", password, user)
    _write_secret(folder / "password", password, RunAs(-1, -1))
    flags = ["--username", _USER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"]
    flags += ["--locale-provider=builtin"] if programs.major >= 17 else []
    with (folder / "log").open("ab+") as log, opened_folder(making) as (making_fd, name):
        before = log.tell()
        command = [str(programs.folder / "initdb"), "-D", f"{name}/data", "--pwfile", f"{name}/password", *flags]
        process = launch(command, user, keep=[lock, making_fd], death=signal.SIGKILL, output=log.fileno())
        if process.wait() != 0:
            log.seek(before)
            raise unavailable(folder, essence(log.read().decode(errors="replace")), "make a database by")
    (making / "data").rename(folder / "data")
    with opened_folder(folder, os.O_RDONLY) as (fd, _):
        os.fsync(fd)
    shutil.rmtree(making)


def _major_of(data: Path) -> int | None:
    """The version that made the data; None when there is none yet."""
    try:
        return int((data / "PG_VERSION").read_text().split(".")[0])
    except FileNotFoundError:
        return None


def _run_as(data: Path) -> RunAs:
    """As root: the owner of the data, at first `nobody`; else: as we are."""
    if os.geteuid() != 0:
        return RunAs(-1, -1)
    if data.exists() and data.stat().st_uid != 0:
        return RunAs(data.stat().st_uid, data.stat().st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise unavailable(data.parent, "PostgreSQL refuses to run as root, and there is no user nobody") from None
    return RunAs(nobody.pw_uid, nobody.pw_gid)


def _give(path: Path, user: RunAs) -> None:
    if user.uid >= 0:
        os.chown(path, user.uid, user.gid)


def _write_secret(path: Path, text: str, user: RunAs) -> None:
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
            raise unavailable(folder, f"process {holder or '?'} has it running; stop that one, or use another folder")
        time.sleep(POLL_S)
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
    try:
        ours = data.samefile(f"/proc/{pid_file(data)[0]}/cwd")
    except OSError:
        ours = False
    if not ours:
        (data / "postmaster.pid").unlink(missing_ok=True)


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
