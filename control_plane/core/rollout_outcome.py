"""How a new release or agent does on a box that has it, by what the box last said (pure)."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from schemas.names import Version
from schemas.rollouts import Outcome, RolloutKind
from schemas.status import Condition

NAMES = {"release": "Release", "agent": "Agent"}
"""What the sentences of boxes call them."""


class Heard(Struct, frozen=True, kw_only=True, gc=False):
    """What is known of a box: `running` is its release or agent, `silent` that it should have spoken and did not."""

    received_at: datetime
    silent: bool
    running: str | None
    conditions: Sequence[Condition]


def outcome_of(kind: RolloutKind, version: Version, let_in_at: datetime, heard: Heard | None) -> tuple[Outcome, str]:
    """The outcome, and why it is none yet, or a failure; in one sentence.

    What a box said before it was let in counts for nothing. Trouble that is not the release's makes no failure, and
    keeps the box from counting as well: nobody knows how the release does there.
    """
    if heard is None or heard.received_at < let_in_at:
        return "pending", "It has not reported since."
    conditions = {condition.type: condition for condition in heard.conditions}
    degraded, healthy = conditions.get("Degraded"), conditions.get("ReleaseHealthy")
    trouble = degraded.message if degraded is not None and degraded.status == "True" else ""
    if trouble.startswith(f"{NAMES[kind]} {version} failed"):
        return "failed", trouble
    if heard.running != version:
        return "pending", trouble
    if kind == "release" and (healthy is None or healthy.status != "True"):
        said = healthy.message if healthy is not None else ""
        return ("failed" if healthy is not None and healthy.status == "False" else "pending"), said
    if heard.silent or (degraded is not None and degraded.status == "True"):
        return "pending", "It has fallen silent." if heard.silent else trouble
    return "well", ""
