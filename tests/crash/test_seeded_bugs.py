"""Bugs put under the agent are found by the cheapest matrix that can show each; `make test-crash` asks them all."""

import pytest

from tests.crash.believed import KILLS, name_of, points_until_caught
from tests.crash.power import Seed
from tests.crash.seeds import SEEDS, unlink_before_symlink, write_in_place

SEEN_BY_KILLS = (unlink_before_symlink, write_in_place)
"""What lies between two calls and is synced at once in the end."""


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: name_of(seed).replace(" ", "-"))
def test_seeded_bug_is_caught(seed: Seed, capsys: pytest.CaptureFixture[str]) -> None:
    matrix = KILLS if seed in SEEN_BY_KILLS else "strict"
    points = points_until_caught(seed, matrix)
    with capsys.disabled():
        print(f"\n{name_of(seed)}: caught after {points} points ({matrix})")
    assert points, f"a matrix that does not catch '{name_of(seed)}' is not to be believed"
