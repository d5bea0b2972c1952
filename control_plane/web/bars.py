"""Counts by the hour as bars of an SVG, with the same counts as a table: pure."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from control_plane.store.activity import Hour
from control_plane.web.words import Words

HEIGHT: Final = 48
"""Of the drawing; a bar is one wide, with a gap of a fifth."""
LEAST: Final = 1.5
"""What is not nothing is seen."""


class Bar(Struct, frozen=True, kw_only=True):
    """One bar: where it stands, and what it says."""

    x: float
    y: float
    height: float
    text: str


class Bars(Struct, frozen=True, kw_only=True):
    """A row of bars, one an hour. `total` and `note` in words."""

    key: str
    label: str
    total: str
    note: str
    bars: list[Bar]
    width: int


class ActivityRow(Struct, frozen=True, kw_only=True):
    """An hour of the table."""

    at: datetime
    hour: str
    values: list[str]


class Activity(Struct, frozen=True, kw_only=True):
    """The last hours as rows of bars, and as a table, the newest hour first; hours without anything are left out."""

    bars: list[Bars]
    rows: list[ActivityRow]


def activity_of(hours: Sequence[Hour], words: Words) -> Activity:
    """Reports, changes and transfers of these hours."""
    downloads = sum(hour.downloads for hour in hours)
    return Activity(
        bars=[
            _bars("reports", [hour.reports for hour in hours], hours, words.number, words),
            _bars("changes", [hour.changes for hour in hours], hours, words.number, words),
            _bars(
                "transfers",
                [hour.download_bytes for hour in hours],
                hours,
                words.size,
                words,
                note=words.count("activity.downloads", downloads) if downloads else "",
            ),
        ],
        rows=[_row(hour, words) for hour in reversed(hours) if hour.reports or hour.changes or hour.downloads],
    )


def _row(hour: Hour, words: Words) -> ActivityRow:
    values = [words.number(hour.reports), words.number(hour.changes), words.size(hour.download_bytes)]
    return ActivityRow(at=hour.at, hour=words.hour(hour.at), values=values)


def _bars(
    key: str,
    values: Sequence[int],
    hours: Sequence[Hour],
    said: Callable[[int], str],
    words: Words,
    *,
    note: str = "",
) -> Bars:
    most = max(values, default=0)
    return Bars(
        key=key,
        label=words(f"activity.{key}"),
        total=said(sum(values)),
        note=note,
        bars=[
            _bar(place, value / most, f"{words.hour(hours[place].at)}{words('colon')}{said(value)}")
            for place, value in enumerate(values)
            if value
        ],
        width=len(values),
    )


def _bar(place: int, share: float, text: str) -> Bar:
    height = max(LEAST, HEIGHT * share)
    return Bar(x=place + 0.1, y=round(HEIGHT - height, 2), height=round(height, 2), text=text)
