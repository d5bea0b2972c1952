"""What changed under the agent's hands on a box of files is put right, with a control plane and without."""

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent_world import AgentWorld, application, manifest_of
from tests.support.box_of_clips import A, delete_video, edit_release_keeping_its_times, reasons, world_of_clips
from tests.support.cut_off import Killed


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    return world_of_clips(tmp_path)


def damage_configuration(world: AgentWorld) -> None:
    path = world.root / "data/configuration.json"
    path.write_text(json.dumps(world.configuration() | {"liveScoreEnabled": True, "categories": []}))


def overwrite_video(world: AgentWorld) -> None:
    (world.root / A[0].path).write_bytes(b"x" * 1000)


def delete_release_file(world: AgentWorld) -> None:
    (world.root / "webapp/index.html").unlink()


def change_mode(world: AgentWorld) -> None:
    (world.root / "scripts/tool.sh").chmod(0o600)


def unlink_webapp(world: AgentWorld) -> None:
    (world.root / "webapp").unlink()


def unlink_current(world: AgentWorld) -> None:
    (world.root / "current").unlink()


def stop_service(world: AgentWorld) -> None:
    world.units.running.discard("neopro-app")


DRIFT = [
    damage_configuration,
    delete_video,
    overwrite_video,
    edit_release_keeping_its_times,
    delete_release_file,
    change_mode,
    unlink_webapp,
    unlink_current,
    stop_service,
]


def require_desired(world: AgentWorld) -> None:
    for path, data in application("1.0.0").items():
        assert (world.root / "current" / path).read_bytes() == data
    assert os.access(world.root / "scripts/tool.sh", os.X_OK)
    assert world.active() == "1.0.0"
    assert (world.root / A[0].path).read_bytes() == b"a" * 1000
    assert world.configuration()["liveScoreEnabled"] is False
    assert A[0].path in json.dumps(world.configuration()["categories"])
    assert "neopro-app" in world.units.running


@pytest.mark.parametrize("drift", DRIFT, ids=lambda drift: drift.__name__)
def test_drift_is_healed(world: AgentWorld, drift: Callable[[AgentWorld], None]) -> None:
    release = world.central.add_release("1.0.0", application("1.0.0"))
    world.central.publish(manifest_of([A], release, config={"liveScoreEnabled": False}))
    with world.agent() as agent:
        world.settle(agent)
        drift(world)
        world.clock.sleep(60)
        world.settle(agent)

    require_desired(world)
    assert world.conditions()["Synced"] == ("True", "Converged")


@pytest.mark.parametrize("drift", [damage_configuration, unlink_webapp, unlink_current, stop_service])
def test_drift_is_healed_without_a_control_plane_after_a_restart(
    world: AgentWorld, drift: Callable[[AgentWorld], None]
) -> None:
    release = world.central.add_release("1.0.0", application("1.0.0"))
    world.central.publish(manifest_of([A], release, config={"liveScoreEnabled": False}))
    world.converge()
    world.central.offline = True
    world.clock.sleep(timedelta(days=30).total_seconds())
    drift(world)

    world.converge()

    require_desired(world)


def test_edited_release_file_is_told_as_a_local_override(world: AgentWorld) -> None:
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    edit_release_keeping_its_times(world)
    world.units.calls.clear()

    world.converge()

    assert "LocalOverride" in reasons(world)
    assert world.units.calls == [("restart", "neopro-app"), ("restart", "neopro-admin")]


def test_kill_between_a_repair_and_its_restart_leaves_the_restart_due(world: AgentWorld) -> None:
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    edit_release_keeping_its_times(world)
    restart = world.units.restart

    def die(_unit: str) -> Any:
        raise Killed

    world.units.restart = die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        world.converge()
    assert (world.root / "server/app.py").read_bytes() == application("1.0.0")["server/app.py"]
    world.units.restart = restart  # type: ignore[method-assign]
    world.units.calls.clear()

    world.converge()
    assert world.units.calls == [("restart", "neopro-app"), ("restart", "neopro-admin")]
    world.converge()
    assert len(world.units.calls) == 2
