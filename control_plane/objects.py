"""Content-addressed blobs: a folder, or any S3; both promise the same, and the same tests hold for both.

A blob is whole or absent, whenever a `put` is interrupted; it never changes; its name is its SHA-256.
"""

import asyncio
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, Protocol, TypeVar, cast
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, S3Error, ServerError

from control_plane.errors import BlobMissing, BlobRejected, ObjectsUnavailable, SettingsInvalid
from schemas.names import Digest

T = TypeVar("T")

CHUNK_BYTES: Final = 1 << 20
SHARDS: Final = 256
"""Parts that a store is listed in: by the first byte of the digest."""
LINK_LIFETIME: Final = timedelta(hours=1)
_STAGING: Final = "staging"
_CONCURRENT_LOOKUPS: Final = 16
_UNREACHABLE: Final = (
    urllib3.exceptions.HTTPError,
    ServerError,
    InvalidResponseError,
    ParseError,
    OSError,
    ValueError,
)
_NAME: Final = re.compile(r"[0-9a-f]{64}")
_ABSENT: Final = frozenset({"NoSuchKey", "NoSuchObject", "NotFound"})


class Stored(NamedTuple):
    """A blob as a store has it; `modified_at` is when it came, by the store's clock."""

    digest: Digest
    size_bytes: int
    modified_at: datetime


class ObjectStore(Protocol):
    """What the control plane asks of a store; every call may raise ObjectsUnavailable."""

    async def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those of `digests` that are not in the store."""

    async def size_bytes(self, digest: Digest) -> int:
        """Size of a blob; BlobMissing."""

    async def put(self, digest: Digest, file: Path) -> None:
        """Keep a copy of `file` as `digest`; BlobRejected, and nothing kept, when its bytes are others."""

    def read(self, digest: Digest, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `offset` on, at most `length`, in chunks of at most 1 MiB; none past the end; BlobMissing."""

    async def link(self, digest: Digest) -> str | None:
        """A URL that anyone may read the blob by for an hour, if the store gives such; not whether it is there."""

    async def stored(self, shard: int) -> list[Stored]:
        """The blobs of one of the SHARDS parts, in no order; what else lies there is not told."""

    async def delete(self, digests: Sequence[Digest]) -> None:
        """Delete blobs; one that is not there is deleted. Not all of them are when it raises."""

    async def check(self) -> None:
        """ObjectsUnavailable if the store cannot be used now."""


