"""The box's own application: is a match on the screen, and 'read your configuration again'.

Socket.IO protocol v5 (as Socket.IO 3 and 4 speak it) over Engine.IO protocol v4, long polling alone: a few small
requests to the application on this very machine. No session is kept open between calls.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote

import httpx

from reconciler_agent.core.screen import Notice, ScreenState, Signal, Watched, judge, read_signal, watch
from reconciler_agent.errors import NetworkTrouble
from reconciler_agent.transport import Ask, fetch, open_client, require_safe_url, trust_nobody

PATH: Final = "/socket.io/?EIO=4&transport=polling"
MAX_POLL_BYTES: Final = 1 << 20
MAX_POLLS: Final = 50
STATE_S: Final = 3.0
"""How long to wait for both events that the application sends to whoever connects."""
NOTICE_S: Final = 5.0
SEPARATOR: Final = "\x1e"
_EVENT: Final = re.compile(r"42(?:/[^,]*,)?\d*(\[.*\])", re.DOTALL)


class Clock(Protocol):
    """How time passes; seconds."""

    def monotonic(self) -> float:
        """Seconds since some point; never goes back."""


class Event(NamedTuple):
    """An event of the application, with its first argument; `connect` is ours: the namespace is open."""

    name: str
    data: Any


class BoxApp:
    """The application at `url`, a loopback address."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._client = open_client(trust_nobody(), require_safe_url(url))
        self._clock = clock
        self._watched: Watched | None = None

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def state(self) -> ScreenState | None:
        """What is on the screen; None when the application does not answer, and so shows nothing."""
        connections = self._connections()  # before ours is one of them
        signal, seen = Signal(), set[str]()
        try:
            with self._connect(STATE_S) as session:
                for event in session.events():
                    signal = read_signal(signal, event.name, event.data)
                    seen.add(event.name)
                    if {"score-update", "phase-change"} <= seen:
                        break
        except NetworkTrouble:
            if not seen & {"score-update", "phase-change"}:
                return None
        now_s = self._clock.monotonic()
        self._watched = watch(self._watched, signal, now_s)
        return judge(self._watched, now_s, connections)

    def _connections(self) -> int | None:
        """How many pages are connected, as the application's health page tells; None where it does not."""
        try:
            answer = fetch(self._client, Ask("GET", "/", {}, None, STATE_S), MAX_POLL_BYTES)
        except NetworkTrouble:
            return None
        found = _object(answer.body.decode("utf-8", "replace")).get("connections")
        return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None

    def notify(self) -> Notice:
        """Tell the screen to read the configuration again, and see whether anybody was there to hear it."""
        heard: Notice = "nobody" if self._connections() == 0 else "told"  # before ours is one of them
        try:
            with self._connect(NOTICE_S) as session:
                for event in session.events():
                    if event.name == "connect":
                        session.emit("config_updated")
                    if event.name == "action" and _is_reload(event.data):
                        return heard
        except NetworkTrouble:
            return "silent"
        return "silent"

    @contextmanager
    def _connect(self, within_s: float) -> Iterator["_Session"]:
        session = _Session(self._client, self._clock.monotonic, self._clock.monotonic() + within_s)
        session.open()
        try:
            yield session
        finally:
            session.close()


class _Session:
    """One Engine.IO session: every request ends before `deadline_s`."""

    def __init__(self, client: httpx.Client, monotonic: Callable[[], float], deadline_s: float) -> None:
        self._client = client
        self._monotonic = monotonic
        self._deadline_s = deadline_s
        self._path = PATH

    def open(self) -> None:
        """The handshakes of both protocols."""
        packets = self._poll()
        sid = _object(packets[0][1:]).get("sid") if packets and packets[0].startswith("0") else None
        if not isinstance(sid, str):
            raise NetworkTrouble("cannot speak to the box's application: something else answered in its place")
        self._path = f"{PATH}&sid={quote(sid, safe='')}"
        self._send("40")

    def emit(self, name: str) -> None:
        """Send an event without data."""
        self._send(f"42{json.dumps([name])}")

    def events(self) -> Iterator[Event]:
        """What the application sends; NetworkTrouble when it takes longer than it may."""
        for _ in range(MAX_POLLS):
            for packet in self._poll():
                if packet == "2":  # its ping
                    self._send("3")
                elif packet.startswith("40"):
                    yield Event("connect", None)
                elif packet[:2] in ("1", "41", "44"):
                    raise NetworkTrouble("cannot speak to the box's application: it closed the connection")
                elif event := _event(packet):
                    yield event

    def close(self) -> None:
        """Take leave, so that the application forgets us at once and not after its ping."""
        try:
            self._deadline_s = max(self._deadline_s, self._monotonic() + 1.0)
            self._send("1")
        except NetworkTrouble:
            return

    def _poll(self) -> list[str]:
        return self._ask("GET", None).split(SEPARATOR)

    def _send(self, packet: str) -> None:
        self._ask("POST", packet)

    def _ask(self, method: str, packet: str | None) -> str:
        left_s = self._deadline_s - self._monotonic()
        if left_s <= 0:
            raise NetworkTrouble("cannot hear from the box's application: no answer in time")
        content = None if packet is None else packet.encode()
        ask = Ask(method, self._path, {"Content-Type": "text/plain;charset=UTF-8"}, content, left_s)
        answer = fetch(self._client, ask, MAX_POLL_BYTES)
        if answer.status != 200:
            raise NetworkTrouble(f"cannot speak to the box's application: it answers {answer.status}")
        return answer.body.decode("utf-8", "replace")


def _event(packet: str) -> Event | None:
    found = _EVENT.fullmatch(packet)
    try:
        parts = json.loads(found[1]) if found else []
    except (ValueError, RecursionError):
        return None
    return Event(str(parts[0]), parts[1] if len(parts) > 1 else None) if parts else None


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _is_reload(data: object) -> bool:
    return isinstance(data, dict) and data.get("type") == "reload-config"
