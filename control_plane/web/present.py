"""From what was read to what the templates show: pure, every text in the reader's language."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from msgspec import Struct

from control_plane.store.views import STANDINGS, Fleet, SiteView, running_release, standings
from control_plane.web.words import Words, spaced
from schemas.api import Change, Standing
from schemas.names import SiteId

PAGE_SITES: Final = 100
SHOWN_CHANGES: Final = 6
SHOWN_PROBLEMS: Final = 50
# Nobody waits for these: a change that only they have not reached is not under way.
_UNREACHABLE: Final = frozenset({"Offline", "Unknown", "Suspended", "Retired"})


class Query(Struct, frozen=True, kw_only=True):
    """What the reader filters by; `page` counts from 1."""

    standing: str = ""
    text: str = ""
    page: int = 1


class Segment(Struct, frozen=True, kw_only=True):
    """A part of a bar, in percent of its width."""

    standing: Standing
    start: float
    width: float
    text: str


class StandingCount(Struct, frozen=True, kw_only=True):
    """How many sites stand so."""

    standing: Standing
    word: str
    count: str
    some: bool


class ReleaseCell(Struct, frozen=True, kw_only=True):
    """The release that runs and, when it is another, the one that is desired."""

    observed: str
    desired: str | None = None


class SiteRow(Struct, frozen=True, kw_only=True):
    """A line of the table."""

    site: str
    name: str
    place: str
    standing: Standing
    word: str
    why: str
    why_by_box: bool
    release: ReleaseCell
    commit: str
    reported_at: datetime | None
    ago: str


class ChangeRow(Struct, frozen=True, kw_only=True):
    """A commit and how far it got."""

    commit: str
    subject: str
    author: str
    at: datetime
    ago: str
    state: Literal["underway", "waiting", "troubled", "done", "refused", "held", "nothing"]
    progress: str
    left: list[str]
    bar: list[Segment]
    problems: list[str]
    more_problems: int
    errors: bool


class Banner(Struct, frozen=True, kw_only=True):
    """Something that the whole fleet's people must know."""

    kind: Literal["remote", "refused", "held"]
    title: str
    text: str
    problems: Sequence[str] = ()
    more_problems: int = 0


class FleetPage(Struct, frozen=True, kw_only=True):
    """The first page."""

    synced: str
    total: str
    bar: list[Segment]
    counts: list[StandingCount]
    banners: list[Banner]
    changes: list[ChangeRow]
    commit: str | None
    published_at: datetime | None
    published_ago: str
    rows: list[SiteRow]
    matching: int
    all: int
    query: Query
    pages: int


