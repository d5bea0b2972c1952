"""A release in waves on real boxes: a bad one stops at the first box, a good one reaches all of them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from control_plane.store import rollouts
from control_plane.store.pool import connection
from schemas.names import SiteId
from schemas.rollouts import Phase
from tests.support.live_box import UNITS, LiveBox, application, live_boxes, release_changes
from tests.support.operators import Operator
from tests.support.patience import wait_for
from tests.support.trust_keys import Changes
from tests.support.world import ServedWorld, World, as_yaml, served_world

BOXES = ("brest", "nantes")
POLICY = {"waves": ["50%", "100%"], "soak": "1s", "quorum": "100%", "success": "100%", "deadline": "1h"}


@pytest.fixture
def served(tmp_path: Path, database: str) -> Iterator[ServedWorld]:
    with served_world(tmp_path / "world", database, files=two_sites) as world:
        yield world


@pytest.fixture
def boxes(tmp_path: Path, served: ServedWorld) -> Iterator[dict[SiteId, LiveBox]]:
    """Both boxes, with their agents."""
    with ExitStack() as stack:
        found = dict(zip(BOXES, stack.enter_context(live_boxes(served, tmp_path, *BOXES)), strict=True))
        for box in found.values():
            stack.enter_context(box.agent())
        yield found


def two_sites(world: World) -> Changes:
    files = world.first_files()
    return {path: text for path, text in files.items() if path != "sites/rennes.yaml"}


def release(world: World, version: str, *, sick: bool = False) -> Changes:
    """A release that the fleet is to have, in waves."""
    health = {"within": "2s", "settle": "1s"} if sick else {}
    changes = release_changes(world, version, application(version, sick=sick), **health)
    defaults = {"release": version, "video_sets": ["national"], "rollout": "standard"}
    return changes | {"fleet.yaml": as_yaml({"schema": 1, "defaults": defaults, "rollouts": {"standard": POLICY}})}


def rolling(served: ServedWorld, holds: Callable[[], bool]) -> Callable[[], bool]:
    """Look at rollouts as the job does, then at what shall come to hold."""

    def looked() -> bool:
        served.run(served.world.pipeline.roll())
        return holds()

    return looked


def phase(served: ServedWorld) -> Phase:
    async def newest() -> Phase:
        async with connection(served.world.opened.pool) as conn:
            counted = await rollouts.count_opened(conn) or (await rollouts.count_ended(conn))[:1]
        return counted[0].rollout.phase

    return served.run(newest())


def test_bad_release_stops_at_the_first_box_and_a_good_one_reaches_all(
    served: ServedWorld, boxes: dict[SiteId, LiveBox], tmp_path: Path
) -> None:
    world = served.world
    operator = Operator(served, tmp_path)
    first = served.publish(release_changes(world, "1.1.0", application("1.1.0")), "Release 1.1.0")
    wait_for(lambda: not operator.progress(first)[2], "both run 1.1.0")
    before = {site: len(box.services.calls) for site, box in boxes.items()}

    served.publish(release(world, "1.2.0", sick=True), "Release 1.2.0")
    wait_for(rolling(served, lambda: phase(served) == "rolled_back"), "the first box says that it failed")
    touched = [site for site, box in boxes.items() if len(box.services.calls) != before[site]]
    assert len(touched) == 1, "the other box never heard of it"
    wait_for(lambda: [box.active() for box in boxes.values()] == ["1.1.0", "1.1.0"], "what ran before runs again")

    served.publish(release(world, "1.2.1"), "Release 1.2.1")
    wait_for(rolling(served, lambda: phase(served) == "done"), "1.2.1 reaches both, one after the other")
    assert [box.active() for box in boxes.values()] == ["1.2.1", "1.2.1"]
    (other,) = boxes.keys() - {*touched}
    assert len(boxes[other].services.calls) == before[other] + UNITS
