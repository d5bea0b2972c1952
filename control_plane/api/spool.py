"""Uploads that are not whole yet: one file a digest under `data_dir`/uploads, appended to until it is complete."""

import asyncio
import hashlib
import logging
import shutil
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from litestar.exceptions import ClientException, HTTPException
from litestar.status_codes import HTTP_409_CONFLICT, HTTP_507_INSUFFICIENT_STORAGE

from control_plane.api.ranges import Piece
from control_plane.errors import BlobRejected
from control_plane.objects import ObjectStore
from schemas.api import UploadState
from schemas.names import Digest

WRITE_BYTES: Final = 1 << 20
RESERVE_BYTES: Final = 256 << 20
"""What stays free on the spool's disk."""
FORGET_AFTER_S: Final = 7 * 86_400
FORGET_EVERY_S: Final = 3_600.0
TURN_S: Final = 10.0
"""How long a second writer of a blob waits for the first."""
SILENCE_S: Final = 3.0
"""After so long without a byte, the first one makes way: its line is dead, and the second is the same film again."""
LOG = logging.getLogger(__name__)


Claim = Callable[[Digest], Awaitable[None]]


async def _nothing(_digest: Digest) -> None:
    pass


class _Turn:
    """Who writes a blob now, and how many do or wait to."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0
        self.limit: asyncio.Timeout | None = None

    def expect_news(self) -> None:
        """From now on whoever writes must not be silent for long."""
        if self.limit is not None and not self.limit.expired():
            self.limit.reschedule(asyncio.get_running_loop().time() + SILENCE_S)

    @asynccontextmanager
    async def limited(self) -> AsyncIterator[None]:
        """While a body is received; 409 when it fell silent and another writer waits."""
        try:
            async with asyncio.timeout(None) as self.limit:
                if self.users > 1:
                    self.expect_news()
                yield
        except TimeoutError:
            raise _taken() from None
        finally:
            self.limit = None


class Spool:
    """Receives blobs piece by piece and hands whole, verified ones to the object store."""

    def __init__(self, folder: Path, objects: ObjectStore, claim: Claim = _nothing) -> None:
        """`claim` is called with a blob that is in the store and that the sender counts on from now on."""
        self._folder, self._objects, self._claim = folder, objects, claim
        self._turns: defaultdict[Digest, _Turn] = defaultdict(_Turn)

    async def state(self, digest: Digest) -> UploadState:
        """Where an upload goes on."""
        if not await self._objects.missing([digest]):
            await self._claim(digest)
        # Looked at again: a sweep may have come between, but not once it is claimed.
        if not await self._objects.missing([digest]):
            size = await self._objects.size_bytes(digest)
            return UploadState(digest=digest, offset_bytes=size, complete=True)
        return await self.unfinished(digest)

    async def unfinished(self, digest: Digest) -> UploadState:
        """Where an upload goes on, whatever the store has."""
        return UploadState(digest=digest, offset_bytes=await asyncio.to_thread(self._spooled, digest), complete=False)

    async def append(self, digest: Digest, piece: Piece, chunks: AsyncIterator[bytes]) -> UploadState:
        """Write a piece, and store the blob when it was the last one.

        A piece may begin before the end of what is there, which is then written anew; not behind it (409). What came
        of a piece that breaks off is kept. BlobRejected, and nothing kept, when the whole has another digest.
        """
        async with self._turn(digest) as turn:
            path = self._path(digest)
            await asyncio.to_thread(self._make_room, digest, piece)
            with _disk_full_is_ours(), await asyncio.to_thread(path.open, "ab") as file:
                await asyncio.to_thread(file.truncate, piece.offset)
                await _copy(chunks, file, piece.length, turn)
            size = await asyncio.to_thread(self._spooled, digest)
            if size < piece.total:
                return UploadState(digest=digest, offset_bytes=size, complete=False)
            await self._complete(digest, path)
            return UploadState(digest=digest, offset_bytes=size, complete=True)

    def forget_old(self) -> None:
        """Remove what nobody has gone on with for a week."""
        limit = time.time() - FORGET_AFTER_S
        for file in self._folder.glob("*") if self._folder.is_dir() else ():
            with suppress(FileNotFoundError):  # it may come to its end at this very moment
                if file.stat().st_mtime < limit:
                    LOG.info("forgetting the unfinished upload %s", file.name)
                    file.unlink()

    async def _complete(self, digest: Digest, path: Path) -> None:
        try:
            await asyncio.to_thread(_require_digest, path, digest)
            await self._objects.put(digest, path)
            await self._claim(digest)
        except BlobRejected:
            await asyncio.to_thread(path.unlink, missing_ok=True)
            raise
        await asyncio.to_thread(path.unlink, missing_ok=True)

    def _make_room(self, digest: Digest, piece: Piece) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        there = self._spooled(digest)
        if piece.offset > there:
            raise HTTPException(
                f"cannot append at {piece.offset}: {there} bytes are here; go on from there",
                status_code=HTTP_409_CONFLICT,
            )
        if shutil.disk_usage(self._folder).free - RESERVE_BYTES < piece.total - there:
            raise HTTPException(
                f"cannot take {piece.total} bytes: the server's disk is too full",
                status_code=HTTP_507_INSUFFICIENT_STORAGE,
            )

    def _spooled(self, digest: Digest) -> int:
        path = self._path(digest)
        return path.stat().st_size if path.exists() else 0

    def _path(self, digest: Digest) -> Path:
        return self._folder / digest.removeprefix("sha256:")

    @asynccontextmanager
    async def _turn(self, digest: Digest) -> AsyncIterator[_Turn]:
        """One writer a digest; 409 when another one does not end."""
        turn = self._turns[digest]
        turn.users += 1
        turn.expect_news()
        try:
            await _acquire(turn.lock)
            try:
                yield turn
            finally:
                turn.lock.release()
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[digest]


@asynccontextmanager
async def forgetting(forget_old: Callable[[], None], every_s: float = FORGET_EVERY_S) -> AsyncIterator[None]:
    """Forget what is old at once, and now and then while the context lasts: servers run for months."""
    task = asyncio.create_task(_go_on_forgetting(forget_old, every_s), name="forgetting uploads")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _go_on_forgetting(forget_old: Callable[[], None], every_s: float) -> None:
    while True:
        try:
            await asyncio.to_thread(forget_old)
        except OSError as problem:
            LOG.warning("cannot forget unfinished uploads: %s; trying again later", problem)
        await asyncio.sleep(every_s)


async def _acquire(lock: asyncio.Lock) -> None:
    try:
        await asyncio.wait_for(lock.acquire(), TURN_S)
    except TimeoutError:
        raise _taken() from None


def _taken() -> HTTPException:
    return HTTPException(
        "cannot take this piece: another upload of the blob is under way", status_code=HTTP_409_CONFLICT
    )


async def _copy(chunks: AsyncIterator[bytes], file: BinaryIO, length: int, turn: _Turn) -> None:
    """Write exactly `length` bytes, or as many as came; 400 when there are more."""
    buffer, copied = bytearray(), 0
    try:
        async with turn.limited():
            async for chunk in chunks:
                copied += len(chunk)
                if copied > length:
                    raise ClientException(f"cannot take the piece: it has more than the {length} bytes it announced")
                buffer += chunk
                if len(buffer) >= WRITE_BYTES:
                    await asyncio.to_thread(file.write, bytes(buffer))
                    buffer.clear()
                if turn.users > 1:
                    turn.expect_news()
    finally:
        await asyncio.to_thread(file.write, bytes(buffer))
        await asyncio.to_thread(file.flush)


def _require_digest(path: Path, digest: Digest) -> None:
    with path.open("rb") as file:
        found = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        raise BlobRejected(f"cannot keep the upload: its bytes are {found}, not {digest}; upload it again")


@contextmanager
def _disk_full_is_ours() -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        LOG.error("cannot write an upload: %s", problem)
        raise HTTPException(
            "cannot keep the upload: the server's disk failed or is full", status_code=HTTP_507_INSUFFICIENT_STORAGE
        ) from None
