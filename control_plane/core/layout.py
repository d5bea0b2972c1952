"""Which files a fleet-state repository may hold: the folder says the kind, the stem is the id."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

from msgspec import Struct

from control_plane.core.fixtures import Calendar
from control_plane.core.problem_codes import Code
from control_plane.core.problems import Problem, Severity, suggestion
from schemas.desired import KINDS, SINGLES
from schemas.names import ID_PATTERN, SEMVER_PATTERN

LINK: Final = 0o120000
SUBMODULE: Final = 0o160000
FOLDER: Final = 0o040000
_FOLDERS: Final = (*KINDS, "trust", "calendars")
_IGNORED_FOLDERS: Final = frozenset(("docs",))
_KNOWN_FILE: Final = re.compile(r"(?i:README|LICENSE|LICENCE|CHANGELOG|CONTRIBUTING|CODEOWNERS|NOTICE|Makefile)\b.*")
_VERSIONED: Final = frozenset(("releases", "agents"))
_ID: Final = re.compile(ID_PATTERN)
_SEMVER: Final = re.compile(SEMVER_PATTERN)
TRUST_FILE: Final = re.compile(r"trust/(root|release-list)-([1-9][0-9]{0,8})\.json")

Role = Literal["document", "trust", "ignored"]


class TreeEntry(NamedTuple):
    """A file of a commit: its path, Git object id (hexadecimal), Git file mode, and size in bytes (-1: not known)."""

    path: str
    blob: str
    mode: int
    size: int = -1


class Place(Struct, frozen=True):
    """What a path stands for; `folder` and `id` only of documents. `id` is empty for single files."""

    role: Role
    folder: str = ""
    id: str = ""
    kind: type[Any] = object
    problem: Problem | None = None


_IGNORED: Final = Place("ignored")


def place_entry(entry: TreeEntry) -> Place:
    """What the entry is; a Problem where it cannot be where or what it is."""
    path, mode = entry.path, entry.mode
    if mode in (LINK, SUBMODULE):
        return _refuse_mode(path, mode)
    folder, slash, rest = path.partition("/")
    if folder in KINDS and slash:
        return _place_document(path, folder, rest)
    return _place_other(path, folder, rest) if slash else _place_top(path)


def _place_other(path: str, folder: str, rest: str) -> Place:
    if folder == "trust":
        return _place_trust(path, rest)
    if folder == "calendars":
        return _place_calendar(path, rest)
    if folder.startswith(".") or folder in _IGNORED_FOLDERS:
        return _IGNORED
    return _place_unknown(path, folder)


def _refuse_mode(path: str, mode: int) -> Place:
    if mode == LINK:
        return _refused(path, "LinkNotAllowed", "links are not allowed; commit the file itself")
    return _refused(path, "SubmoduleNotAllowed", "submodules are not allowed; commit the files themselves")


def _place_top(path: str) -> Place:
    if path in SINGLES:
        return Place("document", "", "", SINGLES[path])
    if path.startswith(".") or _KNOWN_FILE.fullmatch(path):
        return _IGNORED
    if path.rpartition(".")[0] in ("fleet", "revoked"):
        stem = path.rpartition(".")[0]
        return _refused(path, "WrongFileName", f"this file is not read; rename it to {stem}.yaml")
    hint = suggestion(path, SINGLES)
    return _refused(path, "UnknownFile", f"this file is not read{hint}; move it to docs/ or delete it", "warning")


def _place_document(path: str, folder: str, rest: str) -> Place:
    name = rest.rpartition("/")[2]
    stem, _, extension = name.rpartition(".")
    if extension == "yaml" and stem:
        if "/." in f"/{rest[: -len(name)]}":
            message = "folders whose name begins with a dot are not read; rename it, or move the file to docs/"
            return _refused(path, "BadFileName", message)
        pattern = _SEMVER if folder in _VERSIONED else _ID
        if pattern.fullmatch(stem):
            return Place("document", folder, stem, KINDS[folder])
        return _refused(path, "BadFileName", _name_sentence(folder, stem))
    if name.startswith(".") or _KNOWN_FILE.fullmatch(name):
        return _IGNORED
    if extension == "yml":
        return _refused(path, "WrongFileName", f"this file is not read; rename it to {stem}.yaml")
    return _refused(path, "WrongFileName", f"{folder}/ holds ID.yaml files only; move this file to docs/ or delete it")


def _name_sentence(folder: str, stem: str) -> str:
    if folder in _VERSIONED:
        return f"`{stem}` is not a version; name the file MAJOR.MINOR.PATCH.yaml"
    rule = "lower-case letters, digits and hyphens, at most 63, none of them a leading hyphen"
    return f"`{stem}` cannot be an id; use {rule}"


def _place_trust(path: str, rest: str) -> Place:
    if TRUST_FILE.fullmatch(path):
        return Place("trust")
    if rest.startswith(".") or _KNOWN_FILE.fullmatch(rest):
        return _IGNORED
    message = "trust/ holds root-N.json and release-list-N.json only; this file is not read"
    return _refused(path, "UnknownFile", message, "warning")


def _place_calendar(path: str, rest: str) -> Place:
    stem, _, extension = rest.rpartition(".")
    if extension == "ics" and _ID.fullmatch(stem):
        return Place("document", "calendars", stem, Calendar)
    if rest.startswith(".") or _KNOWN_FILE.fullmatch(rest):
        return _IGNORED
    return _refused(path, "WrongFileName", "calendars/ holds ID.ics files only; rename it or delete it")


def _place_unknown(path: str, folder: str) -> Place:
    known = next((name for name in _FOLDERS if name == folder.lower().replace("_", "-")), None)
    if known is not None:
        return _refused(path, "WrongFolderName", f"the folder `{folder}` is not read; rename it to `{known}`")
    message = f"the folder `{folder}` is not read{suggestion(folder, _FOLDERS)}; move it to docs/ or delete it"
    return _refused(path, "UnknownFolder", message, "warning")


def _refused(path: str, code: Code, message: str, severity: Severity = "error") -> Place:
    problem = Problem(file=path, line=1, column=1, severity=severity, code=code, message=message)
    return Place("ignored", problem=problem)


def fold(path: str) -> str:
    """The form under which two names are the same on some file system."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", path).casefold())


def same_names(paths: Iterable[str]) -> list[Problem]:
    """A Problem for each of several paths that fold to one."""
    ordered = sorted(paths)
    return [
        Problem(
            file=path,
            line=1,
            column=1,
            severity="error",
            code="SameName",
            message=f"this name and {other} differ only by case or Unicode form; rename one of them",
        )
        for path in ordered
        for other in [next(p for p in ordered if p != path)]
    ]
