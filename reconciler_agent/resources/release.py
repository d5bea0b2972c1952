"""Releases of the box's applications: whole trees under `releases/` (`trees`), one of them active.

A file of the active tree is looked at by `stat` in every round, and by digest when that differs from what it was
(`active_tree`). A release replaces, it never overlays: files that the active tree has beyond its listing are taken
away, but for the box's own and links. What was installed by hand before is adopted (`by_hand`).
"""

import stat
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from reconciler_agent.durable import Disk
from reconciler_agent.errors import DigestMismatch, ReleaseNotAdopted
from reconciler_agent.resources.active_tree import ActiveTree
from reconciler_agent.resources.by_hand import ByHand, Survey
from reconciler_agent.resources.content import OnBytes, Source
from reconciler_agent.resources.staging import Staging
from reconciler_agent.resources.trees import CURRENT, FOLDER, LINKS, NAME, Trees, folder_of, mode_of, tops_of
from reconciler_agent.state import Store
from schemas.manifest import ReleaseTarget, TreeFile
from schemas.names import Digest
from schemas.status import RunningRelease

ROOT_LINK: Final = "/"
"""Marks, in a list of damaged paths, a link at the root of the installation, as in `/webapp`."""


class Observation(Struct, frozen=True, kw_only=True):
    """`running`: what `current` leads to, None where nothing is active. `active`: its digest, if it is one of ours.

    `trees`: those that lie under `releases/` and whose listing is known. `damaged`: what of the active one, or of the
    links to it (`/webapp`), is not as it should be, files beyond its listing included; `lost`: those of them that are
    not there, or lead elsewhere. `closed`: what of it the box's services may not read, as paths under the root.
    `by_hand`: what runs was installed by hand; `adopting`: its adoption has begun.
    """

    running: RunningRelease | None = None
    active: Digest | None = None
    trees: frozenset[Digest] = frozenset()
    damaged: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    by_hand: bool = False
    adopting: bool = False


