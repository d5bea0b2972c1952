"""Keys that are accepted, checked, and obeyed by nobody yet: one short warning each."""

from collections.abc import Iterator, Mapping
from typing import Final

from control_plane.core.problems import Finding, KeyPath
from schemas.desired import Layer

_SERVER: Final = "it is checked and in plans; the server does not act on it yet"
LAYER: Final[Mapping[str, str]] = {"rollout": _SERVER}
FLEET: Final[Mapping[str, str]] = {"rollouts": _SERVER}


def later_in_layer(file: str, layer: Layer, at: KeyPath) -> Iterator[Finding]:
    """A warning for each key of a layer that nobody obeys yet."""
    yield from later(file, layer, LAYER, at)


def later(file: str, holder: object, sentences: Mapping[str, str], at: KeyPath = ()) -> Iterator[Finding]:
    """A warning for each key of `sentences` that `holder` sets."""
    for key, sentence in sentences.items():
        if getattr(holder, key):
            message, path = f"`{key}` is not yet in force: {sentence}", (*at, key)
            yield Finding(file=file, path=path, code="NotYetInForce", message=message, severity="warning", at_key=True)
