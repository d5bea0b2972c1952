"""Conditions over time: a stripe a condition, with the same as a table; pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from msgspec import Struct

from control_plane.web.charts import WIDTH, Span
from control_plane.web.words import Words, spaced
from schemas.memory import ConditionSpan

TABLE_ROWS: Final = 60
LEAST: Final = 1.0
"""What is short is seen."""
Tone = Literal["good", "busy", "bad", "unknown"]
ORDER: Final = ("Connected", "Synced", "Progressing", "Degraded", "ReleaseHealthy")
_BAD_WHEN: Final[Mapping[str, str]] = {
    "Synced": "False",
    "Degraded": "True",
    "Connected": "False",
    "ReleaseHealthy": "False",
}
_BUSY_WHEN: Final[Mapping[str, str]] = {"Progressing": "True"}


class Part(Struct, frozen=True, kw_only=True):
    """A condition as it was for a while; `late`: it was told when it was long past."""

    x: float
    width: float
    tone: Tone
    late: bool
    text: str


class Stripe(Struct, frozen=True, kw_only=True):
    """One condition over the span. `summary` in words: how much of the time it was how."""

    label: str
    summary: str
    parts: list[Part]


class Turn(Struct, frozen=True, kw_only=True):
    """A line of the table: the condition came to this status at `at`."""

    at: datetime
    at_text: str
    label: str
    status: str
    reason: str
    lasted: str
    tone: Tone


class Timeline(Struct, frozen=True, kw_only=True):
    """All conditions; `more` turns are not in the table."""

    stripes: list[Stripe]
    turns: list[Turn]
    more: int
    begins: str
    ends: str


def tone_of(kind: str, status: str) -> Tone:
    """Whether a condition of that status is good news."""
    if status == "Unknown":
        return "unknown"
    if _BAD_WHEN.get(kind) == status:
        return "bad"
    return "busy" if _BUSY_WHEN.get(kind) == status else "good"


def timeline_of(spans: Sequence[ConditionSpan], span: Span, now: datetime, words: Words) -> Timeline:
    """Conditions as they were within the span before `now`; `spans` the newest first."""
    begins = now - span.back
    by_type: dict[str, list[ConditionSpan]] = defaultdict(list)
    for one in spans:
        by_type[one.type].append(one)
    return Timeline(
        stripes=[_stripe(kind, by_type[kind], begins, now, words) for kind in ORDER if kind in by_type],
        turns=[_turn(one, now, words) for one in spans[:TABLE_ROWS]],
        more=max(0, len(spans) - TABLE_ROWS),
        begins=words.instant(begins),
        ends=words.instant(now),
    )


def _stripe(kind: str, spans: Sequence[ConditionSpan], begins: datetime, now: datetime, words: Words) -> Stripe:
    whole = (now - begins).total_seconds()
    parts, seconds = [], dict.fromkeys(("True", "False", "Unknown"), 0.0)
    for one in reversed(spans):
        first, last = max(one.since, begins), min(one.until or now, now)
        lasted = max(0.0, (last - first).total_seconds())
        seconds[one.status] += lasted
        x = WIDTH * (first - begins).total_seconds() / whole
        width = max(LEAST, WIDTH * lasted / whole)
        parts.append(
            Part(
                x=round(min(x, WIDTH - width), 2),
                width=round(width, 2),
                tone=tone_of(kind, one.status),
                late=one.late,
                text=f"{words(f'status.{one.status}')} · {_reason(one, words)} · {words.instant(one.since)}",
            )
        )
    shares = [
        f"{words(f'status.{status}')} {words('percent', n=words.decimal(100 * lasted / whole, 1))}"
        for status, lasted in seconds.items()
        if lasted > 0
    ]
    return Stripe(label=words(f"condition.{kind}"), summary=" · ".join(shares), parts=parts)


def _turn(one: ConditionSpan, now: datetime, words: Words) -> Turn:
    lasted = words.span((one.until or now) - one.since)
    return Turn(
        at=one.since,
        at_text=words.instant(one.since),
        label=words.known(f"condition.{one.type}", one.type),
        status=words(f"status.{one.status}"),
        reason=_reason(one, words),
        lasted=words("timeline.still", span=lasted) if one.until is None else lasted,
        tone=tone_of(one.type, one.status),
    )


def _reason(one: ConditionSpan, words: Words) -> str:
    return words.known(f"reason.{one.reason}", spaced(one.reason))
