"""What a box asks of its control plane: head, trust documents, blobs; and its report. See `docs/protocol.md`.

The box proves who it is by a token of its own key. Its clock may be off: when the control plane does not accept a
token, the offset is learned from its `Date`, for tokens alone, and the request is sent once more.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple, Protocol, Self

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from reconciler_agent import deadline
from reconciler_agent.download import Download, Sink, Throttle
from reconciler_agent.errors import AccessDenied, DigestMismatch, NetworkTrouble, UploadRefused
from reconciler_agent.transport import (
    ANSWER_S,
    Answer,
    Ask,
    FloorAt,
    Rest,
    excerpt,
    fetch,
    is_page,
    is_safe_url,
    load_certificates,
    media_type,
    open_client,
    parse_date,
    read_answer,
    require_safe_url,
    retry_after_s,
    says_where_it_ends,
    stream,
    trouble,
    trust_nobody,
)
from schemas import site_token
from schemas.api import UploadState
from schemas.backup import KeptVideos
from schemas.enrolment import EnrolmentAnswer, EnrolmentRequest
from schemas.names import Digest, DocumentId, SiteId, digest_of
from schemas.status import StatusReport
from schemas.trust import MAX_DOCUMENT_BYTES, MAX_HEAD_BYTES

MAX_ERROR_BYTES: Final = 64 << 10
MIN_OFFSET: Final = timedelta(seconds=30)
"""A clock that differs by less is not why a token was refused: it has a minute of leeway."""
PROBLEM: Final = "application/problem+json"
NEVER: Final = frozenset({400, 413, 422})
"""What is answered to a body that will not be better the next time."""
UNKNOWN: Final = frozenset({404, 405})
"""What is answered where the call came later than the control plane."""
REFUSED: Final = frozenset({400, 401, 403, 409, 410})
"""What is answered to a token that is no good, in a sentence for the technician."""


class Clock(Protocol):
    """How time is told and passes."""

    def now(self) -> datetime:
        """The wall clock, UTC, right or wrong."""

    def monotonic(self) -> float:
        """Seconds since some point; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class HeadAnswer(NamedTuple):
    """A head that changed: the envelope, not verified, and the tag to ask with the next time."""

    envelope: bytes
    etag: str


