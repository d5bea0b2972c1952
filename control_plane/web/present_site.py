"""A site's own page: what the templates show of it; pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from control_plane.store.views import SiteView
from control_plane.web.present import SiteRow, fact, site_row
from control_plane.web.present_club import club_rows, club_told
from control_plane.web.timeline import Tone, tone_of
from control_plane.web.words import Words, spaced
from schemas.api import ClubState
from schemas.status import Condition, Difference, Event, Link, Metrics, Waiting

FACTS: Final = ("club", "city", "region", "country", "sports", "groups", "hardware", "timezone", "tenant")
WEAK_SIGNAL_DBM: Final = -75


class Labelled(NamedTuple):
    """A term and its description."""

    label: str
    text: str


class ConditionRow(Struct, frozen=True, kw_only=True):
    """A condition in words; `tone` says whether it is good news."""

    label: str
    status: str
    reason: str
    message: str
    since: datetime
    since_text: str
    tone: Tone


class WaitingRow(Struct, frozen=True, kw_only=True):
    """A step that waits."""

    step: str
    reason: str
    message: str
    until: str


class DifferenceRow(Struct, frozen=True, kw_only=True):
    """Something that is not as desired."""

    kind: str
    what: str
    desired: str
    observed: str


class Meter(Struct, frozen=True, kw_only=True):
    """A measurement; `percent` when it has a whole, `high` when it needs a look."""

    label: str
    text: str
    percent: float | None = None
    high: bool = False


class EventRow(Struct, frozen=True, kw_only=True):
    """Something that happened."""

    at: datetime
    at_text: str
    severity: Literal["info", "warning", "error"]
    severity_word: str
    reason: str
    message: str


class SitePage(Struct, frozen=True, kw_only=True):
    """A site's page. `old`: a sentence, when what the box said may be out of date."""

    row: SiteRow
    facts: list[Labelled]
    conditions: list[ConditionRow]
    old: str
    differences: list[DifferenceRow]
    waiting: list[WaitingRow]
    meters: list[Meter]
    events: list[EventRow]
    reported: bool
    club: list[Labelled]
    club_told: str


def site_page(view: SiteView, events: Sequence[Event], club: ClubState | None, now: datetime, words: Words) -> SitePage:
    """The page of this site."""
    said = view.report
    old = said is not None and view.verdict.standing in {"Offline", "Suspended", "Retired", "Unknown"}
    return SitePage(
        row=site_row(view, now, words),
        facts=[*facts_of(view, words)],
        conditions=[_condition(condition, words) for condition in (said.conditions if said else ())],
        old=words("site.conditions.old", ago=words.ago(view.received_at, now)) if old and view.received_at else "",
        differences=[_difference(difference, words) for difference in _differences(view)],
        waiting=[_waiting(step, words) for step in (said.waiting if said else ())],
        meters=list(_meters(said.metrics, words)) if said else [],
        events=[_event(event, words) for event in events],
        reported=said is not None,
        club=[Labelled(*row) for row in club_rows(club.club, words)] if club else [],
        club_told=club_told(club, now, words) if club else "",
    )


def facts_of(view: SiteView, words: Words) -> Iterable[Labelled]:
    """Where the site is, what it is, and whom to call about it."""
    for key in FACTS:
        if text := fact(view, key):
            yield Labelled(words(f"fact.{key}"), text)
    labels: dict[str, Any] = view.facts.get("labels") or {}
    if labels:
        yield Labelled(words("fact.labels"), ", ".join(f"{key} {text}" for key, text in sorted(labels.items())))
    contact: dict[str, Any] = view.facts.get("contact") or {}
    if contact:
        said = [str(contact[key]) for key in ("name", "phone", "email") if contact.get(key)]
        yield Labelled(words("fact.contact"), " · ".join(said))


def _condition(condition: Condition, words: Words) -> ConditionRow:
    return ConditionRow(
        label=words.known(f"condition.{condition.type}", condition.type),
        status=words(f"status.{condition.status}"),
        reason=words.known(f"reason.{condition.reason}", spaced(condition.reason)),
        message=condition.message,
        since=condition.since,
        since_text=words("site.since", instant=words.instant(condition.since)),
        tone=tone_of(condition.type, condition.status),
    )


