"""The club's videos of the box before this one, put back: each once, none over what is there by now.

The configuration comes first: the club can play what is there already while the rest comes down the line.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, Protocol

from msgspec.structs import replace

from reconciler_agent.core.report import Failure
from reconciler_agent.core.vault import Vault, is_safe, keep
from reconciler_agent.download import OnBytes
from reconciler_agent.draft import Draft
from reconciler_agent.errors import (
    AccessDenied,
    AgentError,
    BackupUnreadable,
    DiskFault,
    DiskFull,
    NetworkTrouble,
    Superseded,
)
from reconciler_agent.observe import SystemClock
from reconciler_agent.resources.restore import MAX_BACKUP_BYTES, read_restore
from reconciler_agent.resources.vault import Safe
from reconciler_agent.state import Store
from schemas.backup import KeptVideo, VideoIndex
from schemas.manifest import SiteManifest
from schemas.names import Digest
from schemas.status import Reason

AGAIN_S: Final = 900.0
"""Before what could not be put back is tried again."""

Say = Callable[[Literal["info", "warning", "error"], Reason, str], None]

log = logging.getLogger("neopro-agent")


class Desk(Protocol):
    """Who has the encrypted videos."""

    def blob(self, digest: Digest, max_bytes: int) -> bytes:
        """A small blob whole; DigestMismatch when other bytes came."""

    def download(self, digest: Digest, size_bytes: int, sink: Draft, on_bytes: OnBytes | None = None) -> None:
        """Bring `sink` from what it has to the whole blob. NetworkTrouble leaves in it what came."""


class VideoReturn:
    """Puts back what the manifest's `restore` names; `key` is the file of the box's age key."""

    def __init__(self, *, safe: Safe, desk: Desk, store: Store, clock: SystemClock, say: Say, key: Path) -> None:
        self._safe, self._desk, self._store, self._clock = safe, desk, store, clock
        self._say, self._key = say, key
        self._try_s = float("-inf")
        self._due: Digest | None = None
        self.failures: list[Failure] = []

    def advance(self, manifest: SiteManifest, *, online: bool, on_bytes: OnBytes) -> None:
        """After a round: go on with it, once the configuration was put back."""
        state, now_s, due = self._store.state, self._clock.monotonic(), manifest.restore
        if due != self._due:
            self._due, self._try_s, self.failures = due, now_s, []
        if due is None or due == state.videos_back or due != state.restored or not online or now_s < self._try_s:
            return
        try:
            self._put_back(due, manifest, on_bytes)
            self.failures = []
        except (NetworkTrouble, AccessDenied, Superseded) as problem:
            log.info("%s", problem)
        except AgentError as problem:
            self._try_s = now_s + AGAIN_S
            self.failures = [Failure(reason=problem.reason, message=str(problem))]

    def _put_back(self, due: Digest, manifest: SiteManifest, on_bytes: OnBytes) -> None:
        index = read_restore(self._key, self._desk.blob(due, MAX_BACKUP_BYTES)).videos
        if index is not None:
            self._begin(index)
            self._put_all_back(index, {file.path for file in manifest.content}, on_bytes)
        self._store.keep(replace(self._store.state, videos_back=due))
        self._safe.forget_partial()
        if index is not None and index.videos:
            self._say("info", "VideosPutBack", f"{len(index.videos)} of the club's videos were put back.")

    def _begin(self, index: VideoIndex) -> None:
        """From now on this box keeps them by the same key, so that none is uploaded again."""
        vault = self._store.state.vault
        if vault is None or vault.identity != index.identity:
            self._store.keep(replace(self._store.state, vault=Vault(identity=index.identity)))

    def _put_all_back(self, index: VideoIndex, wanted: set[str], on_bytes: OnBytes) -> None:
        """Every one that can be; the first problem when all were tried."""
        problems: list[AgentError] = []
        for video in index.videos:
            state = self._store.state
            known = state.vault.kept if state.vault is not None else {}
            if video.path in known or video.path in wanted or video.path in state.ledger or not is_safe(video.path):
                continue
            try:
                self._put_one_back(video, index.identity, on_bytes)
            except (NetworkTrouble, Superseded):
                raise
            except AgentError as problem:
                problems.append(problem)
        if problems and isinstance(problems[0], DiskFull | DiskFault):
            raise problems[0]
        if problems:
            raise BackupUnreadable(f"cannot put back {len(problems)} of the club's videos; the first: {problems[0]}")

    def _put_one_back(self, video: KeptVideo, identity: str, on_bytes: OnBytes) -> None:
        def fetch(draft: Draft) -> None:
            self._desk.download(video.blob, video.blob_bytes, draft, on_bytes)

        if self._safe.exists(video.path):
            kept = self._safe.recognise([video])
        else:
            kept = self._safe.put_back(video, identity, fetch, on_bytes)
        vault = self._store.state.vault
        if kept is not None and vault is not None:
            self._store.keep(replace(self._store.state, vault=keep(vault, kept)))
