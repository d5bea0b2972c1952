"""A matrix that finds no failure is believed because it finds these: five bugs, put under the agent one at a time."""

import random
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from tests.crash.kills import Kill, Kills
from tests.crash.lives import Operated
from tests.crash.power import Power, Seed, different
from tests.crash.trial import Trial, look_at_all, workshop

CHANCE: Final = 20261126
KILLS: Final = "kills"
LIKELY: Final = (("unlink", "after"), ("write", "within"), ("create", "after"))
"""Where something may be gone, or half there: looked at first."""


def points_until_caught(seed: Seed, matrix: str, jobs: int = 1) -> int:
    """How many points of the kills, or of the power cuts on a kind of machine, until one shows the bug; 0: none."""
    with workshop() as folder:
        tried, points = _kills(seed, folder) if matrix == KILLS else _cuts(seed, matrix, folder)
        with closing(look_at_all(tried, points, jobs)) as looks:
            return next((count for count, said in enumerate(looks, start=1) if said), 0)


def name_of(seed: Seed) -> str:
    """In words."""
    return str(getattr(seed, "__name__", "")).replace("_", " ")


def _cuts(seed: Seed, kernel: str, folder: Path) -> tuple[Trial[Any], list[Any]]:
    """Cuts at which something was just told, then a look at each disk, then a life after each."""
    tried = Power(Operated(folder), kernel, folder)
    cuts = tried.record(seed=seed)
    told = [cut for last, cut in pairwise(cuts) if cut.told != last.told]
    every = different(cuts)
    random.Random(CHANCE).shuffle(every)
    return tried, [*told, *(cut._replace(live=False) for cut in every), *every]


def _kills(seed: Seed, folder: Path) -> tuple[Trial[Any], list[Any]]:
    """A look after each: the kernel keeps what was not synced, so that no life after it can show more."""
    tried = Kills(Operated(folder), seed)
    points = tried.points()
    random.Random(CHANCE).shuffle(points)
    points.sort(key=lambda point: (tried.kinds[point.number - 1], point.where) not in LIKELY)
    return tried, [Kill(point, live=False) for point in points]
