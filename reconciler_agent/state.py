"""The few facts that cannot be observed, in two alternating copies with checksums; and the listings of releases.

A copy is written whole, by the disk protocol, over the older of the two: any one file may be lost (0 bytes, NULs,
garbage) and the other is used. After a change has come to rest both copies hold it (`settle`), so that losing one loses
nothing. When both are lost, the box starts again from the trust root that it was provisioned with, and says so.
"""

import hashlib
import os
import stat
from collections.abc import Set
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from reconciler_agent.core.agent_update import Updates
from reconciler_agent.core.attempt import Releases
from reconciler_agent.core.hotspot import Tried
from reconciler_agent.core.operations import Entry
from reconciler_agent.core.report import Told
from reconciler_agent.core.tolerant import read_tolerantly
from reconciler_agent.core.trust import TimeFloor, TrustState
from reconciler_agent.core.vault import Vault
from reconciler_agent.durable import Disk
from reconciler_agent.errors import DiskFault
from schemas.manifest import FileTree, Generation, Instant
from schemas.names import Digest, DocumentId, digest_of
from schemas.status import Event, Transition

MAX_STATE_BYTES: Final = 16 << 20
MAX_LISTING_BYTES: Final = 16 << 20
MAX_TEXT_BYTES: Final = 4 << 20
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAGIC: Final = b"neopro-agent-state 1 "
COPIES: Final = ("state-a", "state-b")


class Signature(NamedTuple):
    """What `stat` says of a file; changed by every write, also by one that sets the times back (ctime)."""

    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


