"""Keys that are accepted, checked, and obeyed by nobody yet: one short warning each."""

from collections.abc import Iterator, Mapping
from typing import Final

from control_plane.core.problems import Finding, KeyPath

_BOXES: Final = "it is in the manifest and in plans; no box obeys it yet"
_SERVER: Final = "it is checked and in plans; the server does not act on it yet"
LAYER: Final[Mapping[str, str]] = {
    "agent": _BOXES,
    "hotspot": _BOXES,
    "backup": _BOXES,
    "rollout": _SERVER,
}
FLEET: Final[Mapping[str, str]] = {"rollouts": _SERVER, "alerts": "it is checked; nobody is alerted yet"}
SITE: Final[Mapping[str, str]] = {"restore": _BOXES}


def later(file: str, holder: object, sentences: Mapping[str, str], at: KeyPath = ()) -> Iterator[Finding]:
    """A warning for each key of `sentences` that `holder` sets."""
    for key, sentence in sentences.items():
        if getattr(holder, key):
            message, path = f"`{key}` is not yet in force: {sentence}", (*at, key)
            yield Finding(file=file, path=path, code="NotYetInForce", message=message, severity="warning", at_key=True)
