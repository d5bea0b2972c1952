"""Parsed documents by Git object id, kept across restarts: YAML that was read once is never parsed again.

A cache and nothing else: whatever cannot be read, is not whole or was written by another version of the program is
parsed anew. A document is written only after what would be read back proved to be the very same.
"""

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from sys import version_info
from typing import Final

import msgspec

from control_plane.core.fixtures import Calendar
from control_plane.core.parse import DocumentKey
from schemas.desired import Document

MAX_BYTES: Final = 256 << 20
"""Of the file: about 300,000 sites. The older half is let go when there is more."""
BATCH: Final = 500
"""Documents written at a time, so that nobody who reads waits for more than some milliseconds."""
_FILE: Final = "documents.sqlite3"
_BROKEN: Final = (0, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_CHECK_BYTES: Final = 16
_LIBRARIES: Final = (
    "icalendar",
    "msgspec",
    "python-dateutil",
    "recurring-ical-events",
    "ruamel.yaml",
    "ryaml",
    "tzdata",
)

logger = logging.getLogger(__name__)


class DocumentCache:
    """What to give to `compile_commit` as `documents`; `keep` writes what it took in, when the work is done.

    One process may use it from several threads; several processes may share a folder.
    """

    def __init__(self, folder: Path, *, program: bytes | None = None, max_bytes: int = MAX_BYTES) -> None:
        """`folder` is made if need be, for its owner alone. Never raises: without a file, nothing is kept.

        `program`: a digest of the program, whose documents alone are found; `max_bytes`: of the file, about.
        """
        self._file, self._max_bytes = folder / _FILE, max_bytes
        self._program = program_digest() if program is None else program
        self._fresh: dict[DocumentKey, Document | Calendar] = {}
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._any = False
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file.touch(mode=0o600)
            self._file.chmod(0o600)
            self._database = _open(self._file)
            self._any = self._row(self._program) is not None
        except (OSError, sqlite3.Error) as problem:
            self._give_up(problem)

    def get(self, key: DocumentKey, /) -> Document | Calendar | None:
        """The document that these bytes hold, read as that kind; None when it must be parsed."""
        fresh = self._fresh.get(key)
        if fresh is not None or not self._any:
            return fresh
        name = self._name(key)
        row = self._row(name)
        if row is None or row[:_CHECK_BYTES] != _check(name, row[_CHECK_BYTES:]):
            return None
        document: Document | Calendar = msgspec.json.decode(row[_CHECK_BYTES:], type=key[0])
        return document

    def __setitem__(self, key: DocumentKey, document: Document | Calendar, /) -> None:
        self._fresh[key] = document

    def keep(self) -> None:
        """Write what is new."""
        while self._fresh:
            rows = [row for key, document in self._batch() if (row := self._encoded(key, document))]
            with self._lock:
                self._write(rows)

    def _name(self, key: DocumentKey) -> bytes:
        """Of a row: what a document is read as, its bytes, and the program that reads it."""
        kind, blob = key
        return hashlib.blake2b(f"{kind.__name__} {blob}".encode(), key=self._program, digest_size=20).digest()

    def _encoded(self, key: DocumentKey, document: Document | Calendar) -> tuple[bytes, bytes] | None:
        """The row of a document; None where reading it back would not give the very same."""
        body = msgspec.json.encode(document)
        try:
            again = msgspec.json.decode(body, type=key[0])
        except msgspec.DecodeError:
            return None
        if again != document or msgspec.json.encode(again) != body:
            return None
        name = self._name(key)
        return name, _check(name, body) + body

    def _batch(self) -> Iterator[tuple[DocumentKey, Document | Calendar]]:
        """Taken out one by one, since another thread may be putting in: what is on its way is parsed again."""
        with suppress(KeyError):
            for _ in range(BATCH):
                yield self._fresh.popitem()

    def close(self) -> None:
        """Let go of the file; what was not kept is forgotten."""
        with self._lock:
            if self._database is not None:
                self._database.close()
            self._database = None

    def _row(self, name: bytes) -> bytes | None:
        with self._lock:
            if self._database is None:
                return None
            try:
                row = self._database.execute("select body from documents where name = ?", (name,)).fetchone()
            except sqlite3.Error as problem:
                self._give_up(problem)
                return None
        return row[0] if row and isinstance(row[0], bytes) else None

    def _write(self, rows: list[tuple[bytes, bytes]]) -> None:
        if self._database is None:
            self._fresh.clear()
            return
        try:
            with self._database:
                # The last row says that there are some of this program, so that nobody looks for what cannot be there.
                written = [*rows, (self._program, b"")]
                self._database.executemany("insert or replace into documents (name, body) values (?, ?)", written)
                if _used_bytes(self._database) > self._max_bytes:
                    self._database.execute(
                        "delete from documents where rowid <= (select (min(rowid) + max(rowid)) / 2 from documents)"
                    )
            self._any = True
        except sqlite3.Error as problem:
            self._give_up(problem)

    def _give_up(self, problem: OSError | sqlite3.Error) -> None:
        """Go on without a file; one that is broken is taken away, so that the next start makes a sound one."""
        logger.warning("cannot keep parsed documents in %s: %s; they are parsed again", self._file, problem)
        if self._database is not None:
            self._database.close()
        self._database = None
        if isinstance(problem, sqlite3.Error) and getattr(problem, "sqlite_errorcode", 0) & 0xFF in _BROKEN:
            with suppress(OSError):
                self._file.unlink(missing_ok=True)


def _open(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=1, check_same_thread=False)
    database.execute("pragma synchronous = off")  # what a power cut tears is found by its check, and parsed again
    database.execute("create table if not exists documents (name blob unique not null, body blob not null)")
    return database


def _used_bytes(database: sqlite3.Connection) -> int:
    size, pages, free = (database.execute(f"pragma {name}").fetchone()[0] for name in _PRAGMAS)
    return int(size) * (int(pages) - int(free))


_PRAGMAS: Final = ("page_size", "page_count", "freelist_count")


def _check(name: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(body, key=name, digest_size=_CHECK_BYTES).digest()


@cache
def program_digest() -> bytes:
    """Of everything that decides what a document is read as: the source of schemas and core, and the libraries."""
    state = hashlib.sha256(repr(version_info).encode())
    for package in ("schemas", "control_plane.core"):
        for file in sorted(resources.files(package).iterdir(), key=lambda file: file.name):
            if file.name.endswith((".py", ".pyc")):
                data = file.read_bytes()
                state.update(b"%b %d " % (file.name.encode(), len(data)))
                state.update(data)
    for library in _LIBRARIES:
        state.update(f"{library} {metadata.version(library)} ".encode())
    return state.digest()
