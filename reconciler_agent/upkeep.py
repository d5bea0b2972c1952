"""Once an hour: save how late it is and what was measured, and doubt a part of all files: each, once a week."""

import math
from datetime import timedelta
from typing import Final

from msgspec.structs import replace

from reconciler_agent.history import History
from reconciler_agent.resources.release import Releases
from reconciler_agent.state import Store

INTERVAL: Final = timedelta(hours=1)
HOURS_OF_A_WEEK: Final = 168


class Upkeep:
    """What an agent that has nothing to do does all the same, by the time floor."""

    def __init__(self, store: Store, releases: Releases, history: History) -> None:
        self._store = store
        self._history = history
        self._releases = releases

    def pass_hour(self) -> None:
        """Do what is due; nothing is written before an hour has passed since the time was last saved."""
        saved_at = self._store.saved_at
        if saved_at is not None and self._store.state.trust.time_floor_at - saved_at < INTERVAL:
            return
        self._store.checkpoint()
        self._history.checkpoint()
        self._doubt(self._store.state.deep)

    def _doubt(self, start: int) -> None:
        """Have the next files digested in the next round, content first. Where to go on is saved in an hour."""
        state = self._store.state
        paths = sorted(state.ledger)
        total = len(paths) + self._releases.doubt(0, 0)
        count = math.ceil(total / HOURS_OF_A_WEEK)
        chosen = set(paths[start : start + count])
        ledger = {p: replace(e, signature=None) if p in chosen else e for p, e in state.ledger.items()}
        self._releases.doubt(max(0, start - len(paths)), max(0, min(count, start + count - len(paths))))
        self._store.hold(replace(state, ledger=ledger, deep=start + count if start + count < total else 0))
