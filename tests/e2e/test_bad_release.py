"""A release that fails its health check: gone back from at once, told on the page, left alone until another."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.live_box import LiveBox, application, release_changes
from tests.support.operators import Operator
from tests.support.patience import wait_for
from tests.support.world import ServedWorld, served_world

LATER_ROUNDS = 10
UNITS = ("neopro-app", "neopro-admin", "neopro-kiosk")
RESTARTS = [("restart", unit) for unit in UNITS]
WHY = "neopro-app does not answer as it should"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[LiveBox]:
    with LiveBox(tmp_path / "brest").switched_on() as live:
        yield live


@pytest.fixture
def served(tmp_path: Path, database: str) -> Iterator[ServedWorld]:
    with served_world(tmp_path / "world", database) as world:
        yield world


def test_bad_release_is_gone_back_from_told_and_not_tried_again_until_there_is_another(
    box: LiveBox, served: ServedWorld, tmp_path: Path
) -> None:
    world, operator = served.world, Operator(served, tmp_path)
    good = served.publish(release_changes(world, "1.1.0", application("1.1.0")), "Release 1.1.0")
    box.provision(world, served.url)
    with box.agent():
        wait_for(lambda: reached(operator, good), "release 1.1.0 runs")
        assert box.services.calls == RESTARTS
        assert plays(box)

        sick = release_changes(world, "1.2.0", application("1.2.0", sick=True), within="2s", settle="1s")
        bad = served.publish(sick, "Release 1.2.0")
        wait_for(lambda: operator.site("brest").standing == "Degraded", "the box says that it is degraded")
        wait_for(lambda: box.services.calls == RESTARTS * 3, "to the new one, and back: it tells before it is there")
        wait_for(lambda: (box.active(), plays(box)) == ("1.1.0", True), "what ran before runs again")
        assert operator.progress(bad)[2] == ["brest", "nantes", "rennes"]
        operator.reads("Degraded", "1.2.0", WHY)
        operator.reads("1.1.0", "1.2.0", WHY, path="/sites/brest")

        box.pass_rounds(LATER_ROUNDS)
        told = world.add_video("clip-c", b"another clip") | {
            "sites/brest.yaml": world.site_file("brest", config=LOUDER)
        }
        served.publish(told, "Something else for the same site")
        wait_for(lambda: box.configuration().get("volume") == 3, "what has nothing to do with the release arrives")
        box.pass_rounds(LATER_ROUNDS)
        assert box.services.calls == RESTARTS * 3, "the bad release was tried once"
        assert (box.active(), plays(box)) == ("1.1.0", True)
        assert operator.site("brest").standing == "Degraded"

        better = served.publish(release_changes(world, "1.2.1", application("1.2.1")), "Release 1.2.1")
        wait_for(lambda: reached(operator, better), "release 1.2.1 runs")
        assert box.services.calls == RESTARTS * 4
        assert (box.active(), plays(box)) == ("1.2.1", True)
        wait_for(lambda: operator.site("brest").standing == "Synced", "the box says that all is well")
    assert WHY not in operator.page()


LOUDER = {"volume": 3}


def reached(operator: Operator, revision: str) -> bool:
    return "brest" not in operator.progress(revision)[2]


def plays(box: LiveBox) -> bool:
    """Whether the box's application answers as it should."""
    answer = httpx.get(box.screen.url, trust_env=False)
    return bool(answer.json()["status"] == "ok")