def sign(found: os.stat_result) -> Signature:
    """The Signature of what `stat` found."""
    return Signature(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class Installed(Struct, frozen=True, kw_only=True):
    """A file under `videos/` that the agent put there, or is about to put there.

    Without `signature` its digest is to be checked before it is believed. `unneeded_at`: since when nothing wants it.
    """

    digest: Digest
    signature: Signature | None = None
    unneeded_at: Instant | None = None


class Mirrored(Struct, frozen=True, kw_only=True):
    """The last mirror of what the club owns that was left at the control plane, and when by the time floor."""

    digest: Digest
    at: Instant


class State(Struct, frozen=True, kw_only=True):
    """Everything that a restart must know. Changed only by replacing it; see `Store.keep`.

    `body`: the bytes of the newest accepted manifest. `committed`: the generation that was converged on, whole.
    `upkept_at`: when (by the time floor) the hourly upkeep was done, `deep`: at which hour of its week the check of
    digests stands. `restart`: units that still run what was repaired. `wanted`: since when
    (by the time floor) each change that may wait for a window has been wanted. `operations`: what became of each.
    `restored`: the backup that was put back; `backed_up`: what the last backup that was left held.
    """

    trust: TrustState
    body: bytes | None = None
    committed: Generation | None = None
    releases: Releases = Releases()
    ledger: dict[str, Installed] = {}
    events: list[Event] = []
    last_event: int = 0
    transitions: list[Transition] = []
    told: Told = Told()
    upkept_at: Instant | None = None
    deep: int = 0
    restart: tuple[str, ...] = ()
    unseen: bool = False
    wanted: dict[str, Instant] = {}
    operations: dict[DocumentId, Entry] = {}
    restored: Digest | None = None
    backed_up: Digest | None = None
    agent: Updates = Updates()
    mirrored: Mirrored | None = None
    vault: Vault | None = None
    videos_back: Digest | None = None
    hotspot: Tried | None = None


class Loaded(Struct, frozen=True, kw_only=True):
    """What was found at start. `state`: None when there was none, or none that is whole; `damaged`: what is not.

    `left_out`: fields that a newer agent wrote and that this one cannot read, or not all of them.
    """

    state: State | None
    damaged: tuple[str, ...]
    left_out: tuple[str, ...] = ()


class Store:
    """The agent's own folder (0700), written beneath `disk`; `state` is what is held, written or not."""

    state: State

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._serial = 0
        self._bodies: dict[str, bytes] = {}
        self._written: State | None = None

    def load(self) -> Loaded:
        """The newest whole copy. A copy that is missing beside a whole one is no damage before the first `settle`."""
        damaged = []
        found: list[tuple[int, str, bytes]] = []
        for name in COPIES:
            data = self._read(name, MAX_STATE_BYTES)
            opened = None if data is None else _open(data)
            if opened is not None:
                found.append((opened[0], name, opened[1]))
            elif data is not None:
                damaged.append(name)
        for serial, name, body in sorted(found, reverse=True):
            state, left_out = read_tolerantly(body, State)  # whole, and maybe of a newer agent
            if state is None:
                damaged.append(name)
                continue
            self._serial, self.state = serial, state
            self._written = state if self._disk.settled and not left_out else None
            self._bodies = {kept: bytes_ for _, kept, bytes_ in found if kept not in damaged}
            return Loaded(state=state, damaged=tuple(damaged), left_out=left_out)
        return Loaded(state=None, damaged=tuple(damaged))

    @property
    def kept(self) -> State | None:
        """What is on disk, which may be less than is held: a write may have failed. Only this may be told as a fact."""
        return self._written

    @property
    def saved_at(self) -> datetime | None:
        """The time floor that is on disk."""
        return self._written.trust.time_floor_at if self._written is not None else None

    def hold(self, state: State) -> None:
        """Go on with `state`; it is written with the next change that is kept, or lost."""
        self.state = state

    def keep(self, state: State) -> None:
        """Go on with `state`, written durably before this returns; nothing is written when only time has passed."""
        self.state = state
        if self._written is None or _without_time(state) != _without_time(self._written):
            self.checkpoint()

    def checkpoint(self) -> None:
        """Write what is held, the time floor included."""
        self._write(msgspec.json.encode(self.state, order="deterministic"))
        self._written = self.state

    def settle(self) -> None:
        """Bring the older copy up to date; nothing is written when it is."""
        self._disk.settle()
        newest = self._bodies.get(self._name(self._serial))
        if newest is not None and self._bodies.get(self._name(self._serial + 1)) != newest:
            self._write(newest)

    def keep_listing(self, body: bytes) -> None:
        """Keep a release's listing under its digest."""
        path = f"listings/{digest_of(body).partition(':')[2]}"
        if self._read(path, MAX_LISTING_BYTES) != body:
            self._put(path, body)

    def listing(self, digest: Digest) -> FileTree | None:
        """A kept listing, checked again; None when there is none, or its bytes are not those any more."""
        body = self._read(f"listings/{digest.partition(':')[2]}", MAX_LISTING_BYTES)
        if body is None or digest_of(body) != digest:
            return None
        return msgspec.json.decode(body, type=FileTree)

    def listings(self) -> list[Digest]:
        """The digests of all kept listings."""
        return ["sha256:" + name for name in self._disk.names("listings") if len(name) == 64]

    def drop_listing(self, digest: Digest) -> None:
        """Forget a listing and what was known of its files."""
        self._disk.remove(f"listings/{digest.partition(':')[2]}")
        self._disk.remove(f"signatures/{digest.partition(':')[2]}")

    def keep_signatures(self, digest: Digest, signatures: list[Signature]) -> None:
        """Keep what `stat` said of a tree's files, in the order of its listing, when their digests were checked."""
        self._put(f"signatures/{digest.partition(':')[2]}", _close(0, msgspec.json.encode(signatures)))

    def signatures(self, digest: Digest) -> list[Signature] | None:
        """What was kept of a tree; None: check every file again."""
        data = self._read(f"signatures/{digest.partition(':')[2]}", MAX_LISTING_BYTES)
        opened = None if data is None else _open(data)
        try:
            return None if opened is None else msgspec.json.decode(opened[1], type=list[Signature])
        except msgspec.DecodeError:  # whole, but of an agent that writes it otherwise
            return None

    def keep_history(self, body: bytes) -> None:
        """Keep what was measured and not taken yet."""
        self._put("history", _close(0, body))

    def history(self) -> bytes | None:
        """What was kept of measurements; None: nothing was; empty: it is damaged."""
        data = self._read("history", MAX_STATE_BYTES)
        opened = None if data is None else _open(data)
        return None if data is None else b"" if opened is None else opened[1]

    def drop_history(self) -> None:
        """Forget what was measured."""
        self._disk.remove("history")

    def keep_text(self, operation: DocumentId, packed: bytes) -> None:
        """Keep what an operation fetched until it is handed over."""
        self._put(f"texts/{operation}", packed)

    def text(self, operation: DocumentId) -> bytes | None:
        """What is kept of an operation, or None."""
        return self._read(f"texts/{operation}", MAX_TEXT_BYTES) or None

    def drop_texts(self, kept: Set[DocumentId]) -> None:
        """Forget every text but these."""
        for name in self._disk.names("texts"):
            if name not in kept:
                self._disk.remove(f"texts/{name}")

    def _read(self, path: str, max_bytes: int) -> bytes | None:
        """A file's bytes; one that cannot be read counts as damaged: its twin is used, or it is made anew."""
        try:
            return self._disk.read(path, max_bytes)
        except DiskFault:
            return b""

    def _put(self, path: str, data: bytes) -> None:
        """Write a file; a folder in its place, which no rename would replace, is taken away before."""
        found = self._disk.stat(path)
        if found is not None and stat.S_ISDIR(found.st_mode):
            self._disk.remove(path)
        self._disk.write_file(path, data, 0o600)

    def _write(self, body: bytes) -> None:
        name = self._name(self._serial + 1)
        self._put(name, _close(self._serial + 1, body))
        self._serial += 1
        self._bodies[name] = body

    def _name(self, serial: int) -> str:
        return COPIES[serial % 2]


def _without_time(state: State) -> State:
    return replace(state, trust=replace(state.trust, floor=TimeFloor(own_at=_NEVER)), upkept_at=None, deep=0)


def _close(serial: int, body: bytes) -> bytes:
    return _MAGIC + b"%d %s\n" % (serial, _checksum(serial, body)) + body


def _open(data: bytes) -> tuple[int, bytes] | None:
    """Serial and body of a copy that is whole, else None."""
    header, _, body = data.partition(b"\n")
    words = header.removeprefix(_MAGIC).split(b" ")
    if not header.startswith(_MAGIC) or len(words) != 2 or not words[0].isdigit():
        return None
    serial = int(words[0])
    return (serial, body) if words[1] == _checksum(serial, body) else None


def _checksum(serial: int, body: bytes) -> bytes:
    return hashlib.sha256(b"%d\n%b" % (serial, body)).hexdigest().encode()
