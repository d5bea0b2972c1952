"""`neopro-agent verify`: everything that the agent put on this box, checked byte by byte now; nothing is changed."""

import json
from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct

from reconciler_agent.core.merge import merge
from reconciler_agent.core.trust import first_state, trusted_root
from reconciler_agent.durable import Disk
from reconciler_agent.errors import AgentError, DiskFault
from reconciler_agent.resources.active_tree import ActiveTree
from reconciler_agent.resources.configuration_file import MAX_BYTES, PATH
from reconciler_agent.resources.trees import CURRENT, FOLDER, NAME, Trees
from reconciler_agent.state import Installed, State
from reconciler_agent.technician.sight import Sight
from schemas.dsse import Refused
from schemas.names import SiteId, digest_of
from schemas.trust import read_head, read_release_list

MAX_SHOWN: Final = 50
Kind = Literal["trust", "release", "content", "configuration"]


class Finding(Struct, frozen=True, kw_only=True):
    """Something that is not as the agent left it, or as it should be."""

    kind: Kind
    what: str
    problem: str


class Verified(Struct, frozen=True, kw_only=True):
    """How much was checked (files by digest), and all that differs."""

    site: SiteId
    release: str | None
    files: int
    findings: list[Finding]

    @property
    def lines(self) -> list[str]:
        """The same for a person."""
        running = f"release {self.release}" if self.release else "no release of ours"
        if not self.findings:
            return [f"{self.site}: {running}, {self.files} files: all as it should be"]
        lines = [f"{self.site}: {running}, {self.files} files checked, {len(self.findings)} things differ"]
        lines += [f"  {found.kind}: {found.what}: {found.problem}" for found in self.findings[:MAX_SHOWN]]
        more = len(self.findings) - MAX_SHOWN
        return [*lines, *([f"  … and {more} more; --json lists all"] if more > 0 else [])]


def verify(sight: Sight) -> Verified:
    """Check it all. What differs in files and configuration the agent puts right by itself, within a week."""
    walk = _Walk(sight)
    findings = [*walk.trust(), *walk.release(), *walk.content(), *walk.configuration()]
    return Verified(site=sight.settings.site, release=walk.running, files=walk.files, findings=findings)


