"""A whole commit -> a whole fleet: every Problem, and if there is no error, every site's manifest.

`compile_commit` is pure: the same entries and blobs give the same bytes, whatever came before. What it is given as
`previous` only saves work.
"""

from collections.abc import Iterable, Mapping, Set
from typing import Any

import msgspec
from msgspec import Struct

from control_plane.core.fixtures import Calendar
from control_plane.core.identities import NO_IDENTITIES, Identities, check_identities, take_identities
from control_plane.core.layout import TreeEntry
from control_plane.core.operations import NO_OPERATIONS, Operations, check_operations, take_operations
from control_plane.core.parse import Documents, Locator
from control_plane.core.problems import Finding, KeyPath, Problem, sort_problems
from control_plane.core.reading import EMPTY, Changes, Reading, problems_of_names, read_tree
from control_plane.core.render import CompiledSite, Rendering, render, render_held
from control_plane.core.resolve import Origins, Resolved, apply_layer, merge_base
from control_plane.core.rollout import Held
from control_plane.core.site_checks import check_sites
from control_plane.core.sites import NO_SITES, Sites, site_source, sources_of, take_sites
from control_plane.core.trees import Folder, folder_of
from control_plane.core.trust import TrustDocument
from control_plane.core.validate import (
    References,
    check_categories,
    check_fleet,
    check_references,
    check_releases,
    fleet_of,
    revoked_of,
)
from schemas.desired import KINDS, Document, Release, Revoked, RolloutPolicy, Site
from schemas.names import Digest, DocumentId, SiteId, Version
from schemas.rollouts import RolloutKind
from schemas.trust import ReleaseList, TrustRoot

__all__ = [
    "CompiledFleet",
    "CompiledSite",
    "Origin",
    "Problem",
    "TreeEntry",
    "TrustDocument",
    "changed_sites",
    "compile_commit",
    "explain",
]


class _State(Struct, frozen=True):
    """What the next compilation starts from."""

    reading: Reading
    references: References
    categories: tuple[Finding, ...]
    identities: Identities
    sites: Sites
    operations: Operations
    rendering: Rendering
    blobs: Mapping[str, bytes]


class CompiledFleet(Struct, frozen=True, kw_only=True):
    """A compiled commit. With errors `sites` is empty; `revoked` and the trust documents are there if readable."""

    sites: Mapping[SiteId, CompiledSite]
    problems: tuple[Problem, ...]
    root: TrustRoot | None
    release_list: ReleaseList | None
    trust_documents: tuple[TrustDocument, ...]
    revoked: Revoked
    state: _State

    @property
    def has_errors(self) -> bool:
        """Whether the commit must be refused."""
        return any(problem.severity == "error" for problem in self.problems)

    @property
    def blobs(self) -> Set[Digest]:
        """Every blob that a manifest names: content, listings of releases and agents, patches, backups to put back."""
        return self.state.rendering.naming.keys() if self.sites else frozenset()

    def library(self) -> dict[tuple[str, str], tuple[str, Document]]:
        """Every document but the sites, by folder and id, with the Git object id of its bytes; calendars are none."""
        reading = self.state.reading
        found: dict[tuple[str, str], tuple[str, Document]] = {}
        for folder in ("", *KINDS.keys() - {"sites"}):
            for name, paths in reading.named(folder).items():
                file = reading.files[paths[0]]
                if file.document is not None and not isinstance(file.document, Calendar):
                    found[folder, name] = (file.blob, file.document)
        return found

    @property
    def policies(self) -> Mapping[DocumentId, RolloutPolicy]:
        """Of rollouts."""
        fleet = fleet_of(self.state.reading)
        return {} if fleet is None else fleet.rollouts

    @property
    def allowed(self) -> Set[tuple[RolloutKind, Version]]:
        """What the release list lets boxes run."""
        listed = self.release_list.releases if self.release_list else []
        return {("agent" if one.kind == "agent" else "release", one.version) for one in listed}

    def has(self, kind: RolloutKind, version: Version) -> bool:
        """Whether a release or agent is in the commit."""
        return self.state.reading.document(f"{kind}s", version) is not None

    def agent_needed(self, version: Version) -> str | None:
        """What a release asks of the agent, as `>=1.2`."""
        release = self.state.reading.document("releases", version)
        return release.requires.agent if isinstance(release, Release) else None

    def hold(self, held: Mapping[SiteId, Held]) -> dict[SiteId, CompiledSite]:
        """These sites as they are while a rollout has not reached them; every version must be in the commit."""
        state = self.state
        return render_held(state.reading, state.sites, state.operations, state.rendering, held)

    @property
    def patches(self) -> frozenset[Digest]:
        """Of `blobs` those that are indices of patches from one release to another."""
        reading = self.state.reading
        documents = (reading.document("releases", version) for version in reading.named("releases"))
        indices = {p.index for document in documents if isinstance(document, Release) for p in document.patches}
        return frozenset(indices & self.blobs)


class Origin(Struct, frozen=True, kw_only=True):
    """Where a resolved value is written; `key` is dotted, `layer` is `fleet`, `group ID` or `site`."""

    key: str
    value: Any
    file: str
    line: int
    column: int
    layer: str


