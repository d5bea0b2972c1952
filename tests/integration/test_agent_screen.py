"""A screen that does not hear of a new configuration: its page is away, so the kiosk is restarted in a quiet window."""

from pathlib import Path
from typing import Any

import pytest

from schemas.manifest import ManifestMaintenance, ManifestWindow
from tests.support.agent_world import AgentWorld, application, manifest_of

KIOSK = ("restart", "neopro-kiosk")
SHUT = ManifestMaintenance(windows=[ManifestWindow(kind="idle", idle_s=3600)])


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    """A box at rest with a kiosk, whose page is not connected to the application any more."""
    made = AgentWorld(tmp_path)
    made.units.running.add("neopro-kiosk")
    publish(made, "1.0")
    made.converge()
    made.units.calls.clear()
    made.tv.notices, made.tv.connections = 0, 0
    return made


def publish(world: AgentWorld, version: str, **wanted: Any) -> None:
    release = world.central.add_release("1.0.0", application("1.0.0"))
    world.central.publish(manifest_of([], release, config={"version": version}, **wanted))


def live(world: AgentWorld, minutes: int) -> None:
    with world.agent() as agent:
        for _ in range(minutes):
            world.settle(agent)
            world.clock.sleep(60)


def waits(world: AgentWorld) -> dict[str, str]:
    return {waiting.step: waiting.reason for waiting in world.central.reports[-1].waiting}


def reasons(world: AgentWorld) -> set[str]:
    return {event.reason for report in world.central.reports for event in report.events}


def test_page_that_stays_away_is_loaded_anew_once(world: AgentWorld) -> None:
    publish(world, "2.0")

    live(world, 10)

    assert world.units.calls == [KIOSK]
    assert "ScreenRestarted" in reasons(world)
    assert world.conditions()["Synced"] == ("True", "Converged")
    told = world.tv.notices
    live(world, 10)
    assert (world.units.calls, world.tv.notices) == ([KIOSK], told)


def test_page_that_comes_back_is_told_and_nothing_restarted(world: AgentWorld) -> None:
    publish(world, "2.0", maintenance=SHUT)
    live(world, 5)
    assert waits(world)["WriteConfiguration"] == "ScreenNotTold"
    assert waits(world)["StartUnit neopro-kiosk"] == "OutsideWindow"

    world.tv.connections = 1
    live(world, 2)

    assert world.units.calls == []
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_page_that_is_away_for_a_moment_is_told_again(world: AgentWorld) -> None:
    publish(world, "2.0")
    with world.agent() as agent:
        world.settle(agent)
        world.tv.connections = 1
        world.clock.sleep(60)
        world.settle(agent)

    assert (world.tv.notices, world.units.calls) == (2, [])


def test_kiosk_is_never_restarted_in_a_match(world: AgentWorld) -> None:
    publish(world, "2.0")
    with world.agent() as agent:
        world.settle(agent)
        world.clock.sleep(600)
        world.tv.match = True
        world.settle(agent)

        assert world.units.calls == []
        world.tv.match = False
        world.settle(agent)
        world.settle(agent)

    assert world.units.calls == [KIOSK]


def test_box_without_a_kiosk_has_no_screen_to_tell(world: AgentWorld) -> None:
    world.units.running.discard("neopro-kiosk")
    publish(world, "2.0")

    live(world, 5)

    assert world.units.calls == []
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_waiting_for_the_page_writes_nothing_every_round(world: AgentWorld) -> None:
    publish(world, "2.0", maintenance=SHUT)
    with world.agent() as agent:
        for _ in range(5):
            world.settle(agent)
            world.clock.sleep(60)
        before = {p: p.lstat().st_mtime_ns for p in world.folder.rglob("*")}
        world.settle(agent)
        assert {p: p.lstat().st_mtime_ns for p in world.folder.rglob("*")} == before
