"""Videos of the club's, encrypted into a file to be uploaded, and put back from one; a few MB of memory at most."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from reconciler_agent import age_key
from reconciler_agent.core.vault import Kept, Seen
from reconciler_agent.draft import Draft
from reconciler_agent.durable import Disk
from reconciler_agent.errors import AgentError, BackupUnreadable, DigestMismatch, DiskFault, DiskFull, Superseded
from reconciler_agent.resources.inventory import list_files
from reconciler_agent.system_calls import faults
from schemas.backup import MAX_VIDEO_BYTES, KeptVideo
from schemas.names import Digest

VIDEOS: Final = "videos"
LEFT: Final = "backup-video"
"""In `partial`: the encrypted video that is being left."""
BACK: Final = "restore-"
OVERHEAD_BYTES: Final = 1 << 20
Alive = Callable[[int], None]
"""Hears of bytes that were read, so that the watchdog knows that work gets on."""


class Safe:
    """The videos of the box whose root is that of `disk`, and their encrypted copies in its private folder."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.left = f"{disk.partial}/{LEFT}"

    def look(self, ours: frozenset[str]) -> dict[str, Seen]:
        """The files under `videos/` that are none of `ours`, and that a path can tell apart."""
        found = {}
        for file in list_files(self._disk, VIDEOS):
            if file.path not in ours and file.path.isprintable() and (about := self._disk.stat(file.path)):
                found[file.path] = _seen(about)
        return found

    def exists(self, path: str) -> bool:
        """Whether anything is there."""
        return self._disk.stat(path) is not None

    def recognise(self, videos: Sequence[KeptVideo]) -> Kept | None:
        """Which of these (of one path) is the file that is there, by its bytes; None where it is none of them."""
        path = videos[0].path
        about = self._disk.stat(path)
        if about is None or not stat.S_ISREG(about.st_mode):
            return None
        digest, after = self._disk.digest(path), self._disk.stat(path)
        if after is None or _seen(after) != _seen(about):
            return None
        found = next((video for video in videos if video.digest == digest), None)
        return kept_of(found, _seen(about)) if found is not None else None

    def encrypt(self, path: str, seen: Seen, recipient: str, identity: str, alive: Alive) -> Kept | None:
        """The video encrypted into `left`, synced; None where its file was changed meanwhile, or is gone."""
        self.drop_left()
        room = seen.size_bytes + OVERHEAD_BYTES + seen.size_bytes // 1024
        self._disk.require_room(room)
        self._disk.make_folder(self._disk.partial)
        draft = self._disk.draft(self.left)
        try:
            draft.reserve(room)
            with faults("read", path), self._disk.reading(path) as handle:
                source, target = _Source(handle, alive), _Target(draft)
                with _own_problems(target):
                    age_key.encrypt_stream(source, target, recipient, identity)
            draft.seal(0o600)
        finally:
            draft.close()
        about = self._disk.stat(path)
        if about is None or _seen(about) != seen or source.size_bytes != seen.size_bytes:
            self.drop_left()
            return None
        video = KeptVideo(
            path=path,
            size_bytes=seen.size_bytes,
            digest=source.digest(),
            blob=draft.digest(),
            blob_bytes=draft.size_bytes,
        )
        return kept_of(video, seen)

    def has_left(self, video: KeptVideo) -> bool:
        """Whether the encrypted video lies there whole, by its size; the control plane checks its digest."""
        found = self._disk.stat(self.left)
        return found is not None and stat.S_ISREG(found.st_mode) and found.st_size == video.blob_bytes

    @contextmanager
    def reading_left(self) -> Iterator[Callable[[int, int], bytes]]:
        """Reads pieces of it: so many bytes from an offset on."""
        with faults("read", self.left), self._disk.reading(self.left) as handle:
            yield lambda offset, size: os.pread(handle, size, offset)

    def drop_left(self) -> None:
        """Forget the encrypted video."""
        self._disk.remove(self.left)

    def put_back(self, video: KeptVideo, identity: str, fetch: Callable[[Draft], None], alive: Alive) -> Kept | None:
        """The video in its place, from the blob that `fetch` brings; None where meanwhile another file is there.

        Room for both is asked for before the first byte. What a download that broke has brought is kept.
        """
        partial = f"{self._disk.partial}/{BACK}{video.blob.partition(':')[2]}"
        self._disk.make_folder(self._disk.partial)
        had = self._disk.stat(partial)
        self._disk.require_room(video.size_bytes + video.blob_bytes - (had.st_blocks * 512 if had else 0))
        self._fetch(partial, video, fetch)
        try:
            staged = self._decrypt(partial, video, identity, alive)
        except BackupUnreadable:
            self._disk.remove(partial)
            raise
        if self.exists(video.path):
            self._disk.remove(staged)
            self._disk.remove(partial)
            return None
        self._disk.install(staged, video.path)
        self._disk.remove(partial)
        about = self._disk.stat(video.path)
        return kept_of(video, _seen(about)) if about is not None else None

    def forget_partial(self) -> None:
        """Forget what downloads left."""
        for name in self._disk.names(self._disk.partial):
            if name.startswith(BACK):
                self._disk.remove(f"{self._disk.partial}/{name}")

    def _fetch(self, partial: str, video: KeptVideo, fetch: Callable[[Draft], None]) -> None:
        draft = self._disk.draft(partial, resume=True)
        try:
            draft.reserve(video.blob_bytes)
            fetch(draft)
            draft.require(video.blob)
            draft.seal(0o600)
        except (DigestMismatch, DiskFull, DiskFault):
            draft.close()
            self._disk.remove(partial)
            raise
        finally:
            draft.close()

    def _decrypt(self, partial: str, video: KeptVideo, identity: str, alive: Alive) -> str:
        """The plain video in staging, checked; its path. BackupUnreadable when it is not what the index says."""
        staged = self._disk.staged_name()
        draft = self._disk.draft(staged)
        try:
            draft.reserve(video.size_bytes)
            target = _Target(draft, video.size_bytes)
            with faults("read", partial), self._disk.reading(partial) as handle, _own_problems(target):
                age_key.decrypt_stream(_Source(handle, alive), target, identity)
            if draft.digest() != video.digest:
                raise BackupUnreadable(f"cannot put {video.path} back: what was kept is another file")
            draft.seal(0o644)
        except AgentError:
            draft.close()
            self._disk.remove(staged)
            raise
        finally:
            draft.close()
        return staged


