"""Rules across documents: references, releases that are allowed, keys and categories that are used twice."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from typing import Any, Final, Literal

from msgspec import Struct

from control_plane.core.parse import ParsedFile
from control_plane.core.problems import Finding, suggestion
from control_plane.core.reading import Changes, Name, Reading
from control_plane.core.references import Reference
from schemas.desired import AgentRelease, Fleet, Release, Revoked, VideoSet
from schemas.names import Digest, Version

_LISTED: Final[Mapping[str, Literal["app", "agent"]]] = {"releases": "app", "agents": "agent"}
"""Folders of what the release list must allow, and how it calls them."""
NO_REVOKED: Final = Revoked()
_NOBODY: Final[frozenset[Any]] = frozenset()
_NOUNS: Final = {
    "sites": "site",
    "groups": "group",
    "videos": "video",
    "video-sets": "video set",
    "releases": "release",
    "agents": "agent release",
    "calendars": "calendar",
    "rollouts": "rollout policy",
    "tenants": "tenant",
}
_HOW_TO_ADD: Final = {
    "videos": "`neopro video add`",
    "releases": "`neopro release add`",
    "sites": "`neopro site add`",
    "rollouts": "`rollouts:` in fleet.yaml",
    "tenants": "`tenants:` in fleet.yaml",
    "calendars": "calendars/ID.ics",
}


class ReleaseFacts(Struct, frozen=True):
    """What decides whether a release may be named: what the commit has, by the folder of its kind.

    `allowed` is None when trust is broken; what is revoked is revoked of both kinds.
    """

    allowed: dict[str, dict[Version, Digest]] | None
    revoked: frozenset[Version]
    trees: dict[str, dict[Version, Digest]]


class References(Struct, frozen=True):
    """Findings of references by file, what they were checked against, and the files that name each document."""

    findings: dict[str, tuple[Finding, ...]]
    facts: ReleaseFacts
    in_fleet: dict[str, frozenset[str] | None]
    users: dict[Name, frozenset[str]]


def fleet_of(reading: Reading) -> Fleet | None:
    """fleet.yaml, if it could be read."""
    document = reading.document("", "fleet.yaml")
    return document if isinstance(document, Fleet) else None


def revoked_of(reading: Reading) -> Revoked:
    """revoked.yaml; nothing is revoked when there is none, or it cannot be read."""
    document = reading.document("", "revoked.yaml")
    return document if isinstance(document, Revoked) else NO_REVOKED


def release_facts(reading: Reading) -> ReleaseFacts:
    """The facts of this commit."""
    trees = {folder: _trees(reading, folder) for folder in _LISTED}
    listed = reading.trust.release_list is not None
    allowed = {folder: reading.trust.allowed(kind) for folder, kind in _LISTED.items()} if listed else None
    return ReleaseFacts(allowed, frozenset(revoked_of(reading).releases), trees)


def _trees(reading: Reading, folder: str) -> dict[Version, Digest]:
    files = (reading.files[paths[0]] for paths in reading.named(folder).values())
    return {file.id: file.document.tree for file in files if isinstance(file.document, Release | AgentRelease)}


NO_REFERENCES: Final = References({}, ReleaseFacts(None, frozenset(), {}), {}, {})


def check_references(
    reading: Reading, changes: Changes, previous: References | None, before: Mapping[str, ParsedFile]
) -> References:
    """Findings of files that name what is not there or not allowed; only what may have changed is checked anew.

    `before` are the files of the previous reading.
    """
    known = NO_REFERENCES if previous is None else previous
    fleet = fleet_of(reading)
    in_fleet = {
        "rollouts": None if fleet is None else frozenset(fleet.rollouts),
        "tenants": None if fleet is None else frozenset(fleet.tenants),
    }
    same_facts = previous is not None and not (changes.trust or _touches_releases(changes))
    facts = known.facts if same_facts else release_facts(reading)
    users = _take_users(known.users, changes.paths, before, reading.files)
    now = References(known.findings.copy(), facts, in_fleet, users)
    checker = _Checker(reading, facts, in_fleet)
    for path in _to_check(changes, known, now):
        file = reading.files.get(path)
        found = checker.check(file) if file is not None and file.references else ()
        if found:
            now.findings[path] = found
        else:
            now.findings.pop(path, None)
    return now


def _take_users(
    known: dict[Name, frozenset[str]],
    paths: Iterable[str],
    before: Mapping[str, ParsedFile],
    after: Mapping[str, ParsedFile],
) -> dict[Name, frozenset[str]]:
    """Who names what, after the files at `paths` changed."""
    came: dict[Name, set[str]] = {}
    went: dict[Name, set[str]] = {}
    for path in paths:
        old, new = _named_by(before.get(path)), _named_by(after.get(path))
        if old != new:
            for name in new - old:
                came.setdefault(name, set()).add(path)
            for name in old - new:
                went.setdefault(name, set()).add(path)
    if not (came or went):
        return known
    users = known.copy()
    for name in came.keys() | went.keys():
        left = (users.get(name, _NOBODY) - went.get(name, _NOBODY)) | came.get(name, _NOBODY)
        if left:
            users[name] = left
        else:
            del users[name]
    return users


def _named_by(file: ParsedFile | None) -> Set[Name]:
    return _NOBODY if file is None or not file.references else {(r.folder, r.id) for r in file.references}


def _touches_releases(changes: Changes) -> bool:
    return any(folder in _LISTED or name == "revoked.yaml" for folder, name in changes.documents)


def _to_check(changes: Changes, previous: References, now: References) -> set[str]:
    """Files that changed, and files that name something that came, went or changed its standing."""
    whole = set(_LISTED) if now.facts != previous.facts else set()
    whole |= {folder for folder, known in now.in_fleet.items() if previous.in_fleet.get(folder) != known}
    again = set(changes.paths)
    again.update(*(now.users.get(name, ()) for name in changes.existence))
    if whole:
        again.update(*(paths for (folder, _), paths in now.users.items() if folder in whole))
    if whole or changes.existence:
        # A sentence may suggest the nearest name: files with findings are looked at again when names come or go.
        again.update(previous.findings)
    return again


class _Checker:
    """Checks references against one commit."""

    def __init__(self, reading: Reading, facts: ReleaseFacts, in_fleet: Mapping[str, frozenset[str] | None]) -> None:
        self._reading = reading
        self._facts = facts
        self._in_fleet = in_fleet
        self._suggestions: dict[tuple[str, str], str] = {}
        self._known: dict[str, Collection[str]] = {}

    def check(self, file: ParsedFile) -> tuple[Finding, ...]:
        """The file's references that do not hold."""
        return tuple(f for reference in file.references for f in self._check_one(file.path, reference))

    def _check_one(self, file: str, reference: Reference) -> Iterator[Finding]:
        folder, name, path = reference
        if not self._exists(folder, name):
            noun = _NOUNS[folder]
            add = _HOW_TO_ADD.get(folder, f"{folder}/{name}.yaml")
            message = f"there is no {noun} `{name}`{self._suggest(folder, name)}; correct the name, or add it ({add})"
            yield Finding(file=file, path=path, code="MissingReference", message=message)
        elif folder in _LISTED:
            yield from self._check_release(file, reference)

    def _check_release(self, file: str, reference: Reference) -> Iterator[Finding]:
        folder, version, path = reference
        noun, allowed = _NOUNS[folder], self._facts.allowed
        if version in self._facts.revoked:
            message = f"{noun} {version} is revoked by revoked.yaml; name another one"
            yield Finding(file=file, path=path, code="ReleaseRevoked", message=message)
        elif allowed is not None and version not in allowed[folder]:
            message = (
                f"{noun} {version} is not in the newest release list, so no box would run it; "
                "sign it with `neopro release add`, or name another one"
            )
            yield Finding(file=file, path=path, code="ReleaseNotAllowed", message=message)

    def _exists(self, folder: str, name: str) -> bool:
        if folder in self._in_fleet:
            known = self._in_fleet[folder]
            return known is None or name in known
        return name in self._reading.named(folder)

    def _suggest(self, folder: str, name: str) -> str:
        key = (folder, name)
        if key not in self._suggestions:
            if folder not in self._known:
                self._known[folder] = self._in_fleet.get(folder) or self._reading.named(folder)
            self._suggestions[key] = suggestion(name, self._known[folder])
        return self._suggestions[key]


