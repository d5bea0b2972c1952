"""Patches between releases: which files they are made of, and the frames (see `schemas.delta`).

A changed file goes with the one that it takes the place of: that of the same path, of the same path but for a hash in
its name, as bundlers write them, or of the same name elsewhere. Neighbours of the listing share a frame until it is
full, new files with them, since the files of a folder resemble each other. Where bundlers call files by a hash alone,
no name tells which is which: what room the frame has left is for files of the same folder, kind and about the same
size that the new release has no more. The same inputs give the same bytes (of one version of zstd).
"""

import os
import re
from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path
from typing import Final, NamedTuple

import zstandard

from cli.output import Advance
from cli.package import file_digest
from schemas.delta import (
    MAX_PATCHED_BYTES,
    WINDOW_LOG,
    DeltaFrame,
    ReleaseDelta,
    frame_bases,
    listing_dictionary,
)
from schemas.frames import cut, raw_dictionary, read_frame
from schemas.manifest import FileTree, TreeFile, encode_canonical
from schemas.names import Digest, digest_of

LEVEL: Final = 19
FULL_BYTES: Final = 4 << 20
"""A frame takes no more files once its own, or those of its dictionary, have so many bytes."""
GONE: Final = 16
"""So many files that are gone, on either side of a new one by size, may be what it was."""
_LARGEST_TABLE: Final = 27
_HASH: Final = re.compile(r"[-._](?:(?=[A-Za-z]*[0-9])[0-9A-Za-z]{6,64}|[A-Z0-9]{8})(?=\.|$)")

Read = Callable[[TreeFile], bytes]


class Tree(NamedTuple):
    """A release's files: the listing, and how to read one."""

    listing: FileTree
    read: Read

    @property
    def body(self) -> bytes:
        """The listing's exact bytes; their digest names the tree."""
        return encode_canonical(self.listing)


class Part(NamedTuple):
    """What a frame is made of: places of files in the listings of the base and of the target."""

    bases: tuple[int, ...]
    targets: tuple[int, ...]


def parts(base: FileTree, target: FileTree) -> list[Part]:
    """The files that the base lacks, each once, in the order of the listing, with those that they are made from."""
    there = {file.digest for file in base.files}
    finder = _Finder(base, target)
    found: list[Part] = []
    bases: dict[int, None] = {}
    targets: list[int] = []
    from_bytes = to_bytes = 0
    for place, file in enumerate(target.files):
        if file.digest in there or file.size_bytes > MAX_PATCHED_BYTES:
            continue
        there.add(file.digest)
        near = finder.base_of(file)
        more = 0 if near is None or near in bases else base.files[near].size_bytes
        if targets and max(from_bytes + more, to_bytes + file.size_bytes) > FULL_BYTES:
            found.append(Part(tuple(bases), tuple(targets)))
            bases, targets, from_bytes, to_bytes = {}, [], 0, 0
        if near is not None:
            from_bytes += 0 if near in bases else base.files[near].size_bytes
            bases[near] = None
        targets.append(place)
        to_bytes += file.size_bytes
    found += [Part(tuple(bases), tuple(targets))] if targets else []
    return [_filled(part, base, target, finder) for part in found]


def _filled(part: Part, base: FileTree, target: FileTree, finder: "_Finder") -> Part:
    """The same with as many files that are gone, and may be what its new ones were, as its dictionary has room for."""
    bases = dict.fromkeys(part.bases)
    room = FULL_BYTES - sum(base.files[place].size_bytes for place in bases)
    for near in zip_longest(*(finder.gone_near(target.files[place]) for place in part.targets)):
        for place in near:
            if place is not None and place not in bases and base.files[place].size_bytes <= room:
                bases[place] = None
                room -= base.files[place].size_bytes
    return Part(tuple(bases), part.targets)


def needed(base: FileTree, wanted: Sequence[Part]) -> list[TreeFile]:
    """The files of the base that are read to make these, each once."""
    places = sorted({place for part in wanted for place in part.bases})
    return list({base.files[place].digest: base.files[place] for place in places}.values())


def make_delta(base: Tree, target: Tree, pack: Path, advance: Advance) -> ReleaseDelta:
    """Write the pack to a file, and say what is in it. `advance` counts the bytes of the target's files."""
    frames: list[DeltaFrame] = []
    given: list[Digest] = []
    with pack.open("w+b") as out:
        for made in _made(base, target, parts(base.listing, target.listing)):
            out.write(made.data)
            frames.append(DeltaFrame(list(made.part.bases), made.sizes, len(made.data)))
            given += [target.listing.files[place].digest for place in made.part.targets]
            advance(sum(made.sizes))
        out.write(_compress(target.body, listing_dictionary(base.body, given)))
    return ReleaseDelta(
        schema=1,
        base=digest_of(base.body),
        tree=digest_of(target.body),
        pack=file_digest(pack),
        pack_size_bytes=pack.stat().st_size,
        listing_bytes=len(target.body),
        frames=frames,
    )


def encode_delta(delta: ReleaseDelta) -> bytes:
    """The document as a blob."""
    return _compress(encode_canonical(delta), b"")


