"""Releases on a box of files: activated, gone back from, held, kept."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler_agent.state import COPIES
from tests.support.agent_world import AgentWorld, application, manifest_of
from tests.support.box_of_clips import A, B, C, world_of_clips
from tests.support.cut_off import Killed


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    return world_of_clips(tmp_path)


def bad_release_on_a_good_box(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    world.units.sick = lambda: world.active() == "2.0.0"
    world.central.publish(manifest_of([B], world.central.add_release("2.0.0", application("2.0.0"))))
    world.converge()


def test_unhealthy_release_goes_back_alone(world: AgentWorld) -> None:
    bad_release_on_a_good_box(world)

    assert world.active() == "1.0.0"
    assert (world.root / B[0].path).exists()
    assert B[0].path in json.dumps(world.configuration())
    assert world.conditions()["Degraded"] == ("True", "ReleaseUnhealthy")
    assert world.conditions()["ReleaseHealthy"] == ("True", "Healthy")
    assert world.central.reports[-1].generation != world.central.generation
    assert "2.0.0" in next(c.message for c in world.central.reports[-1].conditions if c.type == "Degraded")
    differs = [(d.kind, d.desired, d.observed) for d in world.central.reports[-1].differences]
    assert differs == [("release", "2.0.0", "1.0.0")]


def test_bad_release_is_not_tried_again_until_the_manifest_names_another(world: AgentWorld) -> None:
    bad_release_on_a_good_box(world)
    world.units.calls.clear()
    bad = world.central.add_secret_release("2.0.0", application("2.0.0"))

    world.central.publish(manifest_of([C], bad))
    world.converge()
    assert world.units.calls == []
    assert C[0].path in json.dumps(world.configuration())

    world.central.publish(manifest_of([C], world.central.add_release("2.0.1", application("2.0.1"))))
    world.converge()
    assert world.active() == "2.0.1"
    assert world.conditions()["Degraded"] == ("False", "AsExpected")
    assert world.central.reports[-1].generation == world.central.generation


def test_bad_release_that_comes_when_the_state_is_lost_is_gone_back_from(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    for copy in COPIES:
        (world.folder / "state" / copy).write_bytes(b"damaged")
    world.units.sick = lambda: world.active() == "2.0.0"
    world.central.publish(manifest_of([B], world.central.add_release("2.0.0", application("2.0.0"))))
    world.converge()

    assert world.active() == "1.0.0"
    assert world.conditions()["Degraded"] == ("True", "ReleaseUnhealthy")
    assert world.conditions()["ReleaseHealthy"] == ("True", "Healthy")


def test_release_that_fails_without_a_way_back_is_held(world: AgentWorld) -> None:
    world.units.broken = {"neopro-app"}
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))

    world.converge()
    world.units.calls.clear()
    world.converge()

    assert world.conditions()["Degraded"] == ("True", "ReleaseHeld")
    assert world.units.calls == []
    assert world.active() == "1.0.0"


def test_held_box_whose_services_become_well_counts_as_good_without_being_touched(world: AgentWorld) -> None:
    world.units.broken = {"neopro-app"}
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))

    with world.agent() as agent:
        world.settle(agent)
        assert world.conditions()["Degraded"] == ("True", "ReleaseHeld")
        world.units.calls.clear()
        world.units.running = {"neopro-app", "neopro-admin"}
        world.settle(agent)
        assert world.conditions()["Degraded"] == ("True", "ReleaseHeld"), "it must stay well for as long as a test asks"
        world.clock.elapsed_s += 60
        world.settle(agent)

    assert world.conditions()["Degraded"] == ("False", "AsExpected")
    assert world.central.reports[-1].generation == world.central.generation
    assert world.units.calls == []


def test_release_during_which_the_box_dies_three_times_is_gone_back_from(world: AgentWorld) -> None:
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    world.central.publish(manifest_of([], world.central.add_release("2.0.0", application("2.0.0"))))
    restart = world.units.restart

    def die(unit: str) -> Any:
        if world.active() == "2.0.0":
            raise Killed
        return restart(unit)

    world.units.restart = die  # type: ignore[method-assign]
    for _ in range(3):
        with pytest.raises(Killed):
            world.converge()
        assert world.active() == "2.0.0"

    world.converge()

    assert world.active() == "1.0.0"
    assert world.conditions()["Degraded"] == ("True", "Interrupted")


def test_release_that_no_list_allows_is_never_activated(world: AgentWorld) -> None:
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    world.central.publish(manifest_of([A], world.central.add_secret_release("6.6.6", application("6.6.6"))))

    world.converge()

    assert world.active() == "1.0.0"
    assert world.conditions()["Degraded"] == ("True", "TrustRefused")
    assert A[0].path in json.dumps(world.configuration())


def test_release_that_may_not_follow_what_runs_waits_for_the_one_between(world: AgentWorld) -> None:
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    third = replace(world.central.add_release("3.0.0", application("3.0.0")), requires_from=">=2.0.0")
    world.central.publish(manifest_of([A], third))
    world.central.fetched.clear()

    world.converge()
    assert (world.active(), world.central.fetched) == ("1.0.0", [A[0].digest])
    assert A[0].path in json.dumps(world.configuration())
    assert world.conditions()["Synced"] == ("False", "RequirementNotMet")
    assert world.central.reports[-1].generation != world.central.generation
    said = next(c.message for c in world.central.reports[-1].conditions if c.type == "Synced")
    assert all(word in said for word in ("3.0.0", ">=2.0.0", "1.0.0"))
    assert [d.desired for d in world.central.reports[-1].differences] == ["3.0.0"]

    world.central.publish(manifest_of([A], world.central.add_release("2.0.0", application("2.0.0"))))
    world.converge()
    world.central.publish(manifest_of([A], third))
    world.converge()
    assert world.active() == "3.0.0"
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_first_release_of_a_box_may_need_another_before_it(world: AgentWorld) -> None:
    first = replace(world.central.add_release("3.0.0", application("3.0.0")), requires_from=">=2.0.0")
    world.central.publish(manifest_of([], first))

    world.converge()

    assert world.active() == "3.0.0"


def test_release_shares_files_with_the_one_before(world: AgentWorld) -> None:
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    second = world.central.add_release("2.0.0", application("2.0.0"))
    world.central.publish(manifest_of([], second))
    world.central.fetched.clear()

    world.converge()

    same = {digest for digest, data in world.central.blobs.items() if b"same in every" in data or b"#!/bin/sh" in data}
    assert len(world.central.fetched) == len(application("2.0.0")) - 2
    assert not same & set(world.central.fetched)


def test_only_the_active_and_the_previous_release_are_kept(world: AgentWorld) -> None:
    for version in ("1.0.0", "2.0.0", "3.0.0", "4.0.0"):
        world.central.publish(manifest_of([], world.central.add_release(version, application(version))))
        world.converge()

    kept = sorted(path.name.partition("-")[0] for path in (world.root / "releases").iterdir())
    assert kept == ["3.0.0", "4.0.0"]


def test_manifest_that_names_no_release_leaves_the_active_one(world: AgentWorld) -> None:
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    world.central.publish(manifest_of([A]))

    world.converge()

    assert world.active() == "1.0.0"
    assert world.central.reports[-1].generation == world.central.generation


def test_no_report_calls_a_release_healthy_while_it_is_on_trial(tmp_path: Path) -> None:
    world = AgentWorld(tmp_path)
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"), settle_s=8)))
    world.converge()

    told = {
        r.sequence: next(c.reason for c in r.conditions if c.type == "ReleaseHealthy") for r in world.central.reports
    }
    passed = next(r.sequence for r in world.central.reports if any(e.reason == "ReleaseHealthy" for e in r.events))
    trial = {reason for sequence, reason in told.items() if sequence < passed}
    assert trial <= {"NoRelease", "Testing"}
    assert "Testing" in trial
