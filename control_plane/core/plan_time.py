"""When sites change: the hours that their maintenance leaves open."""

from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from schemas.manifest import Instant, ManifestMaintenance
from schemas.windows import Opening, is_busy, next_opening


class Timing(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When the first and the last site may change what interrupts the screen; counts of sites.

    `at_once` have no maintenance hours; `unforeseen` have none but wait for a boot or an idle screen, which nobody can
    foretell; `never` wait for hours that do not come.
    """

    first_at: Instant | None = None
    last_at: Instant | None = None
    at_once: int = 0
    in_hours: int = 0
    unforeseen: int = 0
    never: int = 0


AT_ONCE: Final = timedelta()


class Clocks:
    """Openings of maintenance hours after `now`, each kind worked out once; `after`: when the step is ready."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._zones: dict[str, tzinfo] = {}
        self._known: dict[tuple[int, str, timedelta], tuple[ManifestMaintenance, Opening]] = {}

    def opening(self, maintenance: ManifestMaintenance | None, timezone: str, after: timedelta = AT_ONCE) -> Opening:
        """When a step that interrupts the screen may run."""
        if maintenance is None:
            return Opening(at=self._now + after)
        key = (id(maintenance), timezone, after)
        known = self._known.get(key)
        if known is None:
            zone = self._zones.setdefault(timezone, ZoneInfo(timezone))
            known = self._known[key] = (maintenance, next_opening(maintenance, zone, self._now + after))
        return known[1]

    def visible(self, maintenance: ManifestMaintenance | None, timezone: str) -> Opening:
        """When a step that is seen on the screen may run: fixtures hold it, hours only where a layer binds it."""
        if maintenance is None or not (maintenance.bind_visible or is_busy(maintenance, self._now)):
            return Opening(at=self._now)
        if maintenance.bind_visible:
            return self.opening(maintenance, timezone)
        return Opening(at=next(end for start, end in maintenance.busy if start <= self._now < end))


def timing_of(openings: Iterable[Opening], now: datetime) -> Timing:
    """The first and the last of these."""
    found = list(openings)
    known = [opening.latest for opening in found if opening.latest is not None]
    waiting = [opening for opening in found if opening.latest is None]
    unforeseen = sum(opening.at_boot or opening.idle_s is not None for opening in waiting)
    at_once = sum(at <= now for at in known)
    return Timing(
        first_at=min(known, default=None),
        last_at=max(known, default=None),
        at_once=at_once,
        in_hours=len(known) - at_once,
        unforeseen=unforeseen,
        never=len(waiting) - unforeseen,
    )
