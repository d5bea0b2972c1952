"""Every site of a commit: its groups, what it resolves to, and what is wrong with that.

Sites in the same groups share one merge of fleet and groups. With previous sites, only those whose own file, groups or
layers changed are looked at again.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from control_plane.core.problems import Finding, KeyPath
from control_plane.core.reading import Changes, Reading
from control_plane.core.resolve import (
    Base,
    Conflict,
    Resolved,
    Source,
    apply_layer,
    merge_base,
    sets_nothing,
    undecided,
)
from control_plane.core.select import GroupKey, Selectors
from control_plane.core.validate import fleet_of
from schemas.desired import Group, Release, Requires, Site
from schemas.names import DocumentId, SiteId, at_least

GroupKeys = tuple[GroupKey, ...]


class SiteRecord(Struct, frozen=True, gc=False):
    """A site of a commit. `shares` says that it sets nothing of its own: what it resolves to is its groups'.

    `conflicts` are those of its groups that it does not decide itself.
    """

    path: str
    document: Site
    groups: GroupKeys
    resolved: Resolved
    shares: bool
    findings: tuple[Finding, ...] = ()
    conflicts: tuple[Conflict, ...] = ()


class Sites(Struct, frozen=True):
    """All sites, those with findings or conflicts, the merges that they share, and how many are in each group."""

    records: dict[SiteId, SiteRecord]
    troubled: dict[SiteId, SiteRecord]
    bases: dict[GroupKeys, Base]
    groups: dict[DocumentId, Group]
    group_paths: dict[DocumentId, str]
    members: dict[DocumentId, int]


NO_SITES: Final = Sites({}, {}, {}, {}, {}, {})
_NO_REQUIREMENTS: Final = Requires()
WITHOUT_RELEASE: Final = "SiteWithoutRelease"


def take_sites(reading: Reading, changes: Changes, previous: Sites) -> tuple[Sites, set[SiteId]]:
    """The sites of this reading, and which of them (or of the previous ones) are other than before."""
    groups, group_paths, changed_groups = _take_groups(reading, changes, previous)
    all_bases = ("", "fleet.yaml") in changes.documents
    bases = _kept_bases(previous, changed_groups, all_changed=all_bases)
    resolver = _Resolver(reading, bases, groups, group_paths)
    records = previous.records.copy()
    dirty = _take_changed(reading, changes, records, resolver)
    if changed_groups or all_bases:
        lost = previous.bases.keys() - resolver.known
        left = {keys: tuple(key for key in keys if key[1] not in changed_groups) for keys in lost}
        joins = Selectors({name: groups[name] for name in changed_groups if name in groups})
        dirty |= _take_moved(records, dirty, left, joins, resolver)
    versions = {name for folder, name in changes.documents if folder == "releases"}
    if versions:
        dirty |= _take_released(records, dirty, versions, resolver)
    troubled, members = previous.troubled.copy(), previous.members.copy()
    for name in dirty:
        _recount(members, previous.records.get(name), records.get(name))
        troubled.pop(name, None)
        if (record := records.get(name)) is not None and (record.findings or record.conflicts):
            troubled[name] = record
    return Sites(records, troubled, bases, groups, group_paths, members), dirty


def _kept_bases(previous: Sites, changed_groups: set[DocumentId], *, all_changed: bool) -> dict[GroupKeys, Base]:
    """Merges that still hold; those that no site needs any more are let go when they have become many."""
    if all_changed:
        return {}
    bases = previous.bases.copy()
    if changed_groups:
        bases = {k: base for k, base in bases.items() if changed_groups.isdisjoint([name for _, name in k])}
    if len(bases) > 2 * len(previous.records) + 64:
        live = {record.groups for record in previous.records.values()}
        bases = {keys: base for keys, base in bases.items() if keys in live}
    return bases


def _take_groups(
    reading: Reading, changes: Changes, previous: Sites
) -> tuple[dict[DocumentId, Group], dict[DocumentId, str], set[DocumentId]]:
    changed = {name for folder, name in changes.documents if folder == "groups"}
    if not changed:
        return previous.groups, previous.group_paths, changed
    groups, paths = previous.groups.copy(), previous.group_paths.copy()
    for name in changed:
        document = reading.document("groups", name)
        if isinstance(document, Group):
            groups[name] = document
            paths[name] = reading.named("groups")[name][0]
        else:
            groups.pop(name, None)
            paths.pop(name, None)
    return groups, paths, changed


def _take_changed(
    reading: Reading,
    changes: Changes,
    records: dict[SiteId, SiteRecord],
    resolver: "_Resolver",
) -> set[SiteId]:
    """Sites whose own file changed, came or went."""
    dirty = set()
    selectors = resolver.selectors
    for folder, name in changes.documents:
        if folder != "sites":
            continue
        dirty.add(name)
        paths = reading.named(folder).get(name)
        document = reading.files[paths[0]].document if paths else None
        if paths and isinstance(document, Site):
            records[name] = resolver.record(paths[0], document, selectors.groups_of(name, document))
        else:
            records.pop(name, None)
    return dirty


def _take_moved(
    records: dict[SiteId, SiteRecord],
    done: set[SiteId],
    left: Mapping[GroupKeys, GroupKeys],
    joins: Selectors,
    resolver: "_Resolver",
) -> set[SiteId]:
    """Sites that changed groups hold, held, or both; `left`: the groups of a merge that is lost, but for those."""
    dirty = set()
    for name, record in records.items():
        if name in done:
            continue
        kept = left.get(record.groups)
        joined = joins.groups_of(name, record.document)
        if kept is None and not joined:
            continue
        groups = tuple(sorted((*(record.groups if kept is None else kept), *joined)))
        again = resolver.record(record.path, record.document, groups)
        if again != record:
            dirty.add(name)
            records[name] = again
    return dirty


def _take_released(
    records: dict[SiteId, SiteRecord], done: set[SiteId], versions: set[str], resolver: "_Resolver"
) -> set[SiteId]:
    """Sites that are to run a release whose document changed."""
    dirty = {n for n, record in records.items() if record.resolved.release in versions and n not in done}
    for name in dirty:
        record = records[name]
        records[name] = resolver.record(record.path, record.document, record.groups)
    return dirty


def _recount(members: dict[DocumentId, int], old: SiteRecord | None, new: SiteRecord | None) -> None:
    """Move one site from its old groups to its new ones."""
    before, after = () if old is None else old.groups, () if new is None else new.groups
    if before == after:
        return
    for _, name in before:
        members[name] -= 1
    for _, name in after:
        members[name] = members.get(name, 0) + 1


def sources_of(reading: Reading, sites: Sites, keys: GroupKeys) -> tuple[Source | None, list[Source]]:
    """The layers of fleet and groups."""
    fleet = fleet_of(reading)
    lowest = None if fleet is None else Source("fleet", "fleet.yaml", ("defaults",), fleet.defaults)
    return lowest, [
        Source(f"group {name}", sites.group_paths[name], (), sites.groups[name], priority) for priority, name in keys
    ]


def site_source(record: SiteRecord) -> Source:
    """The highest layer."""
    return Source("site", record.path, (), record.document)


class _Resolver:
    """Resolves sites of one reading; merges of fleet and groups are made once each."""

    def __init__(
        self,
        reading: Reading,
        bases: dict[GroupKeys, Base],
        groups: Mapping[DocumentId, Group],
        group_paths: Mapping[DocumentId, str],
    ) -> None:
        self._reading = reading
        self._bases = bases
        self._parts = Sites({}, {}, {}, dict(groups), dict(group_paths), {})
        self._releases: dict[str, object] = {}
        self.selectors = Selectors(groups)
        self.known = frozenset(bases)
        fleet = fleet_of(reading)
        self._without_recovery = fleet is not None and fleet.recovery is None

    def record(self, path: str, document: Site, groups: GroupKeys) -> SiteRecord:
        """Resolve one site."""
        base = self._bases.get(groups)
        if base is None:
            base = self._bases[groups] = merge_base(*sources_of(self._reading, self._parts, groups))
        shares = sets_nothing(document)
        resolved = base.resolved if shares else apply_layer(base.resolved, Source("site", path, (), document))
        findings = self._check(path, document, groups, resolved)
        conflicts = _undecided(base.conflicts, path, document) if base.conflicts else ()
        return SiteRecord(path, document, groups, resolved, shares, findings, conflicts)

    def _check(self, path: str, site: Site, groups: GroupKeys, resolved: Resolved) -> tuple[Finding, ...]:
        found = self._check_release(path, site, groups, resolved)
        if site.backup is not None and self._without_recovery:
            found = (*found, without_recovery(path, ()))
        if site.recipient is None and _has_secrets(site, resolved):
            found = (*found, _without_recipient(path, site))
        return found

    def _check_release(self, path: str, site: Site, groups: GroupKeys, resolved: Resolved) -> tuple[Finding, ...]:
        version = resolved.release
        if version is None:
            return () if groups else (_without_release(path),)
        if version not in self._releases:
            self._releases[version] = self._reading.document("releases", version)
        release = self._releases[version]
        if not isinstance(release, Release) or release.requires == _NO_REQUIREMENTS:
            return ()
        return tuple(_check_requirements(path, site, resolved, release))


def _undecided(conflicts: tuple[Conflict, ...], path: str, document: Site) -> tuple[Conflict, ...]:
    return tuple(undecided(conflicts, [Source("site", path, (), document)]))


def _without_release(path: str) -> Finding:
    message = "this site is in no group and has no release; write `release: VERSION`, or put it in a group"
    return Finding(file=path, path=(), code=WITHOUT_RELEASE, message=message)


def _has_secrets(site: Site, resolved: Resolved) -> bool:
    """Whether its box must read a secret; one that is only planned, or retired, has none of its layers'."""
    live = site.identity is not None and site.state != "retired"
    return site.restore is not None or (live and resolved.hotspot is not None)


