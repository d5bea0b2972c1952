"""Disks whose power can be cut: each says what would be there, after a cut at this instant, of what was written.

`Ext4` is a real file system in a file; `Strict` is a model of the least that POSIX promises.
"""

import os
import pickle
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple, Protocol

import zstandard

from reconciler_agent.system_calls import Calls

SIZE_BYTES: Final = 6 << 20
OPTIONS: Final = "noauto_da_alloc"
"""By default ext4 hides a missing fsync behind renames."""


class Machine(Protocol):
    """A disk, and the folder where it is seen while it runs."""

    root: Path
    empty: bytes

    def running(self, disk: bytes) -> AbstractContextManager[None]:
        """A context in which the machine runs with this disk; `empty` is one."""

    def copy(self) -> bytes:
        """What a disk holds at which the power goes now."""

    def watched(self, calls: Calls) -> Calls:
        """The calls to be made on it, so that it can tell."""

    def before_call(self) -> None:
        """What a kernel of this kind does whenever it can."""

    def surroundings(self) -> str:
        """What it is, in words; while it runs."""


class Ext4:
    """A real ext4 in a file. `commits`: the kernel writes down its journal before every call; else only when it must.

    What an eager kernel keeps are names; bytes that were not synced stay in memory.
    """

    def __init__(self, folder: Path, commits: bool = False) -> None:
        self.root = folder / "mount"
        self.root.mkdir()
        self.image = folder / "disk"
        self._commits = commits
        with self.image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        options = "lazy_itable_init=0,lazy_journal_init=0"
        _run("mkfs.ext4", "-q", "-m", "0", "-N", "512", "-O", "^resize_inode", "-E", options, str(self.image))
        self.empty = self.copy()

    @contextmanager
    def running(self, disk: bytes) -> Iterator[None]:
        """Mount this disk, which takes up its journal.

        On a device that is attached for this alone: where something else looks at devices, that of the disk before may
        outlive its unmounting, and `mount -o loop` would take it again, with what it remembers of that disk.
        """
        self.image.write_bytes(zstandard.decompress(disk))
        device = _run("losetup", "--find", "--show", str(self.image))
        try:
            _run("mount", "-o", OPTIONS, device, str(self.root))
        finally:
            _run("losetup", "--detach", device)  # when it is not used any more
        try:
            yield
        finally:
            _run("umount", str(self.root))

    def copy(self) -> bytes:
        """The file, at one instant: it is read until it is twice the same.

        The kernel may be emptying its journal: a copy that was read half before and half after has neither the bytes
        in the journal nor those in their place, which is no disk that ever was.
        """
        before, data = b"", self.read()
        while before != data:
            before, data = data, self.read()
        return zstandard.compress(data, 1)

    def read(self) -> bytes:
        """The file as it comes, which takes a while."""
        return self.image.read_bytes()

    def watched(self, calls: Calls) -> Calls:
        """The kernel watches."""
        return calls

    def before_call(self) -> None:
        """Have the journal written down by an fsync of a file that nobody reads."""
        if self._commits:
            with (self.root / "unrelated").open("ab") as file:
                file.write(b".")
                file.flush()
                os.fsync(file.fileno())

    def surroundings(self) -> str:
        """What it is, as the kernel says while it runs."""
        mine = next(line.split() for line in Path("/proc/mounts").read_text().splitlines() if f" {self.root} " in line)
        block_bytes = os.statvfs(self.root).f_frsize
        return f"{mine[2]} ({mine[3]}) of {SIZE_BYTES >> 20} MiB, blocks of {block_bytes} bytes, on a loop device"


class File(NamedTuple):
    """A file as it was last synced; empty when it never was."""

    mode: int
    data: bytes


class Folder(NamedTuple):
    """The names in a folder, and which file each is, as they were when it was last synced; none when it never was."""

    mode: int
    names: dict[str, int]


Node = File | Folder | str
"""The last: a link, by what it leads to."""


