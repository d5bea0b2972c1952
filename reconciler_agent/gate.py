"""When: what the screen and the clocks say now, for the decision whether a step may run (`core.windows`)."""

from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec.structs import replace

from reconciler_agent.core.diff import Changes
from reconciler_agent.core.plan import Gate, Step, kind_of, topic, topics
from reconciler_agent.core.screen import Quiet, ScreenState, rest
from reconciler_agent.core.trust import latest_instant
from reconciler_agent.core.windows import Hold, Kind, Present, judge
from reconciler_agent.observe import SystemClock
from reconciler_agent.state import Store
from schemas.manifest import SiteManifest


class Screen(Protocol):
    """What is on the screen."""

    def state(self) -> ScreenState | None:
        """None when the application does not answer, and so shows nothing."""


class Gatekeeper:
    """Asks the screen when a step wants through, and remembers since when it has been quiet there."""

    def __init__(self, screen: Screen, clock: SystemClock, store: Store) -> None:
        self._screen = screen
        self._clock = clock
        self._store = store
        self._quiet: Quiet | None = None
        self._zone: tuple[str, ZoneInfo | None] = ("", None)

    def note(self, manifest: SiteManifest, changes: Changes) -> None:
        """Keep since when each change that may wait for a window has been wanted; patience is counted from then."""
        state, maintenance = self._store.state, manifest.maintenance
        waiting = topics(changes, maintenance.bind_visible) if maintenance is not None else frozenset()
        latest = self._floor_at() if waiting else None  # what lies ahead of it was noted by a clock that was wrong
        wanted = {topic: min(state.wanted.get(topic, latest), latest) for topic in waiting if latest is not None}
        if wanted != state.wanted:
            self._store.keep(replace(state, wanted=wanted))

    def open(self, manifest: SiteManifest) -> Gate:
        """The gate as it stands now."""
        present = self._look(manifest)

        def gate(step: Step) -> Hold | None:
            kind = kind_of(step)
            if kind is None:
                return None
            wanted_at = self._store.state.wanted.get(topic(step), present.floor_at)
            return judge(kind, manifest.maintenance, present, wanted_at)

        return gate

    def hold(self, manifest: SiteManifest, kind: Kind, wanted_at: datetime) -> Hold | None:
        """What holds something of this kind now that has been wanted since `wanted_at`."""
        return judge(kind, manifest.maintenance, self._look(manifest), wanted_at)

    def zone(self, manifest: SiteManifest) -> ZoneInfo | None:
        """The site's time zone; None where the box does not know it."""
        if self._zone[0] != manifest.timezone:
            try:
                self._zone = (manifest.timezone, ZoneInfo(manifest.timezone))
            except (ZoneInfoNotFoundError, ValueError):
                self._zone = (manifest.timezone, None)
        return self._zone[1]

    def _look(self, manifest: SiteManifest) -> Present:
        screen, now_s = self._screen.state(), self._clock.monotonic()
        self._quiet = rest(self._quiet, screen, now_s)
        return Present(
            at=self._clock.believed(),
            floor_at=self._floor_at(),
            zone=self.zone(manifest),
            uptime_s=self._clock.uptime(),
            screen=screen,
            quiet_s=now_s - self._quiet.since_s if self._quiet is not None else None,
        )

    def _floor_at(self) -> datetime:
        return latest_instant(self._store.state.trust, self._clock.now(), self._clock.synchronised())