class FolderStore:
    """Blobs as files, `ab/cdef…`, under one folder of a local disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        wanted = set(digests)
        return await asyncio.to_thread(lambda: {d for d in wanted if not self._path(d).exists()})

    async def size_bytes(self, digest: Digest) -> int:
        with _folder_errors("measure", digest):
            return (await asyncio.to_thread(self._path(digest).stat)).st_size

    async def put(self, digest: Digest, file: Path) -> None:
        with _folder_errors("store", digest, BlobRejected):
            await asyncio.to_thread(self._put, digest, file)

    async def read(self, digest: Digest, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        with _folder_errors("read", digest):
            file = await asyncio.to_thread(self._path(digest).open, "rb")
            with file:
                await asyncio.to_thread(file.seek, offset)
                while chunk := await asyncio.to_thread(file.read, _next_size(length)):
                    length = None if length is None else length - len(chunk)
                    yield chunk

    async def link(self, digest: Digest) -> str | None:  # noqa: ARG002  a folder has no URLs
        return None

    async def stored(self, shard: int) -> list[Stored]:
        try:
            return await asyncio.to_thread(self._stored, shard)
        except OSError as problem:
            raise ObjectsUnavailable(f"cannot list blobs in {self._folder}: {problem.strerror}") from None

    async def delete(self, digests: Sequence[Digest]) -> None:
        for digest in digests:
            with _folder_errors("delete", digest):
                await asyncio.to_thread(self._path(digest).unlink, missing_ok=True)

    async def check(self) -> None:
        try:
            await asyncio.to_thread(self._check)
        except OSError as problem:
            raise ObjectsUnavailable(f"cannot write blobs to {self._folder}: {problem.strerror}") from None

    def _path(self, digest: Digest) -> Path:
        name = _hex(digest)
        return self._folder / name[:2] / name

    def _stored(self, shard: int) -> list[Stored]:
        folder = self._folder / f"{shard:02x}"
        found = []
        for file in folder.iterdir() if folder.is_dir() else ():
            with suppress(FileNotFoundError):  # deleted meanwhile
                if _NAME.fullmatch(file.name) and file.name.startswith(folder.name):
                    stat = file.stat()
                    found.append(Stored(f"sha256:{file.name}", stat.st_size, _instant(stat.st_mtime)))
        return found

    def _put(self, digest: Digest, file: Path) -> None:
        target = self._path(digest)
        if target.exists():
            return
        with file.open("rb") as source, self._staged() as staged:
            checked = CheckedReader(source, digest, file.stat().st_size)
            while chunk := checked.read(CHUNK_BYTES):
                staged.write(chunk)
            staged.flush()
            os.fsync(staged.fileno())
            target.parent.mkdir(exist_ok=True)
            _sync_folder(self._folder)
            os.replace(staged.name, target)  # noqa: PTH105  staged.name is a str
        _sync_folder(target.parent)

    @contextmanager
    def _staged(self) -> Iterator[Any]:
        """A file that nobody sees, on the same disk; it is gone afterwards unless it was renamed."""
        folder = self._folder / _STAGING
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            _sync_folder(self._folder.parent)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            try:
                yield file
            finally:
                Path(file.name).unlink(missing_ok=True)

    def _check(self) -> None:
        with self._staged() as file:
            file.write(b"x")
            file.flush()


class S3Store:
    """Blobs as objects, `sha256/ab/cdef…`, in one bucket of an S3-compatible store."""

    def __init__(
        self,
        *,
        endpoint: str,
        bucket: str,
        access_key: str,
        secret_key: str,
        secure: bool = True,
        region: str = "us-east-1",
        presign: bool = False,
        ca_file: Path | None = None,
    ) -> None:
        """`endpoint`: HOST[:PORT]. `presign`: boxes reach the endpoint themselves, so links to it may be given out."""
        self._bucket, self._presign, self._where = bucket, presign, f"bucket {bucket} at {endpoint}"
        http = _bounded_http(ca_file)
        try:
            self._client = Minio(
                endpoint,
                access_key=access_key,
                secret_key=secret_key,
                secure=secure,
                region=region,
                http_client=http,
            )
        except ValueError as problem:
            raise SettingsInvalid(f"cannot use the object store {endpoint}: {problem}") from None

    async def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        wanted, turn = set(digests), asyncio.Semaphore(_CONCURRENT_LOOKUPS)

        async def absent(digest: Digest) -> bool:
            async with turn:
                try:
                    await self.size_bytes(digest)
                except BlobMissing:
                    return True
                return False

        order = sorted(wanted)
        found = await asyncio.gather(*(absent(d) for d in order))
        return {d for d, gone in zip(order, found, strict=True) if gone}

    async def size_bytes(self, digest: Digest) -> int:
        stat = await self._call(digest, lambda: self._client.stat_object(self._bucket, _key(digest)))
        return int(stat.size or 0)

    async def put(self, digest: Digest, file: Path) -> None:
        await self._call(digest, lambda: self._put(digest, file))

    async def read(self, digest: Digest, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if length == 0 or offset >= await self.size_bytes(digest):
            return
        response = await self._call(
            digest, lambda: self._client.get_object(self._bucket, _key(digest), offset=offset, length=length or 0)
        )
        try:
            while chunk := await self._call(digest, lambda: response.read(CHUNK_BYTES)):
                yield chunk
        finally:
            response.close()
            response.release_conn()

    async def link(self, digest: Digest) -> str | None:
        if not self._presign:
            return None
        return self._client.presigned_get_object(self._bucket, _key(digest), expires=LINK_LIFETIME)

    async def stored(self, shard: int) -> list[Stored]:
        return await self._call(None, lambda: list(self._stored(f"sha256/{shard:02x}/")))

    async def delete(self, digests: Sequence[Digest]) -> None:
        await self._call(None, lambda: self._delete(digests))

    async def check(self) -> None:
        if not await self._call(None, lambda: self._client.bucket_exists(self._bucket)):
            raise ObjectsUnavailable(f"cannot use {self._where}: there is no such bucket; make it, or name another")

    def _stored(self, prefix: str) -> Iterator[Stored]:
        for found in self._client.list_objects(self._bucket, prefix=prefix, recursive=True):
            name = str(found.object_name).removeprefix(prefix)
            if _NAME.fullmatch(name) and found.last_modified is not None:
                yield Stored(f"sha256:{name}", int(found.size or 0), found.last_modified)

    def _delete(self, digests: Sequence[Digest]) -> None:
        for failure in self._client.remove_objects(self._bucket, [DeleteObject(_key(digest)) for digest in digests]):
            if failure.code not in _ABSENT:
                raise ObjectsUnavailable(f"cannot use {self._where} to delete: {failure.code}: {failure.message}")

    def _put(self, digest: Digest, file: Path) -> None:
        try:
            source = file.open("rb")
        except OSError as problem:
            raise BlobRejected(f"cannot store {digest}: its file: {problem.strerror}") from None
        with source:
            size = file.stat().st_size
            checked = CheckedReader(source, digest, size)
            checked.read(0)  # an empty file is never asked for
            # All that minio calls of a file is read.
            self._client.put_object(self._bucket, _key(digest), cast(BinaryIO, checked), size)

    async def _call(self, digest: Digest | None, call: Callable[[], T]) -> T:
        """Run a blocking call in a thread; foreign errors become ours here."""
        try:
            return await asyncio.to_thread(call)
        except S3Error as problem:
            if digest is not None and problem.code in _ABSENT:
                raise BlobMissing(f"cannot find {digest}: {self._where} does not hold it") from None
            raise ObjectsUnavailable(f"cannot use {self._where}: {problem.code}: {problem.message}") from None
        except (
            urllib3.exceptions.HTTPError,
            ServerError,
            InvalidResponseError,
            ParseError,
            OSError,
            ValueError,
        ) as problem:
            raise ObjectsUnavailable(f"cannot reach {self._where}: {str(problem)[:200]}") from None


class CheckedReader:
    """Reads `size_bytes` of a file and raises BlobRejected before the last byte is given if they are not the digest's.

    So whatever copies from it never sees a wrong blob end, and does not complete it.
    """

    def __init__(self, file: BinaryIO, digest: Digest, size_bytes: int) -> None:
        self._file, self._digest, self._left, self._hash = file, digest, size_bytes, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; all that is left when negative."""
        chunk = self._file.read(self._left if size < 0 else min(size, self._left))
        self._hash.update(chunk)
        self._left -= len(chunk)
        if (self._left == 0 or (size and not chunk)) and "sha256:" + self._hash.hexdigest() != self._digest:
            raise BlobRejected(f"cannot store {self._digest}: the file's bytes are not its; upload it again")
        return chunk


def _next_size(length: int | None) -> int:
    return CHUNK_BYTES if length is None else min(CHUNK_BYTES, length)


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _hex(digest: Digest) -> str:
    return digest.removeprefix("sha256:")


def _key(digest: Digest) -> str:
    name = _hex(digest)
    return f"sha256/{name[:2]}/{name}"


@contextmanager
def _folder_errors(
    verb: str, digest: Digest, missing: type[BlobMissing | BlobRejected] = BlobMissing
) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise missing(f"cannot {verb} {digest}: there is no such file") from None
    except OSError as problem:
        raise ObjectsUnavailable(f"cannot {verb} {digest}: {problem.strerror}") from None


def _bounded_http(ca_file: Path | None) -> urllib3.PoolManager:
    """Every wait bounded, a lost connection tried again, certificates always checked, no proxy from the environment."""
    return urllib3.PoolManager(
        maxsize=_CONCURRENT_LOOKUPS,
        timeout=urllib3.Timeout(connect=5, read=60),
        cert_reqs="CERT_REQUIRED",
        ca_certs=str(ca_file) if ca_file else None,
        retries=urllib3.Retry(total=2, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504], redirect=0),
    )


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
