"""Whatever call the agent dies at: the box plays on, and the next life ends where the first would have."""

import random

import pytest

from tests.crash.matrix import SCENARIOS, Point, Scenario, matrix
from tests.crash.patched import Patched

SAMPLE = 12
PAIRS = 3
SEED = 20261123


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", (*SCENARIOS, Patched), ids=lambda kind: kind.name.replace(" ", "-"))
def test_killed_at_any_call_plays_on_and_converges(
    kind: type[Scenario], long: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    with matrix(kind) as tried:
        points = tried.all_points()
        total = len(points)
        pairs = [(chance.choice(points), chance.choice(points)) for _ in range(200 if long else PAIRS)]
        chosen: list[tuple[Point, Point | None]] = [*pairs]
        chosen += [(point, None) for point in (points if long else chance.sample(points, SAMPLE))]
        for point, then in chosen:
            tried.try_point(point, then)
    with capsys.disabled():
        print(
            f"\n{kind.name}: {tried.points} points tried of {len(tried.kinds)} calls ({total} single points,"
            f" {len(pairs)} double), {len(tried.failures)} failures"
        )
    assert not tried.failures, "\n".join(tried.failures[:20])
