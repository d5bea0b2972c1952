"""What was installed by hand: real folders and files where the links of a release belong. The first release adopts it.

    survey    modes and owner put right, every file synced and digested: a listing, kept like that of any release
    prepare   releases/<version>-<digest8>/ with a link `webapp -> current/webapp` … in the place of each real thing
    begin     current -> releases/<…>
    go on     each real thing and its link change places, one by one (renameat2, RENAME_EXCHANGE)

At every instant each name leads to what it led to before: nothing is copied and nothing is restarted, so it takes no
room. A run that ends anywhere is taken up from what lies on the disk: a link in the tree says what is still to change
places.

What cannot be listed goes along as it is and is not verified: links (`node_modules/.bin`), what is no file, names that
no listing can have, what is the box's own (`is_own`), and what the box's owner may not read: nobody is given that.
"""

import os
import stat
from typing import Final

from msgspec import Struct

from reconciler_agent.durable import Disk
from reconciler_agent.errors import ReleaseNotAdopted
from reconciler_agent.resources.content import copy
from reconciler_agent.resources.trees import (
    CONFIGURATION,
    CONFIGURATION_TARGET,
    CURRENT,
    FOLDER,
    LINKS,
    Trees,
    folder_of,
    is_listable,
    is_own,
    is_secret,
)
from reconciler_agent.state import Signature, Store, sign
from schemas.manifest import FileTree, ReleaseTarget, TreeFile, encode_canonical
from schemas.names import Digest, Version, digest_of
from schemas.versions import VERSION_SOURCES, as_version, declared_version

MAX_SOURCE_BYTES: Final = 64 << 10
LOOKS: Final = 3
"""So often everything is looked at again, until two looks in a row find the same."""
_DATA: Final = ("data", "../../data")
"""In the tree while it is adopted: the link to the configuration leads there from the old place and from the new."""


class Survey(Struct, frozen=True, kw_only=True):
    """What was found; its listing is kept."""

    version: Version
    tree: Digest
    size_bytes: int


