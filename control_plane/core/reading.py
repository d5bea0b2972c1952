"""The files of a commit -> documents by id; with a previous reading, only what changed is looked at."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from control_plane.core.fixtures import Calendar
from control_plane.core.layout import Place, TreeEntry, fold, place_entry, same_names
from control_plane.core.parse import Documents, ParsedFile, parse_file
from control_plane.core.problems import Problem
from control_plane.core.trees import EMPTY as NO_FILES
from control_plane.core.trees import Folder, compare
from control_plane.core.trust import Trust, read_trust
from schemas.desired import Document

Name = tuple[str, str]
"""Folder and id of a document; single files have an empty folder and their path as id."""
Index = dict[str, tuple[str, ...]]
"""Paths by what they are filed under: nearly always one."""
_NOTHING: Final[Index] = {}


class Reading(Struct, frozen=True):
    """A commit's files, read. Nothing in it is changed once it is made.

    `names` are the paths of documents by folder and id; `folded` maps the form of a path that some file system
    confuses to the paths of that form; `clashes` are the keys of both that have more than one path.
    """

    tree: Folder
    files: dict[str, ParsedFile]
    names: dict[str, Index]
    problems: dict[str, tuple[Problem, ...]]
    folded: Index
    clashes: frozenset[Name | str]
    trust_blobs: dict[str, str]
    trust: Trust

    def document(self, folder: str, name: str) -> Document | Calendar | None:
        """The document of that name; None if there is none or it could not be read."""
        paths = self.named(folder).get(name)
        file = self.files.get(paths[0]) if paths else None
        return None if file is None else file.document

    def named(self, folder: str) -> Index:
        """The paths of each id in a folder, the one that counts first."""
        return self.names.get(folder, _NOTHING)


class Changes(Struct, frozen=True):
    """What differs from the previous reading: documents by name, names that came or went, files by path."""

    documents: frozenset[Name]
    existence: frozenset[Name]
    paths: frozenset[str]
    trust: bool


EMPTY: Final = Reading(NO_FILES, {}, {}, {}, {}, frozenset(), {}, Trust())


def read_tree(
    tree: Folder, blobs: Mapping[str, bytes], previous: Reading, documents: Documents | None = None
) -> tuple[Reading, Changes]:
    """Read what differs from `previous`, keep the rest; what is in `documents` is not parsed."""
    difference = compare(tree, previous.tree)
    reader = _Reader(blobs, previous, {} if documents is None else documents)
    for entry in sorted(difference.changed):
        reader.take(entry, known=entry.path in difference.known)
    for path in sorted(difference.gone):
        reader.forget(path)
    return reader.finish(tree)


class _Reader:
    """The next reading in the making; the indices of names are copied only when a name comes or goes."""

    def __init__(self, blobs: Mapping[str, bytes], previous: Reading, documents: Documents) -> None:
        self._blobs = blobs
        self._known = documents
        self._previous = previous
        self._files = previous.files.copy()
        self._names = previous.names.copy()
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

    def _take_document(self, entry: TreeEntry, place: Place) -> None:
        path = entry.path
        file = parse_file(path, entry.blob, self._blobs, place, self._known)
        self._paths.add(path)
        self._documents.add((place.folder, place.id or path))
        self._files[path] = file
        if file.problems:
            self._problems[path] = file.problems

    def _rename(self, name: Name, path: str, *, present: bool) -> None:
        folder, stem = name
        self._documents.add(name)
        index = self._names.get(folder, _NOTHING)
        if index is self._previous.named(folder):
            index = self._names[folder] = index.copy()
        _note_clash(self._clashes, name, _file_under(index, stem, path, present=present))

    def _refold(self, path: str, *, present: bool) -> None:
        if self._folded is self._previous.folded:
            self._folded = self._folded.copy()
        key = fold(path)
        _note_clash(self._clashes, key, _file_under(self._folded, key, path, present=present))

    def finish(self, tree: Folder) -> tuple[Reading, Changes]:
        """The reading, and what changed."""
        previous = self._previous
        same_trust = self._trust_blobs == previous.trust_blobs and previous is not EMPTY
        trust = (
            previous.trust
            if same_trust
            else read_trust({path: self._blobs[blob] for path, blob in self._trust_blobs.items()})
        )
        reading = Reading(
            tree,
            self._files,
            self._names,
            self._problems,
            self._folded,
            frozenset(self._clashes),
            self._trust_blobs,
            trust,
        )
        existence = {
            (folder, name)
            for folder, name in self._documents
            if (name in previous.named(folder)) != (name in reading.named(folder))
        }
        changes = Changes(frozenset(self._documents), frozenset(existence), frozenset(self._paths), not same_trust)
        return reading, changes


def _file_under(index: Index, key: str, path: str, *, present: bool) -> int:
    """Put a path under a key of the index, or take it away; how many are under it then."""
    known = index.get(key)
    if known is None and present:
        index[key] = (path,)
        return 1
    paths = {other for other in known or () if other != path} | ({path} if present else set())
    if paths:
        index[key] = tuple(sorted(paths))
    else:
        index.pop(key, None)
    return len(paths)


def _note_clash(clashes: set[Any], key: Name | str, paths: int) -> None:
    if paths > 1:
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
        first, *others = reading.named(key[0])[key[1]]
        message = f"the id `{key[1]}` is used already, by {first}; rename this file"
        found += [
            Problem(file=path, line=1, column=1, severity="error", code="DuplicateId", message=message)
            for path in others
        ]
    return found
