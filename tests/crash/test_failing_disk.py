"""Whatever call of the disk fails, once or from there on: the box plays on, and is as desired when the disk is well."""

import random

import pytest

from tests.crash.faults import KINDS, fault_matrix
from tests.crash.matrix import Update

SAMPLE = 4
SEED = 20261126


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_failing_call_does_no_harm_and_is_overcome(kind: str, long: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with fault_matrix(Update) as tried:
        faults = tried.all_faults(kind)
        for fault in faults if long else random.Random(SEED).sample(faults, SAMPLE):
            tried.try_fault(fault)
    with capsys.disabled():
        print(f"\n{kind}: {tried.points} points tried of {len(faults)}, {len(tried.failures)} failures")
    assert not tried.failures, "\n".join(tried.failures[:20])
