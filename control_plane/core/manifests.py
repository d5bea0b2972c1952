"""What a site resolves to -> the bytes of its manifest.

A body is a prefix (release, content, categories, loops: large, and shared by all sites with the same release and video
sets) and a suffix (configuration, windows, bandwidth: small). Each is encoded once; a digest goes on from the hash of
its prefix, so that a site costs in proportion to what is its own. Joined, they are the canonical encoding of a
`SiteManifest`.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from control_plane.core.resolve import Resolved
from schemas.desired import Bandwidth, Block, Maintenance, Release, Video, VideoItem, VideoSet, Window
from schemas.manifest import (
    Category,
    CategoryVideo,
    ContentFile,
    Loops,
    ManifestBandwidth,
    ManifestMaintenance,
    ManifestWindow,
    ReleaseHealth,
    ReleaseTarget,
    SiteManifest,
    SubCategory,
    encode_canonical,
)
from schemas.names import Digest, DocumentId, duration_s, rate_bytes_s

DEFAULT_POLL_S: Final = 60
_BLOCKS: Final[tuple[Block, ...]] = ("before", "during", "after")
_WEEK: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAYS: Final = {"daily": _WEEK, "weekdays": _WEEK[:5], "weekend": _WEEK[5:]}


class Library(Struct, frozen=True):
    """The documents that manifests are made from."""

    releases: Mapping[str, Release]
    video_sets: Mapping[str, VideoSet]
    videos: Mapping[str, Video]


class Prefix(Struct, frozen=True):
    """The shared part of bodies, without its closing brace; `digests` are the blobs that it names."""

    data: bytes
    hash: Any
    digests: frozenset[Digest]


class Body(Struct, frozen=True):
    """A manifest's digest and its two parts."""

    digest: Digest
    prefix: Prefix
    suffix: bytes

    def join(self) -> bytes:
        """The exact bytes that the digest names."""
        return self.prefix.data + self.suffix


PrefixKey = tuple[int, str, str | None, tuple[DocumentId, ...]]


