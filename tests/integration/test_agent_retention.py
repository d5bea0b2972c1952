"""Which releases stay on a box: the one that runs and the one before it, from the commit of an update on."""

import os
from pathlib import Path
from typing import Any

import pytest

from reconciler_agent.system_calls import SYSTEM
from tests.crash.dying import die, in_child
from tests.support.agent_world import AgentWorld, application, manifest_of


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    """A box that went from 1.0.0 to 2.0.0."""
    made = AgentWorld(tmp_path)
    for version in ("1.0.0", "2.0.0"):
        publish(made, version)
        made.converge()
    return made


def publish(world: AgentWorld, version: str) -> None:
    world.central.publish(manifest_of([], world.central.add_release(version, application(version))))


def kept(world: AgentWorld) -> list[str]:
    return sorted(path.name.partition("-")[0] for path in (world.root / "releases").iterdir())


def test_every_way_back_stays_while_a_release_is_on_trial(world: AgentWorld) -> None:
    during: list[list[str]] = []
    publish(world, "3.0.0")
    with world.agent() as agent:

        def looked_at() -> bool:
            if agent.store.state.releases.attempt is not None:
                during.append(kept(world))
            return False

        world.units.sick = looked_at
        world.settle(agent)

    assert during
    assert all(found == ["1.0.0", "2.0.0", "3.0.0"] for found in during)
    assert kept(world) == ["2.0.0", "3.0.0"]


def test_release_that_failed_is_not_kept_and_the_one_before_the_last_good_is(world: AgentWorld) -> None:
    world.units.sick = lambda: world.active() == "3.0.0"
    publish(world, "3.0.0")

    world.converge()

    assert world.active() == "2.0.0"
    assert kept(world) == ["1.0.0", "2.0.0"]
    assert len(list((world.folder / "state" / "listings").iterdir())) == 2


@pytest.mark.parametrize("call", ["unlink", "rmdir"])
def test_removal_that_was_cut_off_never_leaves_half_a_release_under_its_name(world: AgentWorld, call: str) -> None:
    def dying(name: Any, **folders: Any) -> None:
        if kept(world) == ["2.0.0", "3.0.0"]:
            die()
        getattr(SYSTEM, call)(name, **folders)

    def update() -> None:
        with world.agent(SYSTEM._replace(**{call: dying})) as agent:
            world.settle(agent)

    publish(world, "3.0.0")
    assert os.WIFSIGNALED(in_child(update))
    assert kept(world) == ["2.0.0", "3.0.0"]
    assert list((world.root / "data/agent/staging").rglob("server"))

    world.converge()

    assert kept(world) == ["2.0.0", "3.0.0"]
    assert not list((world.root / "data/agent/staging").iterdir())
    assert world.conditions()["Synced"] == ("True", "Converged")
