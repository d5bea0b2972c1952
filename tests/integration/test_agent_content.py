"""Content on a box of files: fetched once, removed after its grace, never the club's own."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler_agent.errors import NetworkTrouble
from reconciler_agent.system_calls import SYSTEM
from schemas.names import Digest
from tests.support.agent_world import AgentWorld, clip, manifest_of
from tests.support.box_of_clips import A, B, snapshot, world_of_clips
from tests.support.trust_world import NOW

GRACE_S = 400.0


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    return world_of_clips(tmp_path)


def test_content_that_left_is_removed_after_its_grace_and_the_clubs_never(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A]))
    with world.agent() as agent:
        world.settle(agent)
        world.central.publish(manifest_of([B]))
        world.settle(agent)
        assert (world.root / A[0].path).exists()
        assert world.conditions()["Synced"] == ("True", "Converged")
        world.clock.sleep(GRACE_S)
        world.settle(agent)

    assert not (world.root / A[0].path).exists()
    assert (world.root / B[0].path).exists()
    assert world.club_video.read_bytes() == b"the club's own"


def test_content_that_left_stays_while_the_club_names_it(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A]))
    with world.agent() as agent:
        world.settle(agent)
        configuration = world.configuration()
        configuration["categories"][-1]["videos"] = [{"name": "kept", "path": A[0].path, "type": "video/mp4"}]
        (world.root / "data/configuration.json").write_text(json.dumps(configuration))
        world.central.publish(manifest_of([B]))
        for _ in range(3):
            world.settle(agent)
            world.clock.sleep(GRACE_S)

    assert (world.root / A[0].path).exists()


def test_file_that_the_club_put_in_the_place_of_ours_is_not_removed(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A]))
    with world.agent() as agent:
        world.settle(agent)
        world.central.publish(manifest_of([B]))
        world.settle(agent)
        (world.root / A[0].path).write_bytes(b"the club's")
        world.clock.sleep(GRACE_S)
        world.settle(agent)

    assert (world.root / A[0].path).read_bytes() == b"the club's"


def test_broken_download_goes_on_in_the_next_life(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A]))
    sizes: list[int] = []
    real = world.central.download

    def broken(digest: Digest, size_bytes: int, sink: Any, on_bytes: Any = None) -> None:
        sizes.append(sink.size_bytes)
        if len(sizes) == 1:
            sink.write(b"a" * 700)
            raise NetworkTrouble("cannot reach anybody")
        real(digest, size_bytes, sink, on_bytes)

    world.central.download = broken  # type: ignore[method-assign]
    world.converge()
    assert world.conditions()["Connected"] == ("False", "NetworkTrouble")
    assert world.conditions()["Degraded"] == ("False", "AsExpected")
    world.converge()

    assert sizes == [0, 700]
    assert (world.root / A[0].path).read_bytes() == b"a" * 1000


def test_file_that_moves_to_another_category_is_copied_and_not_fetched(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A]))
    world.converge()
    world.central.fetched.clear()
    moved = A[0].path.replace("ANNONCES", "SPONSORS")
    elsewhere = (replace(A[0], path=moved), replace(A[1], path=moved))
    world.central.publish(manifest_of([elsewhere]))

    world.converge()

    assert (world.root / moved).read_bytes() == b"a" * 1000
    assert world.central.fetched == []


def test_file_that_was_there_unknown_to_the_agent_is_not_fetched(world: AgentWorld) -> None:
    path = world.root / A[0].path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a" * 1000)
    world.central.publish(manifest_of([A]))

    world.converge()

    assert world.central.fetched == []
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_blob_with_other_bytes_is_never_installed(world: AgentWorld) -> None:
    world.central.blobs[A[0].digest] = b"z" * 1000
    world.central.publish(manifest_of([A, B]))

    world.converge()

    assert not (world.root / A[0].path).exists()
    assert (world.root / B[0].path).exists()
    assert world.conditions()["Degraded"] == ("True", "DigestMismatch")
    assert A[0].path not in json.dumps(world.configuration())


def test_link_put_in_the_place_of_the_videos_is_not_followed(world: AgentWorld, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (world.root / "videos").rename(elsewhere)
    (world.root / "videos").symlink_to(elsewhere)
    before = snapshot(elsewhere)
    world.central.publish(manifest_of([A]))

    world.converge()

    assert snapshot(elsewhere) == before
    assert world.conditions()["Degraded"] == ("True", "DiskFault")


def test_full_disk_is_told_and_overcome(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A]))

    def full(_handle: int, _size_bytes: int) -> None:
        raise OSError(28, "No space left on device")

    with world.agent(SYSTEM._replace(allocate=full)) as agent:
        world.settle(agent)
    assert world.conditions()["Degraded"] == ("True", "DiskFull")
    assert not list((world.root / "data/agent/partial").iterdir())
    world.converge()

    assert world.conditions()["Synced"] == ("True", "Converged")


def test_campaign_ends_on_its_day_without_a_control_plane(world: AgentWorld) -> None:
    ending = clip("a", b"a" * 1000, until=NOW.date())
    world.central.publish(manifest_of([ending, B]))
    world.converge()
    assert A[0].path in json.dumps(world.configuration())
    world.central.offline = True
    world.clock.sleep(timedelta(days=2).total_seconds())

    world.converge()

    assert A[0].path not in json.dumps(world.configuration())
    assert B[0].path in json.dumps(world.configuration())
