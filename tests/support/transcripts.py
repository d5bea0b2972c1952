"""Transcripts: what an operator types and what is answered, in one file that people can read.

    fixture: small

    # A typo is refused whole.
    $ neopro validate
      12 sites, 0 warnings: good to publish        what went to standard output, two blanks in
    ! neopro: cannot …                             what went to standard error
    = 2                                            the exit status, where it is not 0

A line after `$ ` is run by bash in the fixture's folder; `neopro` and `git` are on its path. Commits are called
COMMIT1, COMMIT2 … as they appear, folders FLEET and HOME, ports PORT. To add one: write the fixture's line and the
commands into tests/golden/cli/VERB.txt, run `pytest tests/golden --update-golden`, and read what was answered before
you commit it.

The fixture `served` has a control plane (tests/support/served_fleet.py tells who reported what), `rolling` beside it a
rollout that has halted (tests/support/rolling_fleet.py). What they make anew in each run is called the same: a personal
token TOKEN, a one-time password PASSWORD, a generation 1700000000000, today 2026-03-01 (at noon), and the days that are
counted from today after that. What else is new, a transcript takes out itself, by sed.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.new_repository import schema_files
from tests.support.command_line import environment, git

ROOT: Final = Path(__file__).resolve().parents[2]
SMALL: Final = ROOT / "tests" / "golden" / "small"
CLOCK: Final = "2026-03-01T12:00:00Z"
PERSON: Final = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Ada Operator"), ("EMAIL", "ada@example.org"), ("DATE", CLOCK))
}
_TOOK: Final = re.compile(r"\b\d+\.\d s\b")
_PORT: Final = re.compile(r"(127\.0\.0\.1|localhost):\d+")
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT)\d\d:\d\d:\d\d\.\d+Z|(2026-03-01 )\d\d:\d\d")
"""An instant that nobody rounded, or of the day that every day is called."""
_GENERATION: Final = re.compile(r"\b1[789]\d{11}\b")
"""Milliseconds of Unix time, which is what the control plane numbers generations by."""
_PASSWORD: Final = re.compile(r"\b[a-z2-9]{4}(-[a-z2-9]{4}){4}\b")
_TOKEN: Final = re.compile(r"\bneopro_[\w-]{43}(?![\w-])")


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """A file of transcripts, read: its fixture's name, and each command with the lines that stand before it."""

    fixture: str
    commands: list[tuple[list[str], str]]

    @classmethod
    def read(cls, path: Path) -> "Transcript":
        """The commands of a file; what is answered in it is not looked at."""
        first, *rest = path.read_text("utf-8").splitlines()
        assert first.startswith("fixture: "), f"{path} does not begin with 'fixture: NAME'"
        commands: list[tuple[list[str], str]] = []
        before: list[str] = []
        for line in rest:
            if line.startswith("# "):
                before.append(line)
            elif line.startswith("$ "):
                commands.append((before, line.removeprefix("$ ")))
                before = []
        assert commands, f"{path} has no command"
        return cls(fixture=first.removeprefix("fixture: ").strip(), commands=commands)


def empty(_folder: Path) -> None:
    """A folder with nothing in it."""


def small(folder: Path) -> None:
    """A fleet of three sites that changes only when a transcript needs it, committed on main."""
    shutil.copytree(SMALL, folder, dirs_exist_ok=True)
    for path, data in schema_files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    git(folder, "init", "-q", "-b", "main")
    _run("git add -A && git commit -qm 'Begin'", folder, environment(folder.parent) | PERSON)


def export(folder: Path) -> None:
    """A folder `export`, as it comes from the central database."""
    shutil.copytree(ROOT / "tests" / "golden" / "export", folder / "export")


FIXTURES: Final[Mapping[str, Callable[[Path], None]]] = {"empty": empty, "export": export, "small": small}
"""Name -> what fills the folder; add yours."""


SERVED: Final = ("served", "rolling")
"""The fixtures that have a control plane."""


def played(path: Path, folder: Path, env: Mapping[str, str] | None = None) -> str:
    """The file as it should be: its commands run in `folder` (parent: HOME), with what they answer now."""
    transcript = Transcript.read(path)
    folder.mkdir(exist_ok=True)
    FIXTURES[transcript.fixture](folder)
    return _played(transcript, folder, env or {}, _Steady(folder))


def played_served(path: Path, folder: Path, database: str) -> str:
    """The same on the fleet that a control plane publishes, from this database."""
    from tests.support.rolling_fleet import rolling_fleet
    from tests.support.served_fleet import served_fleet

    transcript = Transcript.read(path)
    fleet = rolling_fleet if transcript.fixture == "rolling" else served_fleet
    with fleet(folder, database) as given:
        return _played(transcript, folder, given.env, _Steady(folder, given.names), given.look)


def _played(
    transcript: Transcript,
    folder: Path,
    env: Mapping[str, str],
    steady: "_Steady",
    look: Callable[[], object] | None = None,
) -> str:
    """`look` is called after each command."""
    home = folder.parent
    given = environment(home, PYTHONPATH=str(ROOT), **PERSON) | dict(env)
    given["PATH"] = f"{command_folder(home)}{os.pathsep}{given['PATH']}"
    parts = [f"fixture: {transcript.fixture}"]
    for before, command in transcript.commands:
        done = _run(command, folder, given)
        steady.look_for_commits()
        parts.append("\n".join([*before, f"$ {command}", *_answer(done, steady)]))
        if look:
            look()
    return "\n\n".join(parts) + "\n"


def command_folder(home: Path) -> Path:
    """A folder that holds the `neopro` of this source tree."""
    folder = home / "bin"
    folder.mkdir(exist_ok=True)
    script = folder / "neopro"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cli "$@"\n')
    script.chmod(0o755)
    return folder


def _run(command: str, folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def _answer(done: subprocess.CompletedProcess[str], steady: "_Steady") -> Iterator[str]:
    for line in done.stdout.splitlines():
        yield f"  {steady.line(line)}".rstrip()
    for line in done.stderr.splitlines():
        yield f"! {steady.line(line)}".rstrip()
    if done.returncode:
        yield f"= {done.returncode}"


class _Steady:
    """Takes out of a line what differs from run to run: folders, commits, ports, how long something took."""

    def __init__(self, folder: Path, names: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._names = {str(folder): "FLEET", str(folder.parent): "HOME", **(names or {})}
        self._commits: list[str] = []

    def look_for_commits(self) -> None:
        """Give the commits that are new in the folder's repository the next names."""
        if (self._folder / ".git").exists():
            found = git(self._folder, "log", "--all", "--reflog", "--reverse", "--format=%H").split()
            self._commits += [commit for commit in found if commit not in self._commits]

    def line(self, line: str) -> str:
        """The line as it is every time."""
        for path, name in self._names.items():
            line = line.replace(path, name)
        for number, commit in enumerate(self._commits, 1):
            # Whole, or shortened to any length that people use.
            line = re.sub(rf"\b{commit[:7]}[0-9a-f]*\b", f"COMMIT{number}", line)
        line = _TIME.sub(lambda found: f"{found[1]}12:00:00Z" if found[1] else f"{found[2]}12:00", line)
        line = _GENERATION.sub("1700000000000", _PASSWORD.sub("PASSWORD", _TOKEN.sub("TOKEN", line)))
        return _PORT.sub(r"\1:PORT", _TOOK.sub("0.0 s", line))
