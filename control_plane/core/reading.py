"""The files of a commit -> documents by id; with a previous reading, only what changed is looked at."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from control_plane.core.layout import FOLDER, Place, TreeEntry, fold, place_entry, same_names
from control_plane.core.parse import ParsedFile, parse_file
from control_plane.core.problems import Problem
from control_plane.core.trust import Trust, read_trust
from schemas.desired import Document

Name = tuple[str, str]
"""Folder and id of a document; single files have an empty folder and their path as id."""


class Reading(Struct, frozen=True):
    """A commit's files, read. Nothing in it is changed once it is made.

    `folded` maps the form of a path that some file system confuses to the paths of that form; `clashes` are the keys
    of `names` and `folded` that have more than one path.
    """

    entries: tuple[TreeEntry, ...]
    files: dict[str, ParsedFile]
    names: dict[Name, tuple[str, ...]]
    problems: dict[str, tuple[Problem, ...]]
    folded: dict[str, tuple[str, ...]]
    clashes: frozenset[Name | str]
    trust_blobs: dict[str, str]
    trust: Trust

    def document(self, folder: str, name: str) -> Document | None:
        """The document of that name; None if there is none or it could not be read."""
        paths = self.names.get((folder, name))
        file = self.files.get(paths[0]) if paths else None
        return None if file is None else file.document


class Changes(Struct, frozen=True):
    """What differs from the previous reading: documents by name, names that came or went, files by path."""

    documents: frozenset[Name]
    existence: frozenset[Name]
    paths: frozenset[str]
    trust: bool


EMPTY: Final = Reading((), {}, {}, {}, {}, frozenset(), {}, Trust())


def read_tree(entries: Sequence[TreeEntry], blobs: Mapping[str, bytes], previous: Reading) -> tuple[Reading, Changes]:
    """Read what differs from `previous`, keep the rest."""
    ordered = tuple(sorted(entries))
    changed, removed = _differences(ordered, previous.entries)
    reader = _Reader(blobs, previous)
    gone = set(removed)
    for entry in changed:
        if entry.mode != FOLDER:
            reader.take(entry, known=entry.path in gone)
        gone.discard(entry.path)
    for path in gone:
        reader.forget(path)
    return reader.finish(ordered)


def _differences(new: tuple[TreeEntry, ...], old: tuple[TreeEntry, ...]) -> tuple[list[TreeEntry], list[str]]:
    """Entries that are new or other, and the paths of those and of the ones that are gone, both sorted."""
    start = _common(new, old)
    rest_new, rest_old = new[start:], old[start:]
    end = _common(rest_new[::-1], rest_old[::-1])
    middle_new, middle_old = rest_new[: len(rest_new) - end], rest_old[: len(rest_old) - end]
    known = set(middle_old)
    changed = [entry for entry in middle_new if entry not in known]
    kept = set(middle_new)
    return changed, [entry.path for entry in middle_old if entry not in kept]


def _common(one: tuple[TreeEntry, ...], other: tuple[TreeEntry, ...]) -> int:
    """How many entries at the start are equal: by slices, which compare in C."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class _Reader:
    """The next reading in the making; the indices of names are copied only when a name comes or goes."""

    def __init__(self, blobs: Mapping[str, bytes], previous: Reading) -> None:
        self._blobs = blobs
        self._previous = previous
        self._files = previous.files.copy()
        self._names = previous.names
        self._problems = previous.problems.copy()
        self._folded = previous.folded
        self._clashes = set(previous.clashes)
        self._trust_blobs = previous.trust_blobs.copy()
        self._documents: set[Name] = set()
        self._paths: set[str] = set()

    def forget(self, path: str) -> None:
        """A path is gone."""
        self._paths.add(path)
        self._problems.pop(path, None)
        self._trust_blobs.pop(path, None)
        self._refold(path, present=False)
        file = self._files.pop(path, None)
        if file is not None:
            self._rename((file.folder, file.id or path), path, present=False)
        elif path.startswith("calendars/"):
            self._rename(("calendars", path[10:].rpartition(".")[0]), path, present=False)

    def take(self, entry: TreeEntry, *, known: bool) -> None:
        """A path is new, or `known` and has new content or another mode."""
        path = entry.path
        place = place_entry(entry)
        if known and place.role == "document" and path in self._files:
            self._problems.pop(path, None)
            self._take_document(entry, place)
            return
        if known:
            self.forget(path)
        self._paths.add(path)
        self._refold(path, present=True)
        if place.problem is not None:
            self._problems[path] = (place.problem,)
        match place.role:
            case "document":
                self._rename((place.folder, place.id or path), path, present=True)
                self._take_document(entry, place)
            case "trust":
                self._trust_blobs[path] = entry.blob
            case "calendar":
                self._rename((place.folder, place.id), path, present=True)

    def _take_document(self, entry: TreeEntry, place: Place) -> None:
        path = entry.path
        file = parse_file(path, entry.blob, self._blobs[entry.blob], place)
        self._paths.add(path)
        self._documents.add((place.folder, place.id or path))
        self._files[path] = file
        if file.problems:
            self._problems[path] = file.problems

    def _rename(self, name: Name, path: str, *, present: bool) -> None:
        self._documents.add(name)
        if self._names is self._previous.names:
            self._names = self._names.copy()
        _file_under(self._names, name, path, self._clashes, present=present)

    def _refold(self, path: str, *, present: bool) -> None:
        if self._folded is self._previous.folded:
            self._folded = self._folded.copy()
        _file_under(self._folded, fold(path), path, self._clashes, present=present)

    def finish(self, entries: tuple[TreeEntry, ...]) -> tuple[Reading, Changes]:
        """The reading, and what changed."""
        previous = self._previous
        same_trust = self._trust_blobs == previous.trust_blobs and previous is not EMPTY
        trust = (
            previous.trust
            if same_trust
            else read_trust({path: self._blobs[blob] for path, blob in self._trust_blobs.items()})
        )
        reading = Reading(
            entries,
            self._files,
            self._names,
            self._problems,
            self._folded,
            frozenset(self._clashes),
            self._trust_blobs,
            trust,
        )
        existence = {name for name in self._documents if (name in previous.names) != (name in self._names)}
        changes = Changes(frozenset(self._documents), frozenset(existence), frozenset(self._paths), not same_trust)
        return reading, changes


def _file_under(index: dict[Any, tuple[str, ...]], key: Any, path: str, clashes: set[Any], *, present: bool) -> None:
    """Put a path under a key of the index, or take it away; note keys with several."""
    known = index.get(key)
    if known is None and present:
        index[key] = (path,)
        return
    paths = {other for other in known or () if other != path} | ({path} if present else set())
    if paths:
        index[key] = tuple(sorted(paths))
    else:
        index.pop(key, None)
    if len(paths) > 1:
        clashes.add(key)
    else:
        clashes.discard(key)


def problems_of_names(reading: Reading) -> list[Problem]:
    """Names that clash on some file system, and ids that are used twice."""
    found = []
    for key in reading.clashes:
        if isinstance(key, str):
            found += same_names(reading.folded[key])
            continue
        first, *others = reading.names[key]
        message = f"the id `{key[1]}` is used already, by {first}; rename this file"
        found += [
            Problem(file=path, line=1, column=1, severity="error", code="DuplicateId", message=message)
            for path in others
        ]
    return found
