"""The club's videos of the box before this one, put back: each once, none over what is there by now.

The configuration comes first: the club can play what is there already while the rest comes down the line. Without a
network they come from a stick; what it lacks, another one or the network brings.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, NamedTuple

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
from reconciler_agent.resources.content import Source
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


class _Way(NamedTuple):
    """How they come, in a round."""

    source: Source
    online: bool
    on_bytes: OnBytes


class VideoReturn:
    """Puts back what the manifest's `restore` names; `key` is the file of the box's age key."""

    def __init__(self, *, safe: Safe, store: Store, clock: SystemClock, say: Say, key: Path) -> None:
        self._safe, self._store, self._clock = safe, store, clock
        self._say, self._key = say, key
        self._try_s = float("-inf")
        self._due: Digest | None = None
        self.failures: list[Failure] = []

    def advance(self, manifest: SiteManifest, source: Source, *, online: bool, on_bytes: OnBytes) -> None:
        """After a round: go on with it, once the configuration was put back. Unless `online`, `source` is sticks."""
        state, now_s, due = self._store.state, self._clock.monotonic(), manifest.restore
        if due != self._due:
            self._due, self._try_s, self.failures = due, now_s, []
        if due is None or due == state.videos_back or due != state.restored or now_s < self._try_s:
            return
        try:
            self._put_back(due, manifest, _Way(source, online, on_bytes))
            self.failures = []
        except (NetworkTrouble, AccessDenied, Superseded) as problem:
            log.info("%s", problem)
        except AgentError as problem:
            self._try_s = now_s + AGAIN_S
            self.failures = [Failure(reason=problem.reason, message=str(problem))]

    def _put_back(self, due: Digest, manifest: SiteManifest, way: _Way) -> None:
        index = read_restore(self._key, way.source.blob(due, MAX_BACKUP_BYTES)).videos
        if index is not None:
            self._begin(index)
            self._put_all_back(index, {file.path for file in manifest.content}, way)
        self._store.keep(replace(self._store.state, videos_back=due))
        self._safe.forget_partial()
        if index is not None and index.videos:
            self._say("info", "VideosPutBack", f"{len(index.videos)} of the club's videos were put back.")

    def _begin(self, index: VideoIndex) -> None:
        """From now on this box keeps them by the same key, so that none is uploaded again."""
        vault = self._store.state.vault
        if vault is None or vault.identity != index.identity:
            self._store.keep(replace(self._store.state, vault=Vault(identity=index.identity)))

    def _put_all_back(self, index: VideoIndex, wanted: set[str], way: _Way) -> None:
        """Every one that can be; the first problem when all were tried. NetworkTrouble: the rest comes later."""
        problems: list[AgentError] = []
        lacking: NetworkTrouble | None = None
        for video in index.videos:
            state = self._store.state
            known = state.vault.kept if state.vault is not None else {}
            if video.path in known or video.path in wanted or video.path in state.ledger or not is_safe(video.path):
                continue
            try:
                self._put_one_back(video, index.identity, way)
            except NetworkTrouble as problem:
                if way.online:
                    raise
                lacking = problem  # of this one alone: the stick may have the next
            except Superseded:
                raise
            except AgentError as problem:
                problems.append(problem)
        if problems and isinstance(problems[0], DiskFull | DiskFault):
            raise problems[0]
        if problems:
            raise BackupUnreadable(f"cannot put back {len(problems)} of the club's videos; the first: {problems[0]}")
        if lacking is not None:
            raise lacking

    def _put_one_back(self, video: KeptVideo, identity: str, way: _Way) -> None:
        def fetch(draft: Draft) -> None:
            way.source.download(video.blob, video.blob_bytes, draft, way.on_bytes)

        if self._safe.exists(video.path):
            kept = self._safe.recognise([video])
        else:
            kept = self._safe.put_back(video, identity, fetch, way.on_bytes)
        vault = self._store.state.vault
        if kept is not None and vault is not None:
            self._store.keep(replace(self._store.state, vault=keep(vault, kept)))
