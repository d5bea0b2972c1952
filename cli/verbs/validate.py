"""`neopro validate`: every problem of a checkout, as the server would find it."""

import hashlib
import os
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cli.annotations import FORMS, Format
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output
from cli.parsed import known_documents

if TYPE_CHECKING:
    from control_plane.core.compile import Problem, TreeEntry

_LINK, _SUBMODULE, _FILE, _EXECUTABLE = 0o120000, 0o160000, 0o100644, 0o100755


def validate(
    directory: Path = Path(),
    /,
    *,
    format_: Annotated[Format, Parameter(name="--format")] = "text",
    json: Flag = False,
) -> int:
    """Check a fleet-state repository as it lies on disk: every problem with its file, line and column.

    Exit status 0: it would be published (there may be warnings); 1: it has errors and would be refused whole;
    2: it could not be checked.

    Examples:

    - `neopro validate`
    - `neopro validate fleet-state --json`
    - `neopro validate --format gitlab > gl-code-quality-report.json`

    Parameters
    ----------
    directory
        The fleet-state repository.
    format_
        For people, for programs, or as forges show problems beside the lines of a pull request: GitHub's workflow
        commands, GitLab's code quality report, SARIF 2.1.0.
    json
        The same as --format json.
    """
    from control_plane.core.compile import compile_commit

    if json and format_ not in ("text", "json"):
        raise CommandFailed(f"cannot print JSON and {format_} at once: leave --json or --format out")
    output = Output(json or format_ == "json")
    entries, blobs = read_folder(directory)
    with known_documents(len(entries)) as documents:
        fleet = compile_commit(entries, blobs, None, documents)
    if form := FORMS.get(format_):
        output.raw(form(fleet.problems, _prefix(directory)))
        output.note(_verdict(fleet.problems, len(fleet.sites)))
    else:
        output.data(_report(fleet.problems))
        _tell(output, fleet.problems, len(fleet.sites))
    return 1 if fleet.has_errors else 0


def _tell(output: Output, problems: Sequence["Problem"], sites: int) -> None:
    for problem in problems:
        output.say(str(problem))
    if problems:
        output.say(f"What a code means, and what to do: neopro explain {problems[0].code}")
    output.say(_verdict(problems, sites))


def _verdict(problems: Sequence["Problem"], sites: int) -> str:
    errors = sum(problem.severity == "error" for problem in problems)
    if errors:
        return f"{_count(errors, 'error')}: a commit of this would be refused whole"
    return f"{_count(sites, 'site')}, {_count(len(problems), 'warning')}: good to publish"


def _report(problems: Sequence["Problem"]) -> dict[str, object]:
    errors = sum(problem.severity == "error" for problem in problems)
    return {"errors": errors, "warnings": len(problems) - errors, "problems": [_public(p) for p in problems]}


def _prefix(directory: Path) -> str:
    """The folder of the fleet in its Git repository, with a slash; empty at its top and without Git."""
    asked = ["git", "-C", str(directory), "rev-parse", "--show-prefix"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def read_folder(root: Path) -> tuple[list["TreeEntry"], Mapping[str, bytes]]:
    """The files of a checkout as a commit of them would have them; CommandFailed where there is no repository."""
    from control_plane.core.compile import TreeEntry

    if not root.is_dir():
        raise CommandFailed(f"cannot check {root}: there is no such folder")
    if not (root / "fleet.yaml").exists():
        raise CommandFailed(f"cannot check {root}: it has no fleet.yaml, so it is no fleet-state repository")
    entries: list[TreeEntry] = []
    blobs: dict[str, bytes] = {}
    try:
        for path in _files(root):
            mode = _git_mode((root / path).lstat().st_mode)
            if mode is None:
                continue
            data = _git_bytes(root / path, mode)
            # Git's own name of the bytes, so that the compiler sees what it sees on the server.
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
            entries.append(TreeEntry(path, blob, mode, len(data)))
            blobs[blob] = data
    except OSError as problem:
        raise CommandFailed(f"cannot check {root}: {problem.strerror}: {problem.filename}") from None
    return entries, blobs


def _git_mode(mode: int) -> int | None:
    """As Git has it; None for what it never holds. A folder that it names as one thing is another repository's."""
    if stat.S_ISLNK(mode) or stat.S_ISDIR(mode):
        return _LINK if stat.S_ISLNK(mode) else _SUBMODULE
    if not stat.S_ISREG(mode):
        return None
    return _EXECUTABLE if mode & stat.S_IXUSR else _FILE


def _git_bytes(path: Path, mode: int) -> bytes:
    if mode == _SUBMODULE:
        return b""
    return os.fsencode(path.readlink()) if mode == _LINK else path.read_bytes()


def _files(root: Path) -> list[str]:
    """What Git has or would add (ignored files are not looked at); every file where there is no Git."""
    asked = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    try:
        answer = subprocess.run(asked, capture_output=True, check=False)
    except FileNotFoundError:
        answer = None
    if answer is not None and answer.returncode == 0:
        # An untracked repository within is named with a slash; adding it makes a submodule.
        named = (os.fsdecode(name).rstrip("/") for name in answer.stdout.split(b"\0") if name)
        return sorted(name for name in named if os.path.lexists(root / name))
    found = (Path(folder, name) for folder, folders, names in os.walk(root) for name in folders + names)
    files = (path.relative_to(root) for path in found if path.is_symlink() or not path.is_dir())
    return sorted(path.as_posix() for path in files if path.parts[0] != ".git")


def _public(problem: "Problem") -> dict[str, object]:
    return {
        "code": problem.code,
        "severity": problem.severity,
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
    }


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
