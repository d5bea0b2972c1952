"""A file of a commit -> a document and everything that is wrong with it alone.

The common case is one native YAML call, one msgspec conversion and a few comparisons; whatever that cannot vouch for
goes to the precise reader, which gives each Problem its place. A file's result depends on its path and bytes alone, so
it is kept as long as its Git object stays.
"""

import re
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from control_plane.core.fixtures import Calendar
from control_plane.core.layout import Place
from control_plane.core.problems import Finding, KeyPath, Problem
from control_plane.core.references import Reference, references_of
from control_plane.core.rules import findings_of
from control_plane.core.shapes import check_shape
from control_plane.core.yaml_nodes import Composed, place_of, value_of
from control_plane.core.yaml_strict import Doubtful, load_plain, require_plain_config
from schemas.desired import Document, Fleet, Layer

DocumentKey = tuple[type[Any], str]
"""What decides a document: its kind, and the Git object id of its bytes."""


class Documents(Protocol):
    """Documents that are known already; a dict will do. It may forget, and must never give another one."""

    def get(self, key: DocumentKey, /) -> Document | Calendar | None: ...

    def __setitem__(self, key: DocumentKey, document: Document | Calendar, /) -> None: ...


class ParsedFile(Struct, frozen=True, gc=False):
    """A document and what is wrong with its file alone; `document` is None when it could not be read as its kind."""

    path: str
    folder: str
    id: str
    blob: str
    document: Document | Calendar | None
    problems: tuple[Problem, ...] = ()
    references: tuple[Reference, ...] = ()


def parse_file(path: str, blob: str, blobs: Mapping[str, bytes], place: Place, documents: Documents) -> ParsedFile:
    """Read the document at `place`, whose bytes are `blobs[blob]`; a sound one is put into `documents`."""
    folder, stem, key = place.folder, place.id, (place.kind, blob)
    problems: tuple[Problem, ...] = ()
    document = documents.get(key)
    if document is None:
        document, problems = _parse(path, place.kind, blobs[blob])
        if document is not None and not problems:
            documents[key] = document
    if document is None or isinstance(document, Calendar):
        return ParsedFile(path, folder, stem, blob, document, problems)
    findings = findings_of(path, stem, document)
    if findings:
        problems = Locator({path: blobs[blob]}).problems(findings)
    return ParsedFile(path, folder, stem, blob, document, problems, references_of(document))


def _parse(path: str, kind: type[Any], data: bytes) -> tuple[Document | Calendar | None, tuple[Problem, ...]]:
    """A document, or why it is none; with a calendar there may be warnings."""
    if kind is Calendar:
        # Brings two libraries that a command line without calendars need not wait for.
        from control_plane.core.calendars import read_calendar

        return read_calendar(path, data)
    try:
        return _parse_plain(kind, data), ()
    except (Doubtful, msgspec.ValidationError):
        return _parse_precisely(path, kind, data)


def _parse_plain(kind: type[Any], data: bytes) -> Document:
    document: Document = msgspec.convert(load_plain(data), kind, strict=True)
    if isinstance(document, Layer):
        if document.config:
            require_plain_config(document.config, data, 2)
    elif isinstance(document, Fleet) and document.defaults.config:
        require_plain_config(document.defaults.config, data, 3)
    return document


def _parse_precisely(path: str, kind: type[Any], data: bytes) -> tuple[Document | None, tuple[Problem, ...]]:
    composed = _compose(path, data)
    problems = composed.problems
    if composed.root is not None or not problems:
        problems += tuple(check_shape(path, composed.root, kind))
    if problems or composed.root is None:
        return None, problems
    try:
        return msgspec.convert(value_of(composed.root), kind, strict=True), ()
    except msgspec.ValidationError as error:
        # The shape check and the types agree but for what nobody has thought of yet: refuse, at the file's first line.
        message = f"this does not fit: {error}"
        return None, (Problem(file=path, line=1, column=1, severity="error", code="BadValue", message=message),)


def _compose(file: str, data: bytes) -> Composed:
    # Imported where it is needed: libyaml costs a tenth of a command on a small checkout in which nothing is wrong.
    from control_plane.core.yaml_compose import compose

    return compose(file, data)


def _first_key(data: bytes) -> tuple[int, int] | None:
    """The place of a document that is a block map: its first key."""
    found = re.search(rb"^[A-Za-z_]+:", data, re.MULTILINE)
    return None if found is None else (data.count(b"\n", 0, found.start()) + 1, 1)


def _top_key(data: bytes, path: KeyPath, at_key: bool) -> tuple[int, int] | None:
    """The place of a key of a block map at the top, or of the scalar behind it: it stands at the start of a line.

    Saves the precise reader where one fault is in ten thousand files; None leaves the rest to it.
    """
    if len(path) != 1:
        return None
    behind = rb"" if at_key else rb"[ \t]+(?=[^\s#&*!|>\[{-])"
    found = re.search(rb"^%b:%b" % (re.escape(str(path[0]).encode()), behind), data, re.MULTILINE)
    if found is None:
        return None
    return data.count(b"\n", 0, found.start()) + 1, 1 if at_key else found.end() - found.start() + 1


class Texts(Protocol):
    """The bytes of documents by path; may be lazy."""

    def __getitem__(self, path: str, /) -> bytes: ...


class Locator:
    """Finds places of key paths in files, by the precise reader, each file read at most once."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._composed: dict[str, Composed] = {}

    def place(self, file: str, path: KeyPath, at_key: bool) -> tuple[int, int]:
        """Line and column, both from 1."""
        data: bytes = self._texts[file]
        found = _first_key(data) if not path else _top_key(data, path, at_key)
        if found is not None:
            return found
        if file not in self._composed:
            self._composed[file] = _compose(file, data)
        return place_of(self._composed[file].root, path, at_key)

    def problems(self, findings: list[Finding]) -> tuple[Problem, ...]:
        """The findings as Problems."""
        return tuple(self._problem(finding) for finding in findings)

    def _problem(self, finding: Finding) -> Problem:
        line, column = self.place(finding.file, finding.path, finding.at_key)
        return Problem(
            file=finding.file,
            line=line,
            column=column,
            severity=finding.severity,
            code=finding.code,
            message=finding.message,
        )
