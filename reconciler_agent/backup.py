"""The club's part of the configuration: a backup of it for a replaced box, and on that box, put back once.

A backup is encrypted to the team's recovery key and left at the control plane when the club changed something. While
one is still to be put back here, none is left: an empty new box must not take the place of what the club had.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from msgspec.structs import replace

from reconciler_agent import age_key
from reconciler_agent.core.club import club_part
from reconciler_agent.core.report import Failure
from reconciler_agent.errors import AccessDenied, AgentError, BackupUnreadable, ConfigurationUnreadable, NetworkTrouble
from reconciler_agent.resources.configuration import Configuration
from reconciler_agent.resources.content import Source
from reconciler_agent.resources.restore import MAX_BACKUP_BYTES, read_restore
from reconciler_agent.state import Store
from schemas.manifest import SiteManifest
from schemas.names import Digest, digest_of
from schemas.status import Reason

BACKUP_S: Final = 900.0
"""Between two backups: fewer than 100 in a day, which is what the control plane takes."""

log = logging.getLogger("neopro-agent")


class Desk(Protocol):
    """Who keeps backups."""

    def backup(self, body: bytes) -> None:
        """Leave a backup, an age file; it was kept when this returns."""


class Clock(Protocol):
    """How time passes; seconds."""

    def monotonic(self) -> float:
        """Seconds since some point; never goes back."""


Say = Callable[[Literal["info", "warning", "error"], Reason, str], None]


class Backup:
    """Leaves and puts back; `key` is the file of the box's age key."""

    def __init__(
        self, *, configuration: Configuration, desk: Desk, store: Store, clock: Clock, say: Say, key: Path
    ) -> None:
        self._configuration = configuration
        self._desk = desk
        self._store = store
        self._clock = clock
        self._say = say
        self._key = key
        self._due: Digest | None = None
        self._fetched = False
        self._fetch_s = self._leave_s = float("-inf")
        self._left: tuple[object, str] = (None, "")
        self.failures: list[Failure] = []

    def prepare(self, manifest: SiteManifest, source: Source) -> None:
        """Before a round: have what is to be put back united with the configuration when that may be written."""
        due, now_s = manifest.restore, self._clock.monotonic()
        if due == self._store.state.restored:
            due = None
        if due != self._due:
            self._due, self._fetched, self._fetch_s, self.failures = due, False, now_s, []
            self._configuration.put_back(None)
        if due is None or self._fetched or now_s < self._fetch_s:
            return
        try:
            self._configuration.put_back(self._fetch(due, source))
            self._fetched, self.failures = True, []
        except (NetworkTrouble, AccessDenied) as problem:
            log.info("%s", problem)
        except AgentError as problem:
            self._fetch_s = now_s + BACKUP_S
            self.failures = [Failure(reason=problem.reason, message=str(problem))]

    def finish(self, manifest: SiteManifest, *, online: bool) -> None:
        """After a round: note what was put back; when nothing is to be, leave a backup of what the club changed."""
        state = self._store.state
        if self._fetched and not self._configuration.restoring:
            self._store.keep(replace(state, restored=self._due))
            self._fetched = False
            self._say("info", "BackupPutBack", "The club's configuration of the box before this one was put back.")
        elif online and manifest.restore in (None, state.restored):
            try:
                self._leave(manifest)
            except AgentError as problem:
                log.warning("%s", problem)

    def _fetch(self, digest: Digest, source: Source) -> dict[str, Any]:
        found = read_restore(self._key, source.blob(digest, MAX_BACKUP_BYTES))
        try:
            return club_part(found.configuration)
        except ConfigurationUnreadable as problem:
            raise BackupUnreadable(f"cannot put the backup back: {problem}") from None

    def _leave(self, manifest: SiteManifest) -> None:
        """Leave a backup if the club's part is another than in the last one, by its digest."""
        wanted, found, now_s = manifest.backup, self._configuration.known, self._clock.monotonic()
        if wanted is None or not wanted.configuration or found is None or now_s < self._leave_s:
            return
        if self._left[0] is found and self._left[1] == wanted.recipient:
            return
        plain = json.dumps(club_part(found), sort_keys=True, separators=(",", ":")).encode()
        digest = digest_of(wanted.recipient.encode() + b"\n" + plain)
        if digest != self._store.state.backed_up:
            self._leave_s = now_s + BACKUP_S
            self._desk.backup(age_key.encrypt(plain, wanted.recipient))
            self._store.keep(replace(self._store.state, backed_up=digest))
        self._left = found, wanted.recipient
