"""USB sticks as another way for news and files to come: for a box without a network, or with a slow one.

    the network first, then a stick        heads, trust roots, release lists
    a stick first, then the network        blobs: their digest decides, and bytes from a stick cost the club nothing

What comes from a stick goes through the same verification as what comes over the network. A stick is somebody else's
disk: it is read through a handle that follows no link, regular files alone, within the limits of each document, and
never written. Nothing on it is held open between two calls, so that it can be pulled.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from reconciler_agent.client import HeadAnswer
from reconciler_agent.core.trust import Claims, claims
from reconciler_agent.download import Sink
from reconciler_agent.draft import CHUNK_BYTES, Draft
from reconciler_agent.durable import Disk
from reconciler_agent.errors import DiskFault, NetworkTrouble, SettingsInvalid, TrustRefused
from reconciler_agent.system_calls import faults
from schemas.names import Digest, SiteId, digest_of
from schemas.stick import FOLDER, blob_path, head_path, list_path, root_path
from schemas.trust import MAX_DOCUMENT_BYTES, MAX_HEAD_BYTES

DEPTHS: Final = (FOLDER, f"*/{FOLDER}", f"*/*/{FOLDER}")
MOST: Final = 8
"""Of sticks that are looked at."""


class Sticks:
    """What lies on the sticks of `find`, folders as `neopro usb` makes them; the first that has a thing gives it.

    `chosen`: a person named them, so that an old head is to be refused with its reason.
    """

    def __init__(self, find: Callable[[], Iterable[Path]], site: SiteId, *, chosen: bool = False) -> None:
        self.chosen = chosen
        self._find = find
        self._site = site

    def heads(self) -> list[bytes]:
        """The site's head of each stick, not verified."""
        return list(self._each(head_path(self._site), MAX_HEAD_BYTES))

    def trust(self, version: int) -> bytes | None:
        """A trust root, not verified."""
        return next(self._each(root_path(version), MAX_DOCUMENT_BYTES), None)

    def release_list(self, version: int) -> bytes | None:
        """A release list, not verified."""
        return next(self._each(list_path(version), MAX_DOCUMENT_BYTES), None)

    def blob(self, digest: Digest, max_bytes: int) -> bytes | None:
        """A small blob with this digest; other bytes in its place are passed over."""
        return next((data for data in self._each(blob_path(digest), max_bytes) if digest_of(data) == digest), None)

    def bring(self, digest: Digest, size_bytes: int, sink: Sink, on_bytes: Callable[[int], None] | None) -> bool:
        """Bring `sink` from what it has to the whole blob; whether a stick had it. What is wrong is forgotten."""
        for disk in self._open():
            try:
                found = disk.stat(blob_path(digest))
                if found is None or found.st_size != size_bytes:
                    continue
                _append(disk, blob_path(digest), size_bytes, sink, on_bytes)
            except DiskFault:
                continue  # pulled, or failing: what came is kept, and another one may have the rest
            if sink.digest() == digest:
                return True
            sink.restart()
        return False

    def _each(self, path: str, max_bytes: int) -> Iterator[bytes]:
        for disk in self._open():
            try:
                data = disk.read(path, max_bytes)
            except DiskFault:  # not a file, too large, unreadable: as if it were not there
                continue
            if data is not None:
                yield data

    def _open(self) -> Iterator[Disk]:
        for folder in self._folders():
            with _opened(folder) as disk:
                if disk is not None:
                    yield disk

    def _folders(self) -> Sequence[Path]:
        try:
            return [folder for _, folder in zip(range(MOST), self._find(), strict=False)]
        except OSError:
            return []


class SticksAlone:
    """Where files come from while there is no network."""

    def __init__(self, sticks: Sticks) -> None:
        self._sticks = sticks

    def blob(self, digest: Digest, max_bytes: int) -> bytes:
        """A small blob, checked against its digest; NetworkTrouble where no stick has it."""
        found = self._sticks.blob(digest, max_bytes)
        if found is None:
            raise _on_no_stick(digest)
        return found

    def download(
        self, digest: Digest, size_bytes: int, sink: Draft, on_bytes: Callable[[int], None] | None = None
    ) -> None:
        """Bring `sink` from what it has to the whole blob; NetworkTrouble where no stick has it."""
        if not self._sticks.bring(digest, size_bytes, sink, on_bytes):
            raise _on_no_stick(digest)


def _on_no_stick(digest: Digest) -> NetworkTrouble:
    return NetworkTrouble(f"cannot fetch {digest[:19]}…: there is no network, and it is on no stick")


@contextmanager
def _opened(folder: Path) -> Iterator[Disk | None]:
    """The folder of a stick; None where it cannot be opened, or is a link."""
    try:
        disk = Disk(folder, "", "") if not folder.is_symlink() else None
    except (DiskFault, OSError):
        disk = None
    try:
        yield disk
    finally:
        if disk is not None:
            disk.close()


