"""One video of 1 GB over loopback, beside `curl` and then `openssl dgst`, in turns, from the same server.

Ours is all that it takes until the box may play it: received, digested, on the disk (fsync) and in its place. What the
others received is in the kernel's memory when they end.
"""

import hashlib
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from reconciler_agent.client import Client
from reconciler_agent.download import Throttle
from reconciler_agent.draft import Draft
from reconciler_agent.durable import Disk
from reconciler_agent.observe import SystemClock
from reconciler_agent.resources.content import Content
from reconciler_agent.state import Installed
from schemas.manifest import ContentFile
from tests.benchmarks.measure import Row, row

SIZE_BYTES = 1_000_000_000
BLOCK_BYTES = 50_000_000
TURNS = 5


def measure(names: list[str]) -> list[Row]:
    """The one figure of this module."""
    if not (shutil.which("curl") and shutil.which("openssl")):
        raise SystemExit(
            "cannot measure download-throughput: curl and openssl, which it is measured against, are missing"
        )
    with tempfile.TemporaryDirectory(prefix="neopro-bench-") as name:
        folder = Path(name)
        film = folder / "film"
        digest = write_film(film)
        with serving(film) as port:
            url = f"http://127.0.0.1:{port}"
            file = ContentFile(path="videos/FILMS/film.mp4", digest=f"sha256:{digest}", size_bytes=SIZE_BYTES)
            ours, theirs = [], []
            for _ in range(TURNS):
                ours.append(taken_s(lambda: fetch(folder / "box", url, file)))
                theirs.append(taken_s(lambda: curl_and_openssl(folder / "film.curl", url, digest)))
    value, floor = (SIZE_BYTES / statistics.median(taken) / 1e6 for taken in (ours, theirs))
    note = f"1 GB, medians of {TURNS} turns, fsync in ours alone; curl, then openssl dgst; more is better"
    return [r for r in [row("download-throughput", value, "MB/s", floor, note)] if r.name in names]


def write_film(path: Path) -> str:
    """A file of noise; its SHA-256."""
    block, sha256 = os.urandom(BLOCK_BYTES), hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(SIZE_BYTES // BLOCK_BYTES):
            file.write(block)
            sha256.update(block)
        os.fsync(file.fileno())
    return sha256.hexdigest()


def taken_s(action: Callable[[], Path]) -> float:
    """Seconds on the clock; what it made is removed after."""
    began = time.perf_counter()
    made = action()
    took = time.perf_counter() - began
    made.unlink()
    os.sync()
    return took


def fetch(root: Path, url: str, file: ContentFile) -> Path:
    """What the agent does with a file that it wants."""
    root.mkdir(exist_ok=True)
    clock = SystemClock("trusted")
    key = Ed25519PrivateKey.generate()
    with (
        closing(Disk(root, "data/agent", "run")) as disk,
        closing(Client(url=url, site="brest", key=key, clock=clock, throttle=Throttle(clock))) as client,
    ):
        content = Content(disk, client)
        begun = content.begin(file, {file.path: Installed(digest=file.digest)})
        assert isinstance(begun, Draft)
        content.bring(file, begun, lambda _count: None)
        content.place(file, begun)
    return root / file.path


def curl_and_openssl(path: Path, url: str, digest: str) -> Path:
    """The floor."""
    subprocess.run(["curl", "--silent", "--fail", "--output", str(path), f"{url}/film"], check=True)
    said = subprocess.run(["openssl", "dgst", "-sha256", str(path)], check=True, capture_output=True, text=True).stdout
    assert said.strip().endswith(digest)
    return path


@contextmanager
def serving(path: Path) -> Iterator[int]:
    """The port of a server in a process of its own, which sends the file to whoever asks for anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if not (child := os.fork()):
            with suppress(BaseException):
                _serve(listener, path)
            os._exit(0)
    try:
        yield port
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def _serve(listener: socket.socket, path: Path) -> None:
    while True:
        connection = listener.accept()[0]
        threading.Thread(target=_answer, args=(connection, path), daemon=True).start()


def _answer(connection: socket.socket, path: Path) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {path.stat().st_size}\r\nContent-Type: application/octet-stream\r\n\r\n"
    with suppress(OSError), connection, path.open("rb") as file:
        while connection.recv(1 << 16):
            connection.sendall(head.encode())
            file.seek(0)
            connection.sendfile(file)
