"""Releases of the box's applications: whole trees under `releases/`, one of them active by the link `current`.

    releases/<version>-<digest8>/      a copy of the listed files, verified and synced before it gets this name
    current -> releases/<…>            activation: one link renamed over the other
    webapp -> current/webapp …         the names at which the box's services look; they never change again

In each tree `webapp/configuration.json` is a link to `data/configuration.json`; what the local applications make of it
is the configuration's business. A file of the active tree is looked at by `stat` in every round, and by digest when
that differs from what it was. Files that a tree has beyond its listing are left alone.
"""

import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from typing import Final

import msgspec
from msgspec import Struct

from reconciler_agent.durable import Disk, Draft
from reconciler_agent.errors import AgentError, DigestMismatch, DiskFault, ReleaseNotAdopted
from reconciler_agent.resources.content import OnBytes, Source, copy
from reconciler_agent.resources.patches import PACK, Patch, Patches, lacks, left_bytes, rewrite
from reconciler_agent.state import MAX_LISTING_BYTES, Signature, Store, sign
from schemas.manifest import FileTree, ReleaseTarget, TreeFile
from schemas.names import Digest
from schemas.status import RunningRelease

FOLDER: Final = "releases"
CURRENT: Final = "current"
LINKS: Final = ("webapp", "server", "admin", "scripts", "VERSION", "release.json")
CONFIGURATION: Final = "webapp/configuration.json"
CONFIGURATION_TARGET: Final = "../../../data/configuration.json"
TREE: Final = "tree-"
ROOT_LINK: Final = "/"
"""Marks, in a list of damaged paths, a link at the root of the installation, as in `/webapp`."""
_NAME: Final = re.compile(r"(.+)-([0-9a-f]{8})")


class Observation(Struct, frozen=True, kw_only=True):
    """`running`: what `current` leads to, None where nothing is active. `active`: its digest, if it is one of ours.

    `trees`: those that lie under `releases/` and whose listing is known. `damaged`: what of the active one, or of the
    links to it (`/webapp`), is not as it should be; `lost`: those of them that are not there, or lead elsewhere.
    """

    running: RunningRelease | None = None
    active: Digest | None = None
    trees: frozenset[Digest] = frozenset()
    damaged: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class _Tree:
    """The active tree, file by file, with what `stat` said when each was last found to be right."""

    def __init__(self, digest: Digest, name: str, files: Sequence[TreeFile], known: list[Signature] | None) -> None:
        self.digest = digest
        self.name = name
        self.files = files
        self.signatures: list[Signature | None] = [None] * len(files)
        if known is not None and len(known) == len(files):
            self.signatures = list(known)
        self.changed = known is None
        self.doubted: set[int] = set()
        self.links = _links(files)


