"""Rules across documents: references, releases that are allowed, keys and categories that are used twice."""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from msgspec import Struct

from control_plane.core.parse import ParsedFile
from control_plane.core.problems import Finding, suggestion
from control_plane.core.reading import Changes, Reading
from control_plane.core.references import Reference
from schemas.desired import Fleet, Release, Revoked, VideoSet
from schemas.names import Digest, Version

NO_REVOKED: Final = Revoked()
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
    """What decides whether a release may be named: the lists of the commit. `allowed` is None when trust is broken."""

    allowed: dict[Version, Digest] | None
    revoked: frozenset[Version]
    trees: dict[Version, Digest]


class References(Struct, frozen=True):
    """Findings of references by file, and what they were checked against."""

    findings: dict[str, tuple[Finding, ...]]
    facts: ReleaseFacts
    in_fleet: dict[str, frozenset[str] | None]


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
    trees = {
        file.id: file.document.tree
        for paths in reading.named("releases").values()
        if (file := reading.files[paths[0]]) and isinstance(file.document, Release)
    }
    allowed = None if reading.trust.release_list is None else reading.trust.allowed("app")
    return ReleaseFacts(allowed, frozenset(revoked_of(reading).releases), trees)


def check_references(reading: Reading, changes: Changes, previous: References | None) -> References:
    """Findings of files that name what is not there or not allowed; only what may have changed is checked anew."""
    fleet = fleet_of(reading)
    in_fleet = {
        "rollouts": None if fleet is None else frozenset(fleet.rollouts),
        "tenants": None if fleet is None else frozenset(fleet.tenants),
    }
    if previous is not None and not (changes.trust or _touches_releases(changes)):
        facts = previous.facts
    else:
        facts = release_facts(reading)
    checker = _Checker(reading, facts, in_fleet)
    if previous is None:
        again, findings = set(reading.files), {}
    else:
        findings = {path: found for path, found in previous.findings.items() if path in reading.files}
        again = _to_check(reading, changes, previous, facts, in_fleet)
    for path in again:
        found = checker.check(reading.files[path]) if reading.files[path].references else ()
        if found:
            findings[path] = found
        else:
            findings.pop(path, None)
    return References(findings, facts, in_fleet)


def _touches_releases(changes: Changes) -> bool:
    return any(folder == "releases" or name == "revoked.yaml" for folder, name in changes.documents)


def _to_check(
    reading: Reading,
    changes: Changes,
    previous: References,
    facts: ReleaseFacts,
    in_fleet: Mapping[str, frozenset[str] | None],
) -> set[str]:
    """Files that changed, and files that name something that came, went or changed its standing."""
    again = {path for path in changes.paths if path in reading.files}
    touched = {folder for folder, _ in changes.existence}
    # A sentence may suggest the nearest name: files with findings are looked at again when names come or go.
    again |= {path for path in previous.findings if path in reading.files} if touched else set()
    whole = {"releases"} if facts != previous.facts else set()
    whole |= {folder for folder in in_fleet if in_fleet[folder] != previous.in_fleet[folder]}
    if not touched and not whole:
        return again
    for path, file in reading.files.items():
        for reference in file.references:
            if reference.folder in whole or (reference.folder, reference.id) in changes.existence:
                again.add(path)
                break
    if whole:
        again |= {path for path in previous.findings if path in reading.files}
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
        elif folder == "releases":
            yield from self._check_release(file, reference)

    def _check_release(self, file: str, reference: Reference) -> Iterator[Finding]:
        _, version, path = reference
        if version in self._facts.revoked:
            message = f"release {version} is revoked by revoked.yaml; name another release"
            yield Finding(file=file, path=path, code="ReleaseRevoked", message=message)
        elif self._facts.allowed is not None and version not in self._facts.allowed:
            message = (
                f"release {version} is not in the newest release list, so no box would run it; "
                "sign it with `neopro release add`, or name another release"
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
    for version, tree in facts.trees.items():
        file = reading.named("releases")[version][0]
        signed = None if facts.allowed is None else facts.allowed.get(version)
        if signed is not None and signed != tree:
            message = (
                f"the release list allows another tree of {version} ({signed[:19]}…); sign it again, or restore it"
            )
            yield Finding(file=file, path=("tree",), code="ReleaseTreeDiffers", message=message)
        elif signed is None and facts.allowed is not None:
            message = f"release {version} is not in the newest release list: no site can be given it"
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
