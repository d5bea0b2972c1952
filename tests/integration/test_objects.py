"""One conformance suite for every object store: a folder, and S3 on a real server."""

import asyncio
import hashlib
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import urllib3

from control_plane.errors import BlobMissing, BlobRejected, ObjectsUnavailable
from control_plane.objects import CHUNK_BYTES, FolderStore, ObjectStore, S3Store
from schemas.names import Digest, digest_of
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY, S3Server

SMALL = b"a small blob"
LARGE = hashlib.shake_256(b"seed").digest(11 * CHUNK_BYTES + 17)  # more than one part of a multipart upload
ABSENT = digest_of(b"absent")


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return FolderStore(tmp_path / "blobs")
    server: S3Server = request.getfixturevalue("s3_server")
    return server.store(server.make_bucket())


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        file = tmp_path / f"upload-{digest_of(content)[7:15]}"
        file.write_bytes(content)
        return file

    return write


def put(store: ObjectStore, content: bytes, file: Path) -> Digest:
    digest = digest_of(content)
    asyncio.run(store.put(digest, file))
    return digest


def read(store: ObjectStore, digest: Digest, offset: int = 0, length: int | None = None) -> bytes:
    async def collect() -> bytes:
        chunks = [chunk async for chunk in store.read(digest, offset, length)]
        assert all(0 < len(chunk) <= CHUNK_BYTES for chunk in chunks)
        return b"".join(chunks)

    return asyncio.run(collect())


@pytest.mark.parametrize("content", [b"", b"x", SMALL, LARGE], ids=["empty", "byte", "small", "large"])
def test_blob_that_was_put_reads_back(store: ObjectStore, file_of: Callable[[bytes], Path], content: bytes) -> None:
    digest = put(store, content, file_of(content))
    assert read(store, digest) == content
    assert asyncio.run(store.size_bytes(digest)) == len(content)
    assert asyncio.run(store.missing([digest, ABSENT])) == {ABSENT}


def test_file_that_was_put_stays_where_it_was(store: ObjectStore, file_of: Callable[[bytes], Path]) -> None:
    file = file_of(SMALL)
    put(store, SMALL, file)
    assert file.read_bytes() == SMALL


@pytest.mark.parametrize(
    ("offset", "length", "wanted"),
    [
        (0, 5, LARGE[:5]),
        (7, 11, LARGE[7:18]),
        (CHUNK_BYTES - 1, 2, LARGE[CHUNK_BYTES - 1 : CHUNK_BYTES + 1]),
        (3, 3 * CHUNK_BYTES, LARGE[3 : 3 + 3 * CHUNK_BYTES]),
        (len(LARGE) - 4, None, LARGE[-4:]),
        (len(LARGE) - 4, 1000, LARGE[-4:]),
        (len(LARGE), None, b""),
        (len(LARGE) + 9, 5, b""),
        (5, 0, b""),
        (0, 0, b""),
    ],
)
def test_range_gives_exactly_its_bytes(
    store: ObjectStore, file_of: Callable[[bytes], Path], offset: int, length: int | None, wanted: bytes
) -> None:
    digest = put(store, LARGE, file_of(LARGE))
    assert read(store, digest, offset, length) == wanted


def test_reading_may_stop_early(store: ObjectStore, file_of: Callable[[bytes], Path]) -> None:
    digest = put(store, LARGE, file_of(LARGE))

    async def first_chunk() -> bytes:
        chunks = store.read(digest)
        chunk = await anext(chunks)
        await chunks.aclose()  # type: ignore[attr-defined]
        return chunk

    for _ in range(5):
        chunk = asyncio.run(first_chunk())
        assert LARGE.startswith(chunk)


def test_absent_blob_is_missing(store: ObjectStore) -> None:
    for call in (lambda: read(store, ABSENT), lambda: asyncio.run(store.size_bytes(ABSENT))):
        with pytest.raises(BlobMissing, match=ABSENT):
            call()
    assert asyncio.run(store.missing([ABSENT, ABSENT])) == {ABSENT}
    assert asyncio.run(store.missing([])) == set()


def test_many_lookups_find_what_is_missing(store: ObjectStore, file_of: Callable[[bytes], Path]) -> None:
    there = {put(store, bytes([n]), file_of(bytes([n]))) for n in range(20)}
    absent = {digest_of(b"absent %d" % n) for n in range(50)}
    assert asyncio.run(store.missing([*there, *absent])) == absent


