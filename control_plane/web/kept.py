"""What was made of one look at the fleet, kept while that look is shared: a large fleet takes long to lay out."""

from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar

from control_plane.store.views import Fleet

MOST: Final = 64
"""Kept things; then all are forgotten."""
_Made = TypeVar("_Made")


class Kept:
    """Holds what was made of the newest look; small fleets are looked at anew each time, so nothing of theirs stays."""

    def __init__(self) -> None:
        self._fleet: Fleet | None = None
        self._made: dict[Hashable, Any] = {}
        self._before: dict[Hashable, Any] = {}

    def of(self, fleet: Fleet, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """What `make` gives for this look; `key` says all that it depends on besides, whom it is for above all."""
        return self.renewed(fleet, key, lambda _: make())

    def renewed(self, fleet: Fleet, key: Hashable, make: Callable[[_Made | None], _Made]) -> _Made:
        """The same of a `make` that is given what it made of the look before, if it did."""
        if self._fleet is not fleet or len(self._made) >= MOST:
            self._fleet, self._made, self._before = fleet, {}, self._made
        if key not in self._made:
            self._made[key] = make(self._before.get(key))
        found: _Made = self._made[key]
        return found
