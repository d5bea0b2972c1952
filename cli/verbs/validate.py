"""`neopro validate`: every problem of a checkout, as the server would find it."""

import hashlib
import os
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output
from control_plane.core.compile import Problem, TreeEntry, compile_commit

_LINK, _FILE, _EXECUTABLE = 0o120000, 0o100644, 0o100755


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
    output = Output(json)
    entries, blobs = read_folder(directory)
    fleet = compile_commit(entries, blobs)
    errors = sum(problem.severity == "error" for problem in fleet.problems)
    output.data(
        {"errors": errors, "warnings": len(fleet.problems) - errors, "problems": [_public(p) for p in fleet.problems]}
    )
    for problem in fleet.problems:
        output.say(str(problem))
    if fleet.has_errors:
        output.say(f"{_count(errors, 'error')}: a commit of this would be refused whole")
        return 1
    output.say(f"{_count(len(fleet.sites), 'site')}, {_count(len(fleet.problems), 'warning')}: good to publish")
    return 0


def read_folder(root: Path) -> tuple[list[TreeEntry], Mapping[str, bytes]]:
    """The files of a checkout as a commit of them would have them; CommandFailed where there is no repository."""
    if not root.is_dir():
        raise CommandFailed(f"cannot check {root}: there is no such folder")
    if not (root / "fleet.yaml").exists():
        raise CommandFailed(f"cannot check {root}: it has no fleet.yaml, so it is no fleet-state repository")
    entries: list[TreeEntry] = []
    blobs: dict[str, bytes] = {}
    try:
        for path in _files(root):
            status = (root / path).lstat()
            is_link = stat.S_ISLNK(status.st_mode)
            data = os.fsencode((root / path).readlink()) if is_link else (root / path).read_bytes()
            # Git's own name of the bytes, so that the compiler sees what it sees on the server.
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
            mode = _LINK if is_link else _EXECUTABLE if status.st_mode & stat.S_IXUSR else _FILE
            entries.append(TreeEntry(path, blob, mode, len(data)))
            blobs[blob] = data
    except OSError as problem:
        raise CommandFailed(f"cannot check {root}: {problem.strerror}: {problem.filename}") from None
    return entries, blobs


def _files(root: Path) -> list[str]:
    """What Git has or would add (ignored files are not looked at); every file where there is no Git."""
    asked = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    try:
        answer = subprocess.run(asked, capture_output=True, check=False)
    except FileNotFoundError:
        answer = None
    if answer is not None and answer.returncode == 0:
        named = (os.fsdecode(name) for name in answer.stdout.split(b"\0") if name)
        return sorted(name for name in named if os.path.lexists(root / name))
    found = (Path(folder, name) for folder, _, names in os.walk(root) for name in names)
    relative = (path.relative_to(root) for path in found)
    return sorted(path.as_posix() for path in relative if path.parts[0] != ".git")


def _public(problem: Problem) -> dict[str, object]:
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
