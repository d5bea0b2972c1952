"""The club's videos, left for the box that comes after: each encrypted once, uploaded piece by piece, and told of.

    a file that is not kept as it is · encrypted into the private folder · remembered · uploaded from where the control
    plane has it · remembered as kept · the index told, so that the blob is named

A run that ends between any two of these goes on with the next: what was encrypted lies there whole, and what was
uploaded is not sent again. A round works on it for a minute at most, and makes way for news.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Literal, Protocol

import msgspec
from msgspec.structs import replace

from reconciler_agent import age_key
from reconciler_agent.core.trust import latest_instant
from reconciler_agent.core.vault import (
    Kept,
    Seen,
    Vault,
    alike,
    fitting,
    forget_gone,
    index_of,
    keep,
    next_path,
)
from reconciler_agent.download import OnBytes, Throttle
from reconciler_agent.errors import AgentError, NetworkTrouble, Superseded, UploadRefused
from reconciler_agent.observe import SystemClock
from reconciler_agent.resources.vault import Safe
from reconciler_agent.state import Store
from schemas.api import UploadState
from schemas.backup import KeptVideos
from schemas.manifest import SiteManifest
from schemas.names import Digest, digest_of
from schemas.status import Reason

LOOK_S: Final = 300.0
"""Between two looks for files that were added or changed, when all are kept."""
SLICE_S: Final = 60.0
"""How long a round works on it."""
REFUSED_S: Final = 3600.0
AGAIN: Final = timedelta(days=1)
PIECE_BYTES: Final = 512 << 10

Say = Callable[[Literal["info", "warning", "error"], Reason, str], None]

log = logging.getLogger("neopro-agent")


class Desk(Protocol):
    """Who keeps videos."""

    def video_state(self, blob: Digest) -> UploadState:
        """How much of an encrypted video is there."""

    def send_video(self, blob: Digest, offset_bytes: int, total_bytes: int, piece: bytes) -> UploadState:
        """Send a piece of it; how much is there then."""

    def tell_videos(self, kept: KeptVideos) -> None:
        """Say which are all that is kept; others of this site may be let go."""


class VideoBackup:
    """Leaves the videos of a box that is asked to."""

    def __init__(
        self, *, safe: Safe, desk: Desk, store: Store, clock: SystemClock, throttle: Throttle, say: Say
    ) -> None:
        self._safe, self._desk, self._store = safe, desk, store
        self._clock, self._throttle, self._say = clock, throttle, say
        self._look_s = float("-inf")
        self._sent = 0

    def finish(self, manifest: SiteManifest, *, online: bool, on_bytes: OnBytes) -> None:
        """After a round: go on with it, if the manifest asks for it and nothing is to be put back before."""
        wanted, now_s = manifest.backup, self._clock.monotonic()
        waits = manifest.restore not in (None, self._store.state.videos_back)
        if not online or waits or wanted is None or not wanted.videos or now_s < self._look_s:
            return
        try:
            if self._work(wanted.recipient, now_s + SLICE_S, on_bytes):
                self._look_s = now_s + LOOK_S
        except Superseded:
            return
        except NetworkTrouble as problem:
            log.info("%s", problem)
        except UploadRefused as problem:
            self._look_s = now_s + REFUSED_S
            self._say("warning", "VideosNotKept", str(problem)[:1000])
        except AgentError as problem:
            self._look_s = now_s + LOOK_S
            log.warning("%s", problem)

    def _work(self, recipient: str, deadline_s: float, on_bytes: OnBytes) -> bool:
        """Keep one after the other until the time is over; whether all are kept."""
        files = fitting(self._safe.look(frozenset(self._store.state.ledger)))
        self._hold(forget_gone(self._recognise(files), files))
        while self._clock.monotonic() < deadline_s:
            vault = self._vault()
            if vault.pending is not None:
                if not self._send(vault, vault.pending, deadline_s, on_bytes):
                    return False
                continue
            self._tell(vault, recipient)
            path = next_path(vault, files)
            if path is None:
                self._conclude(vault)
                return True
            if not self._take(path, files[path], recipient, on_bytes):
                del files[path]  # it is being written to: looked at again in a later round
        return False

    def _recognise(self, files: dict[str, Seen]) -> Vault:
        """Know a file again that was renamed or touched, before what it was called is forgotten."""
        vault = self._vault()
        for path, candidates in alike(vault, files).items():
            found = self._safe.recognise([replace(video, path=path) for video in candidates])
            if found is not None:
                vault = keep(vault, found)
        return vault

    def _take(self, path: str, seen: Seen, recipient: str, on_bytes: OnBytes) -> bool:
        """Encrypt a file; False where it would not stand still."""
        vault = self._vault()
        pending = self._safe.encrypt(path, seen, recipient, vault.identity, on_bytes)
        if pending is not None:
            self._hold(replace(vault, pending=pending))
        return pending is not None

    def _send(self, vault: Vault, pending: Kept, deadline_s: float, on_bytes: OnBytes) -> bool:
        """Upload what is encrypted, from where it ended; False when the time is over before."""
        video = pending.video
        try:
            at = self._desk.video_state(video.blob)
            if not at.complete and not self._safe.has_left(video):
                self._hold(replace(vault, pending=None))
                return True
            with self._safe.reading_left() as read:
                while not at.complete:
                    if self._clock.monotonic() >= deadline_s:
                        return False
                    piece = read(at.offset_bytes, PIECE_BYTES)
                    self._throttle.take(len(piece), on_bytes)
                    at = self._desk.send_video(video.blob, at.offset_bytes, video.blob_bytes, piece)
                    on_bytes(0)
        except UploadRefused:
            self._hold(replace(vault, pending=None))
            self._safe.drop_left()
            raise
        self._hold(replace(keep(vault, pending), pending=None))
        self._safe.drop_left()
        self._sent += 1
        return True

    def _tell(self, vault: Vault, recipient: str) -> None:
        """Tell the index if it is another than the last one, and once a day in case it was forgotten."""
        plain = msgspec.json.encode(index_of(vault))
        digest = digest_of(recipient.encode() + b"\n" + plain)
        now = latest_instant(self._store.state.trust, self._clock.now(), self._clock.synchronised())
        if digest == vault.told and vault.told_at is not None and now - vault.told_at < AGAIN:
            return
        blobs = sorted({one.video.blob for one in vault.kept.values()})
        try:
            self._desk.tell_videos(KeptVideos(index=age_key.encrypt(plain, recipient), blobs=blobs))
        except UploadRefused:
            if not self._forget_lost(vault):
                raise
        else:
            self._hold(replace(vault, told=digest, told_at=now))

    def _forget_lost(self, vault: Vault) -> bool:
        """Whether there were any that the control plane has not, which are then left anew."""
        kept = {path: one for path, one in vault.kept.items() if self._desk.video_state(one.video.blob).complete}
        self._hold(replace(vault, kept=kept))
        return len(kept) < len(vault.kept)

    def _conclude(self, vault: Vault) -> None:
        self._safe.drop_left()  # a run that was cut off may have left it
        if self._sent:
            self._say("info", "VideosKept", f"All {len(vault.kept)} of the club's videos are kept.")
            self._sent = 0

    def _vault(self) -> Vault:
        return self._store.state.vault or Vault(identity=age_key.new_identity())

    def _hold(self, vault: Vault) -> None:
        self._store.keep(replace(self._store.state, vault=vault))
