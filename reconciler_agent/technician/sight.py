"""The box as a technician's command sees it: opened for reading alone, whatever state it is in, no lock taken."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from reconciler_agent.core.clock import local_day
from reconciler_agent.core.trust import accept_manifest, current_head, latest_instant
from reconciler_agent.durable import Disk
from reconciler_agent.errors import AgentError, DiskFault, SettingsInvalid
from reconciler_agent.observe import SystemClock
from reconciler_agent.settings import Settings
from reconciler_agent.state import State, Store
from schemas.manifest import SiteHead, SiteManifest


class Sight(NamedTuple):
    """What is there: without `box` there is no root, without `store` the agent never ran here.

    `damaged`: copies of the state that are not whole. `head` and `manifest`: the accepted ones, if they can be read.
    """

    settings: Settings
    box: Disk | None
    store: Store | None
    state: State | None
    damaged: tuple[str, ...]
    head: SiteHead | None
    manifest: SiteManifest | None

    @property
    def today(self) -> date:
        """The local day of the site, as far as this box can know it; in UTC where it does not know the zone."""
        clock = SystemClock(self.settings.clock)
        now = clock.now()
        if self.state is not None:
            now = latest_instant(self.state.trust, now, clock.synchronised())
        try:
            return local_day(now, ZoneInfo(self.manifest.timezone) if self.manifest is not None else UTC)
        except (ZoneInfoNotFoundError, ValueError):
            return local_day(now, UTC)

    def now(self) -> datetime:
        """The wall clock, right or wrong."""
        return SystemClock(self.settings.clock).now()


@contextmanager
def look_at(settings: Settings) -> Iterator[Sight]:
    """The box of these settings. SettingsInvalid when it may not be looked at."""
    with ExitStack() as stack:
        box = _open(stack, settings.root) if settings.root.is_dir() else None
        has_run = _is_there(settings)
        disk = _open(stack, settings.state) if has_run else None
        store = Store(disk) if disk is not None else None
        loaded = store.load() if store is not None else None
        state = loaded.state if loaded is not None else None
        head, manifest = _accepted(state)
        damaged = loaded.damaged if loaded is not None else ()
        yield Sight(settings, box, store, state, damaged, head, manifest)


def _is_there(settings: Settings) -> bool:
    try:
        return settings.state.is_dir()
    except PermissionError:
        raise _needs_root(settings.state) from None


def _open(stack: ExitStack, folder: Path) -> Disk:
    try:
        disk = Disk(folder, "", "")
    except DiskFault:
        if os.geteuid() != 0:
            raise _needs_root(folder) from None
        raise
    stack.callback(disk.close)
    return disk


def _needs_root(folder: Path) -> SettingsInvalid:
    return SettingsInvalid(f"cannot look into {folder}: that takes root; call it with sudo")


def _accepted(state: State | None) -> tuple[SiteHead | None, SiteManifest | None]:
    """The accepted head and its manifest, as far as they can be read; `verify` says what keeps them from it."""
    if state is None:
        return None, None
    try:
        head = current_head(state.trust)
    except AgentError:
        return None, None
    try:
        return head, accept_manifest(head, state.body) if head is not None and state.body is not None else None
    except AgentError:
        return head, None
