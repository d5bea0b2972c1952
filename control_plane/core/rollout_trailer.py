"""`Resume-Rollout: release 2.2.0`: the line in a commit's message by which a person goes on with what halted."""

import re
from collections.abc import Iterable
from typing import Final

from schemas.names import Version
from schemas.rollouts import RolloutKind

TRAILER: Final = "Resume-Rollout"
_LINE: Final = re.compile(
    rf"^{TRAILER}:[ \t]*(release|agent)[ \t]+([0-9A-Za-z.+-]{{1,64}})[ \t]*$", re.IGNORECASE | re.MULTILINE
)


def resuming(kind: RolloutKind, version: Version) -> str:
    """The line that goes on with the rollouts of a version."""
    return f"{TRAILER}: {kind} {version}"


def resumed(messages: Iterable[str]) -> set[tuple[RolloutKind, Version]]:
    """The versions whose rollouts these messages go on with."""
    found: set[tuple[RolloutKind, Version]] = set()
    for message in messages:
        for kind, version in _LINE.findall(message):
            found.add(("agent" if kind.lower() == "agent" else "release", version))
    return found
