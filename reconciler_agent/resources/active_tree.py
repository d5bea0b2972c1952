"""The active tree, looked at: by `stat` in every round, and by digest where that differs from what it was."""

import os
import stat
from typing import NamedTuple

from reconciler_agent.core.turns import turns
from reconciler_agent.durable import Disk
from reconciler_agent.resources.access import lacks_bits
from reconciler_agent.resources.trees import FOLDER, Trees, is_listable, is_own, tops_of
from reconciler_agent.state import Signature, Store
from reconciler_agent.system_calls import faults
from schemas.manifest import FileTree
from schemas.names import Digest


class Looked(NamedTuple):
    """`damaged`: files that are not as listed; `strays`: files beyond the listing; both within the tree.

    `closed`: files with the right bytes and folders, under the root, that the box's services may not use.
    """

    damaged: list[str]
    closed: list[str]
    strays: list[str]


class ActiveTree:
    """A tree file by file, with what `stat` said when each was last found to be right."""

    def __init__(self, disk: Disk, trees: Trees, digest: Digest, name: str, listing: FileTree) -> None:
        self.digest = digest
        self.name = name
        self.folder = f"{FOLDER}/{name}"
        self.files = listing.files
        self.tops = tops_of(listing.files)
        self._disk = disk
        self._trees = trees
        self._signatures: list[Signature | None] = [None] * len(listing.files)
        self._doubted: set[int] = set()
        self._around: tuple[list[str], list[str]] | None = None
        self._changed = True

    def recall(self, known: list[Signature] | None) -> None:
        """Take what was kept of it for good; None: check every file."""
        if known is not None and len(known) == len(self.files):
            self._signatures = list(known)
            self._around = ([], [])
        self._changed = known is None

    def doubt(self, first_hour: int, hours: int) -> None:
        """Have those files digested at the next look, whatever `stat` says, whose turn it is (`core.turns`).

        When it is anybody's turn, what is not listed is looked for, too.
        """
        self._doubted.update(turns(len(self.files), first_hour, hours))
        if hours:
            self.look_around()

    def look_around(self) -> None:
        """Look at the next look for what is not listed."""
        self._around = None

    def look(self) -> Looked:
        """What is not as listed; what lies there beyond the listing is looked for again after a change or a `doubt`."""
        suspects = self._changed_files()
        suspects += sorted(self._doubted.difference(suspects))
        self._doubted.clear()
        closed: list[str] = []
        damaged = [self.files[place].path for place in suspects if not self._is_right(place, closed)]
        if suspects or self._around is None:
            self._around = self._beyond()
        folders, strays = self._around
        return Looked(damaged, [*folders, *closed], strays)

    def _changed_files(self) -> list[int]:
        """Of which `stat` says something else than when they were right, or nothing at all."""
        signatures, changed = self._signatures, []
        with faults("look at", self.folder), self._disk.folder(self.folder) as tree:
            for place, file in enumerate(self.files):
                try:
                    found = os.stat(file.path, dir_fd=tree, follow_symlinks=False)
                except OSError:
                    changed.append(place)
                    continue
                if (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns) != signatures[place]:
                    changed.append(place)
        return changed

    def keep_in(self, store: Store) -> None:
        """Keep what `stat` said, if that changed: the next start need not digest it all again."""
        signatures = [s for s in self._signatures if s is not None]
        if self._changed and len(signatures) == len(self.files):
            store.keep_signatures(self.digest, signatures)
            self._changed = False

    def _is_right(self, place: int, closed: list[str]) -> bool:
        """Whether a file has the bytes that are listed; if all of it is right, its new signature is good from now on.

        One with another mode is put among the `closed`.
        """
        file = self.files[place]
        signature = self._trees.check(self.folder, file)
        if signature is not None and not self._trees.has_mode(self.folder, file):
            closed.append(f"{self.folder}/{file.path}")
            self._signatures[place] = None
            return True
        self._changed = self._changed or signature != self._signatures[place]
        self._signatures[place] = signature
        return signature is not None

    def _beyond(self) -> tuple[list[str], list[str]]:
        """Folders that are closed, and files that no listing names; links are nobody's."""
        listed = {file.path for file in self.files}
        closed, strays = [], []
        for path, found in self._disk.walk(self.folder):
            inside = path.removeprefix(f"{self.folder}/")
            if stat.S_ISDIR(found.st_mode) and lacks_bits(found.st_mode):
                closed.append(path)
            elif stat.S_ISREG(found.st_mode) and inside not in listed and is_listable(inside) and not is_own(inside):
                strays.append(inside)
        return closed, strays
