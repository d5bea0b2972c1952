"""A large blob by its digest, over a link that may break: taken up where it ended, with limits; the digest decides.

RFC 9110, section 14. Object stores ignore If-Range, so a changed blob would be noticed by its digest alone; blobs are
named by theirs and never change.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol

import httpx

from reconciler_agent.errors import DigestMismatch, NetworkTrouble
from reconciler_agent.transport import media_type
from schemas.names import Digest

MAX_RESTARTS: Final = 2
SLOWEST_BYTES_S: Final = 16_000
"""Below this rate, over the whole of a blob and fifteen minutes more, a download is given up until the next round."""
PATIENCE_S: Final = 900.0
BURST_S: Final = 0.25

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


class TokenBucket:
    """At most `rate_bytes_s` on average over all who take from it; a quarter of a second may come at once."""

    def __init__(self, rate_bytes_s: int, clock: Clock) -> None:
        self.rate_bytes_s = rate_bytes_s
        self._clock = clock
        self._tokens = 0.0
        self._at_s = clock.monotonic()

    def take(self, size_bytes: int) -> None:
        """Wait until `size_bytes` more are allowed."""
        now_s = self._clock.monotonic()
        allowed = self._tokens + (now_s - self._at_s) * self.rate_bytes_s
        self._tokens = min(allowed, self.rate_bytes_s * BURST_S) - size_bytes
        self._at_s = now_s
        if self._tokens < 0:
            self._clock.sleep(-self._tokens / self.rate_bytes_s)


class Download:
    """One blob on its way into `sink`; `run` may be called again after NetworkTrouble, also in another run."""

    def __init__(
        self, digest: Digest, size_bytes: int, sink: Sink, clock: Clock, bucket: TokenBucket | None = None
    ) -> None:
        self._digest = digest
        self._size_bytes = size_bytes
        self._sink = sink
        self._clock = clock
        self._bucket = bucket
        self._restarts = 0

    def run(self, open_rest: Open, on_bytes: Callable[[int], None] | None) -> None:
        """Fill the sink with the blob. `on_bytes` gets each number of bytes that came, and may raise to stop it.

        NetworkTrouble keeps what came. DigestMismatch when the whole is not the blob: what the sink had before is
        forgotten and fetched anew once, what was fetched whole is forgotten.
        """
        rate_bytes_s = min(SLOWEST_BYTES_S, self._bucket.rate_bytes_s / 2 if self._bucket else SLOWEST_BYTES_S)
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
            raise DigestMismatch(f"cannot accept what was sent as {self._digest[:19]}…: it is {found[:19]}…")

    def _fill(self, open_rest: Open, on_bytes: Callable[[int], None] | None, deadline_s: float) -> None:
        """Ask for the rest until all is there, as long as each request brings something."""
        while (before := self._sink.size_bytes) < self._size_bytes:
            try:
                with open_rest(before) as response:
                    if self._can_append(response):
                        self._receive(response, on_bytes, deadline_s)
            except NetworkTrouble:
                if self._sink.size_bytes <= before or self._clock.monotonic() > deadline_s:
                    raise
            if self._sink.size_bytes <= before and not self._may_restart(before):
                raise NetworkTrouble(f"cannot download {self._digest[:19]}…: nothing more of it comes")

    def _may_restart(self, before: int) -> bool:
        """Whether a request that brought nothing may be followed by one from the start."""
        self._restarts += 1
        return before > 0 and self._restarts <= MAX_RESTARTS

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
            return True
        if media_type(response.headers) == "text/html":
            raise NetworkTrouble("cannot download: a web page came in its place; a captive portal or a proxy answered?")
        if offset:
            self._sink.restart()
        return True

    def _receive(self, response: httpx.Response, on_bytes: Callable[[int], None] | None, deadline_s: float) -> None:
        for chunk in response.iter_raw():
            if self._sink.size_bytes + len(chunk) > self._size_bytes:
                self._sink.restart()
                raise DigestMismatch(f"cannot accept what was sent as {self._digest[:19]}…: it has too many bytes")
            self._sink.write(chunk)
            if on_bytes is not None:
                on_bytes(len(chunk))
            if self._bucket is not None:
                self._bucket.take(len(chunk))
            if self._clock.monotonic() > deadline_s:
                raise NetworkTrouble(f"cannot download {self._digest[:19]}…: it takes too long")
