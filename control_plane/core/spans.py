"""Conditions over time: each from when it came to a status and reason until it left them, in the order of the box."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from schemas.status import Condition, StatusReport, Transition

LATE: Final = timedelta(minutes=15)
"""Three reports: what is told so long after it happened is marked."""
_LEAST: Final = timedelta(microseconds=1)


class Span(Struct, frozen=True, kw_only=True):
    """A condition that was, or (without `until`) is so. Unless `certain`, `since` is the earliest; `late`: told so."""

    type: str
    status: str
    reason: str
    message: str
    since: datetime
    until: datetime | None = None
    certain: bool = True
    late: bool = False


def told(conditions: Iterable[Condition]) -> str:
    """Conditions in one word: two reports with the same one have the same statuses and reasons."""
    return " ".join(sorted(f"{c.type}={c.status}:{c.reason}" for c in conditions))


def follow(
    current: Mapping[str, Span], transitions: Sequence[Transition], report: StatusReport | None, now: datetime
) -> list[Span]:
    """The spans that end or begin with what a box told at `now`; `current` are those that go on, by type.

    First what happened since it was last heard, then what is (if the `report` is news). Nothing begins before what it
    follows, or later than now.
    """
    going, written = dict(current), {}
    said = [_of_transition(one, now) for one in transitions]
    said += [_of_condition(one, report, now) for one in report.conditions] if report is not None else []
    for new in said:
        old = going.get(new.type)
        if old is not None and (old.status, old.reason) == (new.status, new.reason):
            continue
        begun = new if old is None else _after(old, new, now)
        if old is not None:
            written[old.type, old.since] = replace(old, until=begun.since)
        going[new.type] = written[begun.type, begun.since] = begun
    return list(written.values())


def _after(old: Span, new: Span, now: datetime) -> Span:
    """`new` where it follows `old`: it began after that, if only by a moment, or when it was first seen."""
    if new.since > old.since:
        return new
    least = old.since + _LEAST
    return replace(new, since=least, certain=False) if new.late else replace(new, since=max(now, least))


def _of_transition(said: Transition, now: datetime) -> Span:
    return Span(
        type=said.type,
        status=said.status,
        reason=said.reason,
        message=said.message,
        since=min(said.at, now),
        certain=said.certain,
        late=now - said.at > LATE,
    )


def _of_condition(said: Condition, report: StatusReport, now: datetime) -> Span:
    """What holds now: since when the box says, if it has a clock."""
    believed = report.clock_synchronised and said.since <= now
    return Span(
        type=said.type,
        status=said.status,
        reason=said.reason,
        message=said.message[:300],
        since=said.since if believed else now,
        certain=believed,
    )
