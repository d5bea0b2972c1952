"""Rollouts in words: how far each has come, what it waits for, and what a person can do about one that halted; pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from control_plane.core.rollout import Member, Rollout, percent, reach
from control_plane.core.rollout_cause import why
from control_plane.core.rollout_info import info_of, turn_of
from control_plane.core.rollout_trailer import resuming
from control_plane.store.rollouts import Counted, Placed, SiteRollout
from control_plane.web.present import Segment
from control_plane.web.table import Cell
from control_plane.web.words import Words
from schemas.api import Standing
from schemas.desired import RolloutPolicy
from schemas.names import DocumentId, Percent, SiteId, duration_s
from schemas.rollouts import RolloutInfo, RolloutKind

State = Literal["rolling", "overdue", "halted", "rolled_back", "done", "superseded"]
_SIGNS: Final[Mapping[State, tuple[Standing, str]]] = {
    "halted": ("Degraded", "halted"),
    "rolled_back": ("Degraded", "back"),
    "overdue": ("Offline", "clock"),
    "rolling": ("Progressing", "Progressing"),
    "done": ("Synced", "Synced"),
    "superseded": ("Retired", "Retired"),
}
"""The colour and the icon of each, the gravest first."""
GRAVITY: Final = (*_SIGNS,)
Kept = Literal["well", "failed", "pending", "waiting"]
_KEPT: Final[Mapping[Kept, tuple[Standing, str]]] = {
    "well": ("Synced", "Synced"),
    "failed": ("Degraded", "Degraded"),
    "pending": ("Progressing", "clock"),
    "waiting": ("Unknown", "Suspended"),
}
"""How sites of a rollout do, in the order of its bar."""
_TONES: Final[Mapping[Kept, str]] = {"well": "good", "failed": "bad", "pending": "busy", "waiting": "quiet"}


class Sign(Struct, frozen=True, kw_only=True):
    """A state by colour, icon and word."""

    standing: Standing
    icon: str
    word: str


class Way(Struct, frozen=True, kw_only=True):
    """Something that a person can do; `line`: what a commit message must hold for it."""

    text: str
    line: str = ""


class RolloutCard(Struct, frozen=True, kw_only=True):
    """A rollout at a glance. `edges`: where one wave ends and the next begins, in percent of the bar.

    `said`: what it waits for; `why`: of a halt or an end.
    """

    link: str
    title: str
    state: State
    sign: Sign
    wave: str
    has: str
    bar: list[Segment]
    edges: list[float]
    tallies: list[Sign]
    policy: str
    at: datetime
    ago: str
    said: str
    why: str
    ways: list[Way]


class WaveRow(NamedTuple):
    """A wave: how many sites it lets in, how those do, and since when they have it; None: it is to come."""

    number: int
    share: str
    sites: int
    counts: Mapping[Kept, int]
    since: datetime | None


class Beside(Struct, frozen=True, kw_only=True):
    """What stands beside the release or agent of a site that is part of a rollout."""

    text: str
    link: str = ""


class Rolled(NamedTuple):
    """A rollout by its figures, and its policy as it is published, if it still is."""

    counted: Counted
    info: RolloutInfo
    policy: RolloutPolicy | None


def rolled(counted: Counted, policies: Mapping[DocumentId, RolloutPolicy], now: datetime) -> Rolled:
    """What can be said of a rollout whose members were counted."""
    policy = policies.get(counted.rollout.policy)
    return Rolled(counted, info_of(counted.rollout, policy, now, counted.counts), policy)


def state_of(info: RolloutInfo) -> State:
    """Its phase, or that it is late."""
    return "overdue" if info.overdue else info.phase


def sign_of(state: State, words: Words) -> Sign:
    """A state as people see it."""
    standing, icon = _SIGNS[state]
    return Sign(standing=standing, icon=icon, word=words(f"rollout.{state}"))


def title_of(info: RolloutInfo, words: Words) -> str:
    """`Release 2.2.0`."""
    return words(f"rollout.{info.kind}", version=info.version)


def card_of(one: Rolled, now: datetime, words: Words) -> RolloutCard:
    """A rollout at a glance."""
    info, state = one.info, state_of(one.info)
    at = info.ended_at or info.started_at
    return RolloutCard(
        link=f"/rollouts/{info.number}",
        title=title_of(info, words),
        state=state,
        sign=sign_of(state, words),
        wave=wave_text(info, words),
        has=has_text(info, words),
        bar=bar_of(one, words),
        edges=_edges(one),
        tallies=[_tally(kept, info, words) for kept in _KEPT if getattr(info, kept)],
        policy=info.policy,
        at=at,
        ago=words("rollout.ended" if info.ended_at else "rollout.began", ago=words.ago(at, now)),
        said=_said(one, state, now, words),
        why=why(info.cause, words.language),
        ways=list(_ways(info, state, words)),
    )


def wave_text(info: RolloutInfo, words: Words) -> str:
    """`Wave 2 of 5`."""
    if not info.shares:
        return words("rollout.wave", wave=info.wave)
    return words("rollout.wave.of", wave=info.wave, waves=len(info.shares))


def has_text(info: RolloutInfo, words: Words) -> str:
    """`12 of 40 sites have it`."""
    return words.count("rollout.has", info.sites - info.waiting, sites=words.number(info.sites))


def share(text: Percent, words: Words) -> str:
    """`95%` in the reader's language."""
    return words("percent", n=percent(text))