class Releases:
    """The releases on the box whose root is that of `disk`; their listings are kept in `store`."""

    def __init__(self, disk: Disk, store: Store, source: Source) -> None:
        self._disk = disk
        self._store = store
        self._trees = Trees(disk, store)
        self._staging = Staging(disk, store, source, self._trees)
        self._by_hand = ByHand(disk, store, self._trees)
        self._tree: ActiveTree | None = None
        self._doubted = (0, 0)

    def observe(self) -> Observation:
        """What is there now; one `stat` for each file of the active tree, and digests where that tells of a change."""
        trees = self._trees.names()
        name = self._trees.active_name()
        if name is None:
            return self._observe_by_hand(frozenset(trees))
        version = (NAME.fullmatch(name) or [name, name])[1]
        digest = next((d for d, known in trees.items() if known == name), None)
        begun = self._by_hand.is_begun(name)
        tree = self._tree = self._open(digest, name) if digest is not None and not begun else None
        if tree is None:
            running, others = RunningRelease(version=version), frozenset(trees) - {digest or ""}
            return Observation(running=running, trees=others, by_hand=begun, adopting=begun)
        tree.doubt(*self._doubted)
        self._doubted = (0, 0)
        found, links = tree.look(), self._damaged_links(tree)
        lost = [path for path in found.damaged if self._disk.stat(f"{tree.folder}/{path}") is None]
        return Observation(
            running=RunningRelease(version=version, tree=digest),
            active=digest,
            trees=frozenset(trees),
            damaged=(*found.damaged, *links, *found.strays),
            lost=(*lost, *(link for link in links if not self._is_real(link.removeprefix(ROOT_LINK)))),
            closed=tuple(found.closed),
        )

    def _observe_by_hand(self, trees: frozenset[Digest]) -> Observation:
        """What there is while no release of ours is active."""
        self._tree = None
        by_hand = bool(self._by_hand.names())
        running = RunningRelease(version=self._by_hand.version()) if by_hand else None
        return Observation(running=running, trees=trees, by_hand=by_hand)

    def stage(self, target: ReleaseTarget, on_bytes: OnBytes | None = None) -> list[str]:
        """Put the tree together under `releases/`; answers as `Staging.stage`."""
        by_hand = self._by_hand.sources() if self._trees.active_name() is None else {}
        return self._staging.stage(target, by_hand, on_bytes)

    def survey(self) -> Survey:
        """What was installed by hand, made fit to be a release; ReleaseNotAdopted if it cannot be one now."""
        self._require_link()
        for name in LINKS:
            target = self._disk.link_target(name)
            if target not in (None, f"{CURRENT}/{name}"):
                raise ReleaseNotAdopted(
                    f"cannot adopt what was installed by hand: {name} is a link to {target}; put the files themselves"
                    " there"
                )
        return self._by_hand.survey()

    def adopt(self, adopted: ReleaseTarget | None) -> None:
        """Make what was surveyed the active release; None: go on with an adoption that has begun."""
        if adopted is not None:
            self._by_hand.begin(adopted)
        if (name := self._trees.active_name()) is not None:
            self._by_hand.proceed(name)

    def activate(self, target: ReleaseTarget) -> None:
        """Verify the staged tree file by file, and switch to it.

        Something real in the place of a link took it from an active release, and is taken away; what was installed by
        hand was adopted before.
        """
        name = folder_of(target)
        listing = self._staging.listing(target.tree)
        self._require_link()
        self._staging.mend(f"{FOLDER}/{name}", listing, self._is_elsewhere(target.tree))
        if self._disk.link_target(CURRENT) != f"{FOLDER}/{name}":
            self._disk.symlink(f"{FOLDER}/{name}", CURRENT)
        for link in tops_of(listing.files):
            self._link(link)

    def is_run(self, damaged: Sequence[str]) -> bool:
        """Whether a service may be running any of these; pages are read anew each time, and strays are nobody's."""
        listed = {file.path for file in self._tree.files} if self._tree is not None else set()
        known = [path for path in damaged if path.startswith(ROOT_LINK) or path in listed]
        return any(not path.startswith(("webapp/", "/webapp")) for path in known)

    def repair(self, damaged: Sequence[str]) -> None:
        """Put damaged files and links of the active tree right, and take away what it has beyond its listing.

        DigestMismatch, when all the others are right, for a file whose bytes are nowhere.
        """
        tree, nowhere = self._tree, None
        if tree is None:
            return
        tree.look_around()
        wanted = {file.path: file for file in tree.files}
        sources = self._trees.sources(except_for=tree.digest)
        for path in damaged:
            if path.startswith(ROOT_LINK):
                self._link(path.removeprefix(ROOT_LINK))
            elif path in wanted:
                try:
                    self._replace(tree, wanted[path], sources)
                except DigestMismatch as problem:
                    nowhere = nowhere or problem
            else:
                self._disk.remove(f"{tree.folder}/{path}")
        if nowhere is not None:
            raise nowhere

    def _replace(self, tree: ActiveTree, file: TreeFile, sources: Mapping[Digest, str]) -> None:
        self._staging.replace(f"{tree.folder}/{file.path}", file, sources, self._is_elsewhere(tree.digest))

    def open_up(self, closed: Sequence[str]) -> None:
        """Give files and folders of the active tree their modes again."""
        tree = self._tree
        if tree is None:
            return
        tree.look_around()
        modes = {f"{tree.folder}/{file.path}": mode_of(file) for file in tree.files}
        for path in closed:
            self._disk.open_up(path, modes.get(path, 0o755))

    def remove(self, digest: Digest) -> None:
        """Take a tree that is not active away."""
        name = self._trees.names().get(digest)
        if name is None or name == self._trees.active_name():
            return
        self._disk.remove(f"{FOLDER}/{name}")
        self._store.drop_listing(digest)

    def prune(self, target: ReleaseTarget | None) -> None:
        """Forget half-staged trees and packs of other releases than `target`."""
        self._staging.prune(target)

    def doubt(self, first_hour: int, hours: int) -> None:
        """Have those files of the active tree digested at the next look whose turn it is (`core.turns`)."""
        self._doubted = (first_hour, hours)

    def checkpoint(self) -> None:
        """Keep what `stat` said of the active tree, if that changed: the next start need not digest it again."""
        if self._tree is not None:
            self._tree.keep_in(self._store)

    def _open(self, digest: Digest, name: str) -> ActiveTree | None:
        """The active tree, if its listing can be read; it is kept in memory while it is active."""
        if self._tree is not None and (self._tree.digest, self._tree.name) == (digest, name):
            return self._tree
        listing = self._store.listing(digest)
        if listing is None:
            return None
        tree = ActiveTree(self._disk, self._trees, digest, name, listing)
        tree.recall(self._store.signatures(digest))
        return tree

    def _is_elsewhere(self, tree: Digest) -> bool:
        """Whether the control plane may have the files of a tree: it has not what was installed by hand."""
        return tree != self._store.state.releases.adopted

    def _damaged_links(self, tree: ActiveTree) -> list[str]:
        wrong = [name for name in tree.tops if self._disk.link_target(name) != f"{CURRENT}/{name}"]
        return [ROOT_LINK + name for name in wrong]

    def _require_link(self) -> None:
        if self._is_real(CURRENT):
            raise ReleaseNotAdopted(
                f"cannot activate a release: {CURRENT} is no link of ours; move {self._disk.root / CURRENT} away"
            )

    def _link(self, name: str) -> None:
        """Make a name at the root lead into the active tree; something real that took its place is taken away."""
        if self._disk.link_target(name) == f"{CURRENT}/{name}":
            return
        if not self._is_real(name):
            self._disk.symlink(f"{CURRENT}/{name}", name)
            return
        if name == "webapp":
            self._trees.keep_club_videos(name)
        staged = self._disk.staged_name()
        self._disk.symlink(f"{CURRENT}/{name}", staged)
        self._disk.exchange(staged, name)
        self._disk.remove(staged)

    def _is_real(self, name: str) -> bool:
        found = self._disk.stat(name)
        return found is not None and not stat.S_ISLNK(found.st_mode)
