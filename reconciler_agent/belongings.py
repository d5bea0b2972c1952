"""What is the club's: kept for the box that comes after, put back from the one before, and told to the fleet."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

from reconciler_agent import backup, mirror, videos
from reconciler_agent.backup import Backup
from reconciler_agent.core.report import Failure
from reconciler_agent.download import OnBytes, Throttle
from reconciler_agent.durable import Disk
from reconciler_agent.mirror import Mirror
from reconciler_agent.observe import SystemClock
from reconciler_agent.resources.configuration import Configuration
from reconciler_agent.resources.content import Source
from reconciler_agent.resources.vault import Safe
from reconciler_agent.state import Store
from reconciler_agent.video_return import VideoReturn
from reconciler_agent.videos import VideoBackup
from schemas.manifest import SiteManifest
from schemas.status import Reason

Say = Callable[[Literal["info", "warning", "error"], Reason, str], None]


class Desk(backup.Desk, mirror.Desk, videos.Desk, Protocol):
    """Who keeps it all."""


class Supplies(Protocol):
    """Who has what is put back."""

    def reached(self, *, online: bool) -> Source:
        """What can be asked for it."""


class Belongings:
    """Around each round; `key` is the file of the box's age key, `telemetry` what the site itself allows."""

    def __init__(
        self,
        *,
        disk: Disk,
        configuration: Configuration,
        desk: Desk,
        supplies: Supplies,
        store: Store,
        clock: SystemClock,
        throttle: Throttle,
        say: Say,
        key: Path,
        telemetry: bool,
    ) -> None:
        safe = Safe(disk)
        self._backup = Backup(configuration=configuration, desk=desk, store=store, clock=clock, say=say, key=key)
        self._supplies = supplies
        self._returned = VideoReturn(safe=safe, store=store, clock=clock, say=say, key=key)
        self._videos = VideoBackup(safe=safe, desk=desk, store=store, clock=clock, throttle=throttle, say=say)
        self._mirror = Mirror(
            disk=disk, configuration=configuration, desk=desk, store=store, clock=clock, allowed=telemetry
        )

    @property
    def failures(self) -> list[Failure]:
        """What keeps something of the box before this one from being put back."""
        return [*self._backup.failures, *self._returned.failures]

    def prepare(self, manifest: SiteManifest, *, online: bool) -> None:
        """Before a round: have the club's configuration at hand, if it is to be put back."""
        self._backup.prepare(manifest, self._supplies.reached(online=online))

    def finish(self, manifest: SiteManifest, *, online: bool, on_bytes: OnBytes) -> None:
        """After a round: put back, then keep, then tell. `on_bytes` may raise Superseded to stop what takes long."""
        self._backup.finish(manifest, online=online)
        self._mirror.tell(manifest, online=online)
        self._returned.advance(manifest, self._supplies.reached(online=online), online=online, on_bytes=on_bytes)
        self._videos.finish(manifest, online=online, on_bytes=on_bytes)
