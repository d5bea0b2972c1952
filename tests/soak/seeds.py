"""Leaks put under the programs from the tests' side: a suite that does not catch them is not believed."""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from control_plane.pipeline import Pipeline
from reconciler_agent.reporting import Reporter

KEPT: Final[list[Any]] = []


def _beside(owner: type, name: str, leak: Callable[[], object]) -> None:
    """Whenever this method of an object is called, something is left behind as well."""
    plain = getattr(owner, name)

    def leaking(*arguments: Any, **named: Any) -> Any:
        KEPT.append(leak())
        return plain(*arguments, **named)

    setattr(owner, name, leaking)


def _descriptor() -> int:
    return os.open(os.devnull, os.O_RDONLY)


def _objects() -> list[dict[str, str]]:
    return [{"a": str(number)} for number in range(200)]


PLANE_SEEDS: Final[Mapping[str, Callable[[], None]]] = {
    "a descriptor": lambda: _beside(Pipeline, "ingest", _descriptor),
    "a list": lambda: _beside(Pipeline, "ingest", _objects),
}
"""Of the control plane, with each look at the remote."""
BOX_SEEDS: Final[Mapping[str, Callable[[], None]]] = {
    "a descriptor": lambda: _beside(Reporter, "_send", _descriptor),
    "a list": lambda: _beside(Reporter, "_send", _objects),
}
"""Of the agent, with each report."""
