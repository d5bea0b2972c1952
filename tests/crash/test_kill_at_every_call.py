"""Whatever call the agent dies at: the box plays on, and the next life ends where the first would have."""

import random

import pytest

from tests.crash.kills import Kill, Kills
from tests.crash.lives import LIVES, RECOVERIES
from tests.crash.scenario import Scenario
from tests.crash.trial import look_at_all, workshop

SAMPLE = 3
DOUBLES = 2
SEED = 20261123


@pytest.mark.parametrize("kind", LIVES, ids=lambda kind: kind.name.replace(" ", "-"))
def test_killed_at_any_call_plays_on_and_converges(kind: type[Scenario], capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(SEED)
    with workshop() as folder:
        tried = Kills(kind(folder))
        points = tried.points()
        count = DOUBLES if kind not in RECOVERIES else 0  # a release whose trial is cut off three times is given up
        doubles = [Kill(chance.choice(points), chance.choice(points)) for _ in range(count)]
        failures = [*filter(None, look_at_all(tried, [*map(Kill, chance.sample(points, SAMPLE)), *doubles]))]
    with capsys.disabled():
        print(f"\n{kind.name}: {SAMPLE} of {len(points)} points and {count} double ones, {len(failures)} failures")
    assert not failures, "\n".join(failures)