def _without_recipient(path: str, site: Site) -> Finding:
    at: KeyPath = () if site.restore is None else ("restore",)
    what = "what it is to put back" if at else "the passphrase of its hotspot"
    message = f"this site has no `recipient`, so its box cannot read {what}; write the `recipient: age1…` of its box"
    return Finding(file=path, path=at, code="RecipientMissing", message=message)


def without_recovery(path: str, at: KeyPath) -> Finding:
    """For a layer that asks for backups, when there is no key to encrypt them to."""
    message = "there is no recovery key to encrypt backups to; write `recovery: age1…` in fleet.yaml"
    return Finding(file=path, path=(*at, "backup"), code="RecoveryMissing", message=message, at_key=True)


def _check_requirements(path: str, site: Site, resolved: Resolved, release: Release) -> Iterator[Finding]:
    wanted = release.requires.hardware
    if wanted and site.hardware is not None and site.hardware not in wanted:
        message = f"release {release.version} needs {' or '.join(wanted)}, this site has {site.hardware}"
        yield Finding(
            file=path, path=("hardware",), code="RequirementNotMet", message=f"{message}; give it another release"
        )
    agent = release.requires.agent
    if agent is not None and resolved.agent is not None and not at_least(resolved.agent, agent):
        message = f"release {release.version} needs agent {agent}, this site is to run {resolved.agent}"
        yield Finding(file=path, path=(), code="RequirementNotMet", message=f"{message}; raise `agent`")
