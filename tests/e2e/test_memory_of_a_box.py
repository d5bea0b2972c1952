"""A real box and a real server: what the box measured and went through is what an operator reads, once."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.live_box import LiveBox, live_boxes
from tests.support.operators import Operator
from tests.support.world import ServedWorld, as_yaml, served_world


@pytest.fixture
def served(tmp_path: Path, database: str) -> Iterator[ServedWorld]:
    with served_world(tmp_path / "world", database) as world:
        world.publish({"fleet.yaml": as_yaml({"schema": 1, "defaults": {"video_sets": ["national"]}})}, "Begin")
        yield world


@pytest.fixture
def box(served: ServedWorld, tmp_path: Path) -> Iterator[LiveBox]:
    with live_boxes(served, tmp_path, "brest") as (only,):
        yield only


def test_box_that_converged_is_remembered_with_figures_and_conditions(
    served: ServedWorld, box: LiveBox, tmp_path: Path
) -> None:
    operator = Operator(served, tmp_path)
    assert operator.figures("brest") == []
    box.converge()
    box.converge()

    figures = operator.figures("brest")
    assert 1 <= len(figures) <= 2
    assert all(point.memory_percent and point.disk_percent and not point.late_s for point in figures)
    assert sum(point.measured_s for point in figures) == 120, "two runs of a minute each, whatever they had to repeat"
    going = {span.type: span for span in operator.conditions("brest") if span.until is None}
    assert (going["Synced"].status, going["Synced"].reason) == ("True", "Converged")
    assert not any(span.late or span.uncertain for span in operator.conditions("brest"))
    now = served.world.clock()
    assert now - timedelta(minutes=10) < going["Synced"].since <= now
