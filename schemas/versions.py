"""Where the box's applications say which version they are, in the order in which the box reads it."""

import json
import re
from collections.abc import Mapping
from typing import Final

from schemas.names import SEMVER_PATTERN, Version

VERSION_SOURCES: Final[tuple[str, ...]] = ("release.json", "webapp/version.json", "VERSION")
MAX_VERSION: Final = 64
_LIKE: Final = re.compile(r"[vV]?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(?![.\d])(.*)", re.DOTALL)


def declared_version(sources: Mapping[str, bytes]) -> str | None:
    """The version that these files, by path, give their release; None where none of them does."""
    for path in VERSION_SOURCES:
        if path in sources and (version := _version_in(path, sources[path])):
            return version
    return None


def as_version(said: str) -> Version:
    """What people wrote as a version, as SemVer: `v1.2` is 1.2.0; what is none at all is 0.0.0 with it behind a `+`."""
    said = said.strip()
    plain = said.removeprefix("v").removeprefix("V")
    if re.fullmatch(SEMVER_PATTERN, plain) and len(plain) <= MAX_VERSION:
        return plain
    found = _LIKE.fullmatch(said)
    numbers = ".".join(str(int(part or 0)) for part in (found.groups()[:3] if found else ("", "", "")))
    rest = re.sub(r"[^0-9A-Za-z]+", ".", found[4] if found else said).strip(".")
    return f"{numbers}+{rest}"[:MAX_VERSION].rstrip(".") if rest else numbers


def _version_in(path: str, data: bytes) -> str | None:
    """The version in one of the version sources, or None where it says none."""
    text = data.decode("utf-8", "replace").strip()
    if not path.endswith(".json"):
        return text or None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    version = document.get("version") if isinstance(document, dict) else None
    return version if isinstance(version, str) else None