def apply_delta(
    delta: ReleaseDelta, pack: bytes, base: FileTree, read: Callable[[Digest], bytes]
) -> tuple[bytes, dict[Digest, bytes]]:
    """The new listing and the files that the frames give, as a box makes them; ValueError where they are not whole."""
    files: dict[Digest, bytes] = {}
    given: list[Digest] = []
    offset = 0
    for frame in delta.frames:
        joined = b"".join(read(digest) for digest in frame_bases(frame, base))
        content = read_frame(pack[offset : offset + frame.length_bytes], joined, sum(frame.sizes))
        offset += frame.length_bytes
        for data in cut(content, frame.sizes):
            given.append(digest_of(data))
            files[given[-1]] = data
    dictionary = listing_dictionary(encode_canonical(base), given)
    listing = read_frame(pack[offset:], dictionary, delta.listing_bytes)
    if digest_of(listing) != delta.tree:
        raise ValueError("the listing that it gives is not that of the release")
    return listing, files


class _Frame(NamedTuple):
    """A frame that was made."""

    part: Part
    sizes: list[int]
    data: bytes


def _made(base: Tree, target: Tree, wanted: Sequence[Part]) -> Iterator[_Frame]:
    """The frames in order, several at once; what waits in memory is bounded by the frames, not by the release."""
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(wanted), 2 * workers):
            yield from pool.map(lambda part: _make(base, target, part), wanted[start : start + 2 * workers])


def _make(base: Tree, target: Tree, part: Part) -> _Frame:
    files = [target.read(target.listing.files[place]) for place in part.targets]
    dictionary = b"".join(base.read(base.listing.files[place]) for place in part.bases)
    return _Frame(part, [len(data) for data in files], _compress(b"".join(files), dictionary))


def _compress(content: bytes, dictionary: bytes) -> bytes:
    """One frame; it is read back at once, so that none is ever published that does not give its files."""
    sizes = {"source_size": len(content), "dict_size": len(dictionary)}
    usual = zstandard.ZstdCompressionParameters.from_level(LEVEL, **sizes)
    window = min(max(10, (len(content) + len(dictionary)).bit_length()), WINDOW_LOG)
    # Tables that hold every position of both: else the start of the dictionary is forgotten.
    tables = {
        "chain_log": min(max(usual.chain_log, window + 1), _LARGEST_TABLE),
        "hash_log": max(usual.hash_log, min(window, 24)),
    }
    parameters = zstandard.ZstdCompressionParameters.from_level(
        LEVEL, **sizes, **tables, window_log=window, write_checksum=False, write_dict_id=False, write_content_size=True
    )
    frame = zstandard.ZstdCompressor(dict_data=raw_dictionary(dictionary), compression_params=parameters).compress(
        content
    )
    if read_frame(frame, dictionary, len(content)) != content:
        raise ValueError("zstd gives other bytes back than it was given")
    return frame


class _Finder:
    """Finds the file of a base that another takes the place of, or those that may be it."""

    def __init__(self, base: FileTree, target: FileTree) -> None:
        self._files = base.files
        usable = [place for place, file in enumerate(base.files) if 0 < file.size_bytes <= MAX_PATCHED_BYTES]
        self._by_path = {base.files[place].path: place for place in usable}
        self._by_stem: defaultdict[str, list[int]] = defaultdict(list)
        for place in usable:
            path = _without_hash(base.files[place].path)
            self._by_stem[path].append(place)
            self._by_stem[path.rpartition("/")[2]].append(place)
        kept = {file.digest for file in target.files}
        self._gone: defaultdict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        for place in usable:
            if base.files[place].digest not in kept:
                self._gone[_folder_and_kind(base.files[place])].append((base.files[place].size_bytes, place))
        for sizes in self._gone.values():
            sizes.sort()

    def base_of(self, file: TreeFile) -> int | None:
        """Its place, or None."""
        if file.path in self._by_path:
            return self._by_path[file.path]
        path = _without_hash(file.path)
        same = self._by_stem.get(path) or self._by_stem.get(path.rpartition("/")[2], [])
        return min(same, key=lambda place: (abs(self._files[place].size_bytes - file.size_bytes), place), default=None)

    def gone_near(self, file: TreeFile) -> list[int]:
        """For a file of a new path, the places of those of its folder and kind that are gone, next in size first."""
        if file.path in self._by_path:
            return []
        gone = self._gone.get(_folder_and_kind(file), [])
        at = bisect(gone, (file.size_bytes,))
        near = gone[max(0, at - GONE) : at + GONE]
        return [place for _, place in sorted(near, key=lambda one: (abs(one[0] - file.size_bytes), one[1]))]


def _folder_and_kind(file: TreeFile) -> tuple[str, str]:
    """`webapp/003a652e1f.chunk.js` -> `webapp`, `js`."""
    folder, _, name = file.path.rpartition("/")
    return folder, name.rpartition(".")[2]


def _without_hash(path: str) -> str:
    """`webapp/main-A1B2C3D4.js` -> `webapp/main.js`."""
    folder, slash, name = path.rpartition("/")
    return folder + slash + _HASH.sub("", name)
