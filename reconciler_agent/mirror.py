"""What the club owns, told to the control plane when it changed, and once a day in case it was forgotten there."""

import logging
from datetime import timedelta
from typing import Final, Protocol

import msgspec
import zstandard
from msgspec.structs import replace

from reconciler_agent.core.mirror import club
from reconciler_agent.core.trust import latest_instant
from reconciler_agent.durable import Disk
from reconciler_agent.errors import AgentError, NetworkTrouble
from reconciler_agent.observe import SystemClock
from reconciler_agent.resources.configuration import Configuration
from reconciler_agent.resources.inventory import list_files
from reconciler_agent.state import Mirrored, Store
from schemas.manifest import SiteManifest
from schemas.names import digest_of

VIDEOS: Final = "videos"
LOOK_S: Final = 300.0
"""Between two looks: a club that edits for an hour is told of a dozen times."""
REFUSED_S: Final = 3600.0
"""Before it is tried again where nobody takes it, as at a control plane of an older version."""
AGAIN: Final = timedelta(days=1)

log = logging.getLogger("neopro-agent")


class Desk(Protocol):
    """Who keeps mirrors."""

    def mirror(self, packed: bytes) -> None:
        """Leave a mirror, zstd of its JSON, in the place of the one before; it was kept when this returns."""


class Mirror:
    """Tells what the club owns; nothing where the site has switched telemetry off (not `allowed`)."""

    def __init__(
        self,
        *,
        disk: Disk,
        configuration: Configuration,
        desk: Desk,
        store: Store,
        clock: SystemClock,
        allowed: bool,
    ) -> None:
        self._disk, self._configuration = disk, configuration
        self._desk, self._store, self._clock = desk, store, clock
        self._allowed = allowed
        self._look_s = float("-inf")

    def tell(self, manifest: SiteManifest, *, online: bool) -> None:
        """Leave a mirror if it is another than the last that was left."""
        now_s = self._clock.monotonic()
        if not (self._allowed and online) or now_s < self._look_s or self._configuration.known is None:
            return
        self._look_s = now_s + LOOK_S
        try:
            self._leave(manifest)
        except NetworkTrouble as problem:
            log.info("%s", problem)
        except AgentError as problem:
            self._look_s = now_s + REFUSED_S
            log.warning("%s", problem)

    def _leave(self, manifest: SiteManifest) -> None:
        state = self._store.state
        found = club(
            self._configuration.known or {},
            manifest,
            list_files(self._disk, VIDEOS),
            frozenset(state.ledger),
        )
        body = msgspec.json.encode(found)
        now = latest_instant(state.trust, self._clock.now(), self._clock.synchronised())
        digest, last = digest_of(body), state.mirrored
        if last is None or last.digest != digest or now - last.at >= AGAIN:
            self._desk.mirror(zstandard.ZstdCompressor().compress(body))
            self._store.keep(replace(state, mirrored=Mirrored(digest=digest, at=now)))
