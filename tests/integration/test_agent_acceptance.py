"""A box that nobody knows yet: it waits without alarm, asks often, and is there at once when it is let in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler_agent.errors import AccessDenied
from reconciler_agent.poll import REFUSED_S, Poller
from tests.support.agent_world import AgentWorld, manifest_of


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AgentWorld]:
    yield AgentWorld(tmp_path)


def test_box_that_was_refused_for_a_day_reports_in_the_round_in_which_it_is_let_in(world: AgentWorld) -> None:
    denied = AccessDenied("cannot fetch the head: the control plane refuses")
    with world.agent() as agent:
        world.central.knows_us = False
        for _ in range(24 * 60):
            found = agent.loop.reconcile_once(None, denied)
            world.clock.sleep(60)
        assert found.connection is not None and not found.failures
        connected = next(c for c in agent.store.state.told.conditions if c.type == "Connected")
        assert (connected.reason, world.central.reports) == ("AwaitingAcceptance", [])

        world.central.knows_us = True
        world.central.publish(manifest_of([]))
        world.settle(agent)

    assert world.conditions()["Synced"] == ("True", "Converged")


@pytest.mark.parametrize(("served", "most_s"), [(None, 60.0), (b"a head", REFUSED_S)])
def test_box_that_was_never_served_asks_every_minute_and_one_that_was_turned_away_seldom(
    world: AgentWorld, served: bytes | None, most_s: float
) -> None:
    poller = Poller(world.central, lambda: None)
    poller.envelope = served
    denied = AccessDenied("cannot fetch the head: the control plane refuses")
    longest_s = max(poller._patience_s(denied, failures=20) for _ in range(300))
    assert most_s / 2 < longest_s <= most_s
