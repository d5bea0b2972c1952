"""Trees and their files, made: copied from installed ones, out of a patch, or downloaded; digests decide."""

import stat
from collections.abc import Callable, Mapping, Set
from functools import partial
from typing import Final

import msgspec

from reconciler_agent.draft import Draft
from reconciler_agent.durable import Disk
from reconciler_agent.errors import AgentError, DigestMismatch, DiskFault
from reconciler_agent.resources.content import OnBytes, Source, copy
from reconciler_agent.resources.patches import PACK, Patch, Patches, lacks, left_bytes, rewrite
from reconciler_agent.resources.trees import CONFIGURATION, FOLDER, Trees, folder_of, mode_of
from reconciler_agent.state import MAX_LISTING_BYTES, Store
from schemas.manifest import FileTree, ReleaseTarget, TreeFile
from schemas.names import Digest

TREE: Final = "tree-"


class Staging:
    """Makes trees under `releases/` and files in them; what an earlier try brought is taken up."""

    def __init__(self, disk: Disk, store: Store, source: Source, trees: Trees) -> None:
        self._disk = disk
        self._store = store
        self._source = source
        self._trees = trees
        self._patches = Patches(disk, source)

    def stage(self, target: ReleaseTarget, by_hand: Mapping[Digest, str], on_bytes: OnBytes | None = None) -> list[str]:
        """Put the tree together under `releases/`, whole and durably.

        Files that an installed release has, or what was installed `by_hand`, are copied from it; what a patch against
        one gives is made; the rest is downloaded. What is returned says why (some of) a patch could not be used.
        """
        name = folder_of(target)
        if self._disk.stat(f"{FOLDER}/{name}") is not None:
            self.listing(target.tree)  # only this was lost; the files are checked when they are looked at
            return []
        draft = f"{self._disk.partial}/{TREE}{target.tree.partition(':')[2]}"
        sources = {**self._trees.sources(except_for=target.tree), **by_hand}
        troubles: dict[str, None] = {}
        patch = None
        if lacks(self._disk, draft, self._store.listing(target.tree), sources):
            patch = self._patches.open(target, self._trees.listings(), sources, troubles, on_bytes)
        listing = self.listing(target.tree, patch)
        self._disk.make_folder(draft)
        self._disk.require_room(left_bytes(self._disk, draft, listing))
        made = self._make(draft, listing, patch, sources) if patch is not None else frozenset()
        for file in (file for file in listing.files if file.path not in made):
            self._fill(f"{draft}/{file.path}", file, partial(self._bring, file, sources, on_bytes))
        self._trees.link_own(draft, listing.files)
        self._disk.sync_tree(draft)
        self._disk.install(draft, f"{FOLDER}/{name}")
        self._store.keep_signatures(target.tree, self._trees.sign_all(f"{FOLDER}/{name}", listing))
        return list(troubles)

    def prune(self, target: ReleaseTarget | None) -> None:
        """Forget half-staged trees and packs of other releases than `target`."""
        kept = target.tree.partition(":")[2] if target is not None else ""
        for name in self._disk.names(self._disk.partial):
            if name.startswith((TREE, PACK)) and name not in (TREE + kept, PACK + kept):
                self._disk.remove(f"{self._disk.partial}/{name}")

    def listing(self, digest: Digest, patch: Patch | None = None) -> FileTree:
        """The listing by its digest, kept for later; DigestMismatch when it is no listing."""
        kept = self._store.listing(digest)
        if kept is not None:
            return kept
        body = (patch.listing() if patch is not None else None) or self._source.blob(digest, MAX_LISTING_BYTES)
        try:
            listing = msgspec.json.decode(body, type=FileTree)
        except msgspec.DecodeError as problem:
            raise DigestMismatch(f"cannot use {digest[:19]}… as a release: {str(problem)[:200]}") from None
        paths = [file.path for file in listing.files]
        if not paths or len(set(paths)) != len(paths) or CONFIGURATION in paths:
            raise DigestMismatch(f"cannot use {digest[:19]}… as a release: its files are none, twice or the box's own")
        self._store.keep_listing(body)
        return listing

    def mend(self, folder: str, listing: FileTree, elsewhere: bool) -> None:
        """Check every file of a tree, whatever `stat` says, and put right what is not as listed."""
        trees = self._trees
        wrong = [f for f in listing.files if trees.check(folder, f) is None or not trees.has_mode(folder, f)]
        sources = self._trees.sources(except_for="") if wrong else {}
        for file in wrong:
            self.replace(f"{folder}/{file.path}", file, sources, elsewhere)
        self._trees.link_own(folder, listing.files)

    def replace(self, path: str, file: TreeFile, sources: Mapping[Digest, str], elsewhere: bool) -> None:
        """A file of an installed tree made anew beside it, synced, and renamed over it.

        `elsewhere`: it can be downloaded; DigestMismatch where it cannot, and nothing here has its bytes.
        """
        found = self._disk.stat(path)
        if found is not None and stat.S_ISDIR(found.st_mode):
            self._disk.remove(path)
        staged = self._disk.staged_name()
        draft = self._disk.draft(staged)
        try:
            if not self._copied(file, {file.digest: path, **sources}, draft):
                if not elsewhere:
                    raise DigestMismatch(
                        f"cannot put {file.path} right: it was installed by hand, and nobody else has it; release"
                        " something, or install it by hand again"
                    )
                self._source.download(file.digest, file.size_bytes, draft, None)
            draft.require(file.digest)
            draft.seal(mode_of(file))
        finally:
            draft.close()
        self._disk.install(staged, path)

    def _make(self, draft: str, listing: FileTree, patch: Patch, sources: Mapping[Digest, str]) -> Set[str]:
        """Fill the files that a patch gives and no installed release has; their paths."""
        missing: dict[Digest, list[TreeFile]] = {}
        for file in listing.files:
            if file.digest not in sources:
                missing.setdefault(file.digest, []).append(file)
        made = set()
        for digest, data in patch.files(missing.keys()):
            for file in missing[digest]:
                self._fill(f"{draft}/{file.path}", file, partial(rewrite, data))
                made.add(file.path)
        return made

    def _fill(self, path: str, file: TreeFile, bring: Callable[[Draft], None]) -> None:
        """A file of a tree in the making, with mode and owner, not synced yet; `bring` gives it its bytes."""
        self._disk.make_folder(path.rpartition("/")[0])
        draft = self._disk.draft(path, resume=True)
        try:
            if draft.digest() != file.digest or draft.size_bytes != file.size_bytes:
                bring(draft)
            draft.require(file.digest)
            draft.seal(mode_of(file), sync=False)
        except (DigestMismatch, DiskFault):
            draft.close()
            self._disk.remove(path)
            raise
        finally:
            draft.close()

    def _bring(self, file: TreeFile, sources: Mapping[Digest, str], on_bytes: OnBytes | None, draft: Draft) -> None:
        if not self._copied(file, sources, draft):
            self._source.download(file.digest, file.size_bytes, draft, on_bytes)

    def _copied(self, file: TreeFile, sources: Mapping[Digest, str], draft: Draft) -> bool:
        """Whether the draft has these bytes now, since a file on the box had them."""
        source = sources.get(file.digest)
        if source is None:
            return False
        draft.restart()
        try:
            copy(self._disk, source, draft)
        except AgentError:
            draft.restart()
        if draft.digest() == file.digest:
            return True
        draft.restart()
        return False
