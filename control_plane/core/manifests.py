"""What a site resolves to -> the bytes of its manifest.

A body is a prefix (release, content, categories, loops: large, and shared by all sites with the same release and video
sets) and a suffix (`suffixes`: configuration, windows, operations: small). Each is encoded once; a digest goes on from
the hash of its prefix, so that a site costs in proportion to what is its own. Joined, they are the canonical encoding
of a `SiteManifest`.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from control_plane.core.resolve import Resolved
from control_plane.core.suffixes import Suffix
from schemas.desired import Block, Release, Video, VideoItem, VideoSet
from schemas.manifest import (
    Category,
    CategoryVideo,
    ContentFile,
    Loops,
    PatchRef,
    ReleaseHealth,
    ReleaseTarget,
    SiteManifest,
    SubCategory,
    encode_canonical,
)
from schemas.names import Digest, DocumentId, duration_s

DEFAULT_POLL_S: Final = 60
_BLOCKS: Final[tuple[Block, ...]] = ("before", "during", "after")


class Library(Struct, frozen=True):
    """The documents that manifests are made from; `shelves` keeps what each video set comes to."""

    releases: Mapping[str, Release]
    video_sets: Mapping[str, VideoSet]
    videos: Mapping[str, Video]
    shelves: dict[DocumentId, "Shelf"]

    def shelf(self, name: DocumentId) -> "Shelf":
        """The video set of that name as it is on a box, made once."""
        shelf = self.shelves.get(name)
        if shelf is None:
            shelf = self.shelves[name] = _shelf(self.video_sets[name], self.videos)
        return shelf


class Shelf(Struct, frozen=True):
    """A video set on a box: its files by path, and its entries, each under its own encoding."""

    video_set: VideoSet
    files: dict[str, ContentFile]
    entries: dict[bytes, CategoryVideo]


class Prefix(Struct, frozen=True, eq=False):
    """The shared part of bodies, without its closing brace; `digests` are the blobs that it names."""

    data: bytes
    hash: Any
    digests: frozenset[Digest]


class Body(Struct, frozen=True, gc=False):
    """A manifest's digest and its two parts; `named` are the blobs that the second names."""

    digest: Digest
    prefix: Prefix
    suffix: bytes
    named: frozenset[Digest] = frozenset()

    def join(self) -> bytes:
        """The exact bytes that the digest names."""
        return self.prefix.data + self.suffix


PrefixKey = tuple[int, str, str | None, tuple[DocumentId, ...]]


def prefix_key(resolved: Resolved, timezone: str) -> PrefixKey:
    """What a prefix depends on, beside the library."""
    poll_s = DEFAULT_POLL_S if resolved.poll is None else duration_s(resolved.poll.interval)
    return poll_s, timezone, resolved.release, resolved.video_sets


def make_prefix(key: PrefixKey, library: Library) -> Prefix:
    """Encode what sites of one key share; every name in it must be known."""
    poll_s, timezone, version, set_names = key
    release = None if version is None else _release_target(library.releases[version])
    shelves = [library.shelf(name) for name in set_names]
    content, loops = _content(shelves), _loops(shelves)
    shared: dict[str, Any] = {"content": content, "categories": _categories(shelves)}
    if loops is not None:
        shared["loops"] = loops
    manifest = SiteManifest(schema=1, poll_interval_s=poll_s, timezone=timezone, release=release, **shared)
    data = encode_canonical(manifest)[:-1]
    digests = {file.digest for file in content}
    if release is not None:
        digests |= {release.tree, *(patch.index for patch in release.patches)}
    return Prefix(data, hashlib.sha256(data), frozenset(digests))


def make_body(prefix: Prefix, suffix: Suffix) -> Body:
    """The body of both parts."""
    state = prefix.hash.copy()
    state.update(suffix.data)
    return Body("sha256:" + state.hexdigest(), prefix, suffix.data, suffix.digests)


