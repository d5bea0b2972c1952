"""Whenever the power goes: what was told is kept, the box plays, and the next life ends where the first would have."""

import random

import pytest

from tests.crash.matrix import SCENARIOS, Operated, Scenario, Update
from tests.crash.power import KERNELS, power_matrix, why_not

SAMPLE = 5
RECOVERIES = 6
CUTS_IN_RECOVERY = 12
SEED = 20261126
SAMPLED = (Update, Operated)


@pytest.fixture(scope="module", autouse=True)
def powered() -> None:
    if reason := why_not():
        pytest.skip(reason)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=() if kind in SAMPLED else pytest.mark.slow) for kind in SCENARIOS],
    ids=lambda kind: kind.name.replace(" ", "-"),
)
def test_power_cut_at_any_call_keeps_what_was_told_and_converges(
    kind: type[Scenario], long: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    calls = 0
    with power_matrix(kind) as tried:
        for kernel in KERNELS:
            cuts = tried.record(kernel)
            calls = cuts[-1].number - 1
            for cut in cuts if long else chance.sample(cuts, SAMPLE):
                tried.try_cut(kernel, cut)
            for cut in chance.sample(cuts, RECOVERIES if long else 0):
                again = tried.record(kernel, cut)
                for second in chance.sample(again, min(CUTS_IN_RECOVERY, len(again))):
                    tried.try_cut(kernel, second)
    with capsys.disabled():
        print(f"\n{tried.line(calls)}")
    assert not tried.failures, "\n".join(tried.failures[:20])
