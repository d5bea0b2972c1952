"""The fixtures of calendars, and the intervals in which they close a site's windows."""

from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo

from msgspec import Struct

Span = tuple[datetime, datetime]
"""From the first instant to the second, which is not part of it."""


class Calendar(Struct, frozen=True, gc=False):
    """`calendars/ID.ics`, read: every fixture up to `until` (UTC), of which it says nothing more after that.

    `fixed` are in UTC. `floating` are by the wall clock of each site (without a zone): all-day events, and those whose
    times name none.
    """

    fixed: tuple[Span, ...]
    floating: tuple[Span, ...]
    until: datetime


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same instants as sorted spans that neither overlap nor touch; empty ones are left out."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def busy_in(calendars: Iterable[Calendar], zone: tzinfo) -> tuple[list[Span], datetime | None]:
    """When some fixture is on for a site in this zone (UTC), and until when all of its calendars were read."""
    known = list(calendars)
    spans = [span for calendar in known for span in calendar.fixed]
    spans += [(in_utc(start, zone), in_utc(end, zone)) for calendar in known for start, end in calendar.floating]
    return merged(spans), min((calendar.until for calendar in known), default=None)


def in_utc(wall: datetime, zone: tzinfo) -> datetime:
    """The instant at which the wall clock of `zone` shows this, the first of two; as RFC 5545, 3.3.5 has it."""
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