class _Source:
    """A file being read, its bytes counted and digested."""

    def __init__(self, handle: int, alive: Alive) -> None:
        self._handle, self._alive = handle, alive
        self._sha256 = hashlib.sha256()
        self.size_bytes = 0

    def read(self, size: int) -> bytes:
        data = os.read(self._handle, size)
        self._sha256.update(data)
        self.size_bytes += len(data)
        if self.size_bytes > MAX_VIDEO_BYTES + OVERHEAD_BYTES:
            raise OSError("it grows without end")
        with suppress(Superseded):  # half an age file is of no use: it is not left for news
            self._alive(len(data))
        return data

    def digest(self) -> Digest:
        return "sha256:" + self._sha256.hexdigest()


class _Target:
    """A draft being written; what kept it from that is remembered, since it cannot pass through the library."""

    def __init__(self, draft: Draft, most_bytes: int | None = None) -> None:
        self._draft, self._most_bytes = draft, most_bytes
        self.problem: AgentError | None = None

    def write(self, data: bytes) -> int:
        try:
            if self._most_bytes is not None and self._draft.size_bytes + len(data) > self._most_bytes:
                raise BackupUnreadable("cannot put a video back: it is longer than its index says")
            self._draft.write(data)
        except AgentError as problem:
            self.problem = problem
            raise OSError(str(problem)) from None
        return len(data)

    def flush(self) -> None:
        pass


@contextmanager
def _own_problems(target: _Target) -> Iterator[None]:
    """The AgentError with which writing failed, in the place of what the library made of it."""
    try:
        yield
    except (OSError, BackupUnreadable) as problem:
        if target.problem is not None:
            raise target.problem from None
        if isinstance(problem, OSError) and problem.errno is None:
            raise BackupUnreadable(f"cannot read an encrypted video: {problem}") from None
        raise


def kept_of(video: KeptVideo, seen: Seen) -> Kept:
    """The video, kept of this very file."""
    return Kept(video=video, inode=seen.inode, mtime_ns=seen.mtime_ns, ctime_ns=seen.ctime_ns)


def _seen(about: os.stat_result) -> Seen:
    return Seen(size_bytes=about.st_size, inode=about.st_ino, mtime_ns=about.st_mtime_ns, ctime_ns=about.st_ctime_ns)
