"""The control plane as the process that an operator starts."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import NamedTuple

START_S = 60


class Ended(NamedTuple):
    """How a process ended, what it said, and how long the end took."""

    status: int
    stderr: str
    seconds: float


class ServerProcess:
    """A running `python -m control_plane`; `url` is known once it serves."""

    def __init__(self, settings: Path, env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "control_plane", str(settings)],
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.said = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for(self, pattern: str, timeout_s: float = START_S) -> re.Match[str]:
        """Read what it says until a line matches; fails when it ends or takes too long."""
        deadline = time.monotonic() + timeout_s
        while not (found := re.search(pattern, self.said, re.MULTILINE)):
            left = deadline - time.monotonic()
            assert left > 0, f"no line matches {pattern!r} in {timeout_s} s: {self.said}"
            assert self._read(left) or self._process.poll() is None, f"it ended: {self.said}"
        return found

    @property
    def url(self) -> str:
        """Where it serves; waits until it does."""
        return self.wait_for(r"event=serving url=(\S+)")[1]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> Ended:
        """Send the signal and wait for the end."""
        started = time.monotonic()
        self._process.send_signal(number)
        return self.wait(started)

    def wait(self, started: float | None = None, timeout_s: float = 30) -> Ended:
        """Wait for the end."""
        begun = time.monotonic() if started is None else started
        _, rest = self._process.communicate(timeout=timeout_s)
        self.said += rest.decode()
        return Ended(self._process.returncode, self.said, time.monotonic() - begun)

    def kill(self) -> None:
        """End it at once if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def _read(self, timeout_s: float) -> bool:
        stream = self._process.stderr
        assert stream is not None
        with DefaultSelector() as selector:
            selector.register(stream, EVENT_READ)
            if not selector.select(min(timeout_s, 1)):
                return False
        data = os.read(stream.fileno(), 1 << 16)
        self.said += data.decode()
        return bool(data)


@contextmanager
def server_process(settings: Path, **env: str) -> Iterator[ServerProcess]:
    """A server on this settings file, ended with the context at the latest."""
    process = ServerProcess(settings, env)
    try:
        yield process
    finally:
        process.kill()
