"""The control plane as the command line sees it: a few calls over HTTPS, with a personal token.

Uploads go in parts and ask first how much is there, so that an interrupted one goes on where it was.
"""

import os
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.output import Advance
from cli.settings import settings_of
from schemas.api import (
    Change,
    FleetStatus,
    Observations,
    OperationLog,
    ProblemDetails,
    SiteDetail,
    SiteGeneration,
    UploadState,
)
from schemas.manifest import SiteManifest
from schemas.names import Digest, SiteId

T = TypeVar("T")

PART_BYTES: Final = 4 << 20
PIECE_BYTES: Final = 64 << 10
PARALLEL_UPLOADS: Final = 4
PARALLEL_READS: Final = 8
TRIES: Final = 4
PATIENCE_S: Final = 0.5
"""Before the second try; twice as much before each one after it."""
MAX_ANSWER_BYTES: Final = 64 << 20
_PASSING: Final = frozenset((409, 429, 502, 503, 504))


class _Stopped(Exception):
    """The operator interrupted, or another upload failed."""


class _NotNow(Exception):
    """The control plane is busy or away for a moment."""


class Target(NamedTuple):
    """Which control plane, and by which token; `ca`: a PEM file of whom to trust beside the system's."""

    url: str
    token: str
    ca: str | None = None


class Blob(NamedTuple):
    """Something to upload: its digest, its size, and its bytes or the file that holds them."""

    digest: Digest
    size_bytes: int
    content: bytes | Path


def find_target(env: Mapping[str, str], checkout: Checkout | None) -> Target:
    """The control plane that the settings name (`cli.settings`), and NEOPRO_TOKEN or the token in the file that they
    name; CommandFailed says which is missing."""
    settings = settings_of(env, checkout)
    url = settings["url"].value
    if not url:
        raise CommandFailed(
            "cannot tell which control plane: set NEOPRO_URL, or in the checkout: git config neopro.url https://…"
        )
    _require_safe(url)
    token = env.get("NEOPRO_TOKEN") or _token_file(settings["token_file"].value)
    if not token.isascii() or not token.isprintable():
        raise CommandFailed("cannot use the token: it holds a character that no token has; copy it again")
    return Target(url.rstrip("/"), token, settings["ca"].value or None)


def find_target_if_any(env: Mapping[str, str], checkout: Checkout | None) -> Target | None:
    """As `find_target`; None where no control plane is configured at all."""
    return find_target(env, checkout) if settings_of(env, checkout)["url"].value else None


