"""Connections on which everything ends in time: each read and write, and all of them together.

httpx limits each wait; who sends a byte now and then would hold a request for ever. What is asked `within` some seconds
is over by then, with a timeout of httpcore's; connecting has limits of its own and does not count.
"""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, Final

import httpcore


class Deadline:
    """An instant on the monotonic clock that can be put off; `most_s` bounds every wait from when it is set."""

    most_s: ClassVar[float] = float("inf")

    def __init__(self, seconds: float) -> None:
        self._at_s = time.monotonic() + min(seconds, self.most_s)

    def put_off(self, seconds: float) -> None:
        """So much later."""
        self._at_s += seconds

    def left(self, most_s: float | None, over: type[Exception]) -> float:
        """What a wait of at most so long may take; raises `over` when nothing is left."""
        left_s = self._at_s - time.monotonic()
        if left_s <= 0:
            raise over("the whole took too long")
        return min(left_s, self.most_s) if most_s is None else min(most_s, left_s, self.most_s)


def hurry(most_s: float) -> None:
    """This process is to end: no request that is made from now on, and no further wait of one, takes longer."""
    Deadline.most_s = most_s


READ_BYTES: Final = 256 << 10
"""What is read at once, if there is so much: httpcore asks for a quarter of it, and each piece has its price."""
_CURRENT: Final[ContextVar[Deadline | None]] = ContextVar("deadline", default=None)


@contextmanager
def within(seconds: float) -> Iterator[Deadline]:
    """The deadline of everything that this thread reads and writes inside the block."""
    deadline = Deadline(seconds)
    token = _CURRENT.set(deadline)
    try:
        yield deadline
    finally:
        _CURRENT.reset(token)


class Backend(httpcore.SyncBackend):
    """Connections that keep to the deadline of whoever uses them."""

    def connect_tcp(self, *arguments: Any, **options: Any) -> httpcore.NetworkStream:
        """See httpcore."""
        with _uncounted():
            try:
                return _Stream(super().connect_tcp(*arguments, **options))
            except UnicodeError:  # what getaddrinfo(3) is not even asked about
                raise httpcore.ConnectError("no machine can have that name") from None


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max(max_bytes, READ_BYTES), _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for at in range(0, len(buffer), _PIECE_BYTES):
            self._inner.write(buffer[at : at + _PIECE_BYTES], _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        with _uncounted():
            return _Stream(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


_PIECE_BYTES: Final = 64 << 10


def _left(most_s: float | None, over: type[Exception]) -> float | None:
    deadline = _CURRENT.get()
    return most_s if deadline is None else deadline.left(most_s, over)


@contextmanager
def _uncounted() -> Iterator[None]:
    """Time that does not count."""
    started_s = time.monotonic()
    try:
        yield
    finally:
        if (deadline := _CURRENT.get()) is not None:
            deadline.put_off(time.monotonic() - started_s)
