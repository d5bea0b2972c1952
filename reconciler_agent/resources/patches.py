"""Files of a release made out of those of an installed one, so that a box downloads little: see `schemas.delta`.

Nothing of a patch is trusted. Its index and its pack are fetched by their digests; sizes are limited before anything is
read into memory; a base file counts only if its bytes are as listed; the listing that comes out must have the digest of
the release's tree, and a file that comes out is used only where that listing names its digest. Whatever goes wrong with
it costs bytes and nothing else: what a patch does not give is downloaded whole.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from typing import Final

from reconciler_agent.draft import Draft
from reconciler_agent.durable import Disk
from reconciler_agent.errors import AccessDenied, DigestMismatch, DiskFault, DiskFull, NetworkTrouble, PatchUnusable
from reconciler_agent.resources.content import OnBytes, Source
from reconciler_agent.state import MAX_LISTING_BYTES
from reconciler_agent.system_calls import faults
from schemas.delta import (
    MAX_DELTA_BYTES,
    MAX_PATCHED_BYTES,
    DeltaFrame,
    ReleaseDelta,
    frame_bases,
    listing_dictionary,
)
from schemas.frames import cut, decode_delta, read_frame
from schemas.manifest import FileTree, PatchRef, ReleaseTarget, encode_canonical
from schemas.names import Digest, digest_of

MAX_FRAME_BYTES: Final = MAX_PATCHED_BYTES + MAX_PATCHED_BYTES // 128
"""What cannot be compressed comes out a little longer."""
TRIES: Final = 3
"""So often the network may fail a patch without bringing any of it, until whole files are tried in its place."""
PACK: Final = "pack-"
"""What a pack is called in `partial`, before the digest of the tree that it is for."""

Places = Mapping[Digest, str]
"""Where a file with this digest should lie on the box."""


class Patch:
    """A patch whose pack is on the disk; `troubles` hears why some of it could not be used."""

    def __init__(
        self, disk: Disk, delta: ReleaseDelta, base: FileTree, places: Places, troubles: dict[str, None]
    ) -> None:
        self._disk = disk
        self._delta = delta
        self._base = base
        self._places = places
        self._troubles = troubles
        self._sizes = {file.digest: file.size_bytes for file in base.files}

    def listing(self) -> bytes | None:
        """The release's listing, with the right digest; None where not all of the patch can be used."""
        given: list[Digest] = []
        try:
            for offset, frame in self._frames():
                given += map(digest_of, cut(self._open(offset, frame), frame.sizes))
            return self._last(given)
        except PatchUnusable as problem:
            self._troubles[str(problem)] = None
            return None

    def files(self, wanted: Set[Digest]) -> Iterator[tuple[Digest, bytes]]:
        """Those of the `wanted` files that the patch gives, one frame in memory at a time."""
        for offset, frame in self._frames():
            try:
                content = self._open(offset, frame)
            except PatchUnusable as problem:
                self._troubles[str(problem)] = None
                continue
            for data in cut(content, frame.sizes):
                if (digest := digest_of(data)) in wanted:
                    yield digest, data

    def _frames(self) -> Iterator[tuple[int, DeltaFrame]]:
        """Each frame behind where it begins in the pack."""
        offset = 0
        for frame in self._delta.frames:
            yield offset, frame
            offset += frame.length_bytes

    def _open(self, offset: int, frame: DeltaFrame) -> bytes:
        """What a frame gives; PatchUnusable where a base file is not as listed any more, or the frame is no frame."""
        try:
            dictionary = b"".join(map(self._read_base, frame_bases(frame, self._base)))
            return read_frame(self._read_pack(offset, frame.length_bytes), dictionary, sum(frame.sizes))
        except (ValueError, DiskFault) as problem:
            raise PatchUnusable(f"cannot patch {len(frame.sizes)} files: {problem}") from None

    def _last(self, given: list[Digest]) -> bytes:
        """The frame of the listing."""
        delta = self._delta
        offset = sum(frame.length_bytes for frame in delta.frames)
        dictionary = listing_dictionary(encode_canonical(self._base), given)
        try:
            body = read_frame(self._read_pack(offset, delta.pack_size_bytes - offset), dictionary, delta.listing_bytes)
        except (ValueError, DiskFault) as problem:
            raise PatchUnusable(f"cannot patch the listing: {problem}") from None
        if digest_of(body) != delta.tree:
            raise PatchUnusable("cannot patch the listing: what comes out is not that of the release")
        return body

    def _read_base(self, digest: Digest) -> bytes:
        path = self._places.get(digest, "")
        data = self._disk.read(path, self._sizes[digest]) if path else None
        if data is None or digest_of(data) != digest:
            raise ValueError(f"{path or digest} is not as it was released")
        return data

    def _read_pack(self, offset: int, size_bytes: int) -> bytes:
        path = _path(self._disk, self._delta.tree)
        with faults("read", path), self._disk.reading(path) as handle:
            return os.pread(handle, size_bytes, offset)