def compile_commit(
    entries: Iterable[TreeEntry],
    blobs: Mapping[str, bytes],
    previous: CompiledFleet | None = None,
    documents: Documents | None = None,
) -> CompiledFleet:
    """Compile the files of a commit; `blobs` maps Git object ids to bytes and may read lazily.

    `documents` are not parsed again, and the ones that are new are put there, for the next compilation.
    With `entries` as a Folder and a `previous` compilation it costs in proportion to what changed between the two.
    """
    before = None if previous is None else previous.state
    tree = entries if isinstance(entries, Folder) else folder_of(entries)
    reading, changes = read_tree(tree, blobs, EMPTY if before is None else before.reading, documents)
    references = _check_references(reading, changes, before)
    categories = _check_categories(reading, changes, before)
    identities = _take_identities(reading, changes, before)
    sites, dirty = take_sites(reading, changes, NO_SITES if before is None else before.sites)
    operations = take_operations(reading, changes, NO_OPERATIONS if before is None else before.operations)
    revoked = revoked_of(reading)
    findings = [
        *check_fleet(reading),
        *(finding for found in references.findings.values() for finding in found),
        *check_releases(reading, references.facts),
        *categories,
        *check_identities(identities, revoked),
        *check_sites(reading, sites),
        *check_operations(reading, operations, sites),
    ]
    problems = _problems(reading, findings, blobs)
    failed = any(problem.severity == "error" for problem in problems)
    rendered = None if before is None else before.rendering
    rendering = render(reading, changes, sites, dirty, operations=operations, previous=rendered, failed=failed)
    return CompiledFleet(
        sites={} if failed else rendering.sites,
        problems=problems,
        root=reading.trust.root,
        release_list=reading.trust.release_list,
        trust_documents=reading.trust.documents,
        revoked=revoked,
        state=_State(reading, references, categories, identities, sites, operations, rendering, blobs),
    )


def changed_sites(before: CompiledFleet, after: CompiledFleet) -> Set[SiteId]:
    """The sites that came, went or were compiled anew between two compilations; one may still have come out the same.

    Costs nothing when one of them started from the other, and half a microsecond a site otherwise: what did not change
    on the way from one to the other is the very same object in both.
    """
    for older, newer in ((before, after), (after, before)):
        rendering = newer.state.rendering
        if newer.sites is rendering.sites and older.sites is rendering.base:
            return rendering.changed
    every = before.sites.keys() | after.sites.keys()
    return {site for site in every if before.sites.get(site) is not after.sites.get(site)}


def _check_references(reading: Reading, changes: Changes, before: _State | None) -> References:
    if before is None:
        return check_references(reading, changes, None, {})
    return check_references(reading, changes, before.references, before.reading.files)


def _take_identities(reading: Reading, changes: Changes, before: _State | None) -> Identities:
    paths = [path for path in changes.paths if path.startswith("sites/")]
    old = {} if before is None else before.reading.files
    return take_identities(
        NO_IDENTITIES if before is None else before.identities,
        {path: file.document for path in paths if (file := old.get(path)) and isinstance(file.document, Site)},
        {
            path: file.document
            for path in paths
            if (file := reading.files.get(path)) and isinstance(file.document, Site)
        },
    )


def _check_categories(reading: Reading, changes: Changes, before: _State | None) -> tuple[Finding, ...]:
    if before is None or any(folder == "video-sets" for folder, _ in changes.documents):
        return tuple(check_categories(reading))
    return before.categories


class _Texts:
    """The bytes of documents by path."""

    def __init__(self, reading: Reading, blobs: Mapping[str, bytes]) -> None:
        self._reading = reading
        self._blobs = blobs

    def __getitem__(self, path: str) -> bytes:
        file = self._reading.files.get(path)
        return b"" if file is None else self._blobs[file.blob]


def _problems(reading: Reading, findings: list[Finding], blobs: Mapping[str, bytes]) -> tuple[Problem, ...]:
    located = Locator(_Texts(reading, blobs)).problems(findings)
    of_files = (problem for found in reading.problems.values() for problem in found)
    return sort_problems([*of_files, *problems_of_names(reading), *reading.trust.problems, *located])


def explain(compiled: CompiledFleet, site: SiteId) -> list[Origin]:
    """Where each value that a site resolves to is written, sorted by key; empty for a site that is not known.

    Keys are dotted (`config.scoreOverlay.position`); a video set is `video_sets.ID`. It is computed by the very merge
    that compiled the site, and needs the blobs of the compiled commit.
    """
    state = compiled.state
    record = state.sites.records.get(site)
    if record is None:
        return []
    origins: Origins = {}
    base = merge_base(*sources_of(state.reading, state.sites, record.groups), origins)
    resolved = apply_layer(base.resolved, site_source(record), origins)
    locator = Locator(_Texts(state.reading, state.blobs))
    found = []
    for path, (source, within) in sorted(origins.items(), key=lambda item: [str(part) for part in item[0]]):
        line, column = locator.place(source.file, (*source.at, *within), at_key=False)
        key = ".".join(str(part) for part in path)
        value = _resolved_value(resolved, path)
        found.append(Origin(key=key, value=value, file=source.file, line=line, column=column, layer=source.name))
    return found


def _resolved_value(resolved: Resolved, path: KeyPath) -> Any:
    if path[0] == "video_sets":
        return True
    value: Any = msgspec.to_builtins(getattr(resolved, str(path[0])))
    for key in path[1:]:
        value = value[key]
    return value
