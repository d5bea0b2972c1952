"""A large blob by its digest, over a link that may break: taken up where it ended, with limits; the digest decides.

RFC 9110, section 14. Object stores ignore If-Range, so a changed blob would be noticed by its digest alone; blobs are
named by theirs and never change.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, tzinfo
from threading import Lock
from typing import Final, Protocol

import httpx

from reconciler_agent.core.bandwidth import allowed_bytes_s
from reconciler_agent.errors import DigestMismatch, NetworkTrouble
from reconciler_agent.transport import looks_like_page, media_type
from schemas.manifest import ManifestBandwidth
from schemas.names import Digest

MAX_RESTARTS: Final = 2
SLOWEST_BYTES_S: Final = 16_000
"""Below this rate, over the whole of a blob and fifteen minutes more, a download is given up until the next round."""
PATIENCE_S: Final = 900.0
LEAST_SHARE: Final = 1 / 16
"""Of a limit, half of what one of eight downloads at once gets."""
BURST_S: Final = 0.25
LEAST_BYTES: Final = 16 << 10
"""A request that brought less before it broke off is not followed by another at once."""
LOOK_S: Final = 1.0
"""How often a download that is held back looks whether it still is to be, and is."""

OnBytes = Callable[[int], None]
"""Hears how many bytes came or went; may raise Superseded to stop it."""
Open = Callable[[int], AbstractContextManager[httpx.Response]]
"""From an offset to the response of a request for the rest of the blob."""
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)", re.IGNORECASE)


class Clock(Protocol):
    """How time passes; seconds."""

    def monotonic(self) -> float:
        """Seconds since some point; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Sink(Protocol):
    """Where the bytes go: a draft of `durable`, which knows what it has."""

    size_bytes: int

    def write(self, data: bytes) -> None:
        """Append."""

    def restart(self) -> None:
        """Forget what is there."""

    def digest(self) -> Digest:
        """Of the bytes so far."""


class SiteClock(Clock, Protocol):
    """A clock that also knows the time of day, or that it does not know it."""

    def believed(self) -> datetime | None:
        """The time of day that can be relied on."""


class Throttle:
    """A token bucket: at most what is allowed now, on average over all downloads; a quarter of a second comes at once.

    What is allowed follows the manifest (`obey`) and the hours of the site. For any number of threads: what one takes
    is not there for the others.
    """

    def __init__(self, clock: SiteClock) -> None:
        self._clock = clock
        self._bandwidth: ManifestBandwidth | None = None
        self._zone: tzinfo | None = None
        self._allowed_bytes_s: int | None = None
        self._looked_s = float("-inf")
        self._tokens = 0.0
        self._at_s = clock.monotonic()
        self._lock = Lock()

    @property
    def slowest_bytes_s(self) -> float:
        """As slow as the limit may make a download."""
        return float("inf") if self._bandwidth is None else float(self._bandwidth.limit_bytes_s)

    def obey(self, bandwidth: ManifestBandwidth | None, zone: tzinfo | None) -> None:
        """From now on, this limit; None: no limit."""
        if (bandwidth, zone) != (self._bandwidth, self._zone):
            self._bandwidth, self._zone = bandwidth, zone
            self._looked_s = float("-inf")

    def take(self, size_bytes: int, check: Callable[[int], None] | None = None) -> None:
        """Wait until `size_bytes` more are allowed; `check` is called while waiting, and may raise to stop it."""
        with self._lock:
            left_s = self._owed_s(size_bytes)
        while left_s > 0:
            self._clock.sleep(min(left_s, LOOK_S))
            left_s -= LOOK_S
            if check is not None:
                check(0)

    def _owed_s(self, size_bytes: int) -> float:
        """Take tokens, also some that are not there yet; the seconds until they are."""
        now_s = self._clock.monotonic()
        rate_bytes_s = self._rate(now_s)
        if rate_bytes_s is None:
            self._tokens, self._at_s = 0.0, now_s
            return 0.0
        allowed = self._tokens + (now_s - self._at_s) * rate_bytes_s
        self._tokens = min(allowed, rate_bytes_s * BURST_S) - size_bytes
        self._at_s = now_s
        return -self._tokens / rate_bytes_s

    def _rate(self, now_s: float) -> int | None:
        """What is allowed, looked at once a second."""
        if self._bandwidth is None:
            return None
        if now_s - self._looked_s < LOOK_S:
            return self._allowed_bytes_s
        self._looked_s = now_s
        self._allowed_bytes_s = allowed_bytes_s(self._bandwidth, self._zone, self._clock.believed())
        return self._allowed_bytes_s


