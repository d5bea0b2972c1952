"""What a fleet-state repository needs beside its documents: schemas for editors, checks for forges, words for people.

The files lie in `cli/scaffold/`; everything here is values in, text out, but for reading those.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import schemas
from schemas.desired import KINDS, SINGLES

Forge = Literal["github", "gitlab", "gitea"]
FORGES: Final[Sequence[Forge]] = ("github", "gitlab", "gitea")
SCHEMA_FOLDER: Final = ".neopro/schemas"
SCHEMAS: Final[Mapping[str, str]] = {
    "fleet.yaml": "fleet",
    "revoked.yaml": "revoked",
    "sites": "site",
    "groups": "group",
    "videos": "video",
    "video-sets": "video-set",
    "releases": "release",
    "agents": "agent",
    "operations": "operation",
}
"""A document's folder, or its name at the top -> its schema."""
_SCAFFOLD: Final = Path(__file__).with_name("scaffold")
_CHECKS: Final[Mapping[Forge, str]] = {
    "github": ".github/workflows/fleet.yml",
    "gitlab": ".gitlab-ci.yml",
    "gitea": ".gitea/workflows/fleet.yml",
}
_LINE: Final = re.compile(r"\A# yaml-language-server: \$schema=.*$", re.MULTILINE)
assert {*SCHEMAS} == {*KINDS, *SINGLES}


def schema_line(path: str) -> str:
    """The line that tells an editor the schema of the document at `path`."""
    kind = SCHEMAS[path if path in SINGLES else path.partition("/")[0]]
    return f"# yaml-language-server: $schema={'../' * path.count('/')}{SCHEMA_FOLDER}/{kind}.json"


def with_schema_line(text: str, path: str) -> str:
    """The document with its first line pointing where the schemas are; the same text where it has no such line."""
    return _LINE.sub(lambda _: schema_line(path), text, count=1)


def schema_files() -> dict[str, bytes]:
    """Path -> the schema of every document that people write."""
    folder = Path(schemas.__file__).with_name("jsonschema")
    return {f"{SCHEMA_FOLDER}/{kind}.json": (folder / f"{kind}.json").read_bytes() for kind in SCHEMAS.values()}


def scaffold(version: str, forges: Sequence[Forge]) -> dict[str, str]:
    """Path -> text of everything that a new repository starts with; the checks install `version` of the command."""
    return {
        "fleet.yaml": _read("fleet.yaml"),
        "README.md": _read("README.md"),
        ".gitattributes": _read("gitattributes"),
        ".gitignore": _read("gitignore"),
        "CODEOWNERS": _read("CODEOWNERS"),
        ".vscode/settings.json": _pretty({"yaml.schemas": _globs()}),
        ".vscode/extensions.json": _pretty({"recommendations": ["redhat.vscode-yaml"]}),
        **_folders(),
        **{_CHECKS[forge]: _read(f"{forge}.yml").replace("VERSION", version) for forge in forges},
    }


def _globs() -> dict[str, str]:
    """Schema -> which files it is for, as the YAML extension of VS Code takes it."""
    return {
        f"{SCHEMA_FOLDER}/{kind}.json": where if where in SINGLES else f"{where}/**/*.yaml"
        for where, kind in SCHEMAS.items()
    }


def _folders() -> dict[str, str]:
    """A few words in every folder: Git keeps no empty ones."""
    sections = re.split(r"^(?=# \S+/$)", _read("folders.md"), flags=re.MULTILINE)
    return {f"{one[2 : one.index('/')]}/README.md": one.rstrip() + "\n" for one in sections if one}


def _read(name: str) -> str:
    return (_SCAFFOLD / name).read_text("utf-8")


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