def check_releases(reading: Reading, facts: ReleaseFacts) -> Iterator[Finding]:
    """Releases whose tree is not the one that was signed, or that nobody signed (an error where one is named)."""
    for folder, trees in facts.trees.items():
        allowed = None if facts.allowed is None else facts.allowed[folder]
        for version, tree in trees.items():
            yield from _check_tree(reading.named(folder)[version][0], folder, version, tree, allowed)


def _check_tree(
    file: str, folder: str, version: Version, tree: Digest, allowed: Mapping[Version, Digest] | None
) -> Iterator[Finding]:
    if allowed is not None:
        signed = allowed.get(version)
        if signed is not None and signed != tree:
            message = (
                f"the release list allows another tree of {version} ({signed[:19]}…); sign it again, or restore it"
            )
            yield Finding(file=file, path=("tree",), code="ReleaseTreeDiffers", message=message)
        elif signed is None:
            message = f"{_NOUNS[folder]} {version} is not in the newest release list: no site can be given it"
            yield Finding(file=file, path=("version",), code="ReleaseNotAllowed", message=message, severity="warning")


def check_categories(reading: Reading) -> Iterator[Finding]:
    """Video sets that mean one category and write it differently: a box shows each category once, under one name."""
    known: dict[str, tuple[str, str, str]] = {}
    for paths in sorted(reading.named("video-sets").values()):
        document = reading.files[paths[0]].document
        if isinstance(document, VideoSet):
            named = [(("category",), document.category)]
            if document.subcategory is not None:
                named.append((("subcategory",), document.subcategory))
            parent = ""
            for path, category in named:
                folded = f"{parent}/{category.id.upper()}"
                parent = folded
                first = known.setdefault(folded, (category.id, category.name, paths[0]))
                if first[:2] != (category.id, category.name):
                    message = (
                        f"{first[2]} writes this category as `{first[0]}` (`{first[1]}`), this file as "
                        f"`{category.id}` (`{category.name}`); write id and name the same in both"
                    )
                    yield Finding(file=paths[0], path=path, code="CategoryConflict", message=message)


def check_fleet(reading: Reading) -> Iterator[Finding]:
    """fleet.yaml must be there."""
    if "fleet.yaml" not in reading.named(""):
        message = "there is no fleet.yaml; write one with at least `schema: 1`"
        yield Finding(file="fleet.yaml", path=(), code="MissingFile", message=message)
