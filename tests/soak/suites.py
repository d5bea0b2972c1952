"""The lives that are lived through, each with what it must stay within."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from control_plane.store.binaries import installed_programs
from tests.soak import bounds
from tests.soak.box_life import BoxLife, box_life, hang_up
from tests.soak.counting import Allowance, Figures, Verdict, compare, judge
from tests.soak.fleet_life import COUNT_EVERY, TURNS_A_DAY, fleet_life
from tests.soak.seeds import BOX_SEEDS, PLANE_SEEDS
from tests.support.stoppable_postgres import stoppable_postgres

Say = Callable[[str], None]
SHORT: Final = 8
"""Moments of a life with a seeded leak."""
WARM: Final = 8
"""Half days before the first of them, until a server has met everything once."""
WATCHED: Final = {"": "nothing", "a descriptor": "descriptors", "a list": "heap: blocks"}
"""What each seed must be seen in."""


class Counted(NamedTuple):
    """What came of a suite: what happened in it, its figures, and what went wrong beside them."""

    name: str
    story: str
    verdicts: Sequence[Verdict] = ()
    faults: Sequence[str] = ()
    rows: Sequence[tuple[object, ...]] = ()
    life: Sequence[Figures] = ()

    @property
    def failures(self) -> int:
        """How many figures grow, and all other faults."""
        return sum(verdict.grows for verdict in self.verdicts) + len(self.faults)

    def __str__(self) -> str:
        figures = f", {len(self.verdicts)} figures at {len(self.life)} moments" if self.verdicts else ""
        return f"{self.name}: {self.story}{figures}, {self.failures} failures"


def at_work(folder: Path, say: Say, days: int) -> Counted:
    """A box with a network that goes wrong for some hours of each day; counted every four days."""
    life: list[Figures] = []
    with box_life(folder) as box:
        for day in range(1, days + 1):
            box.day_at_work()
            if day % 4 == 0:
                life.append(box.count())
                say(f"day {day} of {days}: {_brief(life[-1])}")
        plane = box.plane
        story = f"{days} days, {plane.polls:,} polls, {plane.reports:,} reports"
    return Counted("box at work", story, judge(life, bounds.AT_WORK), life=life)


def alone(folder: Path, say: Say, days: int) -> Counted:
    """A box without a network, counted every seven days; then it is back, and holds what it held before."""
    life: list[Figures] = []
    with box_life(folder, heal_s=1800, report_s=1800) as box:
        box.play()
        box.come_back()
        before = box.count()
        with box.plane.unwell(hang_up):
            for day in range(1, days + 1):
                box.day_alone()
                if day % 7 == 0:
                    life.append(box.count())
                    say(f"day {day} of {days}: {_brief(life[-1])}")
        box.come_back()
        after = box.count()
    back = [one._replace(name=f"back again: {one.name}") for one in compare([before], [after], bounds.BACK)]
    verdicts = [*judge(life, bounds.ALONE), *back]
    return Counted("box alone", f"{days} days without a network, then 2 with it", verdicts, life=[before, *life, after])


def control_plane(folder: Path, say: Say, days: int) -> Counted:
    """The server and its database, counted every four days."""
    return asyncio.run(_control_plane(folder, say, days))


async def _control_plane(folder: Path, say: Say, days: int) -> Counted:
    life: list[Figures] = []
    programs = max(installed_programs(), key=lambda found: found.major)
    with stoppable_postgres(folder / "postgres", programs) as database:
        async with fleet_life(folder / "world", database) as fleet:
            for turn in range(1, days * TURNS_A_DAY + 1):
                await fleet.turn()
                if turn % COUNT_EVERY == 0:
                    life.append(await fleet.count())
                    say(f"day {turn // TURNS_A_DAY} of {days}: {_brief(life[-1])}")
            done = ", ".join(f"{number:,} {what}" for what, number in fleet.done.items())
            told = f"{fleet.told.messages:,} messages to people"
    return Counted("control plane", f"{days} days, {done}, {told}", judge(life, bounds.CONTROL_PLANE), life=life)


def seeded(folder: Path, say: Say, _days: int) -> Counted:
    """A leak is put under each program, and must be seen; without one nothing is."""
    rows: list[tuple[object, ...]] = []
    faults: list[str] = []
    for program, short, seeds in (
        ("agent", short_life_of_a_box, BOX_SEEDS),
        ("control plane", short_life_of_a_server, PLANE_SEEDS),
    ):
        for seed in ("", *seeds):
            place = folder / f"{program}-{seed}".replace(" ", "-")
            place.mkdir()
            found = seen(short(place, seed))
            rows.append((program, seed or "none", ", ".join(found) or "nothing"))
            say(f"{program}, {seed or 'no leak'}: {rows[-1][-1]} grows")
            if (WATCHED[seed] in found) != bool(seed) or (not seed and found):
                faults.append(f"{program}: with {seed or 'no leak'}, {found or 'nothing'} was seen to grow")
    return Counted("seeded leaks", f"{len(rows)} short lives", faults=faults, rows=rows)


def seen(life: Sequence[Figures]) -> list[str]:
    """Which of the figures that a seed is looked for in grow."""
    watched = [{name: moment[name] for name in set(WATCHED.values()) & set(moment)} for moment in life]
    return [verdict.name for verdict in judge(watched, LEAKS) if verdict.grows]


LEAKS: Final = (
    Allowance("heap: blocks", 3_000, 0, "a life that is only beginning"),
    Allowance("descriptors", 8, 0, "connections that come and go"),
)


def short_life_of_a_box(folder: Path, seed: str) -> list[Figures]:
    """Eight hours and some, counted at each."""
    with box_life(folder / "box", seed, heal_s=300) as box:
        return [_counted(box) for _ in range(SHORT)]


def _counted(box: BoxLife) -> Figures:
    box.hour()
    return box.count()


def short_life_of_a_server(folder: Path, seed: str) -> list[Figures]:
    """Four days, counted at each half."""
    return asyncio.run(_short_life_of_a_server(folder, seed))


async def _short_life_of_a_server(folder: Path, seed: str) -> list[Figures]:
    life: list[Figures] = []
    programs = max(installed_programs(), key=lambda found: found.major)
    with stoppable_postgres(folder / "postgres", programs) as database:
        async with fleet_life(folder / "world", database, seed) as fleet:
            for turn in range(WARM + SHORT):
                await fleet.turn()
                if turn >= WARM:
                    life.append(await fleet.count())
    return life


class Suite(NamedTuple):
    """A life, and for how many days it is lived."""

    name: str
    live: Callable[[Path, Say, int], Counted]
    days: int


SUITES: Final = (
    Suite("control plane", control_plane, 208),
    Suite("box at work", at_work, 56),
    Suite("box alone", alone, 196),
    Suite("seeded leaks", seeded, 0),
)


def _brief(figures: Figures) -> str:
    names = ("descriptors", "threads", "heap: blocks", "resident MiB")
    return ", ".join(f"{name} {figures.get(name, 0):,.0f}" for name in names)
