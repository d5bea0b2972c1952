"""The first page: how the fleet stands, what needs a person, and what is under way."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from control_plane.store.views import Fleet, SiteView, standings
from control_plane.web.present import (
    Banner,
    ChangeRow,
    Segment,
    SiteRow,
    StandingCount,
    banners,
    change_row,
    counted,
    short,
    site_row,
    standing_bar,
    visible_to,
)
from control_plane.web.visit import Room, Shown, Visit
from control_plane.web.words import Words
from schemas.reasons import REASONS

SHOWN_CHANGES: Final = 6
SHOWN_TROUBLES: Final = 12
_TROUBLED: Final = ("Degraded", "Offline")


class OverviewPage(Struct, frozen=True, kw_only=True):
    """The first page. `troubles`: sites that need a person, the gravest first; `more_troubles`: how many besides."""

    synced: str
    total: str
    bar: list[Segment]
    counts: list[StandingCount]
    banners: list[Banner]
    troubles: list[SiteRow]
    more_troubles: int
    changes: list[ChangeRow]
    commit: str | None
    published_at: datetime | None
    published_ago: str
    empty: bool
    team: bool


async def show(room: Room, visit: Visit) -> Shown:
    """The first page; a tenant's people see their own sites and no commits, whose sentences may name others'."""
    fleet = visible_to(await room.lookout.fleet(), visit.reader.tenant)
    return Shown("overview.html", overview(fleet, visit.words, team=visit.reader.tenant is None))


def overview(fleet: Fleet, words: Words, *, team: bool) -> OverviewPage:
    """The page of this fleet."""
    counts, published = standings(fleet.sites), fleet.published
    stands = {view.site: view.verdict.standing for view in fleet.sites}
    troubled = _troubled(fleet.sites)
    return OverviewPage(
        synced=words.number(counts["Synced"]),
        total=words.number(len(fleet.sites)),
        bar=standing_bar(counts, len(fleet.sites), words),
        counts=counted(counts, words),
        banners=list(banners(fleet, words)) if team else [],
        troubles=[site_row(view, fleet.read_at, words) for view in troubled[:SHOWN_TROUBLES]],
        more_troubles=max(0, len(troubled) - SHOWN_TROUBLES),
        changes=[change_row(c, stands, fleet.read_at, words) for c in fleet.changes[:SHOWN_CHANGES]] if team else [],
        commit=short(published.revision) if published and team else None,
        published_at=published.published_at if published else None,
        published_ago=words.ago(published.published_at, fleet.read_at) if published else "",
        empty=not fleet.sites,
        team=team,
    )


def _troubled(views: Sequence[SiteView]) -> list[SiteView]:
    """What a person has to look at: trouble that stays, then silence, then the rest; the longest silent first."""
    found = [view for view in views if _is_troubled(view)]
    return sorted(found, key=_gravity)


def _is_troubled(view: SiteView) -> bool:
    troubled = view.verdict.standing in _TROUBLED and view.verdict.reason != "Away"
    return troubled or _waits_for_a_person(view)


def _waits_for_a_person(view: SiteView) -> bool:
    meaning = REASONS.get(view.verdict.reason)
    planned = view.verdict.reason in ("NoIdentity", "NeverReported")
    return meaning is not None and meaning.person and not planned


def _gravity(view: SiteView) -> tuple[bool, bool, float, str]:
    silent_since = view.received_at.timestamp() if view.received_at else 0.0
    offline = view.verdict.standing == "Offline"
    return (not _waits_for_a_person(view), offline, silent_since if offline else 0.0, view.name.casefold())