def fleet_page(fleet: Fleet, query: Query, words: Words) -> FleetPage:
    """The first page of this fleet, filtered."""
    counts = standings(fleet.sites)
    wanted = sorted((v for v in fleet.sites if _matches(v, query)), key=_attention)
    stands = {view.site: view.verdict.standing for view in fleet.sites}
    pages = max(1, -(-len(wanted) // PAGE_SITES))
    page = min(max(1, query.page), pages)
    shown = wanted[(page - 1) * PAGE_SITES : page * PAGE_SITES]
    published = fleet.published
    return FleetPage(
        synced=words.number(counts["Synced"]),
        total=words.number(len(fleet.sites)),
        bar=_bar(counts, len(fleet.sites), words),
        counts=[
            StandingCount(standing=s, word=words(f"standing.{s}"), count=words.number(counts[s]), some=counts[s] > 0)
            for s in STANDINGS
        ],
        banners=list(_banners(fleet, words)),
        changes=[change_row(c, stands, fleet.read_at, words) for c in fleet.changes[:SHOWN_CHANGES]],
        commit=short(published.revision) if published else None,
        published_at=published.published_at if published else None,
        published_ago=words.ago(published.published_at, fleet.read_at) if published else "",
        rows=[site_row(view, fleet.read_at, words) for view in shown],
        matching=len(wanted),
        all=len(fleet.sites),
        query=Query(standing=query.standing, text=query.text, page=page),
        pages=pages,
    )


def site_row(view: SiteView, now: datetime, words: Words) -> SiteRow:
    """One site as a line."""
    return SiteRow(
        site=view.site,
        name=view.name,
        place=" · ".join(text for key in ("club", "city") if (text := fact(view, key)) and text != view.name),
        standing=view.verdict.standing,
        word=words(f"standing.{view.verdict.standing}"),
        why=why(view, now, words),
        why_by_box=view.verdict.by_box,
        release=release_cell(view),
        commit=short(view.commit),
        reported_at=view.received_at,
        ago=words.ago(view.received_at, now) if view.received_at else words("never"),
    )


def why(view: SiteView, now: datetime, words: Words) -> str:
    """The reason for a standing: the server's in the reader's language, a box's as the box wrote it."""
    verdict = view.verdict
    if verdict.by_box:
        return verdict.message or words.known(f"reason.{verdict.reason}", spaced(verdict.reason))
    silence = words.span(now - view.received_at) if view.received_at else ""
    return words(f"why.{verdict.reason}", silence=silence, news=words.span(now - view.published_at))


def release_cell(view: SiteView) -> ReleaseCell:
    """What runs, by the last report, and what is to run when that differs."""
    running = running_release(view)
    observed = running.version if running else "—"
    if view.desired_release is None or (running and running.version == view.desired_release):
        return ReleaseCell(observed=observed)
    return ReleaseCell(observed=observed, desired=view.desired_release)


def change_row(change: Change, stands: Mapping[SiteId, Standing], now: datetime, words: Words) -> ChangeRow:
    """One commit, with what keeps it from being everywhere; a site that is not in `stands` has left."""
    left = Counter[Standing](stands.get(site, "Retired") for site in change.missing)
    at = change.published_at or change.committed_at
    progress = words.count("change.progress", change.sites, there=words.number(change.converged))
    return ChangeRow(
        commit=short(change.commit),
        subject=change.subject,
        author=change.author.partition("<")[0].strip() or change.author,
        at=at,
        ago=words.ago(at, now),
        state=_change_state(change, left),
        progress=progress if change.sites else words("change.nothing"),
        left=[words(f"change.left.{s}", n=words.number(left[s])) for s in (*STANDINGS,) if left[s]],
        bar=_bar({**{s: left[s] for s in STANDINGS if s != "Synced"}, "Synced": change.converged}, change.sites, words),
        problems=change.problems[:SHOWN_PROBLEMS],
        more_problems=max(0, len(change.problems) - SHOWN_PROBLEMS),
        errors=change.verdict in ("refused", "held"),
    )


def _change_state(
    change: Change, left: Counter[Standing]
) -> Literal["underway", "waiting", "troubled", "done", "refused", "held", "nothing"]:
    if change.verdict != "published":
        return change.verdict
    if change.sites == 0:
        return "nothing"
    if not left:
        return "done"
    if left.keys() <= _UNREACHABLE:
        return "waiting"
    return "troubled" if left.keys() - {"Degraded"} <= _UNREACHABLE else "underway"


def _banners(fleet: Fleet, words: Words) -> Iterable[Banner]:
    remote, newest = fleet.remote, fleet.newest
    if remote and remote.error:
        since = words.span(fleet.read_at - (remote.error_since or remote.looked_at))
        yield Banner(
            kind="remote",
            title=words("remote.away"),
            text=words("remote.since", span=since),
            problems=[remote.error],
        )
    if newest and newest.verdict == "held":
        yield _held(newest, words)
    if newest and newest.verdict == "refused":
        yield Banner(
            kind="refused",
            title=f"{words('refused.title')} · {words.count('problems', len(newest.problems))}",
            text=words("refused.detail", author=newest.author.partition("<")[0].strip(), subject=newest.subject),
            problems=newest.problems[:SHOWN_PROBLEMS],
            more_problems=max(0, len(newest.problems) - SHOWN_PROBLEMS),
        )


def _held(newest: Change, words: Words) -> Banner:
    """Why a guard holds the newest commit, and the line that lets it go."""
    impact, said = newest.impact, []
    if impact and impact.sites_allowed is not None and impact.sites > impact.sites_allowed:
        n = {"sites": impact.sites, "total": impact.total, "allowed": impact.sites_allowed}
        said.append(words("held.sites", **{key: words.number(number) for key, number in n.items()}))
    if impact and impact.removals_allowed is not None and impact.removals > impact.removals_allowed:
        n = {"removals": impact.removals, "allowed": impact.removals_allowed}
        said.append(words("held.removals", **{key: words.number(number) for key, number in n.items()}))
    detail = words("refused.detail", author=newest.author.partition("<")[0].strip(), subject=newest.subject)
    return Banner(
        kind="held",
        title=words("held.title"),
        text=" ".join((detail, *said, words("held.way"))),
        problems=[impact.trailer] if impact else [],
    )


_BAR_ORDER: Final[tuple[Standing, ...]] = (
    *("Synced", "Progressing", "Degraded", "Offline", "Unknown", "Suspended", "Retired"),
)


def _bar(counts: dict[str, int], total: int, words: Words) -> list[Segment]:
    bar, start = [], 0.0
    for standing in _BAR_ORDER:
        if not total or not counts.get(standing):
            continue
        width = 100 * counts[standing] / total
        text = words(f"standing.{standing}") + words("colon") + words.number(counts[standing])
        bar.append(Segment(standing=standing, start=round(start, 3), width=round(width, 3), text=text))
        start += width
    return bar


def _matches(view: SiteView, query: Query) -> bool:
    if query.standing and view.verdict.standing != query.standing:
        return False
    text = query.text.casefold().split()
    if not text:
        return True
    said = (view.site, view.name, *(fact(view, key) for key in view.facts), view.desired_release or "")
    haystack = " ".join(said).casefold()
    return all(word in haystack for word in text)


def _attention(view: SiteView) -> tuple[bool, int, str]:
    # A site that is only planned needs nobody's attention.
    return (not view.has_identity, STANDINGS.index(view.verdict.standing), view.name.casefold())


def fact(view: SiteView, key: str) -> str:
    """A fact as text: lists are joined, what is neither text nor list is left out."""
    value: Any = view.facts.get(key)
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return value if isinstance(value, str) else ""


def short(revision: str) -> str:
    """A commit as people write it."""
    return revision[:8]
