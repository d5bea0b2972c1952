"""What the club owns, told by a box of files: on change, once, within bounds, and never in the way of anything."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reconciler_agent.mirror import LOOK_S, REFUSED_S
from reconciler_agent.resources.inventory import MAX_DEPTH
from tests.support.agent_world import AgentWorld, clip, manifest_of

A = clip("a", b"a" * 1000)
DAY_S = 86_400


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    made = AgentWorld(tmp_path)
    made.central.add(b"a" * 1000)
    made.central.publish(manifest_of([A]))
    return made


def save(world: AgentWorld, **changed: Any) -> None:
    """The club changes its configuration."""
    path = world.root / "data/configuration.json"
    path.write_text(json.dumps(world.configuration() | changed))


def later(world: AgentWorld, agent: Any, seconds: float = LOOK_S) -> None:
    world.clock.sleep(seconds)
    world.settle(agent)


def put(world: AgentWorld, path: str, data: bytes) -> None:
    file = world.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def test_club_is_told_with_its_files_and_again_only_when_something_changed(world: AgentWorld) -> None:
    put(world, "videos/CLUB/match.mp4", b"12345")
    put(world, "videos/CLUB/sub/.hidden", b"1")
    with world.agent() as agent:
        world.settle(agent)
        later(world, agent)
        (first,) = world.central.mirrors
        assert first.title == world.club["remote"]["title"]
        assert [(f.path, f.size_bytes) for f in first.files] == [
            ("videos/MATCH/club.mp4", len(world.club_video.read_bytes())),
            ("videos/CLUB/match.mp4", 5),
            ("videos/CLUB/sub/.hidden", 1),
        ], "and not what the fleet put there"
        assert "annonces" not in [c.id for c in first.categories]
        assert world.club["auth"]["password"] not in str(first)
        later(world, agent, 3 * LOOK_S)
        assert len(world.central.mirrors) == 1
        save(world, remote={"title": "Salle B"})
        later(world, agent)
    assert [m.title for m in world.central.mirrors[1:]] == ["Salle B"]
    world.converge()
    assert len(world.central.mirrors) == 2, "it is remembered across restarts"


def test_control_plane_that_lost_it_has_it_again_the_next_day(world: AgentWorld) -> None:
    with world.agent() as agent:
        world.settle(agent)
        world.central.mirrors.clear()
        later(world, agent, DAY_S / 2)
        assert world.central.mirrors == []
        later(world, agent, DAY_S / 2)
    assert len(world.central.mirrors) == 1


def test_weeks_without_a_network_end_in_one_mirror_of_what_stands_then(world: AgentWorld) -> None:
    with world.agent() as agent:
        world.settle(agent)
        world.central.mirrors.clear()
        world.central.offline = True
        for day in range(20):
            save(world, remote={"title": str(day)})
            later(world, agent, DAY_S)
        world.central.offline = False
        later(world, agent)
    assert [m.title for m in world.central.mirrors] == ["19"]


def test_control_plane_of_an_older_version_is_asked_once_an_hour_and_nothing_else_suffers(world: AgentWorld) -> None:
    world.central.takes_mirrors = False
    with world.agent() as agent:
        world.settle(agent)
        assert world.conditions()["Synced"] == ("True", "Converged")
        world.central.takes_mirrors = True
        later(world, agent, LOOK_S)
        assert world.central.mirrors == []
        later(world, agent, REFUSED_S)
    assert len(world.central.mirrors) == 1


def test_site_that_switched_telemetry_off_tells_nothing(tmp_path: Path) -> None:
    world = AgentWorld(tmp_path)
    world.settings = msgspec.structs.replace(world.settings, telemetry=False)
    world.central.publish(manifest_of([]))
    world.converge()
    assert world.conditions()["Synced"] == ("True", "Converged")
    assert world.central.mirrors == []


def test_links_depth_and_strange_things_under_videos_lead_nowhere(world: AgentWorld, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/secret.mp4").write_bytes(b"x")
    put(world, "videos/CLUB/ok.mp4", b"1")
    (world.root / "videos/CLUB/link").symlink_to(tmp_path / "elsewhere")
    (world.root / "videos/CLUB/link.mp4").symlink_to(tmp_path / "elsewhere/secret.mp4")
    os.mkfifo(world.root / "videos/CLUB/pipe")
    put(world, "videos/" + "d/" * MAX_DEPTH + "deep.mp4", b"1")
    (world.root / os.fsdecode(b"videos/CLUB/\xff.mp4")).write_bytes(b"22")
    world.club_video.unlink()
    world.converge()
    assert [f.path for f in world.central.mirrors[-1].files] == ["videos/CLUB/\ufffd.mp4", "videos/CLUB/ok.mp4"]
