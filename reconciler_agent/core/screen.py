"""What is on the screen, from what the box's application says: may the picture be disturbed now?"""

from typing import Final, Literal

from msgspec import Struct

STALE_S: Final = 4 * 3600.0
"""The application keeps the last score until somebody resets it: a signal that stands so long is no match any more."""
NEUTRAL: Final = "neutral"
LOOK_AWAY_S: Final = 300.0
"""Between two looks that lie further apart anything may have been played."""


Notice = Literal["told", "nobody", "silent"]
"""What came of a notice: passed on to the pages; passed on, and no page was there; the application did not answer."""


class Signal(Struct, frozen=True, kw_only=True):
    """The phase and the score that the application sends to whoever connects."""

    phase: str = NEUTRAL
    home_score: int = 0
    away_score: int = 0

    @property
    def shows_match(self) -> bool:
        """Whether it looks like a match: a phase that is not neutral, or a score."""
        return self.phase != NEUTRAL or (self.home_score, self.away_score) != (0, 0)


class Watched(Struct, frozen=True, kw_only=True):
    """A signal, and since when (monotonic seconds) it has been the same."""

    signal: Signal
    since_s: float


class ScreenState(Struct, frozen=True, kw_only=True):
    """`match`: a match is in progress, nothing visible may change. `stale`: it would be, had it not stood for hours.

    `connections`: how many pages hold a connection to the application, None where it does not tell.
    """

    match: bool
    stale: bool
    signal: Signal
    connections: int | None = None

    @property
    def remote(self) -> bool | None:
        """Whether somebody holds a remote control: a page beside the screen's own is connected; None: unknown."""
        return None if self.connections is None else self.connections > 1


class Quiet(Struct, frozen=True, kw_only=True):
    """Since when (monotonic seconds) nobody has played anything, by looks that followed each other closely."""

    since_s: float
    looked_s: float
    signal: Signal


def watch(last: Watched | None, signal: Signal, now_s: float) -> Watched:
    """The signal with the time from which it has been unchanged."""
    return last if last is not None and last.signal == signal else Watched(signal=signal, since_s=now_s)


def judge(watched: Watched, now_s: float, connections: int | None = None) -> ScreenState:
    """What the signal means now; one that has not changed for four hours is stale."""
    shows, stands = watched.signal.shows_match, now_s - watched.since_s >= STALE_S
    return ScreenState(
        match=shows and not stands, stale=shows and stands, signal=watched.signal, connections=connections
    )


def rest(last: Quiet | None, state: ScreenState | None, now_s: float) -> Quiet | None:
    """The quiet that goes on, begins now, or (None) is none: a match, or a remote that is or may be connected.

    An application that does not answer (`state` None) plays nothing. The loop that runs by itself disturbs no quiet.
    """
    if state is not None and (state.match or state.remote is not False):
        return None
    signal = state.signal if state is not None else (last.signal if last is not None else Signal())
    if last is None or now_s - last.looked_s > LOOK_AWAY_S or last.signal != signal:
        return Quiet(since_s=now_s, looked_s=now_s, signal=signal)
    return Quiet(since_s=last.since_s, looked_s=now_s, signal=signal)


def read_signal(last: Signal, event: str, data: object) -> Signal:
    """The signal after an event of the application; what does not look like one of the two changes nothing."""
    if not isinstance(data, dict):
        return last
    if event == "phase-change" and isinstance(data.get("phase"), str):
        return Signal(phase=data["phase"], home_score=last.home_score, away_score=last.away_score)
    if event == "score-update":
        home, away = (_score(data.get(key)) for key in ("homeScore", "awayScore"))
        return Signal(phase=last.phase, home_score=home, away_score=away)
    return last


def _score(value: object) -> int:
    """A score as the remote sends it: a number, or a text that looks like one; anything else counts as none."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        return int(value.strip()[:9])
    return int(value) if isinstance(value, int | float) and -1e9 < value < 1e9 else 0
