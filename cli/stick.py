"""A USB stick for boxes without a network: what the control plane would give them, as files (`schemas.stick`).

Blobs come first and each is whole before it has its name; the head, which leads to them, comes last. So a stick that
was pulled too early still holds what it held before, and the next call brings what is missing.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import zstandard

from cli.errors import CommandFailed
from cli.output import Advance, Output
from cli.remote import Remote
from cli.words import count, size
from control_plane.core.live import named_by_manifest
from schemas.api import KeptBlob
from schemas.dsse import Refused, decode_base64, open_envelope, strict_json
from schemas.manifest import FileTree, SiteHead, SiteManifest
from schemas.names import Digest, SiteId
from schemas.stick import FOLDER, blob_path, head_path, kept_path, list_path, root_path
from schemas.trust import MAX_HEAD_BYTES

BATCH: Final = 16
"""Blobs that are downloaded before they get their names: at most so many are lost when it is interrupted."""
FAT_BYTES: Final = 4 << 30
"""A file of so many bytes is too large for FAT."""
MAX_INDEX_BYTES: Final = 16 << 20
PART: Final = ".part"
Sizes = Mapping[Digest, int | None]
"""Blobs with their sizes; None where a size is told nowhere."""


class Written(NamedTuple):
    """What was brought for a site."""

    site: SiteId
    head: SiteHead
    files: int
    size_bytes: int
    club_videos: int
    """Of the dead box, encrypted, that the site's new one puts back."""


class Stick:
    """The folder of ours on a stick that is mounted at `top`."""

    def __init__(self, top: Path) -> None:
        if not top.is_dir():
            raise CommandFailed(f"cannot find a stick at {top}: there is no such folder; where is it mounted?")
        self.folder = top / FOLDER

    def sites(self) -> list[SiteId]:
        """The sites that it has a head for."""
        return sorted(path.stem for path in (self.folder / "heads").glob("*.json"))

    def head(self, site: SiteId) -> SiteHead:
        """The head of a site, not verified; CommandFailed when it is none."""
        return read_head((self.folder / head_path(site)).read_bytes(), f"the head of {site} on the stick")

    def blobs(self) -> list[Digest]:
        """Every blob that is there."""
        return sorted("sha256:" + path.name for path in (self.folder / "blobs").glob("*/*") if len(path.name) == 64)

    def lacks(self, wanted: Sizes) -> dict[Digest, int | None]:
        """Those of the blobs that are not there, or not as large as they are to be."""
        return {digest: known for digest, known in wanted.items() if not self._has(digest, known)}

    def is_sound(self, digest: Digest) -> bool:
        """Whether a blob's bytes are right."""
        with (self.folder / blob_path(digest)).open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest() == digest

    def read(self, digest: Digest) -> bytes:
        """A small blob."""
        return (self.folder / blob_path(digest)).read_bytes()

    def kept(self, site: SiteId) -> dict[Digest, int | None]:
        """The encrypted videos of the club that a site's replaced box needs; OSError or DecodeError when unreadable."""
        path = self.folder / kept_path(site)
        kept = msgspec.json.decode(path.read_bytes(), type=list[KeptBlob]) if path.exists() else []
        return {one.digest: one.size_bytes for one in kept}

    def put(self, path: str, data: bytes) -> None:
        """A document under its name, whole."""
        target = self.folder / path
        if target.is_file() and target.read_bytes() == data:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + PART)
        part.write_bytes(data)
        _settle(part, target)

    def fetch(self, remote: Remote, digests: Iterable[Digest], advance: Advance) -> int:
        """Bring these blobs; how many bytes they have."""
        targets = {digest: self.folder / blob_path(digest) for digest in digests}
        for target in targets.values():
            target.parent.mkdir(parents=True, exist_ok=True)
        parts = {digest: target.with_name(target.name + PART) for digest, target in targets.items()}
        remote.download_all(parts, advance)
        size_bytes = sum(part.stat().st_size for part in parts.values())
        for digest, part in parts.items():
            _settle(part, targets[digest])
        return size_bytes

    def require_takes(self, size_bytes: int) -> None:
        """CommandFailed where the stick's file system cannot have a file of this size, however much is free: FAT."""
        probe = self.folder / ("probe" + PART)
        try:
            with probe.open("wb") as file:
                file.truncate(size_bytes)
        except OSError as problem:
            if problem.errno != errno.EFBIG:
                raise
            raise CommandFailed(
                f"cannot bring a file of {size(size_bytes)} to the stick: its file system takes none that large "
                "(FAT: none of 4 GiB); format it as exFAT or ext4"
            ) from None
        finally:
            probe.unlink(missing_ok=True)

    def drop(self, digest: Digest) -> int:
        """Delete a blob; its size."""
        path = self.folder / blob_path(digest)
        size_bytes = path.stat().st_size
        path.unlink()
        return size_bytes

    def _has(self, digest: Digest, size_bytes: int | None) -> bool:
        path = self.folder / blob_path(digest)
        return path.is_file() and (size_bytes is None or path.stat().st_size == size_bytes)


