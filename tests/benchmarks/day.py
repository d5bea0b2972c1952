"""What a day of a box at rest costs on its line, minute by minute, counted where its packets pass.

Four hours are lived on a clock that is put forward, for the box and for its control plane, and count six times: a poll
as often as a waiting box asks, a report every five minutes with the samples of that time. Every byte of the TLS
connections is counted, both ways; those of TCP and IP below are not. Each report opens a connection of its own: what
lies between a box and its control plane may close one that is silent for minutes.
"""

import socket
import threading
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from reconciler_agent.app import Outside, assemble, open_files
from reconciler_agent.box_app import BoxApp
from reconciler_agent.client import Client, HeadAnswer
from reconciler_agent.download import Throttle
from reconciler_agent.journal import Journal
from reconciler_agent.observe import SystemClock
from reconciler_agent.services import SupervisorSocket
from reconciler_agent.settings import load_settings
from reconciler_agent.site_key import load_key
from reconciler_agent.state import Store
from schemas.status import StatusReport
from tests.benchmarks.measure import Row, row
from tests.benchmarks.one_box import OneBox

HOURS = 4
MINUTE_S = 60.0
PREFER_BYTES = len(b"Prefer: wait=50\r\n")
"""Of a request that waits, which none does here."""


class Relay:
    """A TCP port before another that passes on what comes and counts it."""

    def __init__(self, port: int) -> None:
        self.bytes = 0
        self._lock = threading.Lock()
        self._upstream = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self._upstream))
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                with self._lock:
                    self.bytes += len(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


class Ahead(SystemClock):
    """The real clock put forward, the control plane's with it; it is synchronised."""

    def __init__(self, at: OneBox) -> None:
        super().__init__("trusted")
        self._server = at.served.world.clock

    def now(self) -> datetime:
        return self._server()

    def monotonic(self) -> float:
        return super().monotonic() + self._server.offset.total_seconds()

    def uptime(self) -> float:
        return super().uptime() + self._server.offset.total_seconds()

    def put_forward(self, seconds: float) -> None:
        """Let time pass."""
        self._server.offset += timedelta(seconds=seconds)


class Counted(Client):
    """Counts its polls and its reports; sends each report on a connection of its own, by another way."""

    def __init__(self, reports_url: str, **given: Any) -> None:
        super().__init__(**given)
        self._given = given | {"url": reports_url}
        self.polls = self.reports = 0

    def head(self, etag: str = "", wait_s: float = 0.0) -> HeadAnswer | None:
        self.polls += 1
        return super().head(etag, wait_s)

    def report(self, report: StatusReport) -> None:
        self.reports += 1
        with closing(Client(**self._given)) as once:
            once.report(report)


def agent_day_traffic(at: OneBox) -> Row:
    """The bytes of a day."""
    port = urlsplit(at.served.url).port
    assert port
    with closing(Relay(port)) as polling, closing(Relay(port)) as reporting:
        polls, reports = live(at, polling, reporting)
    times = 24 / HOURS
    of_polls = (polling.bytes + polls * PREFER_BYTES) / polls
    of_reports = reporting.bytes / reports
    note = (
        f"{polls * times:.0f} polls of {of_polls:.0f} bytes, {reports * times:.0f} reports of {of_reports:.0f} with a"
        " TLS connection each; the goal is 3 MB"
    )
    return row("agent-day-traffic", (of_polls * polls + of_reports * reports) * times / 1e6, "MB", None, note)


def live(at: OneBox, polling: Relay, reporting: Relay) -> tuple[int, int]:
    """Rounds of which none finds anything to do; how often the box asked and told."""
    settings = replace(load_settings(at.box.conf), central_url=f"https://localhost:{polling.port}")
    clock = Ahead(at)
    given = {"url": settings.central_url, "site": settings.site, "key": load_key(settings.key), "ca": settings.ca}
    with (
        closing(Counted(f"https://localhost:{reporting.port}", clock=clock, **given)) as client,
        closing(BoxApp(settings.app_url, clock)) as screen,
        open_files(settings) as files,
    ):
        services = SupervisorSocket(Path(settings.services.removeprefix("unix:")))
        outside = Outside(client, screen, services, clock, Throttle(clock), Journal())
        agent = assemble(settings, files, Store(files.state), outside)
        newest = client.head()
        assert newest is not None
        agent.loop.settle(newest.envelope)
        client.polls = client.reports = polling.bytes = reporting.bytes = 0
        for minute in range(1, HOURS * 60 + 1):
            clock.put_forward(MINUTE_S)
            for _ in range(1 if minute % 5 else 2):  # a poll is held for 50 seconds, not for 60
                newest = client.head(newest.etag) or newest
            found = agent.loop.reconcile_once(newest.envelope)
            assert not found.failures and found.connection is None, found
        return client.polls, client.reports
