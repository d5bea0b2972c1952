"""A box that was installed by hand meets the fleet: its first release fails, and it goes back to what it had."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.hand_installed import CLUB_VIDEO, install_by_hand, plays
from tests.support.live_box import LiveBox, application, release_changes
from tests.support.operators import Operator
from tests.support.patience import wait_for
from tests.support.world import ServedWorld, served_world

UNITS = ("neopro-app", "neopro-admin", "neopro-kiosk")
RESTARTS = [("restart", unit) for unit in UNITS]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[LiveBox]:
    with LiveBox(tmp_path / "brest").switched_on() as live:
        install_by_hand(live.root, live.club)
        yield live


@pytest.fixture
def served(tmp_path: Path, database: str) -> Iterator[ServedWorld]:
    with served_world(tmp_path / "world", database) as world:
        yield world


def answers(box: LiveBox) -> str:
    return str(httpx.get(box.screen.url, trust_env=False).json()["status"])


def test_first_release_that_fails_is_gone_back_from_to_what_was_installed_by_hand(
    box: LiveBox, served: ServedWorld, tmp_path: Path
) -> None:
    world, operator = served.world, Operator(served, tmp_path)
    before = plays(box.root)
    sick = release_changes(world, "1.2.0", application("1.2.0", sick=True), within="2s", settle="1s")
    served.publish(sick, "Release 1.2.0")
    box.provision(world, served.url)
    with box.agent():
        wait_for(lambda: operator.site("brest").standing == "Degraded", "the box says that it is degraded")
        assert box.services.calls == RESTARTS * 2, "to the new one, and back"
        assert (answers(box), box.active()) == ("ok", "v1.0.8")
        assert plays(box.root) == before
        assert box.configuration()["auth"] == box.club["auth"]
        operator.reads("1.0.8", "1.2.0", "neopro-app does not answer as it should", path="/sites/brest")

        better = served.publish(release_changes(world, "1.2.1", application("1.2.1")), "Release 1.2.1")
        wait_for(lambda: "brest" not in operator.progress(better)[2], "release 1.2.1 runs")
        assert (answers(box), box.active()) == ("ok", "1.2.1")
        wait_for(lambda: operator.site("brest").standing == "Synced", "the box says that all is well")
    assert (box.root / "webapp-videos/MATCH/old.mp4").read_bytes() == CLUB_VIDEO
    assert len(list((box.root / "releases").glob("1.0.8-*"))) == 1