class Download:
    """One blob on its way into `sink`; `run` may be called again after NetworkTrouble, also in another run."""

    def __init__(
        self, digest: Digest, size_bytes: int, sink: Sink, clock: Clock, throttle: Throttle | None = None
    ) -> None:
        self._digest = digest
        self._size_bytes = size_bytes
        self._sink = sink
        self._clock = clock
        self._throttle = throttle
        self._restarts = 0
        self._begin = b""

    def run(self, open_rest: Open, on_bytes: Callable[[int], None] | None) -> None:
        """Fill the sink with the blob. `on_bytes` gets each number of bytes that came, and may raise to stop it.

        NetworkTrouble keeps what came. DigestMismatch when the whole is not the blob: what the sink had before is
        forgotten and fetched anew once, what was fetched whole is forgotten.
        """
        limit_bytes_s = self._throttle.slowest_bytes_s if self._throttle is not None else float("inf")
        rate_bytes_s = min(SLOWEST_BYTES_S, limit_bytes_s * LEAST_SHARE)
        deadline_s = self._clock.monotonic() + PATIENCE_S + self._size_bytes / rate_bytes_s
        if self._sink.size_bytes > self._size_bytes:
            self._sink.restart()
        resumed = self._sink.size_bytes > 0
        self._fill(open_rest, on_bytes, deadline_s)
        if resumed and self._sink.digest() != self._digest:
            self._sink.restart()
            self._fill(open_rest, on_bytes, deadline_s)
        if (found := self._sink.digest()) != self._digest:
            self._sink.restart()
            if looks_like_page(self._begin):
                raise self._page()
            raise DigestMismatch(f"cannot accept what was sent as {self._digest[:19]}…: it is {found[:19]}…")

    def _fill(self, open_rest: Open, on_bytes: Callable[[int], None] | None, deadline_s: float) -> None:
        """Ask for the rest until all is there, as long as each request brings enough."""
        while (before := self._sink.size_bytes) < self._size_bytes:
            try:
                with open_rest(before) as response:
                    if self._can_append(response):
                        self._receive(response, on_bytes, deadline_s)
            except NetworkTrouble:
                if not self._got_on(before) or self._clock.monotonic() > deadline_s:
                    raise
            if not self._got_on(before) and not self._may_restart(before):
                raise NetworkTrouble(f"cannot download {self._digest[:19]}…: nothing more of it comes, or hardly any")

    def _got_on(self, before: int) -> bool:
        size_bytes = self._sink.size_bytes
        return size_bytes - before >= LEAST_BYTES or size_bytes == self._size_bytes

    def _may_restart(self, before: int) -> bool:
        """Whether a request that brought nothing may be followed by one from the start."""
        self._restarts += 1
        return before > 0 and self._sink.size_bytes == 0 and self._restarts <= MAX_RESTARTS

    def _can_append(self, response: httpx.Response) -> bool:
        """Whether the body belongs behind what the sink has; it is emptied where the server cannot resume."""
        offset = self._sink.size_bytes
        if response.status_code in (412, 416):
            self._sink.restart()
            return False
        if response.status_code == 206:
            found = _CONTENT_RANGE.fullmatch(str(response.headers.get("content-range", "")).strip())
            if found is None or int(found[1]) != offset or found[3] not in ("*", str(self._size_bytes)):
                self._sink.restart()
                return False
            self._require_length(response, self._size_bytes - offset)
            return True
        if media_type(response.headers) == "text/html":
            raise self._page()
        self._require_length(response, self._size_bytes)
        if offset:
            self._sink.restart()
        return True

    def _require_length(self, response: httpx.Response, wanted_bytes: int) -> None:
        """What says that it is longer or shorter is something else: not a byte of it is taken."""
        said = str(response.headers.get("content-length", wanted_bytes))
        if said != str(wanted_bytes):
            what = f"{said[:20]} bytes came in the place of {wanted_bytes}"
            raise NetworkTrouble(f"cannot download {self._digest[:19]}…: {what}; did a proxy answer?")

    def _page(self) -> NetworkTrouble:
        what = "a web page came in its place; a captive portal or a proxy answered?"
        return NetworkTrouble(f"cannot download {self._digest[:19]}…: {what}")

    def _receive(self, response: httpx.Response, on_bytes: Callable[[int], None] | None, deadline_s: float) -> None:
        for chunk in response.iter_raw():
            if self._sink.size_bytes + len(chunk) > self._size_bytes:
                self._sink.restart()
                raise NetworkTrouble(f"cannot download {self._digest[:19]}…: too many bytes came in its place")
            if self._sink.size_bytes == 0:
                self._begin = bytes(chunk)
            self._sink.write(chunk)
            if on_bytes is not None:
                on_bytes(len(chunk))
            if self._throttle is not None:
                self._throttle.take(len(chunk), on_bytes)
            if self._clock.monotonic() > deadline_s:
                raise NetworkTrouble(f"cannot download {self._digest[:19]}…: it takes too long")
