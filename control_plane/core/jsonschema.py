"""JSON Schema of every document, for editors and for those who write programs of their own.

Made from the types that the programs use; checked in under `schemas/jsonschema/`, where a test keeps them the same.
"""

import json
from inspect import cleandoc
from typing import Any, Final

import msgspec

from schemas import club, delta, desired, manifest, status, trust
from schemas.explained import EXPLAINED, explained

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
DOCUMENTS: Final[dict[str, type[msgspec.Struct]]] = {
    "fleet": desired.Fleet,
    "site": desired.Site,
    "group": desired.Group,
    "video": desired.Video,
    "video-set": desired.VideoSet,
    "release": desired.Release,
    "agent": desired.AgentRelease,
    "operation": desired.Operation,
    "revoked": desired.Revoked,
    "site-head": manifest.SiteHead,
    "site-manifest": manifest.SiteManifest,
    "file-tree": manifest.FileTree,
    "release-delta": delta.ReleaseDelta,
    "status-report": status.StatusReport,
    "club-mirror": club.ClubMirror,
    "trust-root": trust.TrustRoot,
    "release-list": trust.ReleaseList,
}
"""File name without extension -> document."""
_OPERATORS: Final = {kind.__name__: kind for kind in EXPLAINED}


def json_schemas() -> dict[str, bytes]:
    """File name -> contents, the same each time."""
    return {f"{name}.json": _render(kind) for name, kind in DOCUMENTS.items()}


def _render(kind: type[msgspec.Struct]) -> bytes:
    schema = {"$schema": DIALECT, **_tidy(msgspec.json.schema(kind))}
    for name, definition in schema["$defs"].items():
        if name in _OPERATORS:
            _explain(definition, _OPERATORS[name])
    return (json.dumps(schema, indent=2, ensure_ascii=False) + "\n").encode()


def _explain(definition: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    """Say what each key means, beside what its type means."""
    for key, described in definition["properties"].items():
        entry = explained(kind, key)
        if entry is not None:
            definition["properties"][key] = {
                "description": entry.description,
                "examples": [entry.example],
                **{name: value for name, value in described.items() if name != "description"},
            }


def _tidy(value: Any) -> Any:
    """Docstrings without the indentation of their source, which differs between versions of Python."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: cleandoc(item) if key == "description" and isinstance(item, str) else _tidy(item)
        for key, item in value.items()
    }
