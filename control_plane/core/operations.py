"""Which operations concern which sites; with previous operations, whom a change of them concerns."""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from control_plane.core.problems import Finding
from control_plane.core.reading import Changes, Reading
from control_plane.core.select import GroupKey
from control_plane.core.sites import Sites
from schemas.desired import Operation, Target
from schemas.names import DocumentId, SiteId

Ids = tuple[DocumentId, ...]


class Concerned(Struct, frozen=True):
    """Whom operations are for that came, went or changed."""

    sites: frozenset[SiteId]
    groups: frozenset[DocumentId]


NOBODY: Final = Concerned(frozenset(), frozenset())


class Operations(Struct, frozen=True):
    """The target of each operation, the ids of those for a site or group, and whom the newest change concerns."""

    targets: dict[DocumentId, Target]
    by_site: dict[SiteId, Ids]
    by_group: dict[DocumentId, Ids]
    concerned: Concerned = NOBODY

    def of(self, site: SiteId, groups: Iterable[GroupKey]) -> Ids:
        """The operations for a site that is in these groups, by id."""
        found = self.by_site.get(site, ())
        if self.by_group:
            found = tuple(sorted({*found, *(name for _, group in groups for name in self.by_group.get(group, ()))}))
        return found


NO_OPERATIONS: Final = Operations({}, {}, {})


def take_operations(reading: Reading, changes: Changes, previous: Operations) -> Operations:
    """The operations of this reading."""
    changed = {name for folder, name in changes.documents if folder == "operations"}
    if not changed:
        return previous if previous.concerned is NOBODY else replace(previous, concerned=NOBODY)
    targets = {name: target for name, target in previous.targets.items() if name not in changed}
    for name in changed:
        document = reading.document("operations", name)
        if isinstance(document, Operation):
            targets[name] = document.target
    touched = [old[name] for old in (previous.targets, targets) for name in changed if name in old]
    concerned = Concerned(
        frozenset(target.site for target in touched if target.site is not None),
        frozenset(target.group for target in touched if target.group is not None),
    )
    return Operations(targets, *_filed(targets), concerned)


def _filed(targets: dict[DocumentId, Target]) -> tuple[dict[SiteId, Ids], dict[DocumentId, Ids]]:
    by_site: dict[SiteId, Ids] = {}
    by_group: dict[DocumentId, Ids] = {}
    for name, target in sorted(targets.items()):
        if target.site is not None:
            by_site[target.site] = (*by_site.get(target.site, ()), name)
        if target.group is not None:
            by_group[target.group] = (*by_group.get(target.group, ()), name)
    return by_site, by_group


def check_operations(reading: Reading, operations: Operations, sites: Sites) -> Iterator[Finding]:
    """Operations for a site that does nothing any more."""
    for site, names in operations.by_site.items():
        record = sites.records.get(site)
        if record is not None and record.document.state != "active":
            for name in names:
                message = f"the site is {record.document.state}, so its box does nothing; delete this operation"
                file, path = reading.named("operations")[name][0], ("target", "site")
                yield Finding(file=file, path=path, code="TargetNotActive", message=message, severity="warning")
