"""A commit's folders as values: Git's own tree objects, so that two commits are compared by the ids of what they share.

Comparing costs in proportion to the folders that differ. Names are bytes until they become paths; one that is no UTF-8
is shown with its odd bytes escaped.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from control_plane.core.layout import FOLDER, TreeEntry

Row = tuple[bytes, bytes, bytes]
"""An entry of a tree object: its mode in octal digits, its name, and its raw object id."""

_ROW: Final = re.compile(rb"([0-7]{5,6}) ([^\0/]+)\0(.{20})", re.DOTALL)


class Folder(Struct, frozen=True, eq=False):
    """A folder: its object id, its tree object's bytes, the folders in it, and how many entries are in and below it.

    Iterating gives every file in and below it, in Git's order.
    """

    id: bytes
    raw: bytes
    folders: Mapping[bytes, "Folder"]
    size: int

    def __iter__(self) -> Iterator[TreeEntry]:
        return _files(self, "")


EMPTY: Final = Folder(b"", b"", {}, 0)


class Difference(Struct, frozen=True):
    """What one tree has and another does not, or has otherwise; `known` are the paths that the other has differently.

    `gone` are the paths that only the other has.
    """

    changed: list[TreeEntry]
    known: set[str]
    gone: set[str]


def rows_of(raw: bytes) -> list[Row]:
    """The entries of a tree object. ValueError when it is malformed or two names in it come to one path."""
    rows: list[Row] = _ROW.findall(raw)
    if sum(len(mode) + len(name) + 22 for mode, name, _ in rows) != len(raw):
        raise ValueError("its tree object is malformed")
    if len({path_of(name) for _, name, _ in rows}) != len(rows):
        raise ValueError("its tree object names something twice")
    return rows


def path_of(name: bytes) -> str:
    """A name as it is shown in paths."""
    return name.decode("utf-8", "backslashreplace")


def is_folder(row: Row) -> bool:
    """Whether an entry is a tree; modes may have a leading zero."""
    return int(row[0], 8) == FOLDER


def folder_of(entries: Iterable[TreeEntry]) -> Folder:
    """The tree that Git would make of these files."""
    nested: dict[bytes, Any] = {}
    for entry in entries:
        *folders, name = entry.path.encode("utf-8", "surrogateescape").split(b"/")
        place = nested
        for folder in folders:
            place = place.setdefault(folder + b"/", {})
        place[name] = (b"%o" % entry.mode, name, bytes.fromhex(entry.blob))
    return _made(nested)


def _made(nested: dict[bytes, Any]) -> Folder:
    folders = {name[:-1]: _made(inside) for name, inside in nested.items() if name.endswith(b"/")}
    rows = (
        (b"%o" % FOLDER, key[:-1], folders[key[:-1]].id) if key.endswith(b"/") else nested[key]
        for key in sorted(nested)  # a folder sorts as if its name ended in a slash
    )
    raw = b"".join(b"%b %b\0%b" % row for row in rows)
    name = hashlib.sha1(b"tree %d\0" % len(raw) + raw, usedforsecurity=False).digest()
    return Folder(name, raw, folders, len(nested) + sum(folder.size for folder in folders.values()))


def compare(new: Folder, old: Folder) -> Difference:
    """How `new` differs from `old`."""
    changed: list[TreeEntry] = []
    before: set[str] = set()
    _compare(new, old, "", changed, before)
    paths = {entry.path for entry in changed}
    return Difference(changed, before & paths, before - paths)


def _compare(new: Folder, old: Folder, prefix: str, changed: list[TreeEntry], before: set[str]) -> None:
    if new.id == old.id:
        return
    fresh, stale = set(_ROW.findall(new.raw)), set(_ROW.findall(old.raw))
    for row in fresh - stale:
        mode, name, blob = row
        path = prefix + path_of(name)
        if is_folder(row):
            _compare(new.folders[name], old.folders.get(name, EMPTY), path + "/", changed, before)
        else:
            changed.append(TreeEntry(path, blob.hex(), int(mode, 8)))
    for row in stale - fresh:
        name = row[1]
        path = prefix + path_of(name)
        if not is_folder(row):
            before.add(path)
        elif name not in new.folders:
            _compare(EMPTY, old.folders[name], path + "/", changed, before)


def _files(folder: Folder, prefix: str) -> Iterator[TreeEntry]:
    for row in _ROW.findall(folder.raw):
        mode, name, blob = row
        path = prefix + path_of(name)
        if is_folder(row):
            yield from _files(folder.folders[name], path + "/")
        else:
            yield TreeEntry(path, blob.hex(), int(mode, 8))
