"""What of a package becomes a release: pure rules over names, so that no club's data and no link reaches a box.

The lists come from what real packages hold: the configuration of another club with its password, recordings, logs,
AppleDouble files, links of `node_modules/.bin`. Stripped entries are left out and named; a refused one stops the whole
release. Exclusions are anchored at the top: `webapp/assets/videos` is kept.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

from schemas.manifest import RELATIVE_PATH, FileTree, TreeFile

EntryKind = Literal["file", "folder", "link", "other"]

CLUB_FOLDERS: Final = frozenset(
    ("videos", "logs", "backups", "data", "thumbnails", "videos-processing", "uploads-temp", "sync-agent")
)
CLUB_FILES: Final = frozenset(("club-config.json", "webapp/configuration.json", "webapp/configuration.backup.json"))
ReleaseKind = Literal["app", "agent"]
NEEDED: Final[Mapping[ReleaseKind, tuple[str, ...]]] = {"app": ("webapp/index.html", "server/", "admin/"), "agent": ()}
"""What a release of the box's applications must have; an agent's package is its builder's to shape."""
_PATH: Final = re.compile(RELATIVE_PATH)
_PACKAGE_FOLDER: Final = re.compile(r"(deploy|neopro-agent-[^/]+)/")
"""What packages put all their files into: those of the applications, and the bundle of the agent."""


class PackageEntry(Struct, frozen=True, kw_only=True):
    """One entry of a folder or an archive, as it is named there; `executable` by its owner."""

    path: str
    kind: EntryKind
    executable: bool = False


class KeptFile(Struct, frozen=True, kw_only=True):
    """A file of the release: where it is in the package (`source`), and where it will be on the box."""

    source: str
    path: str
    mode: Literal["0644", "0755"]


class Dropped(Struct, frozen=True, kw_only=True):
    """An entry that does not become part of the release, and why."""

    path: str
    why: str


class Selection(Struct, frozen=True, kw_only=True):
    """The verdict on a package: nothing of it may be used while `refused` is not empty."""

    kept: tuple[KeptFile, ...]
    stripped: tuple[Dropped, ...]
    refused: tuple[Dropped, ...]


def select(entries: Iterable[PackageEntry], release: ReleaseKind = "app") -> Selection:
    """Sort the entries of a package into kept, stripped and refused, each sorted by path."""
    kept: dict[str, KeptFile] = {}
    stripped: list[Dropped] = []
    refused: list[Dropped] = []
    for entry, path in _relative(entries):
        if why := _unsafe(path):
            refused.append(Dropped(path=entry.path, why=why))
        elif why := _excluded(path, entry.kind, release):
            stripped.append(Dropped(path=path, why=why))
        elif entry.kind in ("link", "other"):
            refused.append(Dropped(path=path, why=_not_a_file(entry.kind)))
        elif entry.kind == "file":
            if path in kept:
                refused.append(Dropped(path=path, why="the package has it twice"))
            kept[path] = KeptFile(source=entry.path, path=path, mode="0755" if entry.executable else "0644")
    refused += _inconsistent(kept, release)
    return Selection(
        kept=tuple(sorted(kept.values(), key=lambda file: file.path.encode())),
        stripped=tuple(sorted(stripped, key=lambda dropped: dropped.path)),
        refused=tuple(sorted(refused, key=lambda dropped: dropped.path)),
    )


def listing(files: Iterable[TreeFile]) -> FileTree:
    """The listing of a release: its files in the one order that names the tree."""
    return FileTree(schema=1, files=sorted(files, key=lambda file: file.path.encode()))


def _relative(entries: Iterable[PackageEntry]) -> Sequence[tuple[PackageEntry, str]]:
    """Each entry with its path on the box: without `./`, and without the folder of the package where all is in it."""
    named = [(entry, re.sub(r"^(\./)+", "", entry.path).rstrip("/")) for entry in entries]
    named = [(entry, path) for entry, path in named if path not in ("", ".")]
    files = [path for entry, path in named if entry.kind != "folder" and not _apple_double(path)]
    top = _PACKAGE_FOLDER.match(files[0]) if files else None
    if top is not None and all(path.startswith(top[0]) for path in files):
        return [(entry, path.removeprefix(top[0])) for entry, path in named if path != top[0][:-1]]
    return named


def _unsafe(path: str) -> str:
    """Why this path could lead out of the release, or could not be written on a box; empty if it is sound."""
    if path.startswith("/"):
        return "its path is absolute"
    if ".." in path.split("/"):
        return "its path leads out of the package"
    if not path.isascii() and not path.isprintable():
        return "its name is not readable text"
    if not _PATH.match(path):
        return "its name has a character or a length that a box cannot have"
    return ""


def _excluded(path: str, kind: EntryKind, release: ReleaseKind) -> str:
    """Why this entry never belongs to a release; empty if it does."""
    parts = path.split("/")
    of_a_club = release == "app" and parts[0] in CLUB_FOLDERS and (len(parts) > 1 or kind != "file")
    rules = {
        "it belongs to the club or to the box": of_a_club,
        "it is a club's configuration": path in CLUB_FILES,
        "it may hold secrets": parts[-1] == ".env" or parts[-1].startswith(".env."),
        "it is a leftover of a Mac": _apple_double(path) or parts[-1] == ".DS_Store",
        "it is a leftover of development": "__pycache__" in parts or parts[0] == ".git",
        "it is a link that only serves development": kind == "link" and _in_package_bin(parts),
    }
    return next((why for why, holds in rules.items() if holds), "")


def _in_package_bin(parts: Sequence[str]) -> bool:
    """Inside `node_modules/.bin`: every Node package's commands, as links; the box runs none of them."""
    return parts[-2:-1] == [".bin"] and "node_modules" in parts


def _apple_double(path: str) -> bool:
    return any(part.startswith("._") or part == "__MACOSX" for part in path.split("/"))


def _not_a_file(kind: EntryKind) -> str:
    return "it is a link" if kind == "link" else "it is neither a file nor a folder"


def _inconsistent(kept: Mapping[str, KeptFile], release: ReleaseKind) -> list[Dropped]:
    """What keeps these files from being a release as a whole: a file in a file's place, a missing application."""
    clashes = [
        Dropped(path=path, why=f"{parent} is a file, so nothing can be in it")
        for path in kept
        for parent in _parents(path)
        if parent in kept
    ]
    missing = [
        Dropped(path=need, why="a release must have it")
        for need in NEEDED[release]
        if not any(path == need or (need.endswith("/") and path.startswith(need)) for path in kept)
    ]
    empty = [] if kept else [Dropped(path=".", why="no file of it can be part of a release")]
    return clashes + missing + empty


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]
