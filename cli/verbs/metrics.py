"""`neopro metrics`: what a box measured, over time."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from cli.checkout import Checkout
from cli.flags import Flag
from cli.output import Output

if TYPE_CHECKING:
    from schemas.memory import MetricsPoint


def metrics(
    site: str,
    /,
    *,
    hours: Annotated[int, Parameter(validator=Number(gte=1, lte=24 * 366 * 20))] = 24,
    points: Annotated[int, Parameter(validator=Number(gte=1, lte=2000))] = 24,
    repository: Path | None = None,
    json: Flag = False,
) -> None:
    """Show what a box measured, the oldest first: by the minute for a day, by the hour for 90 days, then by the day.

    Processor and memory are means, temperature, disk and restarts the highest of the time to the next line, the signal
    the lowest. A time of which nothing is known has no line.

    Examples:

    - `neopro metrics rennes-fc`
    - `neopro metrics rennes-fc --hours 2160 --points 90`
    - `neopro metrics rennes-fc --points 1440 --json`

    Parameters
    ----------
    site
        Its id.
    hours
        Of so many hours before now.
    points
        In at most so many lines.
    repository
        The checkout whose control plane is asked; without it, the one around the current folder.
    json
        Print them as JSON.
    """
    from cli.remote import Remote, find_target

    output = Output(json)
    with Remote(find_target(os.environ, Checkout.find_if_any(repository))) as remote:
        found = remote.metrics(site, hours, points)
    output.data(found)
    if not found:
        output.say(f"nothing is known of what {site} measured in that time")
        return
    columns = ("UTC", "CPU", "MEMORY", "HOTTEST", "DISK", "SIGNAL", "RESTARTS", "REMARKS")
    output.table(columns, [_row(point) for point in found])


def _row(point: "MetricsPoint") -> tuple[str, ...]:
    return (
        f"{point.at:%Y-%m-%d %H:%M}",
        _figure(point.cpu_percent, "%"),
        _figure(point.memory_percent, "%"),
        _figure(point.temperature_celsius, "°C"),
        _figure(point.disk_percent, "%"),
        _figure(point.signal_dbm, "dBm"),
        _figure(point.restarts, ""),
        ", ".join(_remarks(point)),
    )


def _figure(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.0f} {unit}".strip()


def _remarks(point: "MetricsPoint") -> Iterator[str]:
    if point.weak_power:
        yield "weak power"
    if point.slowed:
        yield "slowed down"
    if point.late_s:
        yield "told late"
    if point.unsure:
        yield "at the earliest: the box had no clock"
