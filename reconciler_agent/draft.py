"""A file that is being written, until it is sealed: hashed as it grows, and handed to the disk as it grows.

Made by `durable`, which gives it its name; like there, every call that changes the file system goes through `Calls`.
"""

import hashlib
import os
from typing import Final

from reconciler_agent.errors import DigestMismatch
from reconciler_agent.system_calls import Calls, Owner, faults
from schemas.names import Digest

CHUNK_BYTES: Final = 1 << 20
HAND_OVER_BYTES: Final = 8 << 20
"""So much at a time goes on its way to the disk while a large file grows: sealing it has little left to wait for, and
it does not push what the box plays out of memory."""


class Draft:
    """A file that is being written and that nobody reads before it is sealed; made by `Disk.draft`.

    One thread at a time may use it.
    """

    def __init__(self, handle: int, path: str, owner: Owner | None, calls: Calls) -> None:
        self.path = path
        self.size_bytes = 0
        self._handle, self._owner, self._calls = handle, owner, calls
        self._sha256 = hashlib.sha256()
        self._handed_bytes = self._reserved_bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append all of `data`."""
        self._sha256.update(data)
        rest = memoryview(data)
        with faults("write", self.path):
            while rest:
                rest = rest[self._calls.write(self._handle, rest) :]
            self.size_bytes += len(data)
            if self.size_bytes - self._handed_bytes >= HAND_OVER_BYTES:
                os.posix_fadvise(self._handle, self._handed_bytes, HAND_OVER_BYTES, os.POSIX_FADV_DONTNEED)
                self._handed_bytes += HAND_OVER_BYTES

    def restart(self) -> None:
        """Forget what is there: a server that cannot resume, or bytes that are not the right ones."""
        with faults("truncate", self.path):
            self._calls.truncate(self._handle, 0)
            os.lseek(self._handle, 0, os.SEEK_SET)
        self.size_bytes = self._handed_bytes = 0
        self._sha256 = hashlib.sha256()
        self.reserve(self._reserved_bytes)

    def reserve(self, size_bytes: int) -> None:
        """Take the room for `size_bytes` in all before the first byte; DiskFull when there is not so much."""
        self._reserved_bytes = size_bytes
        if size_bytes:
            with faults("reserve room for", self.path):
                self._calls.allocate(self._handle, size_bytes)

    def digest(self) -> Digest:
        """Of the bytes so far."""
        return "sha256:" + self._sha256.hexdigest()

    def require(self, digest: Digest) -> None:
        """DigestMismatch unless the bytes so far are `digest`'s."""
        if self.digest() != digest:
            raise DigestMismatch(f"cannot accept {self.path}: it is {self.digest()[:19]}…, not {digest[:19]}…")

    def seal(self, mode: int, sync: bool = True) -> None:
        """Give it its mode and owner, fsync, close. `sync=False`: in a tree that is synced whole later."""
        with faults("seal", self.path):
            self._calls.chmod(self._handle, mode)
            if self._owner:
                self._calls.chown(self._handle, *self._owner)
            if sync:
                self._calls.fsync(self._handle)
        self.close()

    def close(self) -> None:
        """Let go; what was written may stay for another day."""
        if (handle := self._handle) >= 0:
            self._handle = -1
            os.close(handle)

    def take_up(self) -> None:
        """Hash what an earlier run wrote, and stand at its end."""
        with faults("read", self.path):
            while chunk := os.read(self._handle, CHUNK_BYTES):
                self._sha256.update(chunk)
                self.size_bytes += len(chunk)
            self._handed_bytes = self.size_bytes
