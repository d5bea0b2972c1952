"""Which of the club's videos are kept, and what is next to be done for the rest (pure)."""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from schemas.backup import MAX_VIDEO_BYTES, MAX_VIDEOS, AgeIdentity, KeptVideo, VideoIndex
from schemas.manifest import Instant
from schemas.names import Digest


class Kept(Struct, frozen=True, kw_only=True):
    """A video that is kept (or about to be), and what `stat` said of its file when it was read."""

    video: KeptVideo
    inode: int
    mtime_ns: int
    ctime_ns: int


class Vault(Struct, frozen=True, kw_only=True):
    """What a box must know of its videos' backup across restarts.

    `pending`: encrypted, and not yet whole at the control plane. `told`: the digest of the index that was told last,
    `told_at`: when, by the time floor.
    """

    identity: AgeIdentity
    kept: dict[str, Kept] = {}
    pending: Kept | None = None
    told: Digest | None = None
    told_at: Instant | None = None


class Seen(Struct, frozen=True, kw_only=True):
    """A file of the club's as `stat` tells of it."""

    size_bytes: int
    inode: int
    mtime_ns: int
    ctime_ns: int


def is_kept(seen: Seen, kept: Kept | None) -> bool:
    """Whether this very file was read for what is kept, and not touched since."""
    return kept is not None and seen == Seen(
        size_bytes=kept.video.size_bytes, inode=kept.inode, mtime_ns=kept.mtime_ns, ctime_ns=kept.ctime_ns
    )


def fitting(files: Mapping[str, Seen]) -> dict[str, Seen]:
    """The files that a backup takes: none too large, not too many, the smallest first."""
    right = [(path, seen) for path, seen in files.items() if seen.size_bytes <= MAX_VIDEO_BYTES]
    return dict(sorted(right, key=lambda found: (found[1].size_bytes, found[0]))[:MAX_VIDEOS])


def forget_gone(vault: Vault, files: Mapping[str, Seen]) -> Vault:
    """Without what is not there any more."""
    kept = {path: one for path, one in vault.kept.items() if path in files}
    pending = vault.pending if vault.pending is not None and vault.pending.video.path in files else None
    return vault if (kept, pending) == (vault.kept, vault.pending) else replace(vault, kept=kept, pending=pending)


def next_path(vault: Vault, files: Mapping[str, Seen]) -> str | None:
    """The first file that is not kept as it is."""
    return next((path for path, seen in files.items() if not is_kept(seen, vault.kept.get(path))), None)


def alike(vault: Vault, files: Mapping[str, Seen]) -> dict[str, list[KeptVideo]]:
    """Of each file that is not kept as it is, what is kept of its size: it may be one of them, renamed or touched."""
    sizes: dict[int, list[KeptVideo]] = {}
    for one in vault.kept.values():
        sizes.setdefault(one.video.size_bytes, []).append(one.video)
    return {
        path: sizes[seen.size_bytes]
        for path, seen in files.items()
        if seen.size_bytes in sizes and not is_kept(seen, vault.kept.get(path))
    }


def keep(vault: Vault, kept: Kept) -> Vault:
    """With this one kept."""
    return replace(vault, kept={**vault.kept, kept.video.path: kept})


def index_of(vault: Vault) -> VideoIndex:
    """What is kept, by path."""
    return VideoIndex(identity=vault.identity, videos=[vault.kept[path].video for path in sorted(vault.kept)])


def is_safe(path: str) -> bool:
    """Whether a path of an index may be written: beneath `videos/`, and no name that a file system cannot have."""
    parts = path.split("/")
    named = all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in parts)
    return len(parts) > 1 and parts[0] == "videos" and named and path.isprintable()