class Client:
    """The control plane at `url`, as `site` sees it; for any number of threads. Close it."""

    def __init__(
        self,
        *,
        url: str,
        site: SiteId,
        key: Ed25519PrivateKey,
        clock: Clock,
        ca: Path | None = None,
        floor_at: FloorAt = lambda: None,
        answer_s: float = ANSWER_S,
        throttle: Throttle | None = None,
    ) -> None:
        """`floor_at`: the time floor while the clock is not synchronised, else None. SettingsInvalid for a bad URL.

        `answer_s`: how long an answer, and the next bytes of a download, may take; a long poll has its wait on top.
        `throttle`: what all downloads together may take.
        """
        self._site = site
        self._key = key
        self._clock = clock
        self._ca, self._floor_at = ca, floor_at
        self._answer_s = answer_s
        self._throttle = throttle
        self._offset = timedelta()
        self._rest = Rest(clock.monotonic)
        base = require_safe_url(url)
        certificates = load_certificates(ca, floor_at) if base.startswith("https:") else trust_nobody()
        self._own = open_client(certificates, base)
        self._store: httpx.Client | None = None
        self._store_lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every connection; a request that is under way fails with NetworkTrouble."""
        self._own.close()
        if self._store is not None:
            self._store.close()

    def head(self, etag: str = "", wait_s: float = 0.0) -> HeadAnswer | None:
        """The site's newest head, or None when it still is the one with `etag`.

        With `wait_s` the server holds the request until there is news, at most so long (it may be less).
        """
        headers = {"If-None-Match": etag} if etag else {}
        if wait_s > 0:
            headers["Prefer"] = f"wait={wait_s:.0f}"
        answer = self._call("GET", f"/v1/sites/{self._site}/head", MAX_HEAD_BYTES, headers, extra_s=wait_s)
        if answer.status == 304 and etag:
            return None
        self._require("fetch the head", answer, 200)
        envelope = self._envelope("fetch the head", answer)
        return HeadAnswer(envelope, str(answer.headers.get("etag", "")))

    def trust(self, version: int) -> bytes | None:
        """The trust root of that version, not verified; None when there is none yet."""
        return self._document(f"fetch trust root {version}", f"/v1/trust/{version}")

    def release_list(self, version: int) -> bytes | None:
        """The release list of that version, not verified; None when there is none."""
        return self._document(f"fetch release list {version}", f"/v1/release-list/{version}")

    def blob(self, digest: Digest, max_bytes: int) -> bytes:
        """A small blob whole (a manifest, a listing); DigestMismatch when other bytes came."""
        with self._open_blob(digest, 0, max_bytes) as response:
            answer = read_answer(response, max_bytes)
        self._require(f"fetch {digest[:19]}…", answer, 200)
        if digest_of(answer.body) != digest:
            if not answer.body or is_page(answer) or not says_where_it_ends(answer.headers):
                raise trouble(f"fetch {digest[:19]}…", answer, self._clock.now())
            raise DigestMismatch(f"cannot accept {digest[:19]}…: {len(answer.body)} other bytes were sent for it")
        return answer.body

    def download(
        self,
        digest: Digest,
        size_bytes: int,
        sink: Sink,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        """Fill `sink` (a draft, which may hold the beginning already) with a blob, resuming where a request broke off.

        `on_bytes` gets each number of bytes that came, and may raise to stop. NetworkTrouble leaves what came in the
        sink, to be taken up; DigestMismatch leaves it empty.
        """
        Download(digest, size_bytes, sink, self._clock, self._throttle).run(
            lambda offset: self._open_content(digest, offset), on_bytes
        )

    def enrol(self, request: EnrolmentRequest) -> EnrolmentAnswer:
        """Send a new box's public keys with its one-time token; again does no harm. AccessDenied: why not."""
        headers, body = {"Content-Type": "application/json"}, msgspec.json.encode(request)
        answer = self._call("POST", "/v1/enrolments", MAX_ERROR_BYTES, headers, content=body)
        if answer.status in REFUSED and media_type(answer.headers) == PROBLEM:
            raise AccessDenied(_detail(answer.body))
        self._require("enrol this box", answer, 202)
        try:
            return msgspec.json.decode(answer.body, type=EnrolmentAnswer)
        except msgspec.DecodeError:
            raise trouble("enrol this box", answer, self._clock.now()) from None

    def report(self, report: StatusReport) -> None:
        """Hand a report over; it was kept when this returns, once if sent twice. UploadRefused: it never will be."""
        body = msgspec.json.encode(report)
        path, headers = f"/v1/sites/{self._site}/status", {"Content-Type": "application/json"}
        answer = self._call("POST", path, MAX_ERROR_BYTES, headers, content=body)
        if answer.status in NEVER and media_type(answer.headers) == PROBLEM:
            raise UploadRefused(f"cannot report: the control plane says: {_detail(answer.body)}")
        self._require("report", answer, 204)

    def log(self, operation: DocumentId, packed: bytes) -> None:
        """Hand over the text, as zstd, that an operation fetched; what comes again changes nothing."""
        path = f"/v1/sites/{self._site}/logs/{operation}"
        headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "zstd"}
        self._require("hand over a log", self._call("POST", path, MAX_ERROR_BYTES, headers, content=packed), 204)

    def backup(self, body: bytes) -> None:
        """Leave a backup of the club's configuration, an age file; it was kept when this returns."""
        path, headers = f"/v1/sites/{self._site}/backup", {"Content-Type": "application/octet-stream"}
        self._require("leave a backup", self._call("PUT", path, MAX_ERROR_BYTES, headers, content=body), 204)

    def video_state(self, blob: Digest) -> UploadState:
        """How much of an encrypted video of the club's the control plane has of us."""
        return self._video(self._call("GET", self._video_path(blob), MAX_ERROR_BYTES, {}))

    def send_video(self, blob: Digest, offset_bytes: int, total_bytes: int, piece: bytes) -> UploadState:
        """Send a piece of it; how much is there then. UploadRefused: it will not be taken."""
        part = f"bytes {offset_bytes}-{offset_bytes + len(piece) - 1}/{total_bytes}"
        headers = {"Content-Type": "application/octet-stream", "Content-Range": part}
        return self._video(self._call("PUT", self._video_path(blob), MAX_ERROR_BYTES, headers, content=piece))

    def tell_videos(self, kept: KeptVideos) -> None:
        """Say which videos are kept; it was noted when this returns. UploadRefused: it will not be taken."""
        path, headers = f"/v1/sites/{self._site}/backup/videos", {"Content-Type": "application/json"}
        answer = self._call("PUT", path, MAX_ERROR_BYTES, headers, content=msgspec.json.encode(kept))
        self._require_taken("tell which videos are kept", answer)
        self._require("tell which videos are kept", answer, 204)

    def mirror(self, packed: bytes) -> None:
        """Leave what the club owns, as zstd; again does no harm. UploadRefused: this control plane takes none."""
        path = f"/v1/sites/{self._site}/club"
        headers = {"Content-Type": "application/json", "Content-Encoding": "zstd"}
        answer = self._call("PUT", path, MAX_ERROR_BYTES, headers, content=packed)
        self._require_taken("tell what the club owns", answer)
        self._require("tell what the club owns", answer, 204)

    def analytics(self, packed: bytes) -> None:
        """Hand over a batch of what was played, as zstd; again does no harm. UploadRefused: it is no batch."""
        headers = {"Content-Type": "application/json", "Content-Encoding": "zstd"}
        answer = self._call("POST", f"/v1/sites/{self._site}/analytics", MAX_ERROR_BYTES, headers, content=packed)
        if answer.status in NEVER and media_type(answer.headers) == PROBLEM:
            raise UploadRefused(f"cannot hand over what was played: the control plane says: {_detail(answer.body)}")
        self._require("hand over what was played", answer, 204)

    def _video_path(self, blob: Digest) -> str:
        return f"/v1/sites/{self._site}/backup/videos/{blob}"

    def _video(self, answer: Answer) -> UploadState:
        what = "leave a video of the club's"
        self._require_taken(what, answer)
        self._require(what, answer, answer.status if answer.status in (200, 201, 202) else 200)
        try:
            return msgspec.json.decode(answer.body, type=UploadState)
        except msgspec.DecodeError:
            raise trouble(what, answer, self._clock.now()) from None

    # Requests

    def _call(
        self,
        method: str,
        path: str,
        max_bytes: int,
        headers: dict[str, str],
        *,
        content: bytes | None = None,
        extra_s: float = 0.0,
    ) -> Answer:
        """A request with our token; once more with a better one when the clock turns out to be off."""
        for last in (False, True):
            ask = Ask(method, path, headers | self._authorization(), content, self._answer_s + extra_s)
            answer = self._fetch(ask, max(max_bytes, MAX_ERROR_BYTES))
            if last or not self._learn_offset(answer.status, answer.headers):
                break
        if len(answer.body) > max_bytes and answer.status < 300:
            raise NetworkTrouble(f"cannot read the answer: more than {max_bytes} bytes came")
        return answer

    def _fetch(self, ask: Ask, max_bytes: int) -> Answer:
        """The answer of the control plane itself, unless it asked for patience."""
        self._rest.require_over(ask.url)
        answer = fetch(self._own, ask, max_bytes)
        self._rest.note(ask.url, answer.status, answer.headers, self._clock.now())
        return answer

    @contextmanager
    def _open_content(self, digest: Digest, offset: int) -> Iterator[httpx.Response]:
        """The rest of a blob, to be streamed; statuses that mean no content leave as errors."""
        with self._open_blob(digest, offset) as response:
            if response.status_code not in (200, 206, 412, 416):
                with deadline.within(self._answer_s):
                    answer = read_answer(response, MAX_ERROR_BYTES)
                self._require(f"download {digest[:19]}…", answer, 200)
            yield response

    @contextmanager
    def _open_blob(self, digest: Digest, offset: int, max_bytes: int | None = None) -> Iterator[httpx.Response]:
        """The response for a blob from `offset` on: from the control plane, or from the object store it sends us to."""
        part = {"Range": f"bytes={offset}-"} if offset else {}
        location = ""
        for last in (False, True):
            headers = part | self._authorization()
            ask = Ask("GET", f"/v1/blobs/{digest}", headers, answer_s=self._answer_s)
            self._rest.require_over(ask.url)
            with stream(self._own, ask, max_bytes) as response:
                self._rest.note(ask.url, response.status_code, response.headers, self._clock.now())
                if not last and self._learn_offset(response.status_code, response.headers):
                    continue
                if response.status_code != 307:
                    yield response
                    return
                location = str(response.headers.get("location", ""))
            break
        if not is_safe_url(location):
            raise NetworkTrouble(f"cannot fetch {digest[:19]}…: it is at {location[:100]!r}, which is not https")
        with stream(self._object_store(), Ask("GET", location, part, answer_s=self._answer_s), max_bytes) as response:
            yield response

    def _object_store(self) -> httpx.Client:
        """The client for where blobs may be: without our token, and with the public authorities beside our own."""
        with self._store_lock:
            if self._store is None:
                self._store = open_client(load_certificates(self._ca, self._floor_at, public=True))
        return self._store

    def _authorization(self) -> dict[str, str]:
        token = site_token.make(self._site, self._key, self._clock.now() + self._offset)
        return {"Authorization": f"Bearer {token}"}

    def _learn_offset(self, status: int, headers: httpx.Headers) -> bool:
        """Whether a token was refused because of our clock: then the next one is made by the control plane's."""
        date = parse_date(headers.get("date")) if status == 401 else None
        if date is None:
            return False
        offset = date - self._clock.now()
        if abs(offset - self._offset) < MIN_OFFSET:
            return False
        self._offset = offset
        return True

    # Answers

    def _document(self, verb: str, path: str) -> bytes | None:
        """A signed document that anyone may read."""
        answer = self._fetch(Ask("GET", path, {}, answer_s=self._answer_s), MAX_DOCUMENT_BYTES)
        if answer.status == 404 and media_type(answer.headers) == PROBLEM:
            return None
        self._require(verb, answer, 200)
        return self._envelope(verb, answer)

    def _require(self, verb: str, answer: Answer, wanted: int) -> None:
        """AccessDenied when the control plane itself refuses us; NetworkTrouble for any other answer than `wanted`."""
        if answer.status == wanted:
            return
        now = self._clock.now()
        if media_type(answer.headers) != PROBLEM:
            raise trouble(verb, answer, now)
        if answer.status in (401, 403):
            raise AccessDenied(f"cannot {verb}: the control plane refuses: {_detail(answer.body)}")
        said = f"the control plane says {answer.status}: {_detail(answer.body)}"
        raise NetworkTrouble(f"cannot {verb}: {said}", retry_after_s(answer.headers, now))

    def _require_taken(self, verb: str, answer: Answer) -> None:
        """UploadRefused when the control plane says that it will never take this."""
        if answer.status in NEVER | UNKNOWN and media_type(answer.headers) == PROBLEM:
            raise UploadRefused(f"cannot {verb}: the control plane says: {_detail(answer.body)}")

    def _envelope(self, verb: str, answer: Answer) -> bytes:
        """The body, if it can be an envelope at all: a web page in its place is no attack on us."""
        if not media_type(answer.headers).endswith("json") or not _is_whole_envelope(answer.body):
            raise trouble(verb, answer, self._clock.now())
        return answer.body


def _is_whole_envelope(body: bytes) -> bool:
    """Whether these bytes may be an envelope that came to its end. What it says is for nobody to believe yet."""
    try:
        return b'"payloadType"' in body and bytes(msgspec.json.decode(body, type=msgspec.Raw))[:1] == b"{"
    except (ValueError, RecursionError):
        return False


def _detail(body: bytes) -> str:
    """What the problem document says, in one line."""
    try:
        said = msgspec.json.decode(body, type=dict[str, object])
    except (ValueError, RecursionError):
        return "it does not say why"
    return excerpt(str(said.get("detail") or said.get("title") or "")) or "it does not say why"
