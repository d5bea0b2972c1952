"""From a push to the boxes and back to the page: who is counted, how a revert takes it back, what is refused whole."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.live_box import LiveBox, live_boxes
from tests.support.operators import Operator
from tests.support.world import ServedWorld, as_yaml, served_world

NEW_CLIP = b"a clip for the west"
WITHIN_S = 3.0
TRIES = 8


@pytest.fixture
def served(tmp_path: Path, database: str) -> Iterator[ServedWorld]:
    with served_world(tmp_path / "world", database) as world:
        west = {"name": "West", "sites": ["brest", "nantes"], "priority": 200, "video_sets": ["west"]}
        fleet = {"schema": 1, "defaults": {"video_sets": ["national"]}}
        sets = {"video-sets/west.yaml": west_set("clip-a"), "groups/west.yaml": as_yaml(west)}
        world.publish(sets | {"fleet.yaml": as_yaml(fleet)}, "Give the west a set")
        yield world


def west_set(*videos: str) -> str:
    return as_yaml({"name": "West", "category": {"id": "ouest", "name": "OUEST"}, "videos": list(videos)})


@pytest.fixture
def boxes(served: ServedWorld, tmp_path: Path) -> Iterator[list[LiveBox]]:
    with live_boxes(served, tmp_path, "brest", "nantes", "rennes") as all_boxes:
        converge(all_boxes)
        yield all_boxes


def converge(boxes: Sequence[LiveBox]) -> None:
    """All at once, in this process."""
    with ThreadPoolExecutor(len(boxes)) as threads:
        list(threads.map(LiveBox.converge, boxes))


def add_clip_to_the_west(served: ServedWorld) -> str:
    added = served.world.add_video("clip-west", NEW_CLIP)
    return served.publish(added | {"video-sets/west.yaml": west_set("clip-a", "clip-west")}, "Add a clip for the west")


def test_change_of_a_groups_set_is_counted_over_its_sites_alone_until_all_are_there(
    served: ServedWorld, boxes: list[LiveBox], tmp_path: Path
) -> None:
    brest, nantes, rennes = boxes
    operator = Operator(served, tmp_path)
    revision = add_clip_to_the_west(served)

    assert operator.progress(revision) == (0, 2, ["brest", "nantes"])
    operator.reads("0 of 2 sites")
    brest.converge()
    assert operator.progress(revision) == (1, 2, ["nantes"])
    operator.reads("1 of 2 sites")
    rennes.converge()
    assert operator.progress(revision) == (1, 2, ["nantes"])
    nantes.converge()
    assert operator.progress(revision) == (2, 2, [])
    operator.reads("2 of 2 sites")
    assert [box.shown() for box in boxes] == [{"clip-a", "clip-b", "clip-west"}] * 2 + [{"clip-a", "clip-b"}]


def test_running_boxes_have_reported_a_change_within_three_seconds_of_its_publication(
    served: ServedWorld, boxes: list[LiveBox], tmp_path: Path
) -> None:
    operator, taken = Operator(served, tmp_path), list[float]()
    with ExitStack() as agents:
        for box in boxes:
            box.write(heal_s="60")
            agents.enter_context(box.agent())
        for number in range(TRIES):
            named = {"video-sets/west.yaml": west_set("clip-a", *["clip-b"] * (number % 2 == 0))}
            revision = served.publish(named, f"Change {number}")
            operator.waits_for(revision)
            taken.append(operator.seconds_to_last_report(revision))
            if taken[-1] <= WITHIN_S:
                break
    assert taken[-1] <= WITHIN_S, f"the best of {TRIES}, on a machine that may be busy: {taken}"


def test_revert_of_a_change_gives_every_box_back_what_it_had(
    served: ServedWorld, boxes: list[LiveBox], tmp_path: Path
) -> None:
    operator = Operator(served, tmp_path)
    before = [box.configuration() for box in boxes]
    add_clip_to_the_west(served)
    converge(boxes)
    assert [box.configuration() != old for box, old in zip(boxes, before, strict=True)] == [True, True, False]

    back = operator.revert()
    assert served.ingest().verdict == "published"

    assert operator.progress(back) == (0, 2, ["brest", "nantes"])
    converge(boxes)
    assert operator.progress(back) == (2, 2, [])
    assert [box.configuration() for box in boxes] == before
    operator.reads("3 Synced", "0 Progressing")


def test_commit_with_errors_is_refused_whole_told_in_full_and_leaves_the_boxes_alone(
    served: ServedWorld, boxes: list[LiveBox], tmp_path: Path
) -> None:
    brest = boxes[0]
    operator = Operator(served, tmp_path)
    published = operator.site("brest")
    before, disturbed = brest.traces(), brest.disturbances()
    good = served.world.site_file("rennes", config={"volume": 3})
    sound = {path: served.world.file(path) for path in ("sites/brest.yaml", "groups/west.yaml", "video-sets/west.yaml")}
    broken = {
        "sites/brest.yaml": sound["sites/brest.yaml"].replace("sports:", "sprots:"),
        "groups/west.yaml": sound["groups/west.yaml"].replace('["west"]', '["wset"]'),
        "video-sets/west.yaml": "name: West\ncategory: {id: ouest\n",
    }
    refused = served.world.commit(broken | {"sites/rennes.yaml": good}, "Change four files, three of them badly")

    outcome = served.ingest()

    assert outcome.verdict == "refused"
    [told] = [change for change in operator.changes() if change.commit == refused]
    assert (told.verdict, told.sites, told.problems) == ("refused", 0, outcome.problems)
    places = [problem.split(" ", 1)[0] for problem in told.problems if " error " in problem]
    assert {place.split(":")[0] for place in places} == broken.keys()
    assert all(len(place.rstrip(":").split(":")) == 3 for place in places), places
    operator.reads("refused", *told.problems)
    assert operator.site("brest") == published
    assert brest.run("once").returncode == 0
    assert (brest.traces(), brest.disturbances()) == (before, disturbed)

    mended = served.publish(sound | {"sites/rennes.yaml": good}, "Mend what was bad")
    boxes[2].converge()
    assert operator.progress(mended) == (1, 1, [])
    assert boxes[2].configuration()["volume"] == 3
