"""What a control plane that was taken over, but holds no release key, may not do to a box."""

from pathlib import Path

import pytest

from schemas.manifest import CategoryVideo, ContentFile
from tests.support.agent_world import AgentWorld, application, clip, manifest_of

OWN = clip("own", b"the fleet's own")


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    made = AgentWorld(tmp_path)
    made.central.add(b"the fleet's own")
    return made


def test_release_that_no_list_allows_leaves_no_file_on_the_box(world: AgentWorld) -> None:
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    fetched = list(world.central.fetched)

    world.central.publish(manifest_of([], world.central.add_secret_release("6.6.6", application("6.6.6"))))
    world.converge()

    # Its folder's name has eight digits of its digest: who may put files into one could aim at an allowed release's.
    assert [path.name[:6] for path in (world.root / "releases").iterdir()] == ["1.0.0-"]
    assert world.central.fetched == fetched
    assert world.conditions()["Degraded"] == ("True", "TrustRefused")


def test_good_release_that_was_lost_comes_back_under_a_list_that_no_longer_names_it(world: AgentWorld) -> None:
    release = world.central.add_release("1.0.0", application("1.0.0"))
    world.central.publish(manifest_of([], release))
    world.converge()
    world.central.allowed.clear()
    world.central.add_release("2.0.0", application("2.0.0"))
    world.central.publish(manifest_of([], release))
    world.converge()
    (world.root / "current").unlink()
    for path in sorted((world.root / "releases").rglob("*"), reverse=True):
        path.unlink() if path.is_symlink() or path.is_file() else path.rmdir()

    world.converge()

    assert world.active() == "1.0.0"
    assert world.conditions()["Degraded"] == ("False", "AsExpected")


def test_manifest_that_names_a_file_of_the_clubs_does_not_cost_the_club_its_file(world: AgentWorld) -> None:
    data = b"not the club's"
    path = world.club_video.relative_to(world.root).as_posix()
    theirs = ContentFile(path=path, digest=world.central.add(data), size_bytes=len(data))
    shown = CategoryVideo(name="Mine now", path=path, video_id="mine")
    world.central.publish(manifest_of([(theirs, shown), OWN]))

    world.converge()
    world.central.publish(manifest_of([OWN]))
    world.converge()
    world.clock.sleep(3600)
    world.converge()

    assert world.club_video.read_bytes() == b"the club's own"
    assert "ContentNotOurs" in [c.reason for report in world.central.reports for c in report.conditions]
    assert (world.root / OWN[0].path).exists()
