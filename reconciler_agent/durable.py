"""The only code of the agent that writes files: what is under its name is whole, whatever moment the power goes.

The protocol, measured on ext4 by power cuts at every system call: create exclusively in staging on the same file
system, write all, fchmod, fsync, rename, fsync the directory (and its parent when it is new). After an error from fsync
the draft is dropped, never synced again. What is removed is renamed away first.

Every path is relative to the root of a `Disk` and is walked from a directory handle, following no link: local
applications may write there. Every call that changes the file system goes through `Calls`, so that tests can end the
process at any of them. OSErrors leave as DiskFull or DiskFault; a missing file is `None`, no error.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from reconciler_agent.draft import CHUNK_BYTES, Draft
from reconciler_agent.errors import AgentError, DiskFault, DiskFull
from reconciler_agent.system_calls import SYSTEM, Calls, MissingIsNone, Owner, faults
from schemas.names import Digest

RESERVE_SHARE: Final = 0.1
_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_FOLDER: Final = _READ | os.O_DIRECTORY


class Disk:
    """The files beneath one root, written durably; `private` is the agent's own folder in it.

    `private/staging/<run>` holds what is being made and what is being removed; `recover` deletes those of other runs.
    `private/partial` holds downloads that go on across runs; who needs them no longer removes them.
    """

    def __init__(self, root: Path, private: str, run: str, owner: Owner | None = None, calls: Calls = SYSTEM) -> None:
        self.root = root
        self.private = private
        self.partial = _join(private, "partial")
        self.calls = calls
        self.owner = owner
        self._run = run
        self._staging = _join(private, "staging")
        self._count = 0
        self.settled = True
        with faults("open", str(root)):
            self._root = os.open(root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)

    def close(self) -> None:
        """Let go of the root, leaving nothing in staging but, where not all could be synced, the mark of that."""
        with suppress(AgentError):
            self.settle()
        if self._count and self.settled:
            self._drop(f"{self._staging}/{self._run}")
        os.close(self._root)

    # Reading

    def stat(self, path: str) -> os.stat_result | None:
        """What stands at `path` itself (links are not followed), or None."""
        with MissingIsNone(), faults("stat", path), self._parent(path) as (folder, name):
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
        return None

    def read(self, path: str, max_bytes: int) -> bytes | None:
        """The bytes of a regular file, or None; DiskFault if it is something else or longer than `max_bytes`."""
        with MissingIsNone(), faults("read", path), self.reading(path) as handle:
            parts, size_bytes = [], 0
            while chunk := os.read(handle, min(CHUNK_BYTES, max_bytes + 1)):
                parts.append(chunk)
                size_bytes += len(chunk)
                if size_bytes > max_bytes:
                    raise DiskFault(f"cannot read {path}: it has more than {max_bytes} bytes")
            return b"".join(parts)
        return None

    def digest(self, path: str) -> Digest | None:
        """SHA-256 of a regular file as it lies on the disk (not as it is remembered), or None when there is none."""
        with MissingIsNone(), faults("read", path), self.reading(path) as handle:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            sha256 = hashlib.sha256()
            while chunk := os.read(handle, CHUNK_BYTES):
                sha256.update(chunk)
            return "sha256:" + sha256.hexdigest()
        return None

    def link_target(self, path: str) -> str | None:
        """Where the link at `path` points, or None when no link is there."""
        with MissingIsNone(), faults("read", path), self._parent(path) as (folder, name):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            return os.readlink(name, dir_fd=folder) if stat.S_ISLNK(found.st_mode) else None
        return None

    def names(self, path: str) -> list[str]:
        """The names in a folder; empty when there is no such folder."""
        with MissingIsNone(), faults("list", path), self.folder(path) as handle:
            return sorted(entry.name for entry in os.scandir(handle))
        return []

    def walk(self, path: str) -> Iterator[tuple[str, os.stat_result]]:
        """Every name below a folder and what stands there, a folder before what is in it; no link is followed."""
        with MissingIsNone(), faults("list", path), self.folder(path) as top:
            for above, folders, files, handle in os.fwalk(dir_fd=top, onerror=_fail):
                prefix = f"{path}/{above}/".replace("/./", "/")
                for name in sorted([*folders, *files]):
                    with suppress(FileNotFoundError):
                        yield prefix + name, os.stat(name, dir_fd=handle, follow_symlinks=False)

    @contextmanager
    def reading(self, path: str) -> Iterator[int]:
        """A handle to read a regular file; raises OSError as it is (a block that reads converts with the rest)."""
        with self._parent(path) as (folder, name):
            handle = os.open(name, _READ | os.O_NONBLOCK, dir_fd=folder)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise DiskFault(f"cannot read {path}: it is not a regular file")
            yield handle
        finally:
            os.close(handle)

    @contextmanager
    def folder(self, path: str) -> Iterator[int]:
        """A handle of a folder beneath the root, walked without following a link; OSErrors pass as they are."""
        handle = os.dup(self._root)
        try:
            for name in _parts(path):
                below = os.open(name, _FOLDER, dir_fd=handle)
                os.close(handle)
                handle = below
            yield handle
        finally:
            os.close(handle)

    def may_read(self, found: os.stat_result) -> bool:
        """Whether the box's owner may read this as it is: nothing else is ever given to them."""
        return self.owner is None or found.st_uid == self.owner.uid or bool(found.st_mode & stat.S_IROTH)

    def require_room(self, size_bytes: int) -> None:
        """DiskFull unless `size_bytes` more leave a tenth of the disk free."""
        with faults("look at", str(self.root)):
            found = os.fstatvfs(self._root)
        left_bytes = found.f_bavail * found.f_frsize - size_bytes
        if left_bytes < found.f_blocks * found.f_frsize * RESERVE_SHARE:
            megabytes = f"{size_bytes / 1e6:.1f} MB"
            raise DiskFull(f"cannot store {megabytes}: a tenth of the disk must stay free; make room on the box")

    # Writing

    def make_folder(self, path: str, mode: int = 0o755) -> None:
        """Make a folder and those above it that are missing, durably; nothing is written when it is there."""
        self.settle()
        with faults("make folder", path):
            parts = _parts(path)
            for end, _ in enumerate(parts, start=1):
                self._make_one("/".join(parts[:end]), mode)

    def write_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Put `data` under `path`: the old file or the new one is there at any instant, durably when this returns."""
        self.install(self.stage(data, mode), path)

    def stage(self, data: bytes, mode: int = 0o644) -> str:
        """A synced file with `data` in staging; its path. It is gone after the next start unless it is installed."""
        path = self.staged_name()
        draft = self.draft(path)
        try:
            draft.write(data)
            draft.seal(mode)
        except AgentError:
            draft.close()
            self._drop(path)
            raise
        return path

    def staged_name(self) -> str:
        """A path in this run's staging that nothing has had yet."""
        self.make_folder(f"{self._staging}/{self._run}")
        self._count += 1
        return f"{self._staging}/{self._run}/{self._count}"

    def draft(self, path: str, resume: bool = False) -> Draft:
        """A file to be written at `path` (in staging, in `partial`, or in a tree there), made exclusively.

        With `resume` what an earlier run left is taken up: hashed again, written on from its end.
        """
        self.settle()
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | (0 if resume else os.O_EXCL)
        with faults("create", path), self._parent(path) as (folder, name):
            draft = Draft(self.calls.create(name, flags, 0o600, dir_fd=folder), path, self.owner, self.calls)
        if resume:
            draft.take_up()
        return draft

    def install(self, staged: str, path: str) -> None:
        """Rename a sealed file or a synced tree to `path`, making its folder again where it is missing."""
        self.make_folder(path.rpartition("/")[0])
        with faults("install", path), self._parent(staged) as (source, name), self._parent(path) as (target, final):
            self.calls.rename(name, final, src_dir_fd=source, dst_dir_fd=target)
            self._sync(target)

    def exchange(self, a: str, b: str) -> None:
        """Let two existing files (or folders) change places in one step, durably (renameat2, RENAME_EXCHANGE).

        What must not be lost, even where a disk keeps one name and not the other, is to end up at `b`: that name is
        synced first.

        `recover` deletes staging: what must survive a crash after the exchange is to be exchanged from elsewhere.
        """
        with faults("exchange", b), self._parent(a) as (folder_a, name_a), self._parent(b) as (folder_b, name_b):
            self.calls.exchange(folder_a, name_a, folder_b, name_b)
            self._sync(folder_b)
            self._sync(folder_a)

    def symlink(self, target: str, path: str) -> None:
        """A link at `path` to `target`, in the place of what was there (never of a folder), in one step, durably."""
        staged = self.staged_name()
        with faults("link", path), self._parent(staged) as (folder, name):
            self.calls.symlink(target, name, dir_fd=folder)
        self.install(staged, path)

    def remove(self, path: str) -> None:
        """Take a file, a link or a whole folder away: renamed into staging durably, then deleted. Missing is fine."""
        if self.stat(path) is None:
            return
        staged = self.staged_name()
        with faults("remove", path), self._parent(path) as (folder, name), self._parent(staged) as (trash, final):
            self.calls.rename(name, final, src_dir_fd=folder, dst_dir_fd=trash)
            self._sync(folder)
        self._drop(staged)

    def sync_tree(self, path: str) -> None:
        """fsync every file and folder of a tree, bottom-up; its folders get the owner that its files have.

        A tree of which that fails is taken away: what its files seem to have need not be on the disk, ever.
        """
        try:
            with faults("sync", path), self.folder(path) as top:
                self._sync_folder(top)
        except AgentError:
            with suppress(AgentError):
                self.remove(path)
            raise

    def open_up(self, path: str, mode: int) -> None:
        """Give a file or a folder this mode and the owner of ours, durably."""
        with faults("open up", path), self._parent(path) as (folder, name):
            handle = os.open(name, _READ | os.O_NONBLOCK, dir_fd=folder)
            try:
                self.calls.chmod(handle, mode)
                if self.owner:
                    self.calls.chown(handle, *self.owner)
                self.calls.fsync(handle)
            finally:
                os.close(handle)

    def take_in(self, path: str, is_secret: Callable[[str], bool]) -> None:
        """Give what others put at `path`, a file or a whole tree, the modes and the owner of ours, and sync it.

        Folders, and files that their owner may run, get 0755, other files 0644; a file whose name `is_secret` keeps its
        mode. Links, what the owner may not read yet, and files that have a second name elsewhere stay as they are.
        """

        def give(handle: int, name: str, found: os.stat_result) -> None:
            mode = 0o755 if stat.S_ISDIR(found.st_mode) or found.st_mode & stat.S_IXUSR else 0o644
            if stat.S_IMODE(found.st_mode) != mode and not is_secret(name):
                self.calls.chmod(handle, mode)
            if self.owner and (found.st_uid, found.st_gid) != self.owner:
                self.calls.chown(handle, *self.owner)

        with faults("take over", path), self._parent(path) as (folder, name):
            self._each(folder, name, give)
            self._each(folder, name, lambda handle, *_: self.calls.fsync(handle))  # the first commits for most of all

    def recover(self) -> bool:
        """Delete what earlier runs left in staging; call it once, under the lock, before anything else.

        Whether there was something: a run that was cut off may have renamed what it did not get to sync.
        """
        found = [run for run in self.names(self._staging) if run != self._run]
        for run in found:
            self._drop(f"{self._staging}/{run}")
        return bool(found)

    def settle(self) -> None:
        """Sync all there is, if the sync of a folder failed: what was renamed there looks as if it were durable."""
        if not self.settled:
            with faults("sync", str(self.root)):
                self.calls.sync_all(self._root)
            self.settled = True

    def forget(self) -> None:
        """Delete the private folder, for a root that is written to but once."""
        self._drop(self.private)

    def _sync_folder(self, folder: int) -> None:
        for entry in os.scandir(folder):
            if entry.is_symlink():
                continue
            handle = os.open(entry.name, _FOLDER if entry.is_dir() else _READ, dir_fd=folder)
            try:
                if entry.is_dir():
                    self._sync_folder(handle)
                else:
                    self.calls.fsync(handle)
            finally:
                os.close(handle)
        if self.owner:
            self.calls.chown(folder, *self.owner)
        self.calls.fsync(folder)

    def _each(self, folder: int, name: str, act: Callable[[int, str, os.stat_result], None]) -> None:
        """What `take_in` is about, each folder after what is in it."""
        kind = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            return
        handle = os.open(name, _READ | os.O_NONBLOCK, dir_fd=folder)
        try:
            found = os.fstat(handle)
            if self.may_read(found) and (stat.S_ISDIR(found.st_mode) or found.st_nlink == 1):
                for below in os.scandir(handle) if stat.S_ISDIR(found.st_mode) else []:
                    self._each(handle, below.name, act)
                act(handle, name, found)
        finally:
            os.close(handle)

    def _make_one(self, path: str, mode: int) -> None:
        with self._parent(path) as (folder, name):
            with suppress(FileNotFoundError):
                os.close(os.open(name, _FOLDER, dir_fd=folder))
                return
            if _is_within(path, self.private):
                self._make_here(folder, name, mode, None)
            elif _is_within(self.private, path):
                self._make_here(folder, name, mode, self.owner)
            else:  # made under another name, since whoever finds a folder takes its mode and owner for right
                staged = self.staged_name()
                with self._parent(staged) as (source, temporary):
                    self._make_here(source, temporary, mode, self.owner)
                    self.calls.rename(temporary, name, src_dir_fd=source, dst_dir_fd=folder)
            self._sync(folder)

    def _make_here(self, folder: int, name: str, mode: int, owner: Owner | None) -> None:
        self.calls.mkdir(name, mode, dir_fd=folder)
        made = os.open(name, _FOLDER, dir_fd=folder)
        try:
            self.calls.chmod(made, mode)
            if owner:
                self.calls.chown(made, *owner)
            self._sync(made)
        finally:
            os.close(made)

    def _sync(self, folder: int) -> None:
        """Make what was done in a folder durable; when this fails, nothing else is changed before all is (`settle`)."""
        before, self.settled = self.settled, False
        self.calls.fsync(folder)
        self.settled = before

    def _drop(self, path: str) -> None:
        """Delete what nobody refers to any more; a fault here costs only room and is found by the next recovery."""
        with suppress(AgentError), faults("delete", path), self._parent(path) as (folder, name):
            self._delete(folder, name)

    def _delete(self, folder: int, name: str) -> None:
        if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            self.calls.unlink(name, dir_fd=folder)
            return
        inside = os.open(name, _FOLDER, dir_fd=folder)
        try:
            for below in [entry.name for entry in os.scandir(inside)]:
                self._delete(inside, below)
        finally:
            os.close(inside)
        self.calls.rmdir(name, dir_fd=folder)

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        *above, name = _parts(path)
        with self.folder("/".join(above)) as handle:
            yield handle, name


def _fail(problem: OSError) -> None:
    raise problem


def _join(above: str, name: str) -> str:
    return f"{above}/{name}" if above else name


def _is_within(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(folder + "/")


def _parts(path: str) -> list[str]:
    """The names along a relative path; ValueError (a bug in the caller) for one that could leave the root."""
    parts = path.split("/") if path else []
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{path!r} is not a plain relative path")
    return parts