def _tally(kept: Kept, info: RolloutInfo, words: Words) -> Sign:
    standing, icon = _KEPT[kept]
    return Sign(standing=standing, icon=icon, word=words.count(f"rollout.{kept}", getattr(info, kept)))


def bar_of(one: Rolled, words: Words) -> list[Segment]:
    """Its sites, wave by wave, and those that wait at the end."""
    found, start, sites = [], 0.0, one.info.sites
    for row in (*_let_in(one.counted), _waiting(one)):
        for kept in _KEPT:
            if not (count := row.counts.get(kept, 0)):
                continue
            width = 100 * count / sites
            said = words.count(f"rollout.{kept}", count)
            text = said if kept == "waiting" else words("rollout.wave", wave=row.number) + words("colon") + said
            found.append(Segment(standing=_KEPT[kept][0], start=round(start, 3), width=round(width, 3), text=text))
            start += width
    return found


def _edges(one: Rolled) -> list[float]:
    rows, start, found = waves_of(one), 0, []
    for row in rows[:-1]:
        start += row.sites
        if row.sites and start < one.info.sites:
            found.append(round(100 * start / one.info.sites, 3))
    return found


def _let_in(counted: Counted) -> Iterator[WaveRow]:
    """The waves that let somebody in."""
    known = {tally.wave for tally in counted.tallies if tally.wave is not None}
    for wave in sorted(known):
        own = [tally for tally in counted.tallies if tally.wave == wave]
        counts: dict[Kept, int] = {tally.outcome: tally.sites for tally in own}
        since = min((tally.since for tally in own if tally.since is not None), default=None)
        yield WaveRow(wave + 1, "", sum(counts.values()), counts, since)


def _waiting(one: Rolled) -> WaveRow:
    return WaveRow(0, "", one.info.waiting, {"waiting": one.info.waiting}, None)


def waves_of(one: Rolled) -> list[WaveRow]:
    """Every wave of the policy, as it went or is to go, by the number of sites that there are now."""
    there = {row.number: row for row in _let_in(one.counted)}
    if not one.info.shares:
        return [*there.values()]
    found, reached = [], 0
    for number, until in enumerate(one.info.shares, start=1):
        if number in there:
            row = there[number]._replace(share=until)
        elif number <= one.info.wave and there:
            row = WaveRow(number, until, 0, {}, None)
        else:
            row = _to_come(number, until, max(0, reach(one.info.sites, until) - reached))
        reached += row.sites
        found.append(row)
    return found


def _to_come(number: int, share: str, sites: int) -> WaveRow:
    return WaveRow(number, share, sites, {"waiting": sites}, None)


def _said(one: Rolled, state: State, now: datetime, words: Words) -> str:
    """What it waits for, or what came of it for those that had it."""
    info, policy = one.info, one.policy
    if state == "rolling" and info.next_at is not None:
        how = "due" if info.next_at <= now else "next" if info.waiting else "last"
        return words(f"rollout.{how}", instant=words.instant(info.next_at))
    if state == "rolling" and policy is not None:
        soak = words.span(timedelta(seconds=duration_s(policy.soak)))
        asked = {"quorum": share(policy.quorum, words), "success": share(policy.success, words)}
        return words("rollout.needs", soak=soak, **asked)
    if state == "overdue" and policy is not None:
        deadline = words.span(timedelta(seconds=duration_s(policy.deadline)))
        return words("rollout.overdue.said", span=words.span(now - info.wave_at), deadline=deadline)
    return words.known(f"rollout.{state}.said", "")


