"""A matrix that finds no failure is believed because it finds these: five bugs, put under the agent one at a time."""

import random
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.crash.matrix import Operated
from tests.crash.power import KERNELS, Cut, Kernel, PowerMatrix, Seed, power_matrix, why_not
from tests.crash.seeds import SEEDS

CHANCE = 20261126


@pytest.fixture(scope="module", autouse=True)
def powered() -> None:
    if reason := why_not():
        pytest.skip(reason)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.__name__.replace("_", "-"))
def test_seeded_bug_is_caught_by_the_power_cuts(seed: Seed, capsys: pytest.CaptureFixture[str]) -> None:
    with power_matrix(Operated) as tried:
        try_until_caught(tried, seed)
        name = getattr(seed, "__name__", "").replace("_", " ")
        said = tried.failures[0].splitlines()[0] if tried.failures else "not caught"
    with capsys.disabled():
        print(f"\n{name}: after {tried.cuts} power cuts: {said}")
    assert tried.failures, f"a matrix that does not catch '{name}' is not to be believed"


def try_until_caught(tried: PowerMatrix, seed: Seed) -> None:
    """Cuts until one does harm: those at which something was just told, then a look at all, then a life after each."""
    for kernel, cut, live in in_order(tried, seed):
        tried.try_cut(kernel, cut, live)
        if tried.failures:
            return


def in_order(tried: PowerMatrix, seed: Seed) -> Iterator[tuple[Kernel, Cut, bool]]:
    """The cuts of both kernels, the cheap and likely ones first; each with a life after it in the end."""
    recorded = [(kernel, tried.record(kernel, seed=seed)) for kernel in KERNELS]
    every = [(kernel, cut) for kernel, cuts in recorded for cut in cuts]
    random.Random(CHANCE).shuffle(every)
    for kernel, cuts in recorded:
        yield from ((kernel, cut, True) for last, cut in pairwise(cuts) if cut.told != last.told)
    yield from ((kernel, cut, False) for kernel, cut in every)
    yield from ((kernel, cut, True) for kernel, cut in every)