class Remote:
    """An open connection to a control plane; use it as a context."""

    def __init__(self, target: Target) -> None:
        self._url = target.url
        self._stopped = Event()
        # No environment: a proxy or a key log that somebody set must not see the token.
        self._client = httpx.Client(
            base_url=target.url,
            headers={"Authorization": f"Bearer {target.token}", "Accept-Encoding": "identity"},
            trust_env=False,
            verify=_trust(target),
            timeout=httpx.Timeout(30, connect=10),
        )

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def fleet(self) -> FleetStatus:
        """The whole fleet."""
        return self._ask("read the fleet", "GET", "/v1/fleet", FleetStatus)

    def get(self, path: str) -> httpx.Response:
        """The answer, whatever it is; CommandFailed where none comes."""
        try:
            return self._client.get(path)
        except httpx.TransportError as problem:
            raise self._unreachable(problem) from None

    def change(self, commit: str) -> Change | None:
        """A commit and how far it got; None where the control plane has not looked at it."""
        answer = self._get_if_any("ask for the commit", f"/v1/changes/{quote(commit, safe='')}")
        return self._read("ask for the commit", answer, Change) if answer else None

    def logs(self, operation: str) -> list[OperationLog]:
        """Which sites sent a log for an operation."""
        return self._ask("list the logs", "GET", f"/v1/operations/{quote(operation, safe='')}/logs", list[OperationLog])

    def log(self, site: str, operation: str) -> bytes | None:
        """What a site's box sent for an operation; None where it sent nothing."""
        path = f"/v1/sites/{quote(site, safe='')}/logs/{quote(operation, safe='')}"
        answer = self._get_if_any("read the log", path)
        return answer.content if answer else None

    def backup(self, site: SiteId) -> bytes | None:
        """The newest backup of a club's configuration as its box encrypted it; None where there is none."""
        what = f"read the backup of {site}"
        try:
            answer = self._client.get(f"/v1/sites/{site}/backup")
        except httpx.TransportError as problem:
            raise self._unreachable(problem) from None
        if answer.is_success:
            return answer.content
        if answer.status_code == 404 and answer.headers.get("content-type") == "application/problem+json":
            return None
        raise CommandFailed(f"cannot {what}: {_why(answer)}")

    def observations(self) -> Observations:
        """What every box last reported, as far as plans ask."""
        return self._ask("read what boxes reported", "GET", "/v1/observations", Observations)

    def site(self, site: SiteId) -> SiteDetail:
        """One site, whole."""
        return self._ask(f"read the site {site}", "GET", f"/v1/sites/{site}/status", SiteDetail)

    def history(self, site: SiteId) -> list[SiteGeneration]:
        """The commits that changed a site, the newest first."""
        return self._ask(f"read the history of {site}", "GET", f"/v1/sites/{site}/history", list[SiteGeneration])

    def manifests(self, digests: Iterable[Digest]) -> dict[Digest, SiteManifest]:
        """Those of these manifests that it has, several fetched at once."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(PARALLEL_READS) as pool:
            found = pool.map(self._manifest, wanted := sorted(digests))
            return {digest: manifest for digest, manifest in zip(wanted, found, strict=True) if manifest}

    def _manifest(self, digest: Digest) -> SiteManifest | None:
        try:
            answer = self._client.get(f"/v1/blobs/{digest}")
        except httpx.TransportError as problem:
            raise self._unreachable(problem) from None
        return None if answer.status_code == 404 else self._read("read a manifest", answer, SiteManifest)

    def is_alive(self) -> bool:
        """Whether it answers."""
        with suppress(httpx.HTTPError):
            return self._client.get("/healthz").status_code == 200
        return False

    def upload_all(self, blobs: Sequence[Blob], advance: Advance) -> int:
        """Upload what is not there yet, several at once; how many bytes were sent. `advance` counts every byte.

        Interrupted, it stops in the middle of a part: what arrived is kept, and the next upload goes on from there.
        """
        work = SimpleQueue[Blob | None]()
        outcomes = SimpleQueue[int | Exception]()
        unique = {blob.digest: blob for blob in blobs}
        for item in [*unique.values(), *[None] * PARALLEL_UPLOADS]:
            work.put(item)
        self._stopped.clear()
        try:
            for _ in range(min(PARALLEL_UPLOADS, len(unique))):
                # Daemons: one may sit in a socket that does not move when the operator interrupts.
                Thread(target=self._work, args=(work, outcomes, advance), daemon=True).start()
            return sum(_taken(outcomes.get()) for _ in unique)
        except BaseException:
            self._stopped.set()
            raise

    def _work(self, work: "SimpleQueue[Blob | None]", outcomes: "SimpleQueue[int | Exception]", told: Advance) -> None:
        while (blob := work.get()) is not None and not self._stopped.is_set():
            try:
                outcomes.put(self.upload(blob, told))
            except Exception as problem:  # noqa: BLE001  it is raised where the work was ordered
                outcomes.put(problem)

    def upload(self, blob: Blob, advance: Advance) -> int:
        """Upload one blob from where an earlier try stopped; how many bytes were sent."""
        sent = counted = 0
        for attempt in range(TRIES):
            try:
                state = self._upload_state(blob)
                advance(state.offset_bytes - counted)
                counted = state.offset_bytes
                for done in self._parts(blob, state):
                    sent, counted = sent + done, counted + done
                    advance(done)
                return sent
            except (httpx.TransportError, _NotNow) as problem:
                if attempt == TRIES - 1:
                    if isinstance(problem, _NotNow):
                        raise CommandFailed(str(problem)) from None
                    raise self._unreachable(problem) from None
            self._stopped.wait(PATIENCE_S * 2**attempt)
            if self._stopped.is_set():
                raise _Stopped
        raise AssertionError("the loop returns or raises")

    def _upload_state(self, blob: Blob) -> UploadState:
        answer = self._client.get(f"/v1/uploads/{blob.digest}")
        return self._read_upload(answer)

    def _parts(self, blob: Blob, state: UploadState) -> Iterator[int]:
        with _opened(blob) as read:
            while not state.complete:
                part = read(state.offset_bytes)
                headers = _range(state.offset_bytes, part, blob.size_bytes)
                answer = self._client.put(f"/v1/blobs/{blob.digest}", content=self._pieces(part), headers=headers)
                after = self._read_upload(answer)
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

    def _read_upload(self, answer: httpx.Response) -> UploadState:
        """The answer to an upload; _NotNow where trying again may help (RFC 9110, 15.5.10 and 15.6)."""
        if answer.status_code in _PASSING:
            raise _NotNow(f"cannot upload: {_why(answer)}")
        return self._read("upload", answer, UploadState)

    def _get_if_any(self, what: str, path: str) -> httpx.Response | None:
        """The answer; None where the control plane, and not something before it, has no such thing."""
        answer = self.get(path)
        if answer.status_code == 404 and answer.headers.get("content-type") == "application/problem+json":
            return None
        if not answer.is_success:
            raise CommandFailed(f"cannot {what}: {_why(answer)}")
        return answer

    def _ask(self, what: str, method: str, path: str, kind: type[T]) -> T:
        try:
            answer = self._client.request(method, path)
        except httpx.TransportError as problem:
            raise self._unreachable(problem) from None
        return self._read(what, answer, kind)

    def _read(self, what: str, answer: httpx.Response, kind: type[T]) -> T:
        if answer.is_success:
            with suppress(msgspec.DecodeError):
                return msgspec.json.decode(answer.content[:MAX_ANSWER_BYTES], type=kind)
            raise CommandFailed(f"cannot {what}: {self._url} does not answer like a control plane of NEOPRO Fleet")
        raise CommandFailed(f"cannot {what}: {_why(answer)}")

    def _unreachable(self, problem: Exception) -> CommandFailed:
        why = str(problem) or type(problem).__name__
        return CommandFailed(f"cannot reach the control plane at {self._url}: {why}; is it running, is the URL right?")


def _taken(outcome: int | Exception) -> int:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _why(answer: httpx.Response) -> str:
    """The detail of a problem document (RFC 9457), or the bare status of something else that answered."""
    with suppress(msgspec.DecodeError):
        details = msgspec.json.decode(answer.content, type=ProblemDetails)
        detail = details.detail or details.title
        return f"the control plane {detail}" if detail.startswith("cannot ") else detail
    return f"it answered {answer.status_code} {answer.reason_phrase}"


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


def _require_safe(url: str) -> None:
    """Plain HTTP carries a token for everyone to read: only to this machine."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL as problem:
        raise CommandFailed(f"cannot use {url}: {problem}; write https://HOST[:PORT]") from None
    if parts.scheme == "https" and parts.host:
        return
    if parts.scheme == "http" and _is_loopback(parts.host):
        return
    raise CommandFailed(f"cannot use {url}: it must be https://…, or http:// to this machine only")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ip_address(host.strip("[]")).is_loopback
    return False


def _trust(target: Target) -> ssl.SSLContext | bool:
    if not target.url.startswith("https:"):
        return True
    context = ssl.create_default_context()
    if target.ca:
        try:
            context.load_verify_locations(Path(target.ca).expanduser())
        except (OSError, ssl.SSLError) as problem:
            raise CommandFailed(f"cannot use the CA file {target.ca}: {problem}") from None
    return context


def _token_file(path: str) -> str:
    if not path:
        raise CommandFailed(
            "cannot tell who is asking: set NEOPRO_TOKEN or NEOPRO_TOKEN_FILE, or in the checkout: "
            "git config neopro.tokenfile PATH (on the server: neopro token add NAME)"
        )
    try:
        return Path(path).expanduser().read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise CommandFailed(f"cannot read the token file {path}: {problem}") from None