def _append(disk: Disk, path: str, size_bytes: int, sink: Sink, on_bytes: Callable[[int], None] | None) -> None:
    """What `sink` lacks of a file; DiskFault when it cannot be read to its end."""
    if sink.size_bytes > size_bytes:
        sink.restart()
    with faults("read", path), disk.reading(path) as handle:
        while sink.size_bytes < size_bytes:
            chunk = os.pread(handle, min(CHUNK_BYTES, size_bytes - sink.size_bytes), sink.size_bytes)
            if not chunk:
                return
            sink.write(chunk)
            if on_bytes is not None:
                on_bytes(len(chunk))


def named(folder: Path, site: SiteId) -> Path:
    """The stick that a technician named, by where it is mounted; SettingsInvalid when it has nothing for this site."""
    inner = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    if not (inner / head_path(site)).is_file():
        raise SettingsInvalid(f"cannot use {folder}: it has no news for {site}; `neopro usb FOLDER {site}` brings them")
    return inner


def mounted(places: Sequence[str]) -> Iterable[Path]:
    """The folders of sticks that are mounted beneath these places."""
    for place in places:
        for depth in DEPTHS:
            yield from sorted(Path(place).glob(depth))


class Network(Protocol):
    """The control plane over the network, as far as sticks stand in for it."""

    def head(self, etag: str = "", wait_s: float = 0.0) -> HeadAnswer | None:
        """The newest head, or None while it has this tag."""

    def trust(self, version: int) -> bytes | None:
        """The trust root of that version, or None."""

    def release_list(self, version: int) -> bytes | None:
        """The release list of that version, or None."""

    def blob(self, digest: Digest, max_bytes: int) -> bytes:
        """A small blob, checked against its digest."""

    def download(
        self, digest: Digest, size_bytes: int, sink: Draft, on_bytes: Callable[[int], None] | None = None
    ) -> None:
        """Bring `sink` from what it has to the whole blob."""


class Supplies:
    """Where news and files come from: the network and the sticks, as one.

    `is_old`: whether a head on a stick is passed over: that is no attack but an old stick. Whatever else is wrong with
    a head, its verification says. `trouble`: what kept the network from answering last.
    """

    trouble: NetworkTrouble | None = None

    def __init__(self, network: Network, sticks: Sticks, is_old: Callable[[Claims], bool]) -> None:
        self._network = network
        self._sticks = sticks
        self._is_old = is_old
        self._alone = SticksAlone(sticks)
        self._given: set[Digest] = set()

    def head(self, etag: str = "", wait_s: float = 0.0) -> HeadAnswer | None:
        """The newest head, or None while it has this tag; from a stick, each one once, where there is no network."""
        self.trouble = None
        try:
            return self._network.head(etag, wait_s)
        except NetworkTrouble as problem:
            self.trouble = problem
            found = next(filter(self._is_news, self._sticks.heads()), None)
            if found is None:
                raise
            self._given.add(digest_of(found))
            return HeadAnswer(found, "")

    def trust(self, version: int) -> bytes | None:
        """The trust root of that version, or None."""
        return self._either(lambda: self._network.trust(version), lambda: self._sticks.trust(version))

    def release_list(self, version: int) -> bytes | None:
        """The release list of that version, or None."""
        return self._either(lambda: self._network.release_list(version), lambda: self._sticks.release_list(version))

    def blob(self, digest: Digest, max_bytes: int) -> bytes:
        """A small blob, checked against its digest."""
        found = self._sticks.blob(digest, max_bytes)
        return self._network.blob(digest, max_bytes) if found is None else found

    def download(
        self, digest: Digest, size_bytes: int, sink: Draft, on_bytes: Callable[[int], None] | None = None
    ) -> None:
        """Bring `sink` from what it has to the whole blob."""
        if not self._sticks.bring(digest, size_bytes, sink, on_bytes):
            self._network.download(digest, size_bytes, sink, on_bytes)

    def reached(self, *, online: bool) -> "Supplies | SticksAlone":
        """What can be asked for files without waiting for a network that is not there."""
        return self if online else self._alone

    def _is_news(self, envelope: bytes) -> bool:
        if digest_of(envelope) in self._given:
            return False
        try:
            return self._sticks.chosen or not self._is_old(claims(envelope))
        except TrustRefused:  # the stick was pulled while it was written, or is failing
            return False

    @staticmethod
    def _either(network: Callable[[], bytes | None], stick: Callable[[], bytes | None]) -> bytes | None:
        """From the network; where there is none from a stick; NetworkTrouble where neither has it."""
        try:
            return network()
        except NetworkTrouble:
            found = stick()
            if found is None:
                raise
            return found
