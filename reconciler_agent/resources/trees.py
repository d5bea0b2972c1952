"""The trees under `releases/`: which of them are known, where they lie, and whether a file of one is as it is listed.

    releases/<version>-<digest8>/      a copy of the listed files, verified and synced before it gets this name
    current -> releases/<…>            activation: one link renamed over the other
    webapp -> current/webapp …         the names at which the box's services look; they never change again

In each tree `webapp/configuration.json` is a link to `data/configuration.json`; what the local applications make of it
is the configuration's business. Where the club had videos inside its page (old installers put them there), they lie in
`webapp-videos/`, and `webapp/videos` of each tree without such a folder is a link to them.
"""

import re
import stat
from collections.abc import Iterable
from typing import Final

from reconciler_agent.durable import Disk
from reconciler_agent.errors import DiskFault
from reconciler_agent.state import Signature, Store, sign
from schemas.manifest import RELATIVE_PATH, FileTree, ReleaseTarget, TreeFile
from schemas.names import Digest

FOLDER: Final = "releases"
CURRENT: Final = "current"
LINKS: Final = ("webapp", "server", "admin", "scripts", "VERSION", "release.json")
CONFIGURATION: Final = "webapp/configuration.json"
CONFIGURATION_TARGET: Final = "../../../data/configuration.json"
_LISTABLE: Final = re.compile(RELATIVE_PATH)
CLUB_VIDEOS: Final = "webapp-videos"
_INSIDE: Final = "webapp/videos"
_UP: Final = "../../../"
NAME: Final = re.compile(r"(.+)-([0-9a-f]{8})")


class Trees:
    """The trees of the box whose root is that of `disk`; their listings are kept in `store`."""

    def __init__(self, disk: Disk, store: Store) -> None:
        self._disk = disk
        self._store = store

    def names(self) -> dict[Digest, str]:
        """Digest and folder of every tree under `releases/` whose listing is kept."""
        found = {match[2]: name for name in self._disk.names(FOLDER) if (match := NAME.fullmatch(name))}
        listings = self._store.listings() if found else []
        return {d: found[d[7:15]] for d in listings if d[7:15] in found}

    def listings(self) -> dict[Digest, FileTree]:
        """The listings of the trees under `releases/`."""
        found = {digest: self._store.listing(digest) for digest in self.names()}
        return {digest: listing for digest, listing in found.items() if listing is not None}

    def active_name(self) -> str | None:
        """The folder that `current` leads to; None where that is no tree."""
        target = self._disk.link_target(CURRENT)
        folder, _, name = (target or "").partition("/")
        known = folder == FOLDER and name and "/" not in name
        return name if known and self._is_folder(f"{FOLDER}/{name}") else None

    def sources(self, except_for: Digest) -> dict[Digest, str]:
        """Where an installed tree has a file with this digest; it is to be checked when it is copied."""
        sources: dict[Digest, str] = {}
        for digest, name in self.names().items():
            listing = self._store.listing(digest) if digest != except_for else None
            for file in listing.files if listing is not None else []:
                sources[file.digest] = f"{FOLDER}/{name}/{file.path}"
        return sources

    def check(self, folder: str, file: TreeFile) -> Signature | None:
        """The signature of a file whose bytes are as listed; None of one that is not, or is not a file."""
        path = f"{folder}/{file.path}"
        try:
            found = self._disk.stat(path)
            if found is None or found.st_size != file.size_bytes:
                return None
            return sign(found) if self._disk.digest(path) == file.digest else None
        except DiskFault:
            return None

    def has_mode(self, folder: str, file: TreeFile) -> bool:
        """Whether a file has the mode that is listed."""
        found = self._disk.stat(f"{folder}/{file.path}")
        return found is not None and stat.S_IMODE(found.st_mode) == mode_of(file)

    def sign_all(self, folder: str, listing: FileTree) -> list[Signature]:
        """What `stat` says of the files of a tree, those that are there."""
        found = [self._disk.stat(f"{folder}/{file.path}") for file in listing.files]
        return [sign(one) for one in found if one is not None]

    def link_own(self, folder: str, files: Iterable[TreeFile]) -> None:
        """The links to what is the box's own in a tree that has a page, where nothing is.

        A file in the place of the configuration is newer truth and the configuration's.
        """
        if not any(file.path.startswith("webapp/") for file in files):
            return
        owned = {CONFIGURATION: CONFIGURATION_TARGET}
        owned |= {_INSIDE: _UP + CLUB_VIDEOS} if self._is_folder(CLUB_VIDEOS) else {}
        for path, target in owned.items():
            if self._disk.stat(f"{folder}/{path}") is None:
                self._disk.symlink(target, f"{folder}/{path}")

    def keep_club_videos(self, page: str) -> None:
        """Have the videos inside a page that was installed by hand change places with a link: they outlive the page."""
        inside, outside, number = f"{page}/videos", CLUB_VIDEOS, 1
        if not (self._is_folder(page) and self._is_folder(inside)):
            return
        while self._is_folder(outside):
            number += 1
            outside = f"{CLUB_VIDEOS}-{number}"
        self._disk.symlink(_UP + outside, outside)
        self._disk.exchange(inside, outside)

    def _is_folder(self, path: str) -> bool:
        found = self._disk.stat(path)
        return found is not None and stat.S_ISDIR(found.st_mode)


def is_own(path: str) -> bool:
    """Whether a path in a tree is the box's own or the club's: in no listing, never removed."""
    return path == CONFIGURATION or path.startswith(f"{_INSIDE}/") or is_secret(path)


def is_secret(path: str) -> bool:
    """Whether a file may hold secrets of the box: its mode is left as it is."""
    name = path.rpartition("/")[2]
    return name == ".env" or name.startswith(".env.")


def is_listable(path: str) -> bool:
    """Whether a listing can name this path."""
    return _LISTABLE.match(path) is not None and path.isprintable()


def folder_of(target: ReleaseTarget) -> str:
    """The name of a release's folder under `releases/`."""
    return f"{target.version}-{target.tree[7:15]}"


def mode_of(file: TreeFile) -> int:
    """The bits that `chmod` takes."""
    return int(file.mode, 8)


def tops_of(files: Iterable[TreeFile]) -> list[str]:
    """The names at the root that lead into a tree with these files."""
    tops = {file.path.partition("/")[0] for file in files}
    return [name for name in LINKS if name in tops]