def write(stick: Stick, remote: Remote, site: SiteId, output: Output, *, club_videos: bool = True) -> Written:
    """Bring a site's news to the stick; what is there already is not fetched again.

    `club_videos`: with those that a replaced box puts back.
    """
    envelope = remote.head(site)
    head = read_head(envelope, f"the head of {site}")
    for version in range(1, head.root_version + 1):
        stick.put(root_path(version), _present(remote.trust_root(version), f"trust root {version}"))
    listed = head.release_list.version
    stick.put(list_path(listed), _present(remote.release_list(listed), f"release list {listed}"))
    bring = _Bringing(stick, remote, output)
    bring.all({head.manifest: None}, "manifest")
    named = named_by_manifest(stick.read(head.manifest))
    bring.all(dict.fromkeys(named.trees | named.deltas), "listings")
    kept = remote.kept_videos(site) if club_videos and _restores(stick, head) else []
    stick.put(kept_path(site), msgspec.json.encode(kept))
    bring.all(closure(stick, head), f"files of {site}")
    stick.put(head_path(site), envelope)
    return Written(site, head, bring.files, bring.size_bytes, len(kept))


def _restores(stick: Stick, head: SiteHead) -> bool:
    """Whether the site's box is to put back what another one left: then it may have the club's videos, too."""
    return msgspec.json.decode(stick.read(head.manifest), type=SiteManifest).restore is not None


def closure(stick: Stick, head: SiteHead) -> dict[Digest, int | None]:
    """Every blob that a head leads to, by the manifest and the listings on the stick, and the club's videos.

    OSError where one is not there.
    """
    body = stick.read(head.manifest)
    named = named_by_manifest(body)
    found: dict[Digest, int | None] = dict.fromkeys({head.manifest} | named.blobs | named.trees | named.deltas)
    found |= {file.digest: file.size_bytes for file in msgspec.json.decode(body, type=SiteManifest).content}
    for tree in named.trees:
        found |= {file.digest: file.size_bytes for file in msgspec.json.decode(stick.read(tree), type=FileTree).files}
    return found | {_pack(stick.read(delta)): None for delta in named.deltas} | stick.kept(head.site)


def check(stick: Stick) -> Iterator[str]:
    """Which sites would not find all that their head leads to."""
    for site in stick.sites():
        try:
            wanted = closure(stick, stick.head(site))
        except (CommandFailed, OSError, msgspec.DecodeError, zstandard.ZstdError) as problem:
            yield f"{site}: its head, its manifest or a listing cannot be read: {problem}"
            continue
        if missing := sorted(stick.lacks(wanted)):
            yield f"{site}: {count(len(missing), 'file')} missing, such as {missing[0]}"


def drop_damaged(stick: Stick) -> list[Digest]:
    """Delete the blobs whose bytes are wrong, so that the next `write` brings them again; which they were."""
    damaged = [digest for digest in stick.blobs() if not stick.is_sound(digest)]
    for digest in damaged:
        stick.drop(digest)
    return damaged


def prune(stick: Stick) -> int:
    """Delete what no head on the stick leads to; how many bytes that were."""
    wanted = {digest for site in stick.sites() for digest in closure(stick, stick.head(site))}
    return sum(stick.drop(digest) for digest in stick.blobs() if digest not in wanted)


def read_head(envelope: bytes, what: str) -> SiteHead:
    """The head in an envelope, not verified: the box does that; CommandFailed when it is none."""
    try:
        return strict_json(decode_base64(open_envelope(envelope, MAX_HEAD_BYTES).payload), SiteHead)
    except Refused as problem:
        raise CommandFailed(f"cannot read {what}: {problem}") from None


class _Bringing:
    """Blobs on their way to a stick, counted."""

    def __init__(self, stick: Stick, remote: Remote, output: Output) -> None:
        self._stick, self._remote, self._output = stick, remote, output
        self.files = self.size_bytes = 0

    def all(self, wanted: Sizes, what: str) -> None:
        """Bring what is missing of these; CommandFailed when there is no room."""
        missing = self._stick.lacks(wanted)
        digests, known = sorted(missing), sum(told or 0 for told in missing.values())
        self._require_room(known)
        if (largest := max((told or 0 for told in missing.values()), default=0)) >= FAT_BYTES:
            self._stick.require_takes(largest)
        with self._output.progress(what, known) as advance:
            for start in range(0, len(digests), BATCH):
                batch = digests[start : start + BATCH]
                self.size_bytes += self._stick.fetch(self._remote, batch, advance)
                self.files += len(batch)

    def _require_room(self, size_bytes: int) -> None:
        total, _, free = shutil.disk_usage(self._stick.folder)
        if total and size_bytes > free:  # some file systems in user space do not tell
            raise CommandFailed(
                f"cannot bring {size(size_bytes)} to the stick: {size(free)} are free; "
                "--prune makes room, or take a larger one"
            )


def _pack(index: bytes) -> Digest:
    """The pack that a patch's index names (`schemas.delta`)."""
    plain = zstandard.ZstdDecompressor().decompress(index, max_output_size=MAX_INDEX_BYTES)
    return msgspec.json.decode(plain, type=_Index).pack


class _Index(msgspec.Struct):
    pack: Digest


def _present(document: bytes | None, what: str) -> bytes:
    if document is None:
        raise CommandFailed(f"cannot write the stick: the control plane has no {what}, which its head names")
    return document


def _settle(part: Path, target: Path) -> None:
    """A whole file under its name, on the disk: the stick may be pulled."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
