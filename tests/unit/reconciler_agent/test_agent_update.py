"""What the agent does about another release of itself, in every constellation."""

from datetime import UTC, datetime
from itertools import product

import pytest

from reconciler_agent.core.agent_update import BadAgent, Next, Seen, Trial, Updates, condemn, decide, face, slot_of
from schemas.manifest import AgentTarget

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def target(version: str, letter: str = "a") -> AgentTarget:
    return AgentTarget(version=version, tree="sha256:" + letter * 64, size_bytes=1)


OLD, NEW, OTHER = target("1.0.0", "a"), target("2.0.0", "b"), target("3.0.0", "c")
BAD = Updates(bad=BadAgent(version=NEW.version, tree=NEW.tree, message="it crashed", at=NOW))


def seen(running: AgentTarget = OLD, **changed: object) -> Seen:
    return Seen(**({"running": slot_of(running), "good": slot_of(OLD)} | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "bad", "staged", "updates", "steady"),
    list(product((None, OLD, NEW), (False, True), (False, True), (False, True), (False, True))),
)
def test_next_step_of_an_agent_in_a_slot(
    wanted: AgentTarget | None, bad: bool, staged: bool, updates: bool, steady: bool
) -> None:
    found = decide(
        wanted,
        seen(staged=frozenset({slot_of(NEW)} if staged else ())),
        BAD if bad else Updates(),
        "1.0.0",
        updates=updates,
        steady=steady,
    )

    expected: Next = (
        "rest" if wanted in (None, OLD)
        else "refused" if bad
        else "switched_off" if not updates
        else "stage" if not staged
        else "begin" if steady
        else "settle"
    )  # fmt: skip
    assert found == expected


@pytest.mark.parametrize(("wanted", "expected"), [(None, "rest"), (OLD, "rest"), (NEW, "unable")])
def test_agent_outside_of_slots_goes_by_its_version(wanted: AgentTarget | None, expected: Next) -> None:
    assert decide(wanted, None, Updates(), "1.0.0", updates=True, steady=True) == expected


def test_same_version_with_other_files_is_another_agent() -> None:
    again = target(OLD.version, "d")
    assert decide(again, seen(), Updates(), OLD.version, updates=True, steady=True) == "stage"


@pytest.mark.parametrize(
    ("wanted", "running", "stays"), [(NEW, OLD, True), (NEW, NEW, False), (OTHER, OLD, False), (None, OLD, False)]
)
def test_bad_agent_is_remembered_while_it_is_wanted_and_does_not_run(
    wanted: AgentTarget | None, running: AgentTarget, stays: bool
) -> None:
    assert face(BAD, wanted, slot_of(running)) == (BAD if stays else Updates())


def test_failed_trial_condemns_its_release_once() -> None:
    trial = Trial(slot=slot_of(NEW), url="", ca="", version=NEW.version, tree=NEW.tree, failed="it crashed")
    once = condemn(Updates(), trial, NOW)
    assert (once, condemn(once, trial, NOW.replace(year=2027))) == (BAD, BAD)
