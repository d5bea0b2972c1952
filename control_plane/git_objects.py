"""Commits as libgit2 has them, in our clone or in a checkout: trees as raw bytes, blobs when they are asked for."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Final

import pygit2
from msgspec import Struct

from control_plane.core.trees import Folder, is_folder, path_of, rows_of
from control_plane.errors import CommitRefused
from schemas.names import Revision

MAX_ENTRIES: Final = 200_000
MAX_DEPTH: Final = 32
MAX_BLOB_BYTES: Final = 8 << 20
MAX_MESSAGES: Final = 10_000
Reading = Callable[[], AbstractContextManager[pygit2.Repository]]


class Tree(Struct, frozen=True, kw_only=True):
    """A commit's files; folders that it shares with the commit before are the same object.

    `blobs` reads each from the clone when it is asked for.
    """

    entries: Folder
    blobs: Mapping[str, bytes]


class Walk:
    """Reads trees as raw bytes, so that no name is interpreted; folders that are known already are not read again."""

    def __init__(self, repository: pygit2.Repository) -> None:
        self._odb, self._left = repository.odb, MAX_ENTRIES

    def folder(self, prefix: str, tree_id: bytes, known: Folder | None, depth: int) -> Folder:
        """The folder at `prefix`; `known` is the one that was there before."""
        if known is not None and known.id == tree_id:
            self._count(known.size, prefix)
            return known
        raw = self._odb.read(pygit2.Oid(raw=tree_id))[1]
        try:
            rows = rows_of(raw)
        except ValueError as problem:
            raise _refused(f"{prefix or 'the commit'}: {problem}") from None
        self._count(len(rows), prefix)
        if depth == 0:
            raise _refused(f"{prefix}: folders nest deeper than {MAX_DEPTH}")
        before = {} if known is None else known.folders
        folders = {
            row[1]: self.folder(f"{prefix}{path_of(row[1])}/", row[2], before.get(row[1]), depth - 1)
            for row in rows
            if is_folder(row)
        }
        return Folder(tree_id, raw, folders, len(rows) + sum(folder.size for folder in folders.values()))

    def _count(self, files: int, prefix: str) -> None:
        self._left -= files
        if self._left < 0:
            raise _refused(f"{prefix or 'the commit'}: more than {MAX_ENTRIES} files and folders")


class Blobs(Mapping[str, bytes]):
    """Blobs of a commit by id, read when asked for."""

    def __init__(self, reading: Reading, entries: Folder) -> None:
        self._reading, self._entries = reading, entries
        with reading() as repository:
            self._odb = repository.odb

    def __getitem__(self, blob: str) -> bytes:
        try:
            return self._read(blob)
        except (pygit2.GitError, KeyError):  # the packs were put together meanwhile, or `reading` says what is wrong
            with self._reading() as repository:
                self._odb = repository.odb
                return self._read(blob)

    def _read(self, blob: str) -> bytes:
        oid = pygit2.Oid(hex=blob)
        size = self._odb.read_header(oid)[1]
        if size <= MAX_BLOB_BYTES:
            return self._odb.read(oid)[1]
        path = next((e.path for e in self._entries if e.blob == blob), blob)
        raise _refused(f"{path}: {size} bytes, more than {MAX_BLOB_BYTES}; videos do not belong into Git")

    def __iter__(self) -> Iterator[str]:
        return iter({e.blob: None for e in self._entries})

    def __len__(self) -> int:
        return len({e.blob for e in self._entries})


def local_tree(repository: pygit2.Repository, revision: Revision, under: str = "", known: Folder | None = None) -> Tree:
    """A commit's files below the folder `under`, in a repository on this machine; KeyError where it has no such folder.

    Folders that it shares with `known`, the same folder of another commit, are the same object.
    """
    tree = repository[revision].peel(pygit2.Commit).tree
    found = tree / under if under else tree
    if not isinstance(found, pygit2.Tree):
        raise KeyError(under)
    entries = Walk(repository).folder("", found.id.raw, known, MAX_DEPTH)
    return Tree(entries=entries, blobs=Blobs(lambda: nullcontext(repository), entries))


def messages_between(repository: pygit2.Repository, revision: Revision, since: Revision) -> list[str]:
    """The messages of the commits that `revision` has and `since` has not, the newest first: at most MAX_MESSAGES."""
    walker = repository.walk(pygit2.Oid(hex=revision))
    walker.hide(pygit2.Oid(hex=since))
    return [commit.raw_message.decode("utf-8", "replace") for commit in islice(walker, MAX_MESSAGES)]


def _refused(problem: str) -> CommitRefused:
    return CommitRefused(f"cannot read the commit: {problem}", [problem])
