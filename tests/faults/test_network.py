"""Whatever the network does to a request: the box is as it was or as it shall be, says so, and gets on when it can."""

import random

import pytest

from tests.faults.faults import FAULTS
from tests.faults.network import KINDS, MEANT, update

SAMPLE = 60
SEED = 20261126


@pytest.mark.timeout(3600)
def test_any_request_that_goes_wrong_in_any_way_does_no_harm_and_is_overcome(
    long: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    points = [(fault, kind) for fault in FAULTS for kind in KINDS if (fault, kind) not in MEANT]
    with update() as tried:
        for fault, kind in points if long else random.Random(SEED).sample(points, SAMPLE):
            tried.try_point(fault, kind)
    with capsys.disabled():
        print(
            f"\nnetwork: {tried.points} points tried of {len(points)} ({len(FAULTS)} faults, {len(KINDS)} kinds of"
            f" request), {len(tried.failures)} failures; longest life {tried.longest_s:.1f} s, most memory taken"
            f" {tried.growth_bytes / 1e6:.0f} MB"
        )
    assert not tried.failures, "\n".join(tried.failures[:20])