def _ways(info: RolloutInfo, state: State, words: Words) -> Iterator[Way]:
    if state in ("halted", "rolled_back"):
        yield Way(text=words(f"rollout.{state}.resume"), line=resuming(info.kind, info.version))
        yield Way(text=words("rollout.fix"))
        yield Way(text=words("rollout.revert"))


def rollout_facts(
    found: Sequence[Counted], policies: Mapping[DocumentId, RolloutPolicy], now: datetime, words: Words
) -> list[tuple[str, Cell]]:
    """Of what is rolled out on other pages: how far it has come, and where more of it is."""
    return [(words("rollout"), _line(rolled(one, policies, now), words)) for one in found]


def _line(one: Rolled, words: Words) -> Cell:
    state = sign_of(state_of(one.info), words).word
    text = " · ".join((state, wave_text(one.info, words), has_text(one.info, words)))
    note = f"{title_of(one.info, words)} · {one.info.policy}"
    return Cell(text=text, link=f"/rollouts/{one.info.number}", note=note)


def gravest_first(found: Sequence[Rolled]) -> list[Rolled]:
    """What needs a person first."""
    return sorted(found, key=lambda one: (GRAVITY.index(state_of(one.info)), one.info.number))


# -- its sites ---------------------------------------------------------------------------------------------------


def site_cells(placed: Placed, one: Rolled, names: Mapping[SiteId, str], words: Words) -> list[Cell]:
    """A line of the table of sites: place, wave, how it does and why, since when, and what it had before."""
    member, site = placed.member, placed.site
    wave = _wave_of(member, one.counted.rollout, placed.ahead, one.info)
    kept: Kept = "waiting" if member.wave is None else member.outcome
    return [
        Cell(text=names.get(site, site), link=f"/sites/{site}"),
        Cell(text=words.number(placed.ahead + 1)),
        Cell(text=words.number(wave) if wave else "—"),
        _outcome(placed, one.info, kept, words),
        Cell(text=words.instant(member.let_in_at), at=member.let_in_at) if member.let_in_at else Cell(text="—"),
        Cell(text=member.before or words("rollout.no_way_back")),
    ]


def _wave_of(member: Member, rollout: Rollout, ahead: int, info: RolloutInfo) -> int | None:
    """With which it got it, or is to get it."""
    return member.wave + 1 if member.wave is not None else turn_of(rollout, ahead, info.sites, info.shares)


def _outcome(placed: Placed, info: RolloutInfo, kept: Kept, words: Words) -> Cell:
    member = placed.member
    if info.phase == "rolled_back" and member.before is None:
        return Cell(text=words("rollout.site.stays"), tone="quiet")
    if info.phase == "rolled_back":
        failed = member.outcome == "failed"
        word, tone = words("rollout.site.failed_back" if failed else "rollout.site.back"), "bad" if failed else "quiet"
        return Cell(text=word, note=member.why if failed else "", tone=tone)
    if kept == "waiting" and info.ended_at is not None:
        return Cell(text=words("rollout.site.never"), tone="quiet")
    word = words(f"rollout.site.{kept}") + (f" · {words('rollout.excused')}" if member.excused else "")
    return Cell(text=word, note="" if kept in ("well", "waiting") else member.why, tone=_TONES[kept])


def besides(
    found: Sequence[SiteRollout], policies: Mapping[DocumentId, RolloutPolicy], words: Words, *, team: bool
) -> dict[RolloutKind, Beside]:
    """What is said beside a site's release and agent. A tenant's people are not told of waves: whose turn it is tells
    that there are other sites."""
    if not team:
        return {one.rollout.kind: Beside(text=_own(one, words)) for one in found}
    return {one.rollout.kind: _beside(one, policies.get(one.rollout.policy), words) for one in found}


def _own(one: SiteRollout, words: Words) -> str:
    return words(f"beside.{_how(one)}.own", version=one.rollout.version)


def _beside(one: SiteRollout, policy: RolloutPolicy | None, words: Words) -> Beside:
    info = info_of(one.rollout, policy, one.rollout.wave_at, {"waiting": one.sites})
    wave = _wave_of(one.member, one.rollout, one.ahead, info)
    since = words.instant(one.member.let_in_at) if one.member.let_in_at else ""
    values = {"number": info.number, "wave": wave or "—", "waves": len(info.shares) or "—", "since": since}
    return Beside(text=words(f"beside.{_how(one)}", version=info.version, **values), link=f"/rollouts/{info.number}")


def _how(one: SiteRollout) -> str:
    if one.member.wave is not None:
        return "has"
    if one.member.before is None:
        return "stays"
    return {"halted": "halted", "rolled_back": "back"}.get(one.rollout.phase, "comes")
