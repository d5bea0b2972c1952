"""The one narrow interface to the service manager: four verbs about named units of the box, and 'start it all anew'."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec
from msgspec import Struct

from reconciler_agent.errors import ServiceFailed

UNITS: Final = frozenset({"neopro-app", "neopro-admin", "neopro-kiosk", "nginx", "neopro-sync-agent"})
MAX_ANSWER_BYTES: Final = 64 << 10
TIMEOUT_S: Final = 30.0
Verb = Literal["restart", "start", "stop", "state", "reboot"]
MACHINE: Final = "the box"
_WORDS: Final[dict[Verb, str]] = {
    "restart": "restart", "start": "start", "stop": "stop", "state": "look at", "reboot": "start anew",
}  # fmt: skip


class UnitState(Struct, frozen=True, kw_only=True):
    """What the service manager says of a unit; `restarts` counts those it made by itself since the unit was started."""

    active: bool
    restarts: int = 0


class ServiceManager(Protocol):
    """All that the agent asks of a service manager; every verb raises ServiceFailed when it was not done."""

    def restart(self, unit: str) -> UnitState:
        """Stop and start a unit, started if it was not."""

    def start(self, unit: str) -> UnitState:
        """Start a unit; one that runs goes on running."""

    def stop(self, unit: str) -> UnitState:
        """Stop a unit."""

    def state(self, unit: str) -> UnitState:
        """How a unit is."""

    def environment(self, unit: str) -> Mapping[str, str] | None:
        """The variables that a unit's processes are started with, by its unit files; None: it cannot tell."""

    def reboot(self) -> None:
        """Start the machine anew; it may still be up for a moment when this returns."""


class _Request(Struct, frozen=True, kw_only=True):
    verb: Verb
    unit: str


class _Answer(Struct, frozen=True, kw_only=True):
    ok: bool
    active: bool = False
    restarts: int = 0
    error: str = ""


class SupervisorSocket:
    """A supervisor behind a Unix stream socket: one JSON line there, one back, one request a connection."""

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s

    def restart(self, unit: str) -> UnitState:
        """See ServiceManager."""
        return self._ask("restart", unit)

    def start(self, unit: str) -> UnitState:
        """See ServiceManager."""
        return self._ask("start", unit)

    def stop(self, unit: str) -> UnitState:
        """See ServiceManager."""
        return self._ask("stop", unit)

    def state(self, unit: str) -> UnitState:
        """See ServiceManager."""
        return self._ask("state", unit)

    def environment(self, _unit: str) -> None:
        """See ServiceManager: a supervisor has no unit files."""

    def reboot(self) -> None:
        """See ServiceManager."""
        self._request("reboot", MACHINE)

    def _ask(self, verb: Verb, unit: str) -> UnitState:
        if unit not in UNITS:
            raise ServiceFailed(f"cannot {_WORDS[verb]} {unit}: it is none of the box's services")
        answer = self._request(verb, unit)
        return UnitState(active=answer.active, restarts=answer.restarts)

    def _request(self, verb: Verb, unit: str) -> _Answer:
        try:
            answer = msgspec.json.decode(self._exchange(_Request(verb=verb, unit=unit)), type=_Answer)
        except (OSError, ValueError, RecursionError) as problem:
            raise ServiceFailed(
                f"cannot {_WORDS[verb]} {unit}: the service manager does not answer: {problem}"
            ) from problem
        if not answer.ok:
            raise ServiceFailed(f"cannot {_WORDS[verb]} {unit}: {answer.error[:300] or 'the service manager refused'}")
        return answer

    def _exchange(self, request: _Request) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self._timeout_s)
            connection.connect(str(self._path))
            connection.sendall(msgspec.json.encode(request) + b"\n")
            answer = b""
            while not answer.endswith(b"\n") and len(answer) < MAX_ANSWER_BYTES:
                if not (part := connection.recv(4096)):
                    break
                answer += part
            return answer
