"""What is on the box now, apart from files: the time, whether it can be believed, and whether the services are well."""

import ctypes
import json
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import httpx
from msgspec import Struct

from reconciler_agent.errors import NetworkTrouble, ServiceFailed
from reconciler_agent.services import ServiceManager
from reconciler_agent.transport import Ask, fetch, open_client
from schemas.desired import HttpCheck

CHECK_S: Final = 5.0
MAX_PAGE_BYTES: Final = 8 << 20
APP: Final = {"status": "ok", "service": "Neopro Socket.IO Server"}
TIME_ERROR: Final = 5
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_TIMEX_BYTES: Final = 512
_TIMEX: Final = struct.Struct("@Illl")
"""The beginning of `struct timex`: modes, offset, freq, maxerror (microseconds)."""


class SystemClock:
    """The box's clocks. `trusted`: the wall clock is always synchronised, whatever the kernel says."""

    def __init__(self, setting: Literal["auto", "trusted"], wait: Callable[[float], object] = time.sleep) -> None:
        self._setting = setting
        self._wait = wait
        self._known: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """The wall clock, UTC, right or wrong."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some point; never goes back while the machine is up."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._wait(seconds)

    def synchronised(self) -> bool:
        """Whether the wall clock follows a time server: adjtimex(2) does not answer TIME_ERROR."""
        follows = self._setting == "trusted" or self._follows()
        if follows:
            self._known = (self.now(), self.monotonic())
        return follows

    def believed(self) -> datetime | None:
        """The time of day that can be relied on: that of a synchronised clock, also carried on by the monotonic one.

        None while the clock was not synchronised in the life of this process.
        """
        if self.synchronised():
            return self.now()
        if self._known is None:
            return None
        at, then_s = self._known
        return at + timedelta(seconds=self.monotonic() - then_s)

    def uptime(self) -> float:
        """Seconds since the machine was started."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def boot(self) -> str:
        """Which life of the machine this is: the kernel makes a new one at each start."""
        return BOOT_ID.read_text("ascii").strip()

    def _follows(self) -> bool:
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
        return bool(0 <= answer < TIME_ERROR)

    def error_s(self) -> float | None:
        """How far the wall clock may be off at most, by the kernel; None while it follows no time server."""
        timex = ctypes.create_string_buffer(_TIMEX_BYTES)
        if not 0 <= ctypes.CDLL(None, use_errno=True).adjtimex(timex) < TIME_ERROR:
            return None
        return float(_TIMEX.unpack_from(timex)[3]) / 1e6


class Look(Struct, frozen=True, kw_only=True):
    """`problems`: what is wrong, in words; empty is healthy. `restarts`: of each unit, by the service manager."""

    problems: tuple[str, ...]
    restarts: dict[str, int]


class Health:
    """Whether the box's services are well, by what they answer and not by status codes. An empty URL is not asked."""

    def __init__(
        self, services: ServiceManager, app_url: str, admin_url: str, page_url: str, configuration: Callable[[], bytes]
    ) -> None:
        """`configuration` reads the bytes of configuration.json from the disk."""
        self._services = services
        self._app_url = app_url
        self._admin_url = admin_url
        self._page_url = page_url
        self._configuration = configuration
        self._client: httpx.Client | None = None
        self.restarts: dict[str, int] = {}
        """Of each unit, when it was last looked at."""

    def close(self) -> None:
        """End the connections."""
        if self._client is not None:
            self._client.close()

    def look(self, units: Sequence[str], checks: Sequence[HttpCheck]) -> Look:
        """One look at the units, at what the services answer, and at a release's own checks."""
        problems, restarts = [], {}
        for unit in units:
            try:
                state = self._services.state(unit)
            except ServiceFailed as problem:
                problems.append(str(problem))
                continue
            restarts[unit] = state.restarts
            if not state.active:
                problems.append(f"{unit} does not run")
        problems += [said for said in self.answers().values() if said]
        problems += [said for check in checks if (said := self.own(check))]
        self.restarts |= restarts
        return Look(problems=tuple(problems), restarts=restarts)

    def answers(self) -> dict[str, str]:
        """What is wrong with what each of the box's services answers, by its name; empty where all is well."""
        asked = {"neopro-app": self._app_url, "neopro-admin": self._admin_url, "page": self._page_url}
        checks = {"neopro-app": self._app, "neopro-admin": self._admin, "page": self._page}
        return {name: checks[name]() for name, url in asked.items() if url}

    def own(self, check: HttpCheck) -> str:
        """What is wrong by a release's own check; empty where nothing is."""
        well = check.expect.encode() in self._body(check.http)
        return "" if well else f"{check.http} does not contain {check.expect!r}"

    def stopped(self, units: Sequence[str]) -> tuple[str, ...]:
        """Those units that do not run; ServiceFailed when the service manager cannot tell."""
        return tuple(unit for unit in units if not self._services.state(unit).active)

    def _app(self) -> str:
        answer = self._json(self._app_url, "/")
        well = isinstance(answer, dict) and answer.items() >= APP.items()
        return "" if well else f"neopro-app does not answer as it should at {self._app_url}/"

    def _admin(self) -> str:
        answer = self._json(self._admin_url, "/api/auth/status")
        well = isinstance(answer, dict) and "authenticated" in answer
        return "" if well else f"neopro-admin does not answer as it should at {self._admin_url}/api/auth/status"

    def _page(self) -> str:
        if b"<app-root" not in self._body(self._page_url + "/"):
            return f"the page at {self._page_url}/ is not the application's"
        if self._json(self._page_url, "/configuration.json") != _parse(self._configuration()):
            return f"{self._page_url}/configuration.json is not what is on the disk"
        return ""

    def _json(self, url: str, path: str) -> Any:
        return _parse(self._body(url + path))

    def _body(self, url: str) -> bytes:
        """The body; empty when nothing answers."""
        if self._client is None:
            # A context that trusts nobody: the services are on this machine and speak plain HTTP.
            self._client = open_client(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        try:
            return fetch(self._client, Ask("GET", url, {}, None, CHECK_S), MAX_PAGE_BYTES).body
        except (NetworkTrouble, httpx.InvalidURL):
            return b""


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