class Patches:
    """Fetches patches; what of a pack has come is kept across restarts."""

    def __init__(self, disk: Disk, source: Source) -> None:
        self._disk = disk
        self._source = source
        self._failed: Counter[Digest] = Counter()

    def open(
        self,
        target: ReleaseTarget,
        installed: Mapping[Digest, FileTree],
        places: Places,
        troubles: dict[str, None],
        on_bytes: OnBytes | None,
    ) -> Patch | None:
        """The smallest patch of `target` from an `installed` tree, with its pack on the disk; None: there is none.

        Trouble with the patch itself is put into `troubles`. NetworkTrouble: to be taken up in a later round.
        """
        ref = min(
            (ref for ref in target.patches if ref.base in installed), key=lambda ref: ref.size_bytes, default=None
        )
        if ref is None:
            return None
        try:
            delta = self._fetch(target, ref, installed[ref.base], on_bytes)
            return Patch(self._disk, delta, installed[ref.base], places, troubles)
        except (PatchUnusable, DigestMismatch, AccessDenied) as problem:
            troubles[str(problem)] = None
            return None

    def _fetch(self, target: ReleaseTarget, ref: PatchRef, base: FileTree, on_bytes: OnBytes | None) -> ReleaseDelta:
        had_bytes = self._had_bytes(target.tree)
        try:
            delta = self._index(target, ref)
            _require_limits(delta, base)
            self._bring(target, delta, on_bytes)
        except NetworkTrouble as problem:
            came = self._had_bytes(target.tree) > had_bytes
            self._failed[ref.index] = 0 if came else self._failed[ref.index] + 1
            if self._failed[ref.index] < TRIES:
                raise
            del self._failed[ref.index]
            raise PatchUnusable(f"cannot fetch the patch, {TRIES} times over: {problem}") from problem
        return delta

    def _had_bytes(self, tree: Digest) -> int:
        """How much of a pack has come."""
        found = self._disk.stat(_path(self._disk, tree))
        return found.st_size if found is not None else 0

    def _index(self, target: ReleaseTarget, ref: PatchRef) -> ReleaseDelta:
        try:
            delta = decode_delta(self._source.blob(ref.index, MAX_DELTA_BYTES))
        except ValueError as problem:
            raise PatchUnusable(f"cannot read the patch's index: {str(problem)[:200]}") from None
        if (delta.base, delta.tree) != (ref.base, target.tree) or delta.pack_size_bytes > ref.size_bytes:
            raise PatchUnusable("cannot use the patch: it is not the one that the manifest names")
        if delta.critical:
            raise PatchUnusable(f"cannot use the patch: this agent does not know {', '.join(delta.critical)[:200]}")
        return delta

    def _bring(self, target: ReleaseTarget, delta: ReleaseDelta, on_bytes: OnBytes | None) -> None:
        """The pack, on from what an earlier try brought. DiskFull if the release has no room beside it."""
        path = _path(self._disk, delta.tree)
        self._disk.make_folder(self._disk.partial)
        had = self._disk.stat(path)
        if had is None or had.st_size < delta.pack_size_bytes:  # and so no file was made yet
            had_bytes = had.st_blocks * 512 if had is not None else 0
            self._disk.require_room(target.size_bytes + delta.pack_size_bytes - had_bytes)
        draft = self._disk.draft(path, resume=True)
        try:
            if draft.digest() != delta.pack:
                self._source.download(delta.pack, delta.pack_size_bytes, draft, on_bytes)
            draft.require(delta.pack)
        except (DigestMismatch, DiskFull, DiskFault):
            draft.close()
            self._disk.remove(path)
            raise
        finally:
            draft.close()


def _require_limits(delta: ReleaseDelta, base: FileTree) -> None:
    """PatchUnusable for what does not belong to `base`, or would need more memory than a patch may."""
    sizes = [file.size_bytes for file in base.files]
    for frame in delta.frames:
        if any(place >= len(sizes) for place in frame.bases):
            raise PatchUnusable("cannot use the patch: it names a file that its base does not have")
        given_bytes = max(sum(sizes[place] for place in frame.bases), sum(frame.sizes))
        if given_bytes > MAX_PATCHED_BYTES or frame.length_bytes > MAX_FRAME_BYTES:
            raise PatchUnusable("cannot use the patch: a frame of it is too large")
    if delta.listing_bytes > MAX_LISTING_BYTES:
        raise PatchUnusable("cannot use the patch: its listing is too large")
    if sum(frame.length_bytes for frame in delta.frames) >= delta.pack_size_bytes:
        raise PatchUnusable("cannot use the patch: its frames are longer than its pack")


def lacks(disk: Disk, folder: str, listing: FileTree | None, places: Places) -> bool:
    """Whether a tree in the making needs more than what is on the box; before its listing is known, it may."""
    if listing is None:
        return True
    for file in listing.files:
        found = None if file.digest in places else disk.stat(f"{folder}/{file.path}")
        if file.digest not in places and (found is None or found.st_size != file.size_bytes):
            return True
    return False


def left_bytes(disk: Disk, folder: str, listing: FileTree) -> int:
    """What the disk must still take for a tree in the making, which an earlier try may have begun."""
    left = 0
    for file in listing.files:
        found = disk.stat(f"{folder}/{file.path}")
        left += max(0, file.size_bytes - (found.st_blocks * 512 if found is not None else 0))
    return left


def rewrite(data: bytes, draft: Draft) -> None:
    """Give a draft these bytes in the place of what it has."""
    if draft.size_bytes:
        draft.restart()
    draft.write(data)


def _path(disk: Disk, tree: Digest) -> str:
    return f"{disk.partial}/{PACK}{tree.partition(':')[2]}"
