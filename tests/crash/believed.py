"""A matrix that finds no failure is believed because it finds these: five bugs, put under the agent one at a time."""

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from tests.crash.kills import Kill, Kills
from tests.crash.lives import Operated
from tests.crash.power import Power, Seed, different
from tests.crash.trial import workshop

CHANCE: Final = 20261126
KILLS: Final = "kills"
LIKELY: Final = (("unlink", "after"), ("write", "within"), ("create", "after"))
"""Where something may be gone, or half there: looked at first."""


def points_until_caught(seed: Seed, matrix: str) -> int:
    """How many points of the kills, or of the power cuts on a kind of machine, until one shows the bug; 0: none."""
    with workshop() as folder:
        looks = _by_kills(seed, folder) if matrix == KILLS else _by_power(seed, matrix, folder)
        return next((count for count, said in enumerate(looks, start=1) if said), 0)


def name_of(seed: Seed) -> str:
    """In words."""
    return str(getattr(seed, "__name__", "")).replace("_", " ")


def _by_power(seed: Seed, kernel: str, folder: Path) -> Iterator[str]:
    """Cuts at which something was just told, then a look at each disk, then a life after each."""
    tried = Power(Operated(folder), kernel, folder)
    cuts = tried.record(seed=seed)
    yield from (tried.look_at(cut) for last, cut in pairwise(cuts) if cut.told != last.told)
    every = different(cuts)
    random.Random(CHANCE).shuffle(every)
    yield from (tried.look_at(cut._replace(live=False)) for cut in every)
    yield from map(tried.look_at, every)


def _by_kills(seed: Seed, folder: Path) -> Iterator[str]:
    """A look after each: the kernel keeps what was not synced, so that no life after it can show more."""
    tried = Kills(Operated(folder), seed)
    points = tried.points()
    random.Random(CHANCE).shuffle(points)
    points.sort(key=lambda point: (tried.kinds[point.number - 1], point.where) not in LIKELY)
    yield from (tried.look_at(Kill(point, live=False)) for point in points)
