"""What must be true of a box at any instant: everything of the club's, and a release that is one, file by file."""

from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

from tests.support.agent_world import application

ADDED = {"2.0.0": {"server__new__module__py": b"new = True\n"}}
"""The files that a release has and the one before it does not."""


def require_club(club: dict[str, Any], configuration: dict[str, Any]) -> None:
    """Everything that the club had is there."""
    assert configuration["auth"] == club["auth"]
    assert configuration["remote"]["title"] == club["remote"]["title"]
    for key in ("categories", "sponsors"):
        missing = [item for item in club[key] if item not in configuration[key]]
        assert not missing, f"the club lost {missing}"


def central_paths(value: Any) -> Iterator[str]:
    """The paths of every central entry."""
    if isinstance(value, list):
        for item in value:
            yield from central_paths(item)
    elif isinstance(value, dict):
        if value.get("owner") == "neopro" and "path" in value:
            yield value["path"]
        for item in value.values():
            yield from central_paths(item)


def only_what_is_there(value: Any, root: Path) -> Any:
    """The same without the central entries whose file is not on the box."""
    if isinstance(value, list):
        return [only_what_is_there(item, root) for item in value if not _is_missing(item, root)]
    if isinstance(value, dict):
        return {key: only_what_is_there(item, root) for key, item in value.items()}
    return value


def _is_missing(item: Any, root: Path) -> bool:
    central = isinstance(item, dict) and item.get("owner") == "neopro" and "path" in item
    return central and not (root / item["path"]).exists()


def require_whole(root: Path, versions: set[str], edited: Set[str]) -> None:
    """`current` leads to a tree that is, file by file, one of the releases; files that a club `edited` may be so."""
    tree = root / "current"
    version = (tree / "VERSION").read_text().strip()
    assert version in versions
    for path, data in application(version, **ADDED.get(version, {})).items():
        found = (tree / path).read_bytes()
        assert found == data or (path in edited and found == b"edited"), f"{path} of release {version} is not whole"
    for name in ("webapp/index.html", "VERSION", "server/app.py"):
        if (root / name.partition("/")[0]).is_symlink():
            assert name in edited or version in (root / name).read_text(), f"{name} is of another release"