def _differences(view: SiteView) -> Iterable[Difference]:
    """What the box said, and a release that it does not run though it is no longer trying to."""
    said = view.report
    if said is None:
        return
    running = said.release.version if said.release else ""
    if view.desired_release and running != view.desired_release and all(d.kind != "release" for d in said.differences):
        yield Difference(kind="release", what="release", desired=view.desired_release, observed=running)
    yield from said.differences


def _difference(difference: Difference, words: Words) -> DifferenceRow:
    return DifferenceRow(
        kind=words(f"kind.{difference.kind}"),
        what=difference.what,
        desired=difference.desired,
        observed=difference.observed,
    )


def _waiting(step: Waiting, words: Words) -> WaitingRow:
    return WaitingRow(
        step=step.step,
        reason=words.known(f"reason.{step.reason}", spaced(step.reason)),
        message=step.message,
        until=words("site.until", instant=words.instant(step.until)) if step.until else "",
    )


def _meters(metrics: Metrics, words: Words) -> Iterable[Meter]:
    if metrics.cpu_percent is not None:
        # Of one moment: a busy one is no trouble.
        yield replace(_share(words("metric.cpu"), metrics.cpu_percent, "", words), high=False)
    if metrics.memory_percent is not None:
        yield _share(words("metric.memory"), metrics.memory_percent, "", words)
    if metrics.disk_total_bytes and metrics.disk_free_bytes is not None:
        used = 100 * (1 - metrics.disk_free_bytes / metrics.disk_total_bytes)
        free, total = words.size(metrics.disk_free_bytes), words.size(metrics.disk_total_bytes)
        yield _share(words("metric.disk"), used, words("metric.disk.free", free=free, total=total), words)
    if metrics.temperature_celsius is not None:
        degrees = metrics.temperature_celsius
        yield Meter(label=words("metric.temperature"), text=f"{words.decimal(degrees)} °C", high=degrees >= 75)
    yield from _power(metrics, words)
    if metrics.link is not None:
        yield _link(metrics.link, words)
    if metrics.service_restarts:
        found = [f"{unit} {count}" for unit, count in sorted(metrics.service_restarts.items()) if count]
        if found:
            yield Meter(label=words("metric.restarts"), text=" · ".join(found)[:200], high=True)
    if metrics.uptime_s is not None:
        started = words.span(timedelta(seconds=min(metrics.uptime_s, 10**9)))
        yield Meter(label=words("metric.uptime"), text=started)
    if metrics.agent_memory_bytes is not None:
        yield Meter(label=words("metric.agent"), text=words.size(metrics.agent_memory_bytes))


def _power(metrics: Metrics, words: Words) -> Iterable[Meter]:
    """Most boxes that misbehave have a weak power supply: it is said as such."""
    if metrics.strain is None:
        return
    weak, past = "under_voltage" in metrics.strain, "under_voltage" in (metrics.past_strain or ())
    said = "weak" if weak else "past" if past else "good"
    yield Meter(label=words("metric.power"), text=words(f"metric.power.{said}"), high=weak or past)
    if {"throttled", "frequency_capped", "soft_temperature_limit"} & {*metrics.strain}:
        yield Meter(label=words("metric.throttled"), text=words("metric.throttled.now"), high=True)


def _link(link: Link, words: Words) -> Meter:
    more = ""
    if link.signal_dbm is not None:
        more = f" · {link.signal_dbm} dBm"
    elif link.speed_mbit is not None:
        more = f" · {link.speed_mbit} Mbit/s"
    weak = link.signal_dbm is not None and link.signal_dbm <= WEAK_SIGNAL_DBM
    return Meter(label=words("metric.link"), text=words(f"metric.link.{link.kind}") + more, high=weak)


def _share(label: str, percent: float, text: str, words: Words) -> Meter:
    bounded = min(max(percent, 0.0), 100.0)
    said = text or words("percent", n=words.decimal(bounded, 0))
    return Meter(label=label, text=said, percent=round(bounded, 1), high=bounded >= 90)


def _event(event: Event, words: Words) -> EventRow:
    return EventRow(
        at=event.at,
        at_text=words.instant(event.at),
        severity=event.severity,
        severity_word=words(f"severity.{event.severity}"),
        reason=words.known(f"reason.{event.reason}", spaced(event.reason)),
        message=event.message,
    )
