"""What the technician who stands before the box is told."""

from datetime import UTC, datetime

import pytest

from reconciler_agent.core.report import Told
from reconciler_agent.state import State
from reconciler_agent.technician.status import describe
from schemas.reasons import REASONS
from schemas.status import Condition
from tests.support import trust_world

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def told(*reasons: str) -> list[str]:
    conditions = [Condition(type="Degraded", status="True", reason=reason, since=NOW) for reason in reasons]
    state = State(trust=trust_world.provisioned(), told=Told(conditions=conditions))
    return [line for line in describe("brest", state).lines if line.startswith("  do: ")]


@pytest.mark.parametrize("reason", [reason for reason, meaning in REASONS.items() if meaning.person])
def test_what_waits_for_a_person_says_once_what_to_do(reason: str) -> None:
    assert told(reason, reason) == [f"  do: {REASONS[reason].remedy} ({reason})"]


@pytest.mark.parametrize("reason", [reason for reason, meaning in REASONS.items() if not meaning.person])
def test_what_passes_by_itself_asks_for_nothing(reason: str) -> None:
    assert told(reason) == []


def test_new_box_that_waits_to_be_let_in_is_told_that_alone() -> None:
    assert told("NoManifest", "AwaitingAcceptance") == told("AwaitingAcceptance")
    conditions = [Condition(type="Connected", status="False", reason="AwaitingAcceptance", since=NOW)]
    lines = describe("brest", State(trust=trust_world.provisioned(), told=Told(conditions=conditions))).lines
    assert "  Nothing is wrong: the box is new, and waits to be let in." in lines
    assert not [line for line in lines if "check the network" in line]
