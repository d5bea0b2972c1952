"""The suites of `make test-crash`: what is tried of each life, and what is counted."""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from tests.crash.adoption import Adoption
from tests.crash.believed import KILLS, name_of, points_until_caught
from tests.crash.broken import Broken
from tests.crash.disks import KERNELS, why_no_ext4
from tests.crash.faults import KINDS, Faults
from tests.crash.full import FILL, Full
from tests.crash.kills import Kill, Kills
from tests.crash.later import TROUBLES, Later
from tests.crash.lives import (
    LIVES,
    RECOVERIES,
    Collect,
    FirstInstall,
    Heal,
    Operated,
    Patched,
    RollBack,
    Update,
)
from tests.crash.power import Cut, Power, Seed, different
from tests.crash.scenario import Scenario
from tests.crash.seeds import SEEDS
from tests.crash.self_update import SelfUpdate
from tests.crash.trial import Trial, look_at_all, workshop

CHANCE: Final = 20261126
DOUBLES: Final = 200
RECOVERED: Final = 6
CUTS_OF_A_RECOVERY: Final = 12

Found = Callable[[str], object]
"""Hears of each point that was tried what is wrong there; empty where nothing is."""


class Pace(NamedTuple):
    """How many processes try points, and whether they try each or only every so manieth."""

    processes: int
    every: int = 1


class Row(NamedTuple):
    """What was counted of one life (or bug): a cell for each column of its suite."""

    label: str
    cells: tuple[object, ...]


class Job(NamedTuple):
    """One row to be made."""

    label: str
    make: Callable[[Pace, Found], Row]


class Suite(NamedTuple):
    """A table of rows. `share`: how long one takes, beside those of other suites. `why_not`: why it cannot run here."""

    name: str
    columns: tuple[str, ...]
    jobs: tuple[Job, ...]
    share: float
    why_not: Callable[[], str] = lambda: ""


def kills(kind: type[Scenario], pace: Pace, found: Found) -> Row:
    """Every single kill, and some that are followed by another."""
    with workshop() as folder:
        tried = Kills(kind(folder))
        points, chance = tried.points(), random.Random(CHANCE)
        count = DOUBLES if kind not in RECOVERIES else 0
        doubles = [Kill(chance.choice(points), chance.choice(points)) for _ in range(count)]
        _try(tried, [*map(Kill, points), *doubles], pace, found)
    return Row(kind.name, (len(tried.kinds), len(points), len(doubles)))


def power(kind: type[Scenario], pace: Pace, found: Found) -> Row:
    """Every cut of every kind of machine that there is here, and cuts of what follows some of them."""
    cuts = disks = again = calls = 0
    for kernel in kernels():
        with workshop() as folder:
            tried = Power(kind(folder), kernel, folder)
            first = tried.record()
            later = list(recoveries(tried, first))
            cuts, again, calls = cuts + len(first), again + len(later), tried.calls
            chosen = different([*first, *later])
            disks += len(chosen)
            _try(tried, chosen, pace, found)
    return Row(kind.name, (calls, cuts, again, disks))


def kernels() -> Sequence[str]:
    """Those machines that can be had here."""
    return ["strict"] if why_no_ext4() else list(KERNELS)


def recoveries(tried: Power, cuts: Sequence[Cut]) -> Iterator[Cut]:
    """Some cuts of the lives that follow some of these; none where that would be the third in a row.

    A release whose trial is cut off three times is given up.
    """
    if type(tried.scenario) in RECOVERIES:
        return
    chance = random.Random(CHANCE)
    share = CUTS_OF_A_RECOVERY / len(cuts)
    for cut in chance.sample(cuts, min(RECOVERED, len(cuts))):
        yield from tried.record(cut, wanted=lambda: chance.random() < share)


def later(kind: type[Scenario], pace: Pace, found: Found) -> Row:
    """Trouble, another life, and the power cut only then."""
    counts = []
    for trouble in TROUBLES:
        with workshop() as folder:
            tried = Later(kind(folder), trouble, folder)
            points = tried.points()
            _try(tried, points, pace, found)
            counts.append(len(points))
    return Row(kind.name, tuple(counts))


def failing(kind: type[Scenario], pace: Pace, found: Found) -> Row:
    """Every fault of every kind."""
    counts = []
    for fault in KINDS:
        with workshop() as folder:
            tried = Faults(kind(folder), fault)
            points = tried.points()
            _try(tried, points, pace, found)
            counts.append(len(points))
    return Row(kind.name, tuple(counts))


def full(kind: type[Scenario], pace: Pace, found: Found) -> Row:
    """The disk full from each call on, of inodes and of blocks."""
    counts = []
    for of in FILL:
        with workshop() as folder:
            tried = Full(kind(folder), of, folder)
            points = tried.points()
            _try(tried, points, pace, found)
            counts.append(len(points))
    return Row(kind.name, tuple(counts))


def broken(kind: type[Scenario], pace: Pace, found: Found) -> Row:
    """Every kind of damage to every file of the agent's own."""
    with workshop() as folder:
        tried = Broken(kind(folder))
        points = tried.points()
        _try(tried, points, pace, found)
    return Row(kind.name, (len(tried.files), len(points)))


def seeded(seed: Seed, pace: Pace, found: Found) -> Row:
    """A bug under the agent, and how many points it took to find it: a matrix that does not is not to be believed."""
    name = name_of(seed)
    tries = {matrix: points_until_caught(seed, matrix, pace.processes) for matrix in (KILLS, *kernels())}
    found("" if any(tries.values()) else f"the bug '{name}' was not caught")
    return Row(name, tuple(tries.get(matrix) or "-" for matrix in (KILLS, *KERNELS)))


def _try(tried: Trial[Any], points: Sequence[Any], pace: Pace, found: Found) -> None:
    for said in look_at_all(tried, points[:: pace.every], pace.processes):
        found(said)


def _lives(make: Callable[[type[Scenario], Pace, Found], Row], kinds: Sequence[type[Scenario]]) -> tuple[Job, ...]:
    def job(kind: type[Scenario]) -> Job:
        return Job(kind.name, lambda pace, found: make(kind, pace, found))

    return tuple(map(job, kinds))


def _seeded() -> tuple[Job, ...]:
    return tuple(Job(name_of(seed), partial(seeded, seed)) for seed in SEEDS)


FAILING: Final = (Update, Operated, FirstInstall, RollBack, Heal, Patched, Collect, Adoption, SelfUpdate)
BROKEN: Final = (Update, Operated, RollBack, Heal, Collect)

SUITES: Final = (
    Suite("kills", ("life", "calls", "single kills", "double kills"), _lives(kills, LIVES), 0.4),
    Suite(
        "power cuts",
        ("life", "calls", "power cuts", "in a recovery", "different disks"),
        _lives(power, LIVES),
        0.7,
    ),
    Suite("seeded bugs", ("bug", KILLS, *KERNELS), _seeded(), 0.5),
    Suite("power cuts after trouble", ("life", *TROUBLES), _lives(later, LIVES), 0.6),
    Suite("failing disk", ("life", *KINDS), _lives(failing, FAILING), 1.5),
    Suite("full disk", ("life", *(f"no {of}" for of in FILL)), _lives(full, FAILING), 1.0, why_no_ext4),
    Suite("broken files", ("life", "files", "points"), _lives(broken, BROKEN), 0.2),
)
