"""Blobs to and from a control plane, several at once.

Uploads go in parts and ask first how much is there, so that an interrupted one goes on where it was. An interrupt stops
everything in the middle of a part; what arrived is kept.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, Final, NamedTuple

import httpx

from cli import answers
from cli.errors import CommandFailed
from cli.output import Advance
from schemas.api import UploadState
from schemas.names import Digest

PART_BYTES: Final = 4 << 20
PIECE_BYTES: Final = 64 << 10
PARALLEL: Final = 4
TRIES: Final = 4
"""Without a byte in between."""
PATIENCE_S: Final = 0.5
"""Before the second try; twice as much before each one after it."""
_PASSING: Final = frozenset((409, 429, 502, 503, 504))


class Blob(NamedTuple):
    """Something to upload: its digest, its size, and its bytes or the file that holds them."""

    digest: Digest
    size_bytes: int
    content: bytes | Path


class _Stopped(Exception):
    """The operator interrupted, or another transfer failed."""


class _NotNow(Exception):
    """The control plane is busy or away for a moment."""


class Transfers:
    """Over an open client, which knows the token; `url` is for messages."""

    def __init__(self, client: httpx.Client, url: str) -> None:
        self._client, self._url = client, url
        self._stopped = Event()

    def upload(self, blobs: Sequence[Blob], advance: Advance) -> int:
        """Upload what is not there yet; how many bytes were sent. `advance` counts every byte."""
        unique = {blob.digest: blob for blob in blobs}.values()
        return sum(self._all([partial(self._upload, blob, advance) for blob in unique]))

    def download(self, files: Mapping[Digest, Path], advance: Advance) -> None:
        """Fetch blobs into files; CommandFailed where one is not there, or its bytes are others."""
        self._all([partial(self._download, digest, file, advance) for digest, file in files.items()])

    def _all(self, calls: Sequence[Callable[[], int]]) -> list[int]:
        """Run the calls, several at once; the first one that fails stops the others."""
        work = SimpleQueue[Callable[[], int] | None]()
        outcomes = SimpleQueue[int | Exception]()
        for call in [*calls, *[None] * PARALLEL]:
            work.put(call)
        self._stopped.clear()
        try:
            for _ in range(min(PARALLEL, len(calls))):
                # Daemons: one may sit in a socket that does not move when the operator interrupts.
                Thread(target=self._work, args=(work, outcomes), daemon=True).start()
            return [_taken(outcomes.get()) for _ in calls]
        except BaseException:
            self._stopped.set()
            raise

    def _work(self, work: "SimpleQueue[Callable[[], int] | None]", outcomes: "SimpleQueue[int | Exception]") -> None:
        while (call := work.get()) is not None and not self._stopped.is_set():
            try:
                outcomes.put(call())
            except Exception as problem:  # noqa: BLE001  it is raised where the work was ordered
                outcomes.put(problem)

    def _upload(self, blob: Blob, advance: Advance) -> int:
        """Upload one blob from where an earlier try stopped; how many bytes were sent."""
        sent = counted = tries = 0
        while True:
            before = sent
            try:
                state = self._state(self._client.get(f"/v1/uploads/{blob.digest}"))
                advance(state.offset_bytes - counted)
                counted = state.offset_bytes
                for done in self._parts(blob, state):
                    sent, counted = sent + done, counted + done
                    advance(done)
                return sent
            except (httpx.TransportError, _NotNow) as problem:
                tries = 1 if sent > before else tries + 1
                self._wait(problem, tries)

    def _wait(self, problem: Exception, tries: int) -> None:
        """Before the next try; CommandFailed when there were enough."""
        if tries >= TRIES:
            raise (
                CommandFailed(str(problem)) if isinstance(problem, _NotNow) else answers.unreachable(self._url, problem)
            )
        if self._stopped.wait(PATIENCE_S * 2 ** (tries - 1)):
            raise _Stopped

    def _parts(self, blob: Blob, state: UploadState) -> Iterator[int]:
        with _opened(blob) as read:
            while not state.complete:
                part = read(state.offset_bytes)
                headers = _range(state.offset_bytes, part, blob.size_bytes)
                answer = self._client.put(f"/v1/blobs/{blob.digest}", content=self._pieces(part), headers=headers)
                after = self._state(answer)
                if not after.complete and after.offset_bytes <= state.offset_bytes:
                    raise CommandFailed(f"cannot upload {blob.digest}: the control plane does not keep what it is sent")
                yield len(part)
                state = after

    def _pieces(self, part: bytes) -> Iterator[bytes]:
        """The part in pieces, so that an interrupt need not wait for all of it."""
        for start in range(0, len(part), PIECE_BYTES):
            if self._stopped.is_set():
                raise _Stopped
            yield part[start : start + PIECE_BYTES]

    def _state(self, answer: httpx.Response) -> UploadState:
        """The answer to an upload; _NotNow where trying again may help (RFC 9110, 15.5.10 and 15.6)."""
        if answer.status_code in _PASSING:
            raise _NotNow(f"cannot upload: {answers.why(answer)}")
        return answers.read(self._url, "upload", answer, UploadState)

    def _download(self, digest: Digest, file: Path, advance: Advance) -> int:
        """Fetch one blob, whole; its size."""
        tries = 0
        while True:
            try:
                return self._fetch(digest, file, advance)
            except (httpx.TransportError, _NotNow) as problem:
                tries += 1
                self._wait(problem, tries)

    def _fetch(self, digest: Digest, file: Path, advance: Advance) -> int:
        with self._answering(digest) as answer, file.open("wb") as out:
            hashed = hashlib.sha256()
            for chunk in answer.iter_raw(1 << 20):
                if self._stopped.is_set():
                    raise _Stopped
                hashed.update(chunk)
                out.write(chunk)
        if "sha256:" + hashed.hexdigest() != digest:
            raise CommandFailed(f"cannot download {digest}: the bytes that came are others")
        advance(file.stat().st_size)
        return file.stat().st_size

    @contextmanager
    def _answering(self, digest: Digest) -> Iterator[httpx.Response]:
        """The bytes of a blob: from the control plane, or from the object store that it names, without our token."""
        with self._client.stream("GET", f"/v1/blobs/{digest}") as answer:
            if answer.status_code != 307:
                yield self._sound(digest, answer)
                return
            where = answer.headers.get("location", "")
        if not where.startswith("https://"):
            raise CommandFailed(f"cannot download {digest}: the control plane names a place that is not https://…")
        with httpx.stream("GET", where, trust_env=False, headers={"Accept-Encoding": "identity"}) as answer:
            yield self._sound(digest, answer)

    def _sound(self, digest: Digest, answer: httpx.Response) -> httpx.Response:
        if answer.is_success:
            return answer
        answer.read()
        if answer.status_code in _PASSING:
            raise _NotNow(f"cannot download {digest}: {answers.why(answer)}")
        raise CommandFailed(f"cannot download {digest}: {answers.why(answer)}")


def _taken(outcome: int | Exception) -> int:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


@contextmanager
def _opened(blob: Blob) -> Iterator[Any]:
    """A function that reads a part from an offset on."""
    if isinstance(blob.content, bytes):
        data = blob.content
        yield lambda offset: data[offset : offset + PART_BYTES]
        return
    with blob.content.open("rb") as file:
        descriptor = file.fileno()
        yield lambda offset: os.pread(descriptor, PART_BYTES, offset)


def _range(offset: int, part: bytes, total: int) -> dict[str, str]:
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(part))}
    if part:
        headers["Content-Range"] = f"bytes {offset}-{offset + len(part) - 1}/{total}"
    elif offset < total:
        raise CommandFailed("cannot upload: the file became shorter meanwhile")
    return headers
