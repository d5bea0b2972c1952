"""Figures over time as lines of an SVG, with the same figures as a table: pure."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from control_plane.web.words import Words
from schemas.memory import MetricsPoint

WIDTH: Final = 600
HEIGHT: Final = 120
TABLE_ROWS: Final = 24
"""A table has so many rows at most: each stands for several points."""


class Span(Struct, frozen=True, kw_only=True):
    """How far back: `key` in the address; in `points` points."""

    key: str
    back: timedelta
    points: int


SPANS: Final = (
    Span(key="24h", back=timedelta(hours=24), points=288),
    Span(key="7d", back=timedelta(days=7), points=336),
    Span(key="90d", back=timedelta(days=90), points=360),
)


class Choice(Struct, frozen=True, kw_only=True):
    """A span to choose."""

    label: str
    link: str
    chosen: bool


class Line(Struct, frozen=True, kw_only=True):
    """A part of a figure without a gap, as the points of a polyline; `late`: it was told when it was long past."""

    points: str
    late: bool


class Chart(Struct, frozen=True, kw_only=True):
    """One figure. `low` and `high` are the ends of its scale, `rows` the same as a table: when, and how much."""

    key: str
    label: str
    lines: list[Line]
    low: str
    high: str
    summary: str
    rows: list[tuple[str, str]]


class Charts(Struct, frozen=True, kw_only=True):
    """What a box measured over a span; empty charts are left out."""

    choices: list[Choice]
    charts: list[Chart]
    begins: str
    ends: str


class _Figure(Struct, frozen=True):
    key: str
    of: Callable[[MetricsPoint], float | None]
    unit: str
    low: float
    high: float


_FIGURES: Final = (
    _Figure("cpu", lambda point: point.cpu_percent, "%", 0, 100),
    _Figure("memory", lambda point: point.memory_percent, "%", 0, 100),
    _Figure("temperature", lambda point: point.temperature_celsius, "°C", 20, 90),
    _Figure("disk", lambda point: point.disk_percent, "%", 0, 100),
)


def span_of(asked: str) -> Span:
    """The span that the address names; a day if it names none."""
    return next((span for span in SPANS if span.key == asked), SPANS[0])


def charts(points: Sequence[MetricsPoint], span: Span, now: datetime, words: Words) -> Charts:
    """The charts of these points, which lie within the span before `now`."""
    begins = now - span.back
    made = [_chart(figure, points, begins, span, words) for figure in _FIGURES]
    return Charts(
        choices=[
            Choice(label=words(f"chart.{one.key}"), link=f"?span={one.key}#charts", chosen=one == span) for one in SPANS
        ],
        charts=[chart for chart in made if chart is not None],
        begins=words.instant(begins),
        ends=words.instant(now),
    )


def _chart(figure: _Figure, points: Sequence[MetricsPoint], begins: datetime, span: Span, words: Words) -> Chart | None:
    known = [(point, value) for point in points if (value := figure.of(point)) is not None]
    if not known:
        return None
    values = [value for _, value in known]
    said = [_said(value, figure, words) for value in (min(values), sum(values) / len(values), max(values))]
    return Chart(
        key=figure.key,
        label=words(f"metric.{figure.key}"),
        lines=list(_lines(known, figure, begins, span)),
        low=_said(figure.low, figure, words),
        high=_said(figure.high, figure, words),
        summary=words("chart.summary", low=said[0], mean=said[1], high=said[2], last=_said(values[-1], figure, words)),
        rows=[
            (words.instant(point.at), _said(value, figure, words))
            for point, value in known[:: max(1, -(-len(known) // TABLE_ROWS))]
        ],
    )


def _lines(
    known: Sequence[tuple[MetricsPoint, float]], figure: _Figure, begins: datetime, span: Span
) -> Iterator[Line]:
    """A line ends where something is missing for three points, or where what was told late begins or ends."""
    gap = 3 * span.back / span.points
    part: list[tuple[MetricsPoint, float]] = []
    for point, value in known:
        if part and (point.at - part[-1][0].at > gap or _late(point) != _late(part[-1][0])):
            yield _line(part, figure, begins, span)
            part = []
        part.append((point, value))
    if part:
        yield _line(part, figure, begins, span)


def _late(point: MetricsPoint) -> bool:
    return point.late_s * 2 > point.measured_s


def _line(part: Sequence[tuple[MetricsPoint, float]], figure: _Figure, begins: datetime, span: Span) -> Line:
    places = [(_x(point.at, begins, span), _y(value, figure)) for point, value in part]
    if len(places) == 1:
        places.append((places[0][0] + 1, places[0][1]))  # a line of one point would not be seen
    return Line(points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places), late=_late(part[0][0]))


def _x(at: datetime, begins: datetime, span: Span) -> float:
    return WIDTH * min(max((at - begins) / span.back, 0.0), 1.0)


def _y(value: float, figure: _Figure) -> float:
    return HEIGHT * (1 - min(max((value - figure.low) / (figure.high - figure.low), 0.0), 1.0))


def _said(value: float, figure: _Figure, words: Words) -> str:
    number = words.decimal(value, 0)
    return words("percent", n=number) if figure.unit == "%" else f"{number} {figure.unit}"
