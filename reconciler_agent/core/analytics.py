"""What the box's application counted, read and cut into batches; and what gives way when too much of it waits."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from schemas.analytics import MAX_BATCH, Batch, Kind, Playback
from schemas.manifest import CategoryVideo, SiteManifest

CUT_BYTES: Final = 1 << 20
"""A batch of no more than this, as the application wrote it, is far from what the control plane takes."""
MAX_WAITING_BYTES: Final = 64 << 20
MAX_WAITING_FILES: Final = 2_000
KEPT_FIRST_FILES: Final = 20
"""Of a full spool: that many of the oldest stay, then the newest."""


class Ids(NamedTuple):
    """Whose a file is."""

    video_id: str
    sponsor_id: str | None


class Cut(NamedTuple):
    """`batches`: each a `Batch` as JSON. `strange`: entries that are none of what we know, as they came."""

    batches: list[bytes]
    strange: list[bytes]


def ids_of(manifest: SiteManifest) -> dict[str, Ids]:
    """The ids of every file of the fleet by its name, as the application reports it."""
    return {video.path.rpartition("/")[2]: Ids(video.video_id, video.sponsor_id) for video in _videos(manifest)}


def read(kind: Kind, data: bytes, ids: Mapping[str, Ids]) -> Cut | None:
    """The batches of a file of the application's; None when it is no JSON array (or not yet)."""
    try:
        entries = msgspec.json.decode(data, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    good: list[Playback] = []
    batches: list[bytes] = []
    strange: list[bytes] = []
    size_bytes = 0
    for entry in map(bytes, entries):
        played = _playback(entry, ids)
        if played is None:
            strange.append(entry)
            continue
        if good and (len(good) == MAX_BATCH or size_bytes + len(entry) > CUT_BYTES):
            batches.append(_encode(kind, good))
            good, size_bytes = [], 0
        good.append(played)
        size_bytes += len(entry)
    if good:
        batches.append(_encode(kind, good))
    return Cut(batches, strange)


def count(batch: bytes) -> int:
    """How much a batch holds; 0 when it is damaged."""
    try:
        return len(msgspec.json.decode(batch, type=Batch).playbacks)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0


def surplus(waiting: Sequence[tuple[str, int]]) -> list[str]:
    """Which files (name and bytes, oldest first) give way: those after the first ones, until the rest is bounded."""
    files, size_bytes, dropped = len(waiting), sum(size for _, size in waiting), []
    for name, size in waiting[KEPT_FIRST_FILES:]:
        if files <= MAX_WAITING_FILES and size_bytes <= MAX_WAITING_BYTES:
            break
        dropped.append(name)
        files, size_bytes = files - 1, size_bytes - size
    return dropped


def _playback(entry: bytes, ids: Mapping[str, Ids]) -> Playback | None:
    """An entry with the ids that the application did not know."""
    try:
        played = msgspec.json.decode(entry, type=Playback)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    known = ids.get(played.video_filename.rpartition("/")[2])
    if known is None or played.video_id not in (None, known.video_id):
        return played
    return replace(played, video_id=known.video_id, sponsor_id=played.sponsor_id or known.sponsor_id)


def _encode(kind: Kind, playbacks: list[Playback]) -> bytes:
    return msgspec.json.encode(Batch(kind=kind, playbacks=playbacks))


def _videos(manifest: SiteManifest) -> Iterator[CategoryVideo]:
    for category in manifest.categories:
        yield from category.videos
        for below in category.subcategories:
            yield from below.videos
    loops = manifest.loops
    yield from (*loops.sponsors, *loops.before, *loops.during, *loops.after)
