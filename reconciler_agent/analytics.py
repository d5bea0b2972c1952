"""What was played, drained from the box's application to the control plane: nothing lost, nothing counted twice.

    rename away what the application appended to · give it 300 ms to end a write · cut into batches, durably ·
    delete what was renamed · hand over each batch · delete it when it was acknowledged

A run that ends anywhere is taken up from what lies in the spool. What is then cut or sent again is the same again, and
counts once at the control plane. The application appends by reading, pushing and rewriting: what it rewrites after the
rename is the whole file once more, in a new one, and counts once as well.
"""

import logging
import os
import random
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Literal, Protocol

import zstandard

from reconciler_agent.core import analytics
from reconciler_agent.core.analytics import Ids
from reconciler_agent.core.clock import backoff_s
from reconciler_agent.durable import Disk
from reconciler_agent.errors import AccessDenied, AgentError, NetworkTrouble, UploadRefused
from reconciler_agent.state import sign
from schemas.analytics import Kind
from schemas.manifest import SiteManifest
from schemas.status import Reason

SOURCES: Final[dict[Kind, str]] = {
    "event": "data/analytics_buffer.json",
    "impression": "data/sponsor_impressions.json",
}
SPOOL: Final = "data/agent/spool"
QUARANTINE: Final = "data/agent/quarantine"
DRAIN_S: Final = 300.0
SETTLE_S: Final = 0.3
"""How long a write may take that the application began before its file was renamed."""
UNREADABLE_S: Final = 5.0
"""How long a file may be no JSON before it is given up."""
EMPTY_BYTES: Final = 4
"""A file of no more holds nothing: `[]`, or a write that has only begun."""
TAKEN_OFFLINE_BYTES: Final = 64 << 10
"""Offline the application's file is left to grow to this, lest the spool fills with small ones."""
MAX_FILE_BYTES: Final = 32 << 20
MAX_SENT: Final = 20
"""Batches in one round: news must not wait for a backlog of weeks."""
MAX_QUARANTINED: Final = 20
MAX_LEFT: Final = 500
"""Videos that left, still known by their names: those that left last."""
_NAME: Final = re.compile(r"(\d{8})-(event|impression)(?:-\d{3,})?\.(raw|batch|strange)")

Say = Callable[[Literal["info", "warning", "error"], Reason, str], None]

log = logging.getLogger("neopro-agent")


class Desk(Protocol):
    """Who takes what was played."""

    def analytics(self, packed: bytes) -> None:
        """Hand over a batch, as zstd; it was kept when this returns. UploadRefused: it never will be."""


class Clock(Protocol):
    """How time passes; seconds."""

    def monotonic(self) -> float:
        """Seconds since some point; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Spool:
    """What was taken and is not acknowledged yet, in `data/agent/spool` beneath the root of `disk`, oldest first."""

    def __init__(self, disk: Disk, clock: Clock, say: Say) -> None:
        self._disk = disk
        self._clock = clock
        self._say = say

    def take(self, kind: Kind, more_than_bytes: int) -> None:
        """Rename the application's file away, if it has grown beyond this; it begins another with the next entry."""
        found = self._disk.stat(SOURCES[kind])
        if found is None or not stat.S_ISREG(found.st_mode) or found.st_size <= more_than_bytes:
            return
        known = [_NAME.fullmatch(name) for folder in (SPOOL, QUARANTINE) for name in self._disk.names(folder)]
        serial = max((int(name[1]) for name in known if name), default=0) + 1
        self._disk.install(SOURCES[kind], f"{SPOOL}/{serial:08d}-{kind}.raw")

    def cut(self, ids: Mapping[str, Ids]) -> None:
        """Make batches of everything that was taken; then see that not too much waits."""
        taken = [(name, kind) for name, kind, ending in self._entries() if ending == "raw"]
        if not taken:
            return
        self._clock.sleep(SETTLE_S)
        for name, kind in taken:
            with _alone(name):
                self._cut_one(name, kind, ids)
        with _alone(SPOOL):
            self._bound()

    def batches(self) -> list[str]:
        """The names of the batches that wait."""
        return [name for name, _, ending in self._entries() if ending == "batch"]

    def read(self, name: str) -> bytes | None:
        """What lies under this name; None when nothing does, or nothing that can be read whole."""
        found = self._disk.stat(f"{SPOOL}/{name}")
        if found is None or not stat.S_ISREG(found.st_mode) or found.st_size > MAX_FILE_BYTES:
            return None
        return self._disk.read(f"{SPOOL}/{name}", MAX_FILE_BYTES)

    def remove(self, name: str) -> None:
        """Forget what was acknowledged."""
        self._disk.remove(f"{SPOOL}/{name}")

    def give_up(self, name: str, why: str) -> None:
        """Put a file where a person may look at it, and say so."""
        self._disk.install(f"{SPOOL}/{name}", f"{QUARANTINE}/{name}")
        self._bound_quarantine()
        self._say("warning", "AnalyticsUnreadable", f"{name} was put into {QUARANTINE}: {why}.")

    def _entries(self) -> list[tuple[str, Kind, str]]:
        """Name, kind and ending of each file."""
        found = [_NAME.fullmatch(name) for name in self._disk.names(SPOOL)]
        return [(name[0], "event" if name[2] == "event" else "impression", name[3]) for name in found if name]

    def _cut_one(self, name: str, kind: Kind, ids: Mapping[str, Ids]) -> None:
        """Read again while it is being written; given up when it stays unreadable."""
        path, until_s = f"{SPOOL}/{name}", self._clock.monotonic() + UNREADABLE_S
        while (before := self._disk.stat(path)) is not None:
            data = self.read(name)
            cut = None if data is None else analytics.read(kind, data, ids)
            late = data is None or self._clock.monotonic() >= until_s
            if cut is None and late:
                self.give_up(name, "it is no JSON array of a usable size")
                return
            if cut is not None and self._keep(name, cut, before, late):
                return
            self._clock.sleep(SETTLE_S)

    def _keep(self, name: str, cut: analytics.Cut, before: os.stat_result, late: bool) -> bool:
        """Write the batches, and forget what they were cut from if nobody wrote it meanwhile."""
        stem = name.removesuffix(".raw")
        for number, batch in enumerate(cut.batches):
            self._disk.write_file(f"{SPOOL}/{stem}-{number:03d}.batch", batch, 0o600)
        now = self._disk.stat(f"{SPOOL}/{name}")
        if now is not None and sign(now) != sign(before) and not late:
            return False
        if cut.strange:
            self._disk.write_file(f"{QUARANTINE}/{stem}.strange", b"[" + b",".join(cut.strange) + b"]", 0o600)
            self._bound_quarantine()
        self._disk.remove(f"{SPOOL}/{name}")
        if cut.strange:
            many = f"{len(cut.strange)} entries of {name} are none that we know"
            self._say("warning", "AnalyticsUnreadable", f"{many}; they were put into {QUARANTINE}.")
        return True

    def _bound(self) -> None:
        """Let go of what is too much, and say how much it was."""
        found = [(name, self._disk.stat(f"{SPOOL}/{name}")) for name in self.batches()]
        dropped = analytics.surplus([(name, size.st_size) for name, size in found if size is not None])
        if not dropped:
            return
        many = sum(analytics.count(self.read(name) or b"") for name in dropped)
        for name in dropped:
            self._disk.remove(f"{SPOOL}/{name}")
        what = f"{many} events and impressions in {len(dropped)} batches were dropped, from {dropped[0]} on"
        self._say("error", "AnalyticsDropped", f"{what}: too many waited for the control plane.")

    def _bound_quarantine(self) -> None:
        for name in self._disk.names(QUARANTINE)[:-MAX_QUARANTINED]:
            self._disk.remove(f"{QUARANTINE}/{name}")