class _Walk:
    """One check of a box; counts the files."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._sound: set[str] = set()
        self.files = 0
        self.running: str | None = None

    def trust(self) -> Iterator[Finding]:
        """The provisioned root, the copies of the state, and every document that was accepted, verified anew."""
        sight = self._sight
        try:
            first_state(sight.settings.trust.read_bytes(), sight.now())
        except OSError as problem:
            yield _trust(str(sight.settings.trust), f"cannot be read: {problem.strerror}")
        except AgentError as problem:
            yield _trust(str(sight.settings.trust), str(problem))
        for name in sight.damaged:
            yield _trust(str(sight.settings.state / name), "is damaged; the agent uses its twin, and makes it anew")
        if sight.state is None:
            yield _trust(str(sight.settings.state), "holds nothing that can be read: the agent never ran, or lost it")
            return
        yield from _documents(sight.state)

    def release(self) -> Iterator[Finding]:
        """The files of the active tree, and the links that lead to it."""
        box, store = self._sight.box, self._sight.store
        if box is None:
            yield Finding(kind="release", what=str(self._sight.settings.root), problem="there is no such folder")
            return
        if store is None:
            return
        trees = Trees(box, store)
        name = trees.active_name()
        if name is None:
            yield from self._missing_release(box)
            return
        self.running = (NAME.fullmatch(name) or [name, name])[1]
        digest = next((digest for digest, known in trees.names().items() if known == name), None)
        listing = store.listing(digest) if digest is not None else None
        if digest is None or listing is None:
            yield Finding(kind="release", what=f"{FOLDER}/{name}", problem="its listing is not here, or is damaged")
            return
        self.files += len(listing.files)
        yield from _tree(box, ActiveTree(box, trees, digest, name, listing))

    def _missing_release(self, box: Disk) -> Iterator[Finding]:
        state = self._sight.state
        good = state.releases.good if state is not None else None
        if good is not None:
            where = box.link_target(CURRENT)
            problem = f"leads to {where}, which is no release" if where else "is not there"
            yield Finding(kind="release", what=CURRENT, problem=f"{problem}; release {good.version} should be in force")

    def content(self) -> Iterator[Finding]:
        """The files under `videos/` that the agent put there."""
        box, state = self._sight.box, self._sight.state
        if box is None or state is None:
            return
        for path, entry in sorted(state.ledger.items()):
            if problem := self._file(box, path, entry):
                yield Finding(kind="content", what=path, problem=problem)

    def _file(self, box: Disk, path: str, entry: Installed) -> str:
        try:
            found = box.digest(path)
        except DiskFault as problem:
            return f"cannot be read: {problem}"
        if found is None:
            # Named in the ledger before it is there: it is on its way.
            return "is missing" if entry.signature is not None else ""
        self.files += 1
        if found != entry.digest:
            return f"its bytes are others: {found[7:15]}…, not {entry.digest[7:15]}…"
        self._sound.add(path)
        return ""

    def configuration(self) -> Iterator[Finding]:
        """What of the configuration is the fleet's; the club's is nobody's business."""
        box, manifest, head = self._sight.box, self._sight.manifest, self._sight.head
        if box is None:
            return
        try:
            if (data := box.read(PATH, MAX_BYTES)) is None:
                raise ValueError("it is not there")
            value = json.loads(data)
            if not isinstance(value, dict):
                raise ValueError("it is no object")
            if manifest is None or head is None or head.state != "active":
                return
            differences = merge(value, manifest, self._sight.today, frozenset(self._sound)).differences
        except (AgentError, ValueError, RecursionError) as problem:
            yield Finding(kind="configuration", what=PATH, problem=f"cannot be read: {str(problem)[:200]}")
            return
        for one in differences:
            wanted = f"{one.observed or 'as it is'}, wanted: {one.desired or 'otherwise'}"
            yield Finding(kind="configuration", what=one.what, problem=wanted)


def _documents(state: State) -> Iterator[Finding]:
    """Root, release list, head and manifest, by the rules under which they were accepted, but for their dates."""
    trust = state.trust
    try:
        root = trusted_root(trust)
        if trust.release_list is not None:
            read_release_list(trust.release_list, root)
        if trust.head is None:
            return
        head = read_head(trust.head, root)
    except AgentError as problem:
        yield _trust("trust root", str(problem))
        return
    except Refused as problem:
        yield _trust("accepted documents", f"do not verify under the trust root that is in force now: {problem}")
        return
    if head.state == "active" and (state.body is None or digest_of(state.body) != head.manifest):
        yield _trust("manifest", "is not the one that the accepted head names; it is fetched anew with the next news")


def _tree(box: Disk, tree: ActiveTree) -> Iterator[Finding]:
    """What of the active tree is not as listed: nothing is known of it beforehand, so each file is digested."""
    looked = tree.look()
    for path in (f"{tree.folder}/{inside}" for inside in looked.damaged):
        problem = "is missing" if box.stat(path) is None else "is not as released: its bytes are others"
        yield Finding(kind="release", what=path, problem=problem)
    for path in looked.closed:
        yield Finding(kind="release", what=path, problem="is not as released: its mode is another")
    for path in (f"{tree.folder}/{inside}" for inside in looked.strays):
        yield Finding(kind="release", what=path, problem="is in no release: somebody put it there")
    for top in tree.tops:
        if (target := box.link_target(top)) != f"{CURRENT}/{top}":
            problem = f"leads to {target}" if target else "is no link to the release"
            yield Finding(kind="release", what=top, problem=problem)


def _trust(what: str, problem: str) -> Finding:
    return Finding(kind="trust", what=what, problem=problem)
