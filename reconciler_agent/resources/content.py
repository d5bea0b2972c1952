"""Files under `videos/`: fetched whole into the agent's folder, checked, then renamed to their place.

The local admin page lists every file under `videos/`, so nothing half-done is ever there. The ledger says which files
are ours: it names a file before the file is put there, and nothing that it does not name is ever removed.
"""

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final, Protocol

from msgspec.structs import replace

from reconciler_agent.draft import CHUNK_BYTES, Draft
from reconciler_agent.durable import Disk
from reconciler_agent.errors import AgentError, ContentNotOurs, DigestMismatch, DiskFault, DiskFull
from reconciler_agent.state import Installed, sign
from reconciler_agent.system_calls import faults
from schemas.manifest import ContentFile
from schemas.names import Digest

Ledger = Mapping[str, Installed]
READABLE: Final = 0o444
OnBytes = Callable[[int], None]


class Source(Protocol):
    """Where blobs come from."""

    def blob(self, digest: Digest, max_bytes: int) -> bytes:
        """A small blob, checked against its digest."""

    def download(self, digest: Digest, size_bytes: int, sink: Draft, on_bytes: OnBytes | None = None) -> None:
        """Bring `sink` from what it has to the whole blob. NetworkTrouble leaves in it what came."""


class Content:
    """The files that the manifest wants under `videos/` of the box whose root is that of `disk`."""

    def __init__(self, disk: Disk, source: Source) -> None:
        self._disk = disk
        self._source = source
        self._prefix = f"{disk.root}/"
        self.closed: list[str] = []
        """Files that were there at the last look, and that the box's services may not read."""

    def observe(self, ledger: Ledger) -> dict[str, Installed]:
        """The entries of the ledger whose file is there and sound, looked at by one `stat` each.

        A file whose inode, size or times changed is digested again, and stays sound with its new signature if its bytes
        are the same.
        """
        sound, closed = {}, []
        for path, entry in ledger.items():
            try:
                found = os.lstat(self._prefix + path)
            except OSError:
                continue
            if found.st_mode & READABLE != READABLE:
                closed.append(path)
            if entry.signature == (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns):
                sound[path] = entry
            elif checked := self._check(path, entry.digest):
                sound[path] = replace(checked, unneeded_at=entry.unneeded_at)
        self.closed = closed
        return sound

    def is_ours(self, file: ContentFile, ledger: Ledger) -> bool:
        """Whether a file may be put in its place: nothing is there, what the ledger names, or the very same bytes."""
        try:
            free = file.path in ledger or self._disk.stat(file.path) is None
            return free or self._check(file.path, file.digest) is not None
        except DiskFault:  # whoever tries will be told why
            return False

    def begin(self, file: ContentFile, ledger: Ledger) -> Installed | Draft:
        """The entry of a file that is there, whole, already; else a draft with room for it, to be brought (`bring`).

        The draft has what an earlier download brought, or all of it where the same bytes lie here under another name.
        The caller has named the file in the ledger, durably, before; ContentNotOurs where it could not (`is_ours`).
        DiskFull when it would not leave a tenth of the disk free.
        """
        if there := self._check(file.path, file.digest):
            return there
        if file.path not in ledger:
            raise ContentNotOurs(
                f"cannot put {file.path} in its place: a file that is not the fleet's is there; move it away on the box"
            )
        partial = self._partial(file.digest)
        self._disk.make_folder(self._disk.partial)
        had = self._disk.stat(partial)
        self._disk.require_room(file.size_bytes - (had.st_blocks * 512 if had else 0))
        draft = self._disk.draft(partial, resume=True)
        try:
            draft.reserve(file.size_bytes)
            if draft.digest() != file.digest:
                self._copy_twin(draft, file, ledger)
        except AgentError as problem:
            self.give_up(draft, problem)
            raise
        return draft

    def bring(self, file: ContentFile, draft: Draft, on_bytes: OnBytes | None = None) -> None:
        """Download what the draft lacks; in any thread, several at once. Then it is for `place`, or `give_up`."""
        if draft.digest() != file.digest:
            self._source.download(file.digest, file.size_bytes, draft, on_bytes)
        draft.require(file.digest)

    def place(self, file: ContentFile, draft: Draft) -> Installed:
        """Put a draft that is whole where the box looks for it, durably; its entry."""
        draft.seal(0o644)
        sealed = self._disk.stat(draft.path)
        self._disk.install(draft.path, file.path)
        placed = self._disk.stat(file.path)
        if sealed is not None and placed is not None and sign(sealed)[:3] == sign(placed)[:3]:
            return Installed(digest=file.digest, signature=sign(placed))  # the rename alone changed its ctime
        raise DigestMismatch(f"cannot install {file.path}: it was changed at once by somebody else")

    def give_up(self, draft: Draft, problem: AgentError) -> None:
        """Let go of a draft. Where its bytes are wrong, or the disk would not take them, the next try has another."""
        draft.close()
        if isinstance(problem, DigestMismatch | DiskFull | DiskFault):
            self._disk.remove(draft.path)

    def remove(self, path: str, entry: Installed) -> None:
        """Take a file away if it is still the one that we put there; what somebody put in its place stays.

        DiskFault when it cannot be read: whose it is will be seen when it can.
        """
        before = self._disk.stat(path)
        if before is None or not stat.S_ISREG(before.st_mode) or self._disk.digest(path) != entry.digest:
            return
        after = self._disk.stat(path)
        if after is not None and sign(before) == sign(after):
            self._disk.remove(path)

    def prune(self, wanted: Iterable[Digest]) -> None:
        """Forget downloads that nothing wants any more."""
        kept = {self._partial(digest).rpartition("/")[2] for digest in wanted}
        for name in self._disk.names(self._disk.partial):
            if name.startswith("content-") and name not in kept:
                self._disk.remove(f"{self._disk.partial}/{name}")

    def _partial(self, digest: Digest) -> str:
        return f"{self._disk.partial}/content-{digest.partition(':')[2]}"

    def _copy_twin(self, draft: Draft, file: ContentFile, ledger: Ledger) -> None:
        """Have the draft filled, if the same bytes lie under another name here."""
        for path in (p for p, entry in ledger.items() if entry.digest == file.digest and p != file.path):
            if draft.size_bytes:
                draft.restart()
            with suppress(AgentError):
                copy(self._disk, path, draft)
                if draft.digest() == file.digest:
                    return
            draft.restart()

    def _check(self, path: str, digest: Digest) -> Installed | None:
        """The entry for a file whose bytes are right, taken while nobody changed it; None otherwise."""
        before = self._disk.stat(path)
        if before is None:
            return None
        try:
            found = self._disk.digest(path)
        except DiskFault:  # not a file, or unreadable: to be put right as a wrong one is
            return None
        after = self._disk.stat(path)
        if found != digest or after is None or sign(before) != sign(after):
            return None
        return Installed(digest=digest, signature=sign(after))


def copy(disk: Disk, path: str, draft: Draft) -> None:
    """Append the bytes of a file beneath the root to a draft; DiskFault when it cannot be read."""
    with faults("read", path), disk.reading(path) as handle:
        while chunk := os.read(handle, CHUNK_BYTES):
            draft.write(chunk)