@pytest.mark.parametrize("content", [SMALL, LARGE, b"x"], ids=["small", "large", "byte"])
def test_bytes_of_another_digest_are_rejected_and_not_kept(
    store: ObjectStore, file_of: Callable[[bytes], Path], content: bytes
) -> None:
    wrong = digest_of(content + b"!")
    with pytest.raises(BlobRejected, match=wrong):
        asyncio.run(store.put(wrong, file_of(content)))
    with pytest.raises(BlobRejected, match=ABSENT):
        asyncio.run(store.put(ABSENT, file_of(b"")))
    assert asyncio.run(store.missing([wrong, ABSENT])) == {wrong, ABSENT}


def test_upload_file_that_is_gone_is_rejected(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(BlobRejected, match=ABSENT):
        asyncio.run(store.put(ABSENT, tmp_path / "gone"))


def test_blob_that_is_there_may_be_put_again(store: ObjectStore, file_of: Callable[[bytes], Path]) -> None:
    put(store, SMALL, file_of(SMALL))
    assert read(store, put(store, SMALL, file_of(SMALL))) == SMALL


def test_usable_store_passes_its_check(store: ObjectStore) -> None:
    asyncio.run(store.check())


def test_link_is_none_unless_the_store_gives_such(store: ObjectStore, file_of: Callable[[bytes], Path]) -> None:
    assert asyncio.run(store.link(put(store, SMALL, file_of(SMALL)))) is None


def test_put_that_is_killed_leaves_nothing_visible(
    request: pytest.FixtureRequest, store: ObjectStore, file_of: Callable[[bytes], Path]
) -> None:
    """The process dies when the last byte is asked for: all others may have been written or sent."""
    if isinstance(store, FolderStore):
        made = f"FolderStore(pathlib.Path({str(store._folder)!r}))"
    else:
        server: S3Server = request.getfixturevalue("s3_server")
        made = f"S3Server(endpoint={server.endpoint!r}).store({store._bucket!r})"  # type: ignore[attr-defined]
    code = f"""
import asyncio, os, pathlib, signal, sys
from control_plane import objects
from control_plane.objects import FolderStore
from tests.support.s3_server import S3Server
class Dying(objects.CheckedReader):
    def read(self, size=-1):
        if self._left <= max(size, 0): os.kill(os.getpid(), signal.SIGKILL)
        return super().read(size)
objects.CheckedReader = Dying
asyncio.run({made}.put({digest_of(LARGE)!r}, pathlib.Path({str(file_of(LARGE))!r})))
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert asyncio.run(store.missing([digest_of(LARGE)])) == {digest_of(LARGE)}
    assert read(store, put(store, LARGE, file_of(LARGE))) == LARGE


def test_folder_is_sharded_and_holds_nothing_else(tmp_path: Path, file_of: Callable[[bytes], Path]) -> None:
    name = put(FolderStore(tmp_path / "blobs"), SMALL, file_of(SMALL)).removeprefix("sha256:")
    files = [p.relative_to(tmp_path / "blobs") for p in (tmp_path / "blobs").rglob("*") if p.is_file()]
    assert files == [Path(name[:2]) / name]


def test_folder_put_is_durable_before_it_is_visible(tmp_path: Path, file_of: Callable[[bytes], Path]) -> None:
    digest = digest_of(SMALL)
    code = f"""
import asyncio, pathlib
from control_plane.objects import FolderStore
store = FolderStore(pathlib.Path({str(tmp_path / "blobs")!r}))
asyncio.run(store.put({digest!r}, pathlib.Path({str(file_of(SMALL))!r})))
"""
    if subprocess.run(["which", "strace"], check=False, capture_output=True).returncode != 0:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    watched = "trace=fsync,fdatasync,rename,renameat,renameat2"
    subprocess.run(["strace", "-f", "-e", watched, "-o", trace, sys.executable, "-c", code], check=True)
    calls = [line.split(None, 1)[1].partition("(")[0] for line in trace.read_text().splitlines() if "(" in line]
    renamed = calls.index("rename")
    assert "fsync" in calls[:renamed]
    assert "fsync" in calls[renamed + 1 :]


def test_folder_that_cannot_be_used_says_why(tmp_path: Path, file_of: Callable[[bytes], Path]) -> None:
    (tmp_path / "blobs").write_text("a file where the folder should be")
    store = FolderStore(tmp_path / "blobs")
    with pytest.raises(ObjectsUnavailable, match=r"cannot write blobs to .*blobs: "):
        asyncio.run(store.check())
    with pytest.raises(ObjectsUnavailable, match="cannot store"):
        put(store, SMALL, file_of(SMALL))


def test_folder_on_a_full_disk_says_so_and_keeps_nothing(file_of: Callable[[bytes], Path]) -> None:
    code = """
import asyncio, pathlib, resource, signal, sys, tempfile
from control_plane.errors import ObjectsUnavailable
from control_plane.objects import FolderStore
folder = pathlib.Path(sys.argv[1]).parent / "full"
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
store = FolderStore(folder)
try:
    asyncio.run(store.put(sys.argv[2], pathlib.Path(sys.argv[1])))
except ObjectsUnavailable as problem:
    print(problem, [p.name for p in folder.rglob("*") if p.is_file()])
"""
    said = subprocess.check_output([sys.executable, "-c", code, file_of(LARGE), digest_of(LARGE)], text=True)
    assert said.startswith(f"cannot store {digest_of(LARGE)}: ")
    assert said.endswith("[]\n")


def test_stored_files_are_not_writable_by_others(tmp_path: Path, file_of: Callable[[bytes], Path]) -> None:
    put(FolderStore(tmp_path / "blobs"), SMALL, file_of(SMALL))
    for path in (tmp_path / "blobs").rglob("*"):
        assert not path.stat().st_mode & (stat.S_IWOTH | stat.S_IWGRP)


def test_wrong_credentials_are_said_in_a_sentence(s3_server: S3Server, file_of: Callable[[bytes], Path]) -> None:
    store = s3_server.store(s3_server.make_bucket(), secret_key="wrong")
    for call in (store.check(), store.size_bytes(ABSENT), store.missing([ABSENT]), store.put(ABSENT, file_of(SMALL))):
        with pytest.raises((ObjectsUnavailable, BlobRejected)) as refused:
            asyncio.run(call)
        assert "\n" not in str(refused.value)
    with pytest.raises(ObjectsUnavailable, match="cannot use bucket"):
        asyncio.run(store.put(digest_of(SMALL), file_of(SMALL)))


def test_absent_bucket_is_said(s3_server: S3Server, file_of: Callable[[bytes], Path]) -> None:
    store = s3_server.store("no-such-bucket")
    with pytest.raises(ObjectsUnavailable, match="no such bucket"):
        asyncio.run(store.check())
    with pytest.raises(ObjectsUnavailable, match="NoSuchBucket"):
        put(store, SMALL, file_of(SMALL))


def test_endpoint_that_is_away_is_said(file_of: Callable[[bytes], Path]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        store = S3Server(endpoint=f"127.0.0.1:{taken.getsockname()[1]}").store("bucket")
        for call in (store.check(), store.size_bytes(ABSENT), store.missing([ABSENT])):
            with pytest.raises(ObjectsUnavailable, match=r"cannot reach bucket bucket at 127\.0\.0\.1"):
                asyncio.run(call)
        with pytest.raises(ObjectsUnavailable, match="cannot reach"):
            put(store, SMALL, file_of(SMALL))


def test_something_else_at_the_endpoint_is_said(file_of: Callable[[bytes], Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")

        threading.Thread(target=answer, daemon=True).start()
        store = S3Server(endpoint=f"127.0.0.1:{server.getsockname()[1]}").store("bucket")
        with pytest.raises(ObjectsUnavailable):
            put(store, LARGE, file_of(LARGE))
        server.shutdown(socket.SHUT_RDWR)


def test_presigned_link_reads_the_blob_without_credentials(
    s3_server: S3Server, file_of: Callable[[bytes], Path]
) -> None:
    store = s3_server.store(s3_server.make_bucket(), presign=True)
    digest = put(store, LARGE, file_of(LARGE))
    link = asyncio.run(store.link(digest))
    assert link is not None
    assert SECRET_KEY not in link
    with urllib3.PoolManager() as http:
        assert http.request("GET", link).data == LARGE
        part = http.request("GET", link, headers={"Range": "bytes=5-8"})
        assert (part.status, part.data) == (206, LARGE[5:9])
        assert http.request("GET", link.replace(digest[9:20], ABSENT[9:20])).status == 403
        bare = urlsplit(link)._replace(query="").geturl()
        assert http.request("GET", bare).status in (400, 403)


def test_unusable_authority_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    store = S3Store(
        endpoint="127.0.0.1:9", bucket="blobs", access_key=ACCESS_KEY, secret_key="s", ca_file=tmp_path / "ca.pem"
    )
    with pytest.raises(ObjectsUnavailable):
        asyncio.run(store.check())
