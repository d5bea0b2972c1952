"""How a change spread over its sites: how many were there after how long, on a scale of time that is logarithmic; pure.

Most sites are there within a minute and the last ones after days: on a linear scale one would see a step and nothing.
"""

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from msgspec import Struct

from control_plane.web.charts import HEIGHT, WIDTH
from control_plane.web.words import Words

UNIT_S: Final = 10.0
"""What is shorter is drawn at the left end."""
MARKS: Final = (
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
    timedelta(days=7),
    timedelta(days=30),
)
NEAR: Final = 9.0
"""Percent of the width that a mark must be away from the right end, so that words do not lie over each other."""
MAX_STEPS: Final = 300


class Mark(Struct, frozen=True, kw_only=True):
    """A moment on the scale, in percent of its width."""

    x: float
    label: str


class Curve(Struct, frozen=True, kw_only=True):
    """The line as the points of a polyline, the marks of the scale, and the same in words."""

    label: str
    points: str
    area: str
    marks: list[Mark]
    top: str
    ends: str
    summary: str


def curve_of(reached: Sequence[timedelta], sites: int, lasts: timedelta, words: Words) -> Curve:
    """The curve of sites that were there after `reached` (the fastest first), `lasts` after the change."""
    whole = max(lasts, *reached[-1:], timedelta(seconds=2 * UNIT_S))
    total = max(sites, len(reached))
    places = _steps([_x(after, whole) for after in reached], total)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    marks = [Mark(x=round(_x(mark, whole) / WIDTH * 100, 2), label=words.span(mark)) for mark in MARKS if mark < whole]
    there = words.number(len(reached))
    return Curve(
        label=words("change.curve"),
        points=line,
        area=f"0,{HEIGHT} {line} {places[-1][0]:.1f},{HEIGHT}",
        marks=[mark for mark in marks if mark.x < 100 - NEAR],
        top=words.count("change.curve.top", total),
        ends=words.span(whole),
        summary=words.count("change.progress", total, there=there),
    )


def _x(after: timedelta, whole: timedelta) -> float:
    share = math.log1p(after.total_seconds() / UNIT_S) / math.log1p(whole.total_seconds() / UNIT_S)
    return WIDTH * min(max(share, 0.0), 1.0)


def _steps(xs: Sequence[float], total: int) -> list[tuple[float, float]]:
    """A stair from nobody at the left to all that are there at the right; of many sites, not every step."""
    places = [(0.0, float(HEIGHT))]
    every = max(1, -(-len(xs) // MAX_STEPS))
    for count, x in enumerate(xs, 1):
        if count % every and count != len(xs):
            continue
        y = HEIGHT * (1 - count / total)
        places += [(x, places[-1][1]), (x, y)]
    return [*places, (float(WIDTH), places[-1][1])]
