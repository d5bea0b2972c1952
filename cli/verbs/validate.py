"""`neopro validate`: every problem of a checkout, as the server would find it."""

import hashlib
import os
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output

if TYPE_CHECKING:
    from control_plane.core.compile import Problem, TreeEntry

_LINK, _SUBMODULE, _FILE, _EXECUTABLE = 0o120000, 0o160000, 0o100644, 0o100755


def validate(directory: Path = Path(), /, *, json: Flag = False) -> int:
    """Check a fleet-state repository as it lies on disk: every problem with its file, line and column.

    Exit status 0: it would be published (there may be warnings); 1: it has errors and would be refused whole;
    2: it could not be checked.

    Examples:

    - `neopro validate`
    - `neopro validate fleet-state --json`

    Parameters
    ----------
    directory
        The fleet-state repository.
    json
        Print the problems as JSON.
    """
    from control_plane.core.compile import compile_commit

    output = Output(json)
    entries, blobs = read_folder(directory)
    fleet = compile_commit(entries, blobs)
    errors = sum(problem.severity == "error" for problem in fleet.problems)
    output.data(
        {"errors": errors, "warnings": len(fleet.problems) - errors, "problems": [_public(p) for p in fleet.problems]}
    )
    for problem in fleet.problems:
        output.say(str(problem))
    if fleet.problems:
        output.say(f"What a code means, and what to do: neopro explain {fleet.problems[0].code}")
    if fleet.has_errors:
        output.say(f"{_count(errors, 'error')}: a commit of this would be refused whole")
        return 1
    output.say(f"{_count(len(fleet.sites), 'site')}, {_count(len(fleet.problems), 'warning')}: good to publish")
    return 0


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
