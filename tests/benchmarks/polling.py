"""What it takes to answer boxes that poll: the server is a process of its own, so is what asks (this one).

`poll-unchanged-cpu`: CPU of the server for a thousand polls that are answered 304, the box's token checked, beside a
bare Litestar that answers 304 to everything, in turns. `poll-half-load-p99`: how long the slowest of a hundred polls
takes when they come evenly, so many that the server's one core is half busy; the floor is the same rate at the bare
one. `poll-held-memory`: what the server takes for one more box whose poll it holds, and how long it takes until all
that wait have been told of something new.
"""

import json
import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.benchmarks.measure import Row, proportional_set_bytes, row

SITES: Final = 2_000
CONNECTIONS: Final = 32
POLLS: Final = 20_000
TURNS: Final = 5
LOAD_S: Final = 10.0
HELD: Final = 5_000
READ: Final = 1 << 16


def measure(names: list[str]) -> list[Row]:
    """The figures that are asked for."""
    figures = {
        "poll-unchanged-cpu": poll_unchanged_cpu,
        "poll-half-load-p99": poll_half_load,
        "poll-held-memory": poll_held_memory,
    }
    return [figures[name]() for name in figures if name in names]


class Polled:
    """A server that runs; `asks` are whole requests, one a box."""

    def __init__(self, process: subprocess.Popen[str], url: str, asks: Sequence[bytes]) -> None:
        self.process, self.asks = process, asks
        self.address = (urlsplit(url).hostname or "", urlsplit(url).port or 0)

    def connect(self) -> socket.socket:
        """A connection that is kept."""
        connection = socket.create_connection(self.address, 20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def cpu_s(self) -> float:
        """CPU seconds (user and system, all threads) that the process has had."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def publish(self) -> None:
        """Something new for all; returns when it is published."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "published\n"


@contextmanager
def polled(kind: str, *, sites: int = SITES, wait_s: int = 0) -> Iterator[Polled]:
    """A server of that kind (`ours`, `bare`); `wait_s`: what the polls prefer to be held for."""
    with tempfile.TemporaryDirectory(prefix="neopro-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        command = [sys.executable, "-m", "tests.benchmarks.polled_server", kind, str(folder), str(sites)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin and process.stdout
        try:
            said, _, url = process.stdout.readline().partition(" ")
            assert said == "ready", said
            polls: dict[str, tuple[str, str]] = json.loads((folder / "polls.json").read_bytes())
            yield Polled(process, url.strip(), [ask(site, *about, wait_s) for site, about in polls.items()])
        finally:
            process.stdin.close()
            process.wait(20)


def ask(site: str, token: str, etag: str, wait_s: int) -> bytes:
    """A poll as the agent sends it."""
    prefer = f"Prefer: wait={wait_s}\r\n" if wait_s else ""
    return (
        f"GET /v1/sites/{site}/head HTTP/1.1\r\nHost: fleet.example.org\r\nAccept: application/json\r\n"
        f"User-Agent: neopro-agent/1.0\r\nAuthorization: Bearer {token}\r\nIf-None-Match: {etag}\r\n{prefer}\r\n"
    ).encode()


# Processor time


def poll_unchanged_cpu() -> Row:
    """Medians of some turns."""
    with polled("ours") as ours, polled("bare") as bare:
        for server in (ours, bare):  # the first poll of each box has its signature verified
            answer_all(server, SITES)
        taken: dict[Polled, list[float]] = {ours: [], bare: []}
        for _ in range(TURNS):
            for server in (ours, bare):
                taken[server].append(cpu_of(server))
    value, floor = (statistics.median(taken[server]) for server in (ours, bare))
    rate = f"{1e6 / value:,.0f} a second and core"
    note = f"{SITES} boxes, {POLLS} polls a turn, medians of {TURNS}; {rate}; floor: a bare Litestar 304"
    return row("poll-unchanged-cpu", value, "ms CPU a thousand", floor, note)


def cpu_of(server: Polled) -> float:
    """Milliseconds of CPU for a thousand polls."""
    before = server.cpu_s()
    answer_all(server, POLLS)
    return (server.cpu_s() - before) * 1e6 / POLLS


def answer_all(server: Polled, polls: int) -> None:
    """So many polls, each connection with its next as soon as it has an answer; every one must be a 304."""
    with ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(CONNECTIONS)]
        poller, by_handle = select.poll(), {one.fileno(): one for one in connections}
        sent = 0
        for one in connections:
            poller.register(one, select.POLLIN)
            one.sendall(server.asks[sent % len(server.asks)])
            sent += 1
        answered = 0
        while answered < polls:
            for handle, _ in poller.poll(20_000):
                require_304(by_handle[handle])
                answered += 1
                if sent < polls:
                    by_handle[handle].sendall(server.asks[sent % len(server.asks)])
                    sent += 1


def require_304(connection: socket.socket) -> None:
    """Read one answer: it has no body."""
    answer = connection.recv(READ)
    assert answer.startswith(b"HTTP/1.1 304 ") and answer.endswith(b"\r\n\r\n"), answer[:200]


# Time at half of what it can do


def poll_half_load() -> Row:
    """The 99th percentile, from when each poll was due, whether it could be sent by then or not."""
    with polled("ours") as ours, polled("bare") as bare:
        for server in (ours, bare):
            answer_all(server, SITES)
        rate = 0.5e6 / cpu_of(ours)
        taken = {server: sorted(paced(server, rate)) for server in (ours, bare)}
    value, floor = (taken[server][int(0.99 * len(taken[server]))] for server in (ours, bare))
    own = taken[ours]
    note = (
        f"{rate:,.0f} polls/s for {LOAD_S:.0f} s, {SITES} boxes; median {statistics.median(own):.2g},"
        f" worst {own[-1]:.3g}; floor: the same rate at a bare Litestar"
    )
    return row("poll-half-load-p99", value, "ms", floor, note)


def paced(server: Polled, rate: float) -> list[float]:
    """Milliseconds from when each poll was due until its answer."""
    with ExitStack() as stack:
        idle = [stack.enter_context(server.connect()) for _ in range(4 * CONNECTIONS)]
        poller, asked = select.poll(), {}
        for one in idle:
            poller.register(one, select.POLLIN)
        by_handle = {one.fileno(): one for one in idle}
        began, polls, sent = time.perf_counter() + 0.01, int(rate * LOAD_S), 0
        taken: list[float] = []
        while len(taken) < polls:
            now = time.perf_counter()
            while idle and sent < polls and began + sent / rate <= now:
                one = idle.pop()
                asked[one.fileno()] = began + sent / rate
                one.sendall(server.asks[sent % len(server.asks)])
                sent += 1
            for handle, _ in poller.poll(0 if idle and sent < polls else 20_000):
                require_304(by_handle[handle])
                taken.append((time.perf_counter() - asked[handle]) * 1000)
                idle.append(by_handle[handle])
    return taken


# Boxes that wait


def poll_held_memory() -> Row:
    """Proportional set size before and while so many boxes wait; then all are told."""
    with polled("ours", sites=HELD, wait_s=55) as server, ExitStack() as stack:
        answer_all_at_once = [stack.enter_context(server.connect()) for _ in range(HELD)]
        before = proportional_set_bytes(server.process.pid)
        for one, request in zip(answer_all_at_once, server.asks, strict=True):
            one.sendall(request)
        settle(server)
        value = (proportional_set_bytes(server.process.pid) - before) / HELD
        began = time.perf_counter()
        server.publish()
        published_s = time.perf_counter() - began
        for one in answer_all_at_once:
            answer = one.recv(READ)
            assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]
        told_s = time.perf_counter() - began
    note = (
        f"{HELD} boxes wait; {before / 1e6:.0f} MB before, with their connections; something new for all of them is"
        f" published in {published_s:.2g} s, and the last is told after {told_s:.2g} s"
    )
    return row("poll-held-memory", value / 1e3, "kB a box", None, note)


def settle(server: Polled) -> None:
    """Wait until it has nothing to do."""
    busy = server.cpu_s()
    while True:
        time.sleep(1)
        now = server.cpu_s()
        if now - busy < 0.05:
            return
        busy = now