class Releases:
    """The releases on the box whose root is that of `disk`; their listings are kept in `store`."""

    def __init__(self, disk: Disk, store: Store, source: Source) -> None:
        self._disk = disk
        self._store = store
        self._source = source
        self._patches = Patches(disk, source)
        self._tree: _Tree | None = None
        self._paths: list[str] = []

    def observe(self) -> Observation:
        """What is there now; one `stat` for each file of the active tree, and digests where that tells of a change."""
        trees = self._trees()
        name = self._active_name()
        if name is None:
            self._tree = None
            return Observation(trees=frozenset(trees))
        version = (_NAME.fullmatch(name) or [name, name])[1]
        digest = next((d for d, known in trees.items() if known == name), None)
        if digest is None or not self._open(digest, name):
            self._tree = None
            return Observation(running=RunningRelease(version=version), trees=frozenset(trees) - {digest or ""})
        files, links = self._damaged_files(), self._damaged_links()
        lost = [path for path in files if self._disk.stat(f"{FOLDER}/{name}/{path}") is None]
        return Observation(
            running=RunningRelease(version=version, tree=digest),
            active=digest,
            trees=frozenset(trees),
            damaged=(*files, *links),
            lost=(*lost, *links),
        )

    def stage(self, target: ReleaseTarget, on_bytes: OnBytes | None = None) -> list[str]:
        """Put the tree together under `releases/`, whole and durably; what an earlier try brought is taken up.

        Files that an installed release has are copied from it; what a patch against one gives is made; the rest is
        downloaded; digests decide. What is returned says why (some of) a patch could not be used.
        """
        name = _name(target)
        if self._disk.stat(f"{FOLDER}/{name}") is not None:
            self._listing(target.tree)  # only this was lost; the files are checked when they are looked at
            return []
        draft = f"{self._disk.partial}/{TREE}{target.tree.partition(':')[2]}"
        sources = self._sources(except_for=target.tree)
        troubles: dict[str, None] = {}
        patch = None
        if lacks(self._disk, draft, self._store.listing(target.tree), sources):
            patch = self._patches.open(target, self._installed(), sources, troubles, on_bytes)
        listing = self._listing(target.tree, patch)
        self._disk.make_folder(draft)
        self._disk.require_room(left_bytes(self._disk, draft, listing))
        made = self._make(draft, listing, patch, sources) if patch is not None else frozenset()
        for file in (file for file in listing.files if file.path not in made):
            self._fill(f"{draft}/{file.path}", file, partial(self._bring, file, sources, on_bytes))
        if any(file.path.startswith("webapp/") for file in listing.files):
            self._link_configuration(draft)
        self._disk.sync_tree(draft)
        self._disk.install(draft, f"{FOLDER}/{name}")
        self._store.keep_signatures(target.tree, self._sign_all(name, listing))
        return list(troubles)

    def activate(self, target: ReleaseTarget) -> None:
        """Verify the staged tree file by file, and switch to it; ReleaseNotAdopted if something real is in the way."""
        name = _name(target)
        listing = self._listing(target.tree)
        self._require_only_links(listing)
        self._mend(name, listing)
        if self._disk.link_target(CURRENT) != f"{FOLDER}/{name}":
            self._disk.symlink(f"{FOLDER}/{name}", CURRENT)
        for link in _links(listing.files):
            self._link(link)

    @staticmethod
    def is_run(damaged: Sequence[str]) -> bool:
        """Whether a service may be running any of these; pages are read anew each time."""
        return any(not path.startswith(("webapp/", "/webapp")) for path in damaged)

    def repair(self, damaged: Sequence[str]) -> None:
        """Put damaged files and links of the active tree right."""
        tree = self._tree
        if tree is None:
            return
        wanted = {file.path: file for file in tree.files}
        sources = self._sources(except_for=tree.digest)
        for path in damaged:
            if path.startswith(ROOT_LINK):
                self._link(path.removeprefix(ROOT_LINK))
            else:
                self._replace(f"{FOLDER}/{tree.name}/{path}", wanted[path], sources)

    def remove(self, digest: Digest) -> None:
        """Take a tree that is not active away."""
        name = self._trees().get(digest)
        if name is None or name == self._active_name():
            return
        self._disk.remove(f"{FOLDER}/{name}")
        self._store.drop_listing(digest)

    def prune(self, target: ReleaseTarget | None) -> None:
        """Forget half-staged trees and packs of other releases than `target`."""
        kept = target.tree.partition(":")[2] if target is not None else ""
        for name in self._disk.names(self._disk.partial):
            if name.startswith((TREE, PACK)) and name not in (TREE + kept, PACK + kept):
                self._disk.remove(f"{self._disk.partial}/{name}")

    def doubt(self, start: int, count: int) -> int:
        """Have `count` files of the active tree digested in the next round, whatever `stat` says; how many it has."""
        if self._tree is None:
            return 0
        self._tree.doubted.update(range(start, min(start + count, len(self._tree.files))))
        return len(self._tree.files)

    def checkpoint(self) -> None:
        """Keep what `stat` said of the active tree, if that changed: the next start need not digest it again."""
        tree = self._tree
        if tree is None or not tree.changed:
            return
        signatures = [s for s in tree.signatures if s is not None]
        if len(signatures) == len(tree.files):
            self._store.keep_signatures(tree.digest, signatures)
            tree.changed = False

    # Looking

    def _trees(self) -> dict[Digest, str]:
        """Digest and folder of every tree under `releases/` whose listing is kept."""
        names = {found[2]: name for name in self._disk.names(FOLDER) if (found := _NAME.fullmatch(name))}
        listings = self._store.listings() if names else []
        return {d: names[d[7:15]] for d in listings if d[7:15] in names}

    def _active_name(self) -> str | None:
        target = self._disk.link_target(CURRENT)
        folder, _, name = (target or "").partition("/")
        found = self._disk.stat(f"{FOLDER}/{name}") if folder == FOLDER and name and "/" not in name else None
        return name if found is not None and stat.S_ISDIR(found.st_mode) else None

    def _open(self, digest: Digest, name: str) -> bool:
        """Whether the listing of the active tree could be read; it is kept in memory while it is active."""
        if self._tree is not None and (self._tree.digest, self._tree.name) == (digest, name):
            return True
        listing = self._store.listing(digest)
        if listing is None:
            return False
        self._tree = _Tree(digest, name, listing.files, self._store.signatures(digest))
        prefix = f"{self._disk.root}/{FOLDER}/{name}/"
        self._paths = [prefix + file.path for file in listing.files]
        return True

    def _damaged_files(self) -> list[str]:
        tree = self._tree
        if tree is None:
            return []
        signatures, suspects = tree.signatures, []
        for place, path in enumerate(self._paths):
            try:
                found = os.lstat(path)
            except OSError:
                suspects.append(place)
                continue
            if (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns) != signatures[place]:
                suspects.append(place)
        suspects += sorted(tree.doubted.difference(suspects))
        tree.doubted.clear()
        return [tree.files[place].path for place in suspects if not self._is_right(tree, place)]

    def _is_right(self, tree: _Tree, place: int) -> bool:
        """Whether a file is as listed, by digest; if so its new signature is good until it changes again."""
        signature = self._check(f"{FOLDER}/{tree.name}", tree.files[place])
        tree.changed = tree.changed or signature != tree.signatures[place]
        tree.signatures[place] = signature
        return signature is not None

    def _check(self, folder: str, file: TreeFile) -> Signature | None:
        """The signature of a file that is as listed; None of one that is not, or is not a file."""
        path = f"{folder}/{file.path}"
        try:
            found = self._disk.stat(path)
            if found is None or found.st_size != file.size_bytes or stat.S_IMODE(found.st_mode) != _mode(file):
                return None
            return sign(found) if self._disk.digest(path) == file.digest else None
        except DiskFault:
            return None

    def _damaged_links(self) -> list[str]:
        wanted = self._tree.links if self._tree is not None else []
        return [ROOT_LINK + name for name in wanted if self._disk.link_target(name) != f"{CURRENT}/{name}"]

    def _sign_all(self, name: str, listing: FileTree) -> list[Signature]:
        found = [self._disk.stat(f"{FOLDER}/{name}/{file.path}") for file in listing.files]
        return [sign(one) for one in found if one is not None]

    def _sources(self, except_for: Digest) -> dict[Digest, str]:
        """Where an installed tree has a file with this digest; it is checked when it is copied."""
        sources: dict[Digest, str] = {}
        for digest, name in self._trees().items():
            listing = self._store.listing(digest) if digest != except_for else None
            for file in listing.files if listing is not None else []:
                sources[file.digest] = f"{FOLDER}/{name}/{file.path}"
        return sources

    def _installed(self) -> dict[Digest, FileTree]:
        """The listings of the trees under `releases/`."""
        found = {digest: self._store.listing(digest) for digest in self._trees()}
        return {digest: listing for digest, listing in found.items() if listing is not None}

    # Making

    def _listing(self, digest: Digest, patch: Patch | None = None) -> FileTree:
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
            draft.seal(_mode(file), sync=False)
        except (DigestMismatch, DiskFault):
            draft.close()
            self._disk.remove(path)
            raise
        finally:
            draft.close()

    def _bring(self, file: TreeFile, sources: Mapping[Digest, str], on_bytes: OnBytes | None, draft: Draft) -> None:
        source = sources.get(file.digest)
        if source is not None:
            draft.restart()
            try:
                copy(self._disk, source, draft)
            except AgentError:
                draft.restart()
            if draft.digest() == file.digest:
                return
            draft.restart()
        self._source.download(file.digest, file.size_bytes, draft, on_bytes)

    def _mend(self, name: str, listing: FileTree) -> None:
        """Check every file of a tree, whatever `stat` says, and put right what is not as listed."""
        folder = f"{FOLDER}/{name}"
        wrong = [file for file in listing.files if self._check(folder, file) is None]
        sources = self._sources(except_for="") if wrong else {}
        for file in wrong:
            self._replace(f"{folder}/{file.path}", file, sources)
        if any(file.path.startswith("webapp/") for file in listing.files):
            self._link_configuration(folder)

    def _replace(self, path: str, file: TreeFile, sources: dict[Digest, str]) -> None:
        """A file of an installed tree made anew beside it, synced, and renamed over it."""
        found = self._disk.stat(path)
        if found is not None and stat.S_ISDIR(found.st_mode):
            self._disk.remove(path)
        staged = self._disk.staged_name()
        draft = self._disk.draft(staged)
        try:
            self._bring(file, {file.digest: path, **sources}, None, draft)
            draft.require(file.digest)
            draft.seal(_mode(file))
        finally:
            draft.close()
        self._disk.install(staged, path)

    def _link_configuration(self, folder: str) -> None:
        """The link to the configuration, where nothing is; a file there is newer truth and the configuration's."""
        if self._disk.stat(f"{folder}/{CONFIGURATION}") is None:
            self._disk.symlink(CONFIGURATION_TARGET, f"{folder}/{CONFIGURATION}")

    def _require_only_links(self, listing: FileTree) -> None:
        for name in (CURRENT, *_links(listing.files)):
            found = self._disk.stat(name)
            if found is not None and not stat.S_ISLNK(found.st_mode):
                raise ReleaseNotAdopted(
                    f"cannot activate a release: {name} is no link of ours but was installed by hand; nothing was"
                    f" changed. Move {self._disk.root / name} away to let the agent install releases here"
                )

    def _link(self, name: str) -> None:
        found = self._disk.stat(name)
        if found is not None and not stat.S_ISLNK(found.st_mode):
            raise ReleaseNotAdopted(f"cannot link {name}: something else stands there; move it away")
        if self._disk.link_target(name) != f"{CURRENT}/{name}":
            self._disk.symlink(f"{CURRENT}/{name}", name)


def _name(target: ReleaseTarget) -> str:
    return f"{target.version}-{target.tree[7:15]}"


def _mode(file: TreeFile) -> int:
    return int(file.mode, 8)


def _links(files: Sequence[TreeFile]) -> list[str]:
    """The names at the root that lead into this tree."""
    tops = {file.path.partition("/")[0] for file in files}
    return [name for name in LINKS if name in tops]
