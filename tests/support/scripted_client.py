"""A client of the agent, and the servers that it asks."""

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from reconciler_agent.client import Client
from schemas.names import digest_of
from schemas.status import StatusReport
from tests.support.hurried_clock import HurriedClock
from tests.support.scripted_http import Asked, Say, ScriptedServer
from tests.support.trust_world import SITE

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
JSON = {"Content-Type": "application/json"}
PROBLEM = {"Content-Type": "application/problem+json"}
BLOB = bytes(range(256)) * 2048  # 512 KiB
DIGEST = digest_of(BLOB)
REPORT = StatusReport(run_id="0" * 32, sequence=1, at=datetime.now(UTC), agent_version="1.0")


class Clock(HurriedClock):
    """A clock that may be off."""

    def __init__(self, offset: timedelta = timedelta(), factor: float = 1.0) -> None:
        super().__init__(factor)
        self.offset = offset

    def now(self) -> datetime:
        return super().now() + self.offset


class SteadyClock(Clock):
    """Time passes only by waiting, which is counted; 14:00 on a synchronised wall clock at first."""

    def __init__(self, synchronised: bool = True) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.synchronised = synchronised

    def monotonic(self) -> float:
        return sum(self.waits, 100.0)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def believed(self) -> datetime | None:
        at = datetime(2026, 11, 23, 14, tzinfo=UTC) + timedelta(seconds=sum(self.waits))
        return at if self.synchronised else None


Serve = Callable[..., ScriptedServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers; they end with the test."""
    running: list[Any] = []

    def start(script: Callable[[Asked], Say], tls: ssl.SSLContext | None = None) -> ScriptedServer:
        context = ScriptedServer(script, tls).serving()
        running.append(context)
        return context.__enter__()

    yield start
    for context in reversed(running):
        context.__exit__(None, None, None)


def client(server: ScriptedServer, **options: Any) -> Client:
    """The client of a box of that server, closed before it."""
    made = Client(**{"url": server.url, "site": SITE, "key": KEY, "clock": Clock()} | options)
    server.visitors.callback(made.close)
    return made
