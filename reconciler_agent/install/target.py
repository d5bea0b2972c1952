"""The machine that the agent is put on: this one, or an image of one in a folder; every write durable and whole."""

import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from reconciler_agent.draft import CHUNK_BYTES, Draft
from reconciler_agent.durable import Disk
from reconciler_agent.roots import make_root
from reconciler_agent.site_key import KEY_PRIVATE
from reconciler_agent.system_calls import SYSTEM, Calls, Owner, faults

MAX_BYTES: Final = 16 << 20
_PRIVATE: Final = ".neopro-install"


def _copy(source: Path, draft: Draft) -> None:
    """The bytes of a file, not synced yet."""
    try:
        with faults("read", str(source)), source.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                draft.write(chunk)
        draft.seal(0o600, sync=False)
    finally:
        draft.close()


class Found(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What stands at a path, whole enough to be put back; `absent`: nothing, or a folder."""

    form: Literal["absent", "file", "link"] = "absent"
    data: bytes = b""
    target: str = ""
    mode: int = 0
    uid: int = 0
    gid: int = 0


class Target:
    """Files by the absolute paths that they have on the machine, of which `prefix` is the root."""

    def __init__(self, prefix: Path = Path("/"), calls: Calls = SYSTEM) -> None:
        self.prefix = prefix
        self._calls = calls

    def at(self, path: Path) -> Path:
        """Where `path` of the machine lies here."""
        return self.prefix / path.relative_to("/")

    def look(self, path: Path) -> Found:
        """What stands at `path` itself; DiskFault when it cannot be read."""
        here = self.at(path)
        with faults("read", str(here)):
            try:
                found = here.lstat()
            except (FileNotFoundError, NotADirectoryError):
                return Found()
            if stat.S_ISLNK(found.st_mode):
                return Found(form="link", target=str(here.readlink()))
            if not stat.S_ISREG(found.st_mode):
                return Found()
            with here.open("rb") as file:
                data = file.read(MAX_BYTES)
        return Found(form="file", data=data, mode=stat.S_IMODE(found.st_mode), uid=found.st_uid, gid=found.st_gid)

    def holds(self, path: Path, data: bytes, mode: int) -> bool:
        """Whether a file with this content and mode stands at `path`."""
        found = self.look(path)
        return (found.form, found.data, found.mode) == ("file", data, mode)

    def put(self, path: Path, data: bytes, mode: int, owner: Owner | None = None) -> None:
        """The file at `path` is this one, in the place of a file or link that was there."""
        with self._folder(path.parent, owner) as disk:
            disk.write_file(path.name, data, mode)

    def put_tree(self, path: Path, files: Mapping[str, Path]) -> None:
        """A folder at `path` with copies of these files, by their paths in it, for their owner alone; in one step."""
        with self._folder(path.parent) as disk:
            draft = disk.staged_name()
            disk.require_room(sum(place.stat().st_size for place in files.values()))
            for name, place in files.items():
                disk.make_folder(f"{draft}/{name}".rpartition("/")[0], 0o700)
                _copy(place, disk.draft(f"{draft}/{name}"))
            disk.sync_tree(draft)
            disk.remove(path.name)
            disk.install(draft, path.name)

    def link(self, path: Path, target: str) -> None:
        """A link at `path`."""
        with self._folder(path.parent) as disk:
            disk.symlink(target, path.name)

    def remove(self, path: Path) -> None:
        """Nothing stands at `path`."""
        if self.at(path).parent.is_dir():
            with self._folder(path.parent) as disk:
                disk.remove(path.name)

    def put_back(self, path: Path, found: Found) -> None:
        """What `look` found at `path` stands there again."""
        if found.form == "absent":
            self.remove(path)
        elif found.form == "link":
            self.link(path, found.target)
        else:
            self.put(path, found.data, found.mode, Owner(found.uid, found.gid))

    def is_tidy(self, folder: Path) -> bool:
        """Whether no interrupted run left its staging in a folder."""
        return not any((self.at(folder) / name).exists() for name in (_PRIVATE, KEY_PRIVATE))

    def tidy(self, folder: Path) -> None:
        """Delete what interrupted runs left in staging."""
        for name in (_PRIVATE, KEY_PRIVATE):
            disk = Disk(self.at(folder), name, secrets.token_hex(8), calls=self._calls)
            try:
                disk.forget()
            finally:
                disk.close()

    def make_folder(self, path: Path, mode: int) -> None:
        """A folder with this mode is there."""
        here = self.at(path)
        make_root(here, mode, self._calls)
        if not self.has_folder(path, mode):
            with faults("chmod", str(here)):
                handle = os.open(here, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    self._calls.chmod(handle, mode)
                finally:
                    os.close(handle)

    def has_folder(self, path: Path, mode: int) -> bool:
        """Whether a folder with this mode is there."""
        here = self.at(path)
        return here.is_dir() and stat.S_IMODE(here.stat().st_mode) == mode

    @contextmanager
    def _folder(self, path: Path, owner: Owner | None = None) -> Iterator[Disk]:
        here = self.at(path)
        make_root(here, 0o755, self._calls)
        disk = Disk(here, _PRIVATE, secrets.token_hex(8), owner=owner, calls=self._calls)
        try:
            yield disk
            disk.forget()
        finally:
            disk.close()
