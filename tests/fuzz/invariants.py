"""What must hold for every input, however hostile: a result that says something, at a place that there is."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from control_plane.core.compile import CompiledFleet, Problem, compile_commit
from control_plane.core.layout import TreeEntry, place_entry
from control_plane.core.parse import DocumentKey, _parse_plain, _parse_precisely, parse_file
from control_plane.core.problems import MAX_SENTENCE, sort_problems
from control_plane.core.trust import read_trust
from control_plane.core.yaml_strict import Doubtful
from tests.fuzz.inputs import Input, make_input
from tests.support.fleet_generator import as_tree

NO_FILE: Final = frozenset(("trust/", "fleet.yaml"))
"""Problems may be said of these though they are not there."""
_BLOB: Final = "0" * 40
UNEXPECTED: Final = "this does not fit:"
"""How the reader begins a sentence when types and shape check disagree."""


class Broken(AssertionError):
    """An invariant does not hold."""


def require(holds: object, what: str) -> None:
    """Broken unless it holds."""
    if not holds:
        raise Broken(what)


def look_at(seed: int, number: int) -> None:
    """Check the input of that number."""
    check(make_input(seed, number))


def check(given: Input) -> None:
    """Raise Broken, or whatever the code under test raises, if the input shows a mistake of ours."""
    match given.kind:
        case "document":
            _check_document(given)
        case "calendar":
            _check_file(given)
        case "trust":
            _check_trust(given.files)
        case "commit":
            _check_commit(given)


def _check_file(given: Input) -> None:
    [(path, data)] = given.files.items()
    place = place_entry(TreeEntry(path, _BLOB, 0o100644))
    known: dict[DocumentKey, Any] = {}
    file = parse_file(path, _BLOB, {_BLOB: data}, place, known)
    require(file.document is not None or file.problems, "neither a document nor a Problem")
    require_places(sort_problems(file.problems), given.files)
    again = parse_file(path, _BLOB, {_BLOB: data}, place, known)
    require(repr(again) == repr(file), "read from what is known already it is another")


def _check_document(given: Input) -> None:
    _check_file(given)
    [(path, data)] = given.files.items()
    kind = place_entry(TreeEntry(path, _BLOB, 0o100644)).kind
    document, problems = _parse_precisely(path, kind, data)
    require((document is None) == bool(problems), "the precise path neither reads nor refuses")
    try:
        plain = _parse_plain(kind, data)
    except Doubtful:
        return
    except msgspec.ValidationError as error:
        require(document is None, f"the fast path refuses ({error}), the precise one does not")
    else:
        require(
            repr(plain) == repr(document), f"the fast path reads {plain!r}, the precise one {document!r} {problems}"
        )


def _check_trust(files: Mapping[str, bytes]) -> None:
    trust = read_trust(files)
    whole = trust.root is not None and trust.release_list is not None
    require(whole != bool(trust.problems), "trust is neither whole nor refused")
    require_places(sort_problems(trust.problems), files)


def _check_commit(given: Input) -> None:
    fleet = compile_commit(*as_tree(given.files))
    expected = 0 if fleet.has_errors else len(fleet.state.sites.records)
    require(len(fleet.sites) == expected, "not every site of a commit without error has a manifest")
    require_places(fleet.problems, given.files)
    known: dict[DocumentKey, Any] = {}
    before = compile_commit(*as_tree(given.before), documents=known)
    again = compile_commit(*as_tree(given.files), before, known)
    require(_said(again) == _said(fleet), "compiling on top of what was there gives something else")


def _said(fleet: CompiledFleet) -> object:
    return fleet.problems, {name: (site.manifest, site.state) for name, site in fleet.sites.items()}, fleet.revoked


def require_places(problems: Iterable[Problem], files: Mapping[str, bytes]) -> None:
    """Every Problem is at a place that its file has (the end of a line or of the file included)."""
    for problem in problems:
        require(problem.file in files or problem.file in NO_FILE, f"no such file: {problem}")
        require(problem.message and not problem.message.startswith(UNEXPECTED), f"types and shapes disagree: {problem}")
        rows = _rows(problem.file, files.get(problem.file, b""))
        inside = 1 <= problem.line <= len(rows) and 1 <= problem.column <= len(rows[problem.line - 1]) + 1
        require(inside, f"outside of the file: {problem}")
        require(len(problem.message) <= MAX_SENTENCE and "\n" not in str(problem), f"no sentence: {problem!r}")


def _rows(path: str, data: bytes) -> list[str]:
    """Lines as editors count them; in YAML a lone carriage return is refused and ends none."""
    text = data.decode("utf-8", "replace")
    return re.split("\r\n|\r|\n", text) if path.endswith(".ics") else text.split("\n")