class ByHand:
    """What was installed by hand on the box whose root is that of `disk`."""

    def __init__(self, disk: Disk, store: Store, trees: Trees) -> None:
        self._disk = disk
        self._store = store
        self._trees = trees
        self._known: dict[str, tuple[Signature, TreeFile]] = {}
        self._kept: Digest | None = None

    def names(self) -> list[str]:
        """The names of a release at which something real stands."""
        found = {name: self._disk.stat(name) for name in LINKS}
        return [name for name, stands in found.items() if stands is not None and not stat.S_ISLNK(stands.st_mode)]

    def version(self) -> Version:
        """What it says of itself, as SemVer."""
        return as_version(declared_version(self._sources_of_version()) or "unknown")

    def is_begun(self, name: str) -> bool:
        """Whether a tree is that of an adoption that has not come to its end."""
        helper, target = _DATA
        return self._disk.link_target(f"{FOLDER}/{name}/{helper}") == target

    def sources(self) -> dict[Digest, str]:
        """Where one of its files has this digest; it is to be checked when it is copied."""
        return {file.digest: path for path, (_, file) in self._look().items()}

    def survey(self) -> Survey:
        """Make it fit for a release, and list it; ReleaseNotAdopted while somebody writes there."""
        for path, stands in self._walk():
            if stands.st_nlink > 1:
                self._make_own(path, stands.st_mode)
        for name in self.names():
            self._disk.take_in(name, is_secret)
        found = self._look()
        for _ in range(LOOKS):
            before, found = found, self._look()
            if found == before:
                return self._keep(found)
        (path, *_) = sorted(path for path in found.keys() | before.keys() if found.get(path) != before.get(path))
        raise ReleaseNotAdopted(
            f"cannot adopt what was installed by hand: somebody writes {path} just now; it is tried again"
        )

    def begin(self, adopted: ReleaseTarget) -> None:
        """Prepare its tree and make it the active one, with nothing in it yet; `proceed` is to follow."""
        folder = f"{FOLDER}/{folder_of(adopted)}"
        draft = self._disk.staged_name()
        self._disk.make_folder(draft)
        for name in self.names():
            self._disk.symlink(f"{CURRENT}/{name}", f"{draft}/{name}")
        helper, target = _DATA
        self._disk.symlink(target, f"{draft}/{helper}")
        self._disk.sync_tree(draft)
        self._disk.remove(folder)  # a staged copy of the very same files
        self._disk.install(draft, folder)
        self._disk.symlink(folder, CURRENT)

    def proceed(self, name: str) -> None:
        """Let what is real and the links in the tree change places, whatever of it is done already."""
        folder = f"{FOLDER}/{name}"
        for link in LINKS:
            if self._disk.link_target(f"{folder}/{link}") == f"{CURRENT}/{link}":
                self._change_places(folder, link)
        configuration = f"{folder}/{CONFIGURATION}"
        if self._disk.link_target(configuration) not in (None, CONFIGURATION_TARGET):
            self._disk.symlink(CONFIGURATION_TARGET, configuration)
        self._trees.keep_club_videos(f"{folder}/webapp")
        self._disk.remove(f"{folder}/{_DATA[0]}")  # last: it says that the adoption has begun
        self._known = {}

    def _change_places(self, folder: str, link: str) -> None:
        if link in self.names():
            self._disk.exchange(link, f"{folder}/{link}")
        else:  # somebody took it away meanwhile
            self._disk.remove(f"{folder}/{link}")

    def _sources_of_version(self) -> dict[str, bytes]:
        found = {path: self._disk.read(path, MAX_SOURCE_BYTES) for path in VERSION_SOURCES if self._is_file(path)}
        return {path: data for path, data in found.items() if data is not None}

    def _is_file(self, path: str) -> bool:
        found = self._disk.stat(path)
        return found is not None and stat.S_ISREG(found.st_mode) and found.st_size <= MAX_SOURCE_BYTES

    def _keep(self, found: dict[str, tuple[Signature, TreeFile]]) -> Survey:
        files = sorted((file for _, file in found.values()), key=lambda file: file.path.encode())
        body = encode_canonical(FileTree(schema=1, files=files))
        tree = digest_of(body)
        if self._kept is not None and self._kept not in (tree, *self._trees.names()):
            self._store.drop_listing(self._kept)
        self._kept = tree
        self._store.keep_listing(body)
        self._store.keep_signatures(tree, [found[file.path][0] for file in files])
        return Survey(version=self.version(), tree=tree, size_bytes=sum(file.size_bytes for file in files))

    def _look(self) -> dict[str, tuple[Signature, TreeFile]]:
        """Every file that can be listed, digested where `stat` does not know it from the last look."""
        found: dict[str, tuple[Signature, TreeFile]] = {}
        for path, stands in self._walk():
            signature, known = sign(stands), self._known.get(path)
            if known is not None and known[0] == signature:
                found[path] = known
            elif digest := self._disk.digest(path):
                found[path] = (signature, _listed(path, stands.st_size, stands.st_mode, digest))
        self._known = found
        return found

    def _walk(self) -> list[tuple[str, os.stat_result]]:
        found = []
        for name in self.names():
            stands = self._disk.stat(name)
            found += [(name, stands)] if stands is not None else []
            found += self._disk.walk(name) if stands is not None and stat.S_ISDIR(stands.st_mode) else []
        return [(path, at) for path, at in found if stat.S_ISREG(at.st_mode) and self._is_listed(path, at)]

    def _is_listed(self, path: str, at: os.stat_result) -> bool:
        return self._disk.may_read(at) and is_listable(path) and not is_own(path)

    def _make_own(self, path: str, mode: int) -> None:
        """A file that has a second name elsewhere (a package manager's store), made a file by itself."""
        staged = self._disk.staged_name()
        draft = self._disk.draft(staged)
        try:
            copy(self._disk, path, draft)
            draft.seal(_mode(mode))
        finally:
            draft.close()
        self._disk.install(staged, path)


def _mode(mode: int) -> int:
    return 0o755 if mode & stat.S_IXUSR else 0o644


def _listed(path: str, size_bytes: int, mode: int, digest: Digest) -> TreeFile:
    return TreeFile(path=path, mode="0755" if _mode(mode) == 0o755 else "0644", size_bytes=size_bytes, digest=digest)
