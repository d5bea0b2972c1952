"""Once an hour: save how late it is and what was measured, and digest a part of all files: each, once a week.

Hours are those of the time floor. A box that was off for days makes up for a day of them at once, no more: it is about
to play.
"""

from datetime import timedelta
from typing import Final

from msgspec.structs import replace

from reconciler_agent.core.turns import HOURS_OF_A_WEEK, turns
from reconciler_agent.history import History
from reconciler_agent.resources.release import Releases
from reconciler_agent.state import Store

INTERVAL: Final = timedelta(hours=1)
MOST_HOURS: Final = 24


class Upkeep:
    """What an agent that has nothing to do does all the same: `begin` before a round, `end` after it."""

    def __init__(self, store: Store, releases: Releases, history: History) -> None:
        self._store = store
        self._history = history
        self._releases = releases
        self._due = False

    def begin(self) -> None:
        """Have those files digested in this round, whatever `stat` says of them, whose turn it is."""
        state = self._store.state
        now = state.trust.time_floor_at
        passed = None if state.upkept_at is None else now - state.upkept_at
        self._due = passed is None or abs(passed) >= INTERVAL  # a root that was rotated may take the floor back
        if not self._due:
            return
        hours = max(0, min(passed // INTERVAL, MOST_HOURS)) if passed is not None else 0
        paths = sorted(state.ledger)
        doubted = {paths[place] for place in turns(len(paths), state.deep, hours)}
        ledger = {p: replace(e, signature=None) if p in doubted else e for p, e in state.ledger.items()}
        self._releases.doubt(state.deep, hours)
        self._store.hold(replace(state, ledger=ledger, deep=(state.deep + hours) % HOURS_OF_A_WEEK, upkept_at=now))

    def end(self) -> None:
        """Save the time, what was measured, and where the walk stands, if an hour had passed."""
        if self._due:
            self._due = False
            self._store.checkpoint()
            self._history.checkpoint()