class Strict:
    """A disk that keeps nothing but what was asked for: the bytes of a file by its fsync, a name by its folder's."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "strict"
        self.empty = pickle.dumps({"": Folder(0o755, {})})
        self._forget()

    def _forget(self) -> None:
        self._kept: dict[int, Node] = {}
        self._files: dict[int, int] = {}
        self._lost: set[int] = set()
        self._count = 0

    @contextmanager
    def running(self, disk: bytes) -> Iterator[None]:
        """Make the files anew, and take them for synced; also what is there when it is shut down."""
        shutil.rmtree(self.root, ignore_errors=True)
        for path, node in pickle.loads(disk).items():
            _make(self.root / path, node)
        self._forget()
        self._keep_all()
        yield
        self._keep_all()

    def state(self) -> bytes:
        """What a process knows of it, for another one to `go_on` with."""
        return pickle.dumps((self._kept, self._files, self._lost, self._count))

    def go_on(self, state: bytes) -> None:
        """As where another process ended."""
        self._kept, self._files, self._lost, self._count = pickle.loads(state)

    def lose(self, handle: int) -> None:
        """An fsync failed: what was written to a file until now never gets there, whatever is asked for later."""
        found = os.fstat(handle)
        if stat.S_ISREG(found.st_mode):
            self._lost.add(self._file(found.st_ino))

    def copy(self) -> bytes:
        """What is kept, by path, from the top."""
        found: dict[str, Node] = {}

        def walk(path: str, file: int) -> None:
            node = self._kept[file]
            found[path] = Folder(node.mode, {}) if isinstance(node, Folder) else node
            if isinstance(node, Folder):
                for name, below in sorted(node.names.items()):
                    walk(f"{path}/{name}".lstrip("/"), below)

        walk("", self._file(self.root.stat().st_ino))
        return pickle.dumps(found)

    def watched(self, calls: Calls) -> Calls:
        """With a look at everything that is synced, and at what is new though another file had its number."""

        def fsync(handle: int) -> None:
            calls.fsync(handle)
            path = Path(f"/proc/self/fd/{handle}")
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                self._keep_folder(path)
            else:
                self._keep_file(path)

        def create(name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            is_new = not _is_there(name, dir_fd)
            handle = calls.create(name, flags, mode, dir_fd=dir_fd)
            if is_new:
                self._files.pop(os.fstat(handle).st_ino, None)
            return handle

        def mkdir(name: str, mode: int, *, dir_fd: int | None = None) -> None:
            calls.mkdir(name, mode, dir_fd=dir_fd)
            self._files.pop(os.lstat(name, dir_fd=dir_fd).st_ino, None)

        def symlink(target: str, name: str, *, dir_fd: int | None = None) -> None:
            calls.symlink(target, name, dir_fd=dir_fd)
            self._files.pop(os.lstat(name, dir_fd=dir_fd).st_ino, None)

        def truncate(handle: int, size: int) -> None:
            calls.truncate(handle, size)
            self._lost.discard(self._file(os.fstat(handle).st_ino))

        def sync_all(handle: int) -> None:
            calls.sync_all(handle)
            self._keep_all()

        return calls._replace(
            fsync=fsync, sync_all=sync_all, create=create, truncate=truncate, mkdir=mkdir, symlink=symlink
        )

    def before_call(self) -> None:
        """Nothing happens that was not asked for."""

    def surroundings(self) -> str:
        """What it is."""
        return "a model, in memory, in which nothing is kept that was not synced, name by name"

    def _file(self, inode: int) -> int:
        """Which file has this number now: numbers are given again."""
        if inode not in self._files:
            self._count += 1
            self._files[inode] = self._count
        return self._files[inode]

    def _keep_all(self) -> None:
        for folder, _, names in os.walk(self.root, topdown=False):
            for path in (Path(folder) / name for name in names):
                if not path.is_symlink():
                    self._keep_file(path)
            self._keep_folder(Path(folder))

    def _keep_file(self, path: Path) -> None:
        found = path.stat()
        if self._file(found.st_ino) not in self._lost:
            self._kept[self._file(found.st_ino)] = File(stat.S_IMODE(found.st_mode), path.read_bytes())

    def _keep_folder(self, path: Path) -> None:
        names: dict[str, int] = {}
        for entry in os.scandir(path):
            names[entry.name] = file = self._file(entry.inode())
            if entry.is_symlink():
                self._kept[file] = str(Path(entry.path).readlink())
            else:
                self._kept.setdefault(file, Folder(0o700, {}) if entry.is_dir() else File(0o600, b""))
        found = path.stat()
        self._kept[self._file(found.st_ino)] = Folder(stat.S_IMODE(found.st_mode), names)


def why_no_ext4() -> str:
    """Why there is no real disk here whose power can be cut; empty when there is."""
    if os.geteuid() != 0:
        return "cutting the power needs root, to mount a file system"
    missing = [tool for tool in ("mkfs.ext4", "losetup", "mount", "umount") if not shutil.which(tool)]
    if missing:
        return f"{missing[0]} is not installed"
    with TemporaryDirectory() as folder:
        try:
            machine = Ext4(Path(folder))
            with machine.running(machine.empty):
                return ""
        except subprocess.CalledProcessError as problem:
            return f"no ext4 can be mounted from a file here: {problem.stderr.strip()}"


def _make(path: Path, node: Node) -> None:
    if isinstance(node, Folder):
        path.mkdir()
        path.chmod(node.mode)
    elif isinstance(node, File):
        path.write_bytes(node.data)
        path.chmod(node.mode)
    else:
        path.symlink_to(node)


def _is_there(name: str, folder: int | None) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


KERNELS: Final[dict[str, Callable[[Path], Machine]]] = {
    "lazy": lambda folder: Ext4(folder),
    "eager": lambda folder: Ext4(folder, commits=True),
    "strict": Strict,
}
