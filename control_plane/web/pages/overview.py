"""The first page: how the fleet stands, what needs a person, what is under way, and what went on lately."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from control_plane.core.standing import OFFLINE_AFTER
from control_plane.core.versions import order
from control_plane.store import library, rollouts
from control_plane.store.pool import Connection, connection
from control_plane.store.views import Fleet, SiteView, running_release, standings
from control_plane.web.bars import Activity, activity_of
from control_plane.web.map_view import OverviewMap, overview_map, same_on_map
from control_plane.web.pages.alerts import FLEET_KINDS, AlertLine, alert_lines
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
from control_plane.web.present_rollouts import RolloutCard, card_of, gravest_first, rolled
from control_plane.web.visit import Room, Shown, Visit
from control_plane.web.words import Words
from schemas.reasons import REASONS

SHOWN_CHANGES: Final = 6
SHOWN_TROUBLES: Final = 12
SHOWN_ROLLOUTS: Final = 5
_TROUBLED: Final = ("Degraded", "Offline")


class Figure(Struct, frozen=True, kw_only=True):
    """A number of the fleet: what it is, where the sites are that it counts, and more of it."""

    key: str
    label: str
    value: str
    link: str = ""
    note: str = ""


class OverviewPage(Struct, frozen=True, kw_only=True):
    """The first page. `troubles`: sites that need a person, the gravest first; `more_troubles`: how many besides."""

    synced: str
    total: str
    bar: list[Segment]
    counts: list[StandingCount]
    figures: list[Figure]
    banners: list[Banner]
    troubles: list[SiteRow]
    more_troubles: int
    changes: list[ChangeRow]
    activity: Activity = Activity(bars=[], rows=[])
    alerts: list[AlertLine] = []
    rollouts: list[RolloutCard] = []
    more_rollouts: int = 0
    map: OverviewMap | None
    commit: str | None
    published_at: datetime | None
    published_ago: str
    empty: bool
    team: bool


async def show(room: Room, visit: Visit) -> Shown:
    """The first page; a tenant's people see their own sites and no commits, whose sentences may name others'."""
    tenant, words, look = visit.reader.tenant, visit.words, await room.lookout.fleet()
    lately = await room.lookout.lately(tenant, FLEET_KINDS)
    releases: Sequence[str] = ()
    opened: Sequence[RolloutCard] = ()
    if tenant is None:
        async with connection(room.pool) as conn:
            releases = await library.ids(conn, "releases")
            opened = await _rollouts(conn, look.read_at, words)

    def make() -> OverviewPage:
        fleet = visible_to(look, tenant)
        return overview(fleet, releases, _map_of(room, look, visit, fleet.sites), words, team=tenant is None)

    page = room.kept.of(look, ("overview", tenant, words.language, *releases), make)
    activity, told = activity_of(lately.hours, words), alert_lines(lately.alerts, look.read_at, words)
    more = max(0, len(opened) - SHOWN_ROLLOUTS)
    page = replace(page, activity=activity, alerts=told, rollouts=[*opened[:SHOWN_ROLLOUTS]], more_rollouts=more)
    return Shown("overview.html", page)


async def _rollouts(conn: Connection, now: datetime, words: Words) -> list[RolloutCard]:
    """Those that are open, what needs a person first; members are counted, not read."""
    counted = await rollouts.count_opened(conn)
    policies = await library.policies(conn) if counted else {}
    return [card_of(one, now, words) for one in gravest_first([rolled(one, policies, now) for one in counted])]


class _Drawn(NamedTuple):
    views: Sequence[SiteView]
    map: OverviewMap | None


def _map_of(room: Room, look: Fleet, visit: Visit, views: Sequence[SiteView]) -> OverviewMap | None:
    """The map of these sites: that of the look before, as long as it shows the same."""

    def make(before: _Drawn | None) -> _Drawn:
        if before is not None and same_on_map(before.views, views):
            return _Drawn(views, before.map)
        return _Drawn(views, overview_map(views, room.outlines, visit.words))

    return room.kept.renewed(look, ("overview map", visit.reader.tenant, visit.words.language), make).map


def overview(
    fleet: Fleet, releases: Sequence[str], map_: OverviewMap | None, words: Words, *, team: bool
) -> OverviewPage:
    """The page of this fleet, without what went on lately. `releases`: those in Git, if the reader may know them."""
    counts, published = standings(fleet.sites), fleet.published
    stands = {view.site: view.verdict.standing for view in fleet.sites}
    troubled = _troubled(fleet.sites)
    return OverviewPage(
        synced=words.number(counts["Synced"]),
        total=words.number(len(fleet.sites)),
        bar=standing_bar(counts, len(fleet.sites), words),
        counts=counted(counts, words),
        figures=list(_figures(fleet, counts, len(troubled), releases, words)) if fleet.sites else [],
        banners=list(banners(fleet, words)) if team else [],
        troubles=[site_row(view, fleet.read_at, words) for view in troubled[:SHOWN_TROUBLES]],
        more_troubles=max(0, len(troubled) - SHOWN_TROUBLES),
        changes=[change_row(c, stands, fleet.read_at, words) for c in fleet.changes[:SHOWN_CHANGES]] if team else [],
        map=map_,
        commit=short(published.revision) if published and team else None,
        published_at=published.published_at if published else None,
        published_ago=words.ago(published.published_at, fleet.read_at) if published else "",
        empty=not fleet.sites,
        team=team,
    )


def _figures(
    fleet: Fleet, counts: dict[str, int], troubled: int, releases: Sequence[str], words: Words
) -> Iterable[Figure]:
    heard = sum(_is_fresh(view, fleet.read_at) for view in fleet.sites)
    away = sum(view.verdict.reason == "Away" for view in fleet.sites)
    yield Figure(
        key="online",
        label=words("figure.online"),
        value=words.number(heard),
        note=words("figure.online.note", span=words.span(OFFLINE_AFTER)),
    )
    yield Figure(
        key="offline",
        label=words("figure.offline"),
        value=words.number(counts["Offline"]),
        link="/sites?standing=Offline" if counts["Offline"] else "",
        note=words.count("figure.offline.note", away) if away else "",
    )
    yield Figure(
        key="troubled",
        label=words("figure.troubled"),
        value=words.number(counts["Degraded"]),
        link="/sites?standing=Degraded" if counts["Degraded"] else "",
        note=words.count("figure.troubled.note", troubled) if troubled else words("overview.calm"),
    )
    running = [found.version for view in fleet.sites if (found := running_release(view))]
    wanted = {view.desired_release for view in fleet.sites if view.desired_release}
    if known := {*releases} or {*running, *wanted}:
        newest = max(known, key=order)
        there = words.number(running.count(newest))
        yield Figure(
            key="release",
            label=words("figure.release"),
            value=newest,
            link=f"/releases/{newest}" if releases else "",
            note=words.count("figure.release.note", len(fleet.sites), there=there),
        )


def _is_fresh(view: SiteView, now: datetime) -> bool:
    return view.received_at is not None and now - view.received_at <= OFFLINE_AFTER


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
