"""What is wrong with how the sites of a commit resolve: conflicts of layers, groups without a site, missing keys."""

from collections.abc import Iterator

from control_plane.core.problems import MANY, Finding, suggestion
from control_plane.core.reading import Reading
from control_plane.core.resolve import Conflict
from control_plane.core.select import is_known, values_of
from control_plane.core.sites import WITHOUT_RELEASE, Sites, without_recovery
from control_plane.core.validate import fleet_of
from schemas.desired import Group, Not
from schemas.names import SiteId


def check_sites(reading: Reading, sites: Sites) -> Iterator[Finding]:
    """What is wrong with how sites resolve, and groups that hold no site.

    Nothing is said that may only follow from a layer or a site that could not be read: that is reported itself.
    """
    unread = {file.folder for path in reading.problems if (file := reading.files.get(path)) and file.document is None}
    layers_known = unread.isdisjoint(("", "groups"))
    for record in sites.troubled.values():
        for finding in record.findings:
            if layers_known or finding.code != WITHOUT_RELEASE:
                yield finding
    yield from _check_conflicts(sites)
    yield from _check_backups(reading, sites)
    for name, group in () if "sites" in unread else sites.groups.items():
        if not sites.members.get(name) and group.select and all(map(is_known, group.select)):
            hint = _nearest_values(group, sites)
            message = f"the selector matches no site{hint}; check its values, which are compared exactly"
            yield Finding(
                file=sites.group_paths[name],
                path=("select",),
                code="SelectorMatchesNothing",
                message=message,
                severity="warning",
                at_key=True,
            )


def _nearest_values(group: Group, sites: Sites) -> str:
    """A hint for the first value that no site has; in large fleets none is looked for."""
    if len(sites.records) > MANY:
        return ""
    for key, wanted in (group.select or {}).items():
        if not isinstance(wanted, Not) and is_known(key):
            known = {value for name, record in sites.records.items() for value in values_of(key, name, record.document)}
            for value in [wanted] if isinstance(wanted, str) else wanted:
                if value not in known:
                    return suggestion(value, known)
    return ""


def _check_backups(reading: Reading, sites: Sites) -> Iterator[Finding]:
    fleet = fleet_of(reading)
    if fleet is None or fleet.recovery is not None:
        return
    if fleet.defaults.backup is not None:
        yield without_recovery("fleet.yaml", ("defaults",))
    for name, group in sites.groups.items():
        if group.backup is not None:
            yield without_recovery(sites.group_paths[name], ())


def _check_conflicts(sites: Sites) -> Iterator[Finding]:
    found: dict[tuple[str, str, tuple[str | int, ...]], tuple[Conflict, list[SiteId]]] = {}
    for name, record in sites.troubled.items():
        for conflict in record.conflicts:
            key = (conflict.one.file, conflict.other.file, conflict.path)
            found.setdefault(key, (conflict, []))[1].append(name)
    for conflict, names in found.values():
        yield _conflict_finding(conflict, names)


def _conflict_finding(conflict: Conflict, names: list[SiteId]) -> Finding:
    layer = conflict.other.layer
    path, key = conflict.path, ".".join(str(part) for part in conflict.path)
    if path[0] == "video_sets":
        holder = "video_sets" if path[1] in layer.video_sets else "without_video_sets"
        path = (holder, getattr(layer, holder).index(path[1]))
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    message = (
        f"{conflict.one.name} and {conflict.other.name} have the same priority ({conflict.other.priority}) and set "
        f"`{key}` differently for {min(names)}{more}; give one of them another priority"
    )
    return Finding(file=conflict.other.file, path=path, code="EqualPriorityConflict", message=message)
