"""What a box says of a configuration that is not as the applications need it, on configurations of the field."""

import json
from pathlib import Path

import pytest

from tests.support.agent_world import AgentWorld, manifest_of
from tests.support.box_configurations import SAMPLES, sample

FOREIGN = {"club": "NTES", "playlist": ["videos/A/a.mp4"], "theme": {"color": "blue"}}


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    made = AgentWorld(tmp_path)
    made.central.publish(manifest_of([], config={"liveScoreEnabled": True}))
    return made


def said(world: AgentWorld) -> dict[str, str]:
    return {event.reason: event.message for report in world.central.reports for event in report.events}


def write(world: AgentWorld, text: str) -> Path:
    place = world.root / "data/configuration.json"
    place.write_text(text)
    return place


def live(world: AgentWorld, rounds: int = 4) -> None:
    with world.agent() as agent:
        for _ in range(rounds):
            world.settle(agent)
            world.clock.sleep(30)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("indent", [None, 2, 4])
def test_configuration_of_the_field_loses_nothing_and_nothing_is_said_to_be_wrong(
    world: AgentWorld, name: str, indent: int | None
) -> None:
    write(world, json.dumps(sample(name), indent=indent))

    live(world)

    clubs = [category for category in sample(name)["categories"] if category.get("owner") != "neopro"]
    assert world.configuration() == sample(name) | {"liveScoreEnabled": True, "categories": clubs}
    assert world.conditions()["Synced"] == ("True", "Converged")
    assert not {"ConfigurationCompleted", "ConfigurationRestored", "PermissionsRestored"} & said(world).keys()


def test_foreign_variant_is_named_completed_and_keeps_its_keys(world: AgentWorld) -> None:
    write(world, json.dumps(FOREIGN))

    live(world)

    found = world.configuration()
    assert {key: found[key] for key in FOREIGN} == FOREIGN
    assert (found["sponsors"], found["categories"], set(found["auth"])) == (
        [],
        [],
        {"password", "clubName", "sessionDuration"},
    )
    assert said(world)["ConfigurationCompleted"] == (
        "configuration.json had no sponsors, no categories, no auth: completed, its own keys kept."
    )
    assert world.conditions()["Synced"] == ("True", "Converged")


@pytest.mark.parametrize("broken", [None, "", "{", "\0" * 64])
def test_lost_configuration_is_named_while_it_is_waited_for_and_when_it_comes_back(
    world: AgentWorld, broken: str | None
) -> None:
    live(world)
    before = world.configuration()
    place = world.root / "data/configuration.json"
    place.unlink() if broken is None else write(world, broken)

    live(world, rounds=1)
    assert world.conditions()["Synced"] == ("False", "ConfigurationUnreadable")

    live(world)
    assert world.configuration() == before
    assert (
        said(world)["ConfigurationRestored"] == "configuration.json was lost or broken: its last good copy came back."
    )
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_configuration_that_was_never_good_is_begun_anew_and_that_is_an_error(world: AgentWorld) -> None:
    write(world, '{"auth": {"password"')

    live(world)

    assert world.configuration()["liveScoreEnabled"] is True
    assert "there was no good copy" in said(world)["ConfigurationRestored"]
    assert (world.root / "data/agent/configuration.broken.json").read_bytes() == b'{"auth": {"password"'


def test_configuration_that_only_its_owner_may_read_is_opened_before_anything_else(world: AgentWorld) -> None:
    place = write(world, json.dumps(sample("club-handball")))
    place.chmod(0o600)
    world.tv.match = True

    live(world, rounds=1)

    assert place.stat().st_mode & 0o777 == 0o644
    assert said(world)["PermissionsRestored"].startswith("data/configuration.json: ")
