"""What a process and its folders hold, counted at one moment; and whether that stayed within bounds over a life.

Figures are named in words (`descriptors: socket`, `clone.git: files`). A life is counted at equal moments; it is
bounded when the most of its last quarter is not above the most of its second one by more than an allowance that says
why.
"""

import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

Figures = Mapping[str, float]
_NUMBERED: Final = re.compile(r"(socket|pipe|anon_inode):.*")
LEAST: Final = 8
"""Moments of a life: fewer have no quarters."""


def descriptors(pid: int, folders: Mapping[str, Path]) -> Figures:
    """The open descriptors of a process by kind; a file by which of the `folders` it lies in."""
    found: Counter[str] = Counter()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            target = str(Path(entry.path).readlink())
        except FileNotFoundError:  # the one by which we look
            continue
        found[_kind(target, folders)] += 1
    return {f"descriptors: {kind}": count for kind, count in found.items()} | {"descriptors": found.total()}


def _kind(target: str, folders: Mapping[str, Path]) -> str:
    if numbered := _NUMBERED.fullmatch(target):
        return numbered[1]
    inside = (name for name, folder in folders.items() if target.startswith(f"{folder}/"))
    return f"files of {next(inside, 'others')}"


def process(pid: int) -> Figures:
    """Threads of a process, resident MiB of its own and of files, and children by whether somebody waits for them."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    states = [_state(int(child)) for child in _children(pid)]
    return {
        "threads": int(status["Threads"]),
        "resident MiB": int(status["RssAnon"].split()[0]) / 1024,
        "resident MiB of files": int(status["RssFile"].split()[0]) / 1024,
        "children": len(states) - states.count("Z"),
        "zombies": states.count("Z"),
    }


def _children(pid: int) -> list[str]:
    return [
        child for task in os.scandir(f"/proc/{pid}/task") for child in Path(task.path, "children").read_text().split()
    ]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "gone"


def folder(name: str, path: Path) -> Figures:
    """Files and kilobytes beneath a folder, and the folders in it; all 0 where there is none."""
    files = folders = size = 0
    for at, inner, names in os.walk(path):
        folders += len(inner)
        for one in names:
            found = Path(at, one).lstat()
            files += 1
            size += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return {f"{name}: files": files, f"{name}: folders": folders, f"{name}: kB": size / 1000}


def each_file(name: str, path: Path) -> Figures:
    """Kilobytes of each file right in a folder."""
    found = (one for one in sorted(path.iterdir()) if one.is_file()) if path.is_dir() else ()
    return {f"{name}/{one.name}: kB": one.stat().st_size / 1000 for one in found}


class Allowance(NamedTuple):
    """By how much the figures that a pattern matches whole may be above, and why; `share` is of what was before."""

    pattern: str
    most: float
    share: float
    why: str
    noted: bool = False
    """Whatever it grows by, it is only told."""


class Verdict(NamedTuple):
    """One figure over a life: the most of the second and of the last quarter, and by how much it may be above."""

    name: str
    second: float
    last: float
    allowance: Allowance

    @property
    def allowed(self) -> float:
        """By so much."""
        return max(self.allowance.most, self.allowance.share * self.second)

    @property
    def grows(self) -> bool:
        """Whether it is above what it may be."""
        return not self.allowance.noted and self.last > self.second + self.allowed

    @property
    def word(self) -> str:
        """For a table."""
        if self.grows:
            return "**grows**"
        return "grows" if self.allowance.noted and self.last > self.second else "bounded"


NONE: Final = Allowance(".*", 0, 0, "")
"""Without another, nothing may be above by anything."""


def judge(life: Sequence[Figures], allowances: Iterable[Allowance]) -> list[Verdict]:
    """Every figure that was ever counted, by name."""
    assert len(life) >= LEAST, f"a life of {len(life)} moments has no quarters"
    quarter = len(life) // 4
    return compare(life[quarter : 2 * quarter], life[-quarter:], allowances)


def compare(before: Sequence[Figures], after: Sequence[Figures], allowances: Iterable[Allowance]) -> list[Verdict]:
    """The most of some moments beside the most of others."""
    known = [*allowances, NONE]
    names = sorted({name for figures in (*before, *after) for name in figures})
    return [
        Verdict(name, most(before, name), most(after, name), next(a for a in known if re.fullmatch(a.pattern, name)))
        for name in names
    ]


def most(moments: Sequence[Figures], name: str) -> float:
    """The most that it was; 0 while it was not there."""
    return max(figures.get(name, 0) for figures in moments)