def box_folder(video_set: VideoSet) -> str:
    """Where the videos of a set lie on the box."""
    folder = "videos/" + _folder_name(video_set.category.id)
    if video_set.subcategory is not None:
        folder += "/" + _folder_name(video_set.subcategory.id)
    return folder


def _folder_name(category: str) -> str:
    return re.sub(r"[^A-Z0-9_-]", "_", category.upper())


def _box_path(video_set: VideoSet, name: DocumentId, video: Video) -> str:
    """The digest is part of the name, so that a new version of a video never changes a file in use."""
    return f"{box_folder(video_set)}/{name}-{video.digest[7:15]}.mp4"


def _shelf(video_set: VideoSet, videos: Mapping[str, Video]) -> Shelf:
    files, entries = {}, {}
    folder = box_folder(video_set)
    for item in video_set.videos:
        placed = item if isinstance(item, VideoItem) else VideoItem(video=item)
        video = videos[placed.video]
        # The digest is part of the name, so that a new version of a video never changes a file in use.
        path = f"{folder}/{placed.video}-{video.digest[7:15]}.mp4"
        files[path] = ContentFile(path=path, digest=video.digest, size_bytes=video.size_bytes)
        entry = CategoryVideo(
            name=video.name,
            path=path,
            video_id=placed.video,
            sponsor_id=video.sponsor,
            analytics_category=video.analytics_category,
            from_=placed.from_,
            until=placed.until,
        )
        entries[msgspec.json.encode(entry)] = entry
    return Shelf(video_set, files, entries)


def _content(shelves: Iterable[Shelf]) -> list[ContentFile]:
    files: dict[str, ContentFile] = {}
    for shelf in shelves:
        files |= shelf.files
    return [files[path] for path in sorted(files)]


def _categories(shelves: Iterable[Shelf]) -> list[Category]:
    """Categories in the order in which the sets name them first; sets of one category come together in it."""
    grouped: dict[str, list[Shelf]] = {}
    for shelf in shelves:
        grouped.setdefault(shelf.video_set.category.id, []).append(shelf)
    return [_category(members) for members in grouped.values()]


def _category(members: list[Shelf]) -> Category:
    category = members[0].video_set.category
    subcategories: dict[str, tuple[str, list[Shelf]]] = {}
    for member in members:
        sub = member.video_set.subcategory
        if sub is not None:
            subcategories.setdefault(sub.id, (sub.name, []))[1].append(member)
    return Category(
        id=category.id,
        name=category.name,
        blocks=[block for block in _BLOCKS if any(block in member.video_set.blocks for member in members)],
        videos=_entries(member for member in members if member.video_set.subcategory is None),
        subcategories=[
            SubCategory(id=sub, name=name, videos=_entries(inside)) for sub, (name, inside) in subcategories.items()
        ],
    )


def _entries(shelves: Iterable[Shelf]) -> list[CategoryVideo]:
    """The entries of several sets, those that are the same in all once."""
    found: dict[bytes, CategoryVideo] = {}
    for shelf in shelves:
        found |= shelf.entries
    return list(found.values())


def _loops(shelves: Iterable[Shelf]) -> Loops | None:
    loops: dict[str, list[Shelf]] = {}
    for shelf in shelves:
        if shelf.video_set.loop is not None and shelf.entries:
            loops.setdefault(shelf.video_set.loop, []).append(shelf)
    return Loops(**{loop: _entries(members) for loop, members in loops.items()}) if loops else None


def _release_target(release: Release) -> ReleaseTarget:
    health = release.health
    return ReleaseTarget(
        version=release.version,
        tree=release.tree,
        size_bytes=release.size_bytes,
        services=release.services,
        health=ReleaseHealth(
            within_s=duration_s(health.within), settle_s=duration_s(health.settle), checks=health.checks
        ),
        requires_from=release.requires.from_,
        patches=[PatchRef(base=p.base, index=p.index, size_bytes=p.size_bytes) for p in release.patches],
    )
