"""The active tree, looked at: by `stat` in every round, and by digest where that differs from what it was."""

import os

from reconciler_agent.core.turns import turns
from reconciler_agent.durable import Disk
from reconciler_agent.resources.trees import FOLDER, Trees, tops_of
from reconciler_agent.state import Signature, Store
from schemas.manifest import FileTree
from schemas.names import Digest


class ActiveTree:
    """A tree file by file, with what `stat` said when each was last found to be right."""

    def __init__(self, disk: Disk, trees: Trees, digest: Digest, name: str, listing: FileTree) -> None:
        self.digest = digest
        self.name = name
        self.folder = f"{FOLDER}/{name}"
        self.files = listing.files
        self.tops = tops_of(listing.files)
        self._trees = trees
        prefix = f"{disk.root}/{self.folder}/"
        self._paths = [prefix + file.path for file in listing.files]
        self._signatures: list[Signature | None] = [None] * len(listing.files)
        self._doubted: set[int] = set()
        self._changed = True

    def recall(self, known: list[Signature] | None) -> None:
        """Take what was kept of it for good; None: check every file."""
        if known is not None and len(known) == len(self.files):
            self._signatures = list(known)
        self._changed = known is None

    def doubt(self, first_hour: int, hours: int) -> None:
        """Have those files digested at the next look, whatever `stat` says, whose turn it is (`core.turns`)."""
        self._doubted.update(turns(len(self.files), first_hour, hours))

    def damaged(self) -> list[str]:
        """The files that are not as listed."""
        signatures, suspects = self._signatures, []
        for place, path in enumerate(self._paths):
            try:
                found = os.lstat(path)
            except OSError:
                suspects.append(place)
                continue
            if (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns) != signatures[place]:
                suspects.append(place)
        suspects += sorted(self._doubted.difference(suspects))
        self._doubted.clear()
        return [self.files[place].path for place in suspects if not self._is_right(place)]

    def keep_in(self, store: Store) -> None:
        """Keep what `stat` said, if that changed: the next start need not digest it all again."""
        signatures = [s for s in self._signatures if s is not None]
        if self._changed and len(signatures) == len(self.files):
            store.keep_signatures(self.digest, signatures)
            self._changed = False

    def _is_right(self, place: int) -> bool:
        """Whether a file is as listed, by digest; if so its new signature is good until it changes again."""
        signature = self._trees.check(self.folder, self.files[place])
        self._changed = self._changed or signature != self._signatures[place]
        self._signatures[place] = signature
        return signature is not None