class Analytics:
    """Drains into the spool and hands it over; `allowed`: the box's own settings have it done."""

    def __init__(self, *, spool: Spool, desk: Desk, clock: Clock, allowed: bool) -> None:
        self._spool = spool
        self._desk = desk
        self._clock = clock
        self._allowed = allowed
        self._manifest: SiteManifest | None = None
        self._ids: dict[str, Ids] = {}
        self._drain_s = self._send_s = float("-inf")
        self._failures = 0

    def drain(self, manifest: SiteManifest, *, online: bool) -> None:
        """Take, cut and hand over what is due; what keeps us from it is logged, and tried again."""
        self._learn(manifest)
        now_s = self._clock.monotonic()
        if not self._allowed or now_s < self._drain_s:
            return
        self._drain_s = now_s + DRAIN_S
        for kind in SOURCES:
            with _alone(SOURCES[kind]):
                self._spool.take(kind, EMPTY_BYTES if online else TAKEN_OFFLINE_BYTES)
        with _alone(SPOOL):
            self._spool.cut(self._ids)
        if online and now_s >= self._send_s:
            with _alone(SPOOL):
                self._send(now_s)

    def _learn(self, manifest: SiteManifest) -> None:
        """What was played just before a video left is still known by its name."""
        if manifest is not self._manifest:
            ids = analytics.ids_of(manifest)
            left = [(name, known) for name, known in self._ids.items() if name not in ids]
            self._ids = dict(left[-MAX_LEFT:]) | ids
            self._manifest = manifest

    def _send(self, now_s: float) -> None:
        waiting = self._spool.batches()
        for name in waiting[:MAX_SENT]:
            try:
                self._send_one(name)
            except (NetworkTrouble, AccessDenied) as problem:
                log.info("%s", problem)
                self._failures += 1
                asked_s = problem.retry_after_s if isinstance(problem, NetworkTrouble) else None
                patience_s = backoff_s(self._failures, DRAIN_S, random.random(), asked_s)  # noqa: S311 (guards nothing)
                self._send_s = now_s + patience_s
                return
            self._failures = 0
        if len(waiting) > MAX_SENT:
            self._drain_s = now_s

    def _send_one(self, name: str) -> None:
        body = self._spool.read(name)
        if body is None:
            self._spool.give_up(name, "it is no file of a usable size")
            return
        try:
            self._desk.analytics(zstandard.ZstdCompressor(level=9).compress(body))
        except UploadRefused as problem:
            self._spool.give_up(name, str(problem))
            return
        self._spool.remove(name)


@contextmanager
def _alone(what: str) -> Iterator[None]:
    """A step that may fail alone: what it is about is left as it is, for the next time."""
    try:
        yield
    except AgentError as problem:
        log.warning("analytics: %s: %s", what, problem)