class _Suffix(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The fields of SiteManifest that follow `loops`, in its order."""

    config: dict[str, Any] = {}
    maintenance: ManifestMaintenance | None = None
    bandwidth: ManifestBandwidth | None = None


def prefix_key(resolved: Resolved, timezone: str) -> PrefixKey:
    """What a prefix depends on, beside the library."""
    poll_s = DEFAULT_POLL_S if resolved.poll is None else duration_s(resolved.poll.interval)
    return poll_s, timezone, resolved.release, resolved.video_sets


def make_prefix(key: PrefixKey, library: Library) -> Prefix:
    """Encode what sites of one key share; every name in it must be known."""
    poll_s, timezone, version, set_names = key
    release = None if version is None else _release_target(library.releases[version])
    sets = [library.video_sets[name] for name in set_names]
    content = _content(sets, library.videos)
    loops = _loops(sets, library.videos)
    manifest = SiteManifest(
        schema=1,
        poll_interval_s=poll_s,
        timezone=timezone,
        release=release,
        content=content,
        categories=_categories(sets, library.videos),
        **({} if loops is None else {"loops": loops}),
    )
    data = encode_canonical(manifest)[:-1]
    digests = {file.digest for file in content} | ({release.tree} if release is not None else set())
    return Prefix(data, hashlib.sha256(data), frozenset(digests))


def make_suffix(resolved: Resolved) -> bytes:
    """Encode what follows the prefix, closing brace included."""
    suffix = _Suffix(
        config=resolved.config,
        maintenance=None if resolved.maintenance is None else _maintenance(resolved.maintenance),
        bandwidth=None if resolved.bandwidth is None else _bandwidth(resolved.bandwidth),
    )
    data = encode_canonical(suffix)
    return b"}" if data == b"{}" else b"," + data[1:]


def make_body(prefix: Prefix, suffix: bytes) -> Body:
    """The body of both parts."""
    state = prefix.hash.copy()
    state.update(suffix)
    return Body("sha256:" + state.hexdigest(), prefix, suffix)


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


def _items(video_set: VideoSet) -> list[VideoItem]:
    return [item if isinstance(item, VideoItem) else VideoItem(video=item) for item in video_set.videos]


def _content(sets: Iterable[VideoSet], videos: Mapping[str, Video]) -> list[ContentFile]:
    files = {}
    for video_set in sets:
        for item in _items(video_set):
            video = videos[item.video]
            path = _box_path(video_set, item.video, video)
            files[path] = ContentFile(path=path, digest=video.digest, size_bytes=video.size_bytes)
    return [files[path] for path in sorted(files)]


def _entries(video_set: VideoSet, videos: Mapping[str, Video]) -> list[CategoryVideo]:
    return [
        CategoryVideo(
            name=videos[item.video].name,
            path=_box_path(video_set, item.video, videos[item.video]),
            video_id=item.video,
            sponsor_id=videos[item.video].sponsor,
            analytics_category=videos[item.video].analytics_category,
            from_=item.from_,
            until=item.until,
        )
        for item in _items(video_set)
    ]


def _categories(sets: Iterable[VideoSet], videos: Mapping[str, Video]) -> list[Category]:
    """Categories in the order in which the sets name them first; sets of one category come together in it."""
    grouped: dict[str, list[VideoSet]] = {}
    for video_set in sets:
        grouped.setdefault(video_set.category.id, []).append(video_set)
    return [_category(members, videos) for members in grouped.values()]


def _category(members: list[VideoSet], videos: Mapping[str, Video]) -> Category:
    def entries(wanted: Callable[[VideoSet], bool]) -> list[CategoryVideo]:
        return _unique(entry for member in members if wanted(member) for entry in _entries(member, videos))

    names = {m.subcategory.id: m.subcategory.name for m in reversed(members) if m.subcategory is not None}
    order = dict.fromkeys(m.subcategory.id for m in members if m.subcategory is not None)

    def in_subcategory(sub: str) -> list[CategoryVideo]:
        return entries(lambda member: member.subcategory is not None and member.subcategory.id == sub)

    return Category(
        id=members[0].category.id,
        name=members[0].category.name,
        blocks=[block for block in _BLOCKS if any(block in member.blocks for member in members)],
        videos=entries(lambda member: member.subcategory is None),
        subcategories=[SubCategory(id=sub, name=names[sub], videos=in_subcategory(sub)) for sub in order],
    )


def _unique(entries: Iterable[CategoryVideo]) -> list[CategoryVideo]:
    found: dict[bytes, CategoryVideo] = {}
    for entry in entries:
        found.setdefault(msgspec.json.encode(entry), entry)
    return list(found.values())


def _loops(sets: list[VideoSet], videos: Mapping[str, Video]) -> Loops | None:
    loops: dict[str, list[CategoryVideo]] = {}
    for video_set in sets:
        if video_set.loop is not None and video_set.videos:
            loops[video_set.loop] = _unique([*loops.get(video_set.loop, ()), *_entries(video_set, videos)])
    return Loops(**loops) if loops else None


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
    )


def _maintenance(maintenance: Maintenance) -> ManifestMaintenance:
    deferral = maintenance.max_deferral
    return ManifestMaintenance(
        windows=[_window(window) for window in maintenance.windows],
        max_deferral_s=None if deferral is None else duration_s(deferral),
    )


def _window(window: str | Window) -> ManifestWindow:
    if isinstance(window, str):
        return ManifestWindow(kind="at_boot")
    if window.idle is not None:
        return ManifestWindow(kind="idle", idle_s=duration_s(window.idle))
    named = [window.days] if isinstance(window.days, str) else window.days or ["daily"]
    days = {day for name in named for day in _DAYS.get(name, (name,))}
    return ManifestWindow(kind="weekly", days=[d for d in _WEEK if d in days], from_=window.from_, to=window.to)  # type: ignore[misc]


def _bandwidth(bandwidth: Bandwidth) -> ManifestBandwidth:
    return ManifestBandwidth(limit_bytes_s=rate_bytes_s(bandwidth.limit), hours=bandwidth.hours)
