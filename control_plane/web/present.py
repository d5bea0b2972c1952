"""From what was read to what the templates show: pure, every text in the reader's language."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from control_plane.store.views import STANDINGS, Fleet, SiteView, running_release
from control_plane.web.words import Words, spaced
from schemas.api import Change, CommitSignature, Standing
from schemas.names import DocumentId, SiteId
from schemas.status import Metrics

SHOWN_PROBLEMS: Final = 50
OLD_EVIDENCE: Final = frozenset({"Offline", "Unknown", "Suspended", "Retired"})
HOT_CELSIUS: Final = 75
# Nobody waits for these: a change that only they have not reached is not under way.
_UNREACHABLE: Final = frozenset({"Offline", "Unknown", "Suspended", "Retired"})


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


class Reading(Struct, frozen=True, kw_only=True):
    """A measurement in a table; `high` when it needs a look."""

    key: str
    text: str
    high: bool = False


class SiteRow(Struct, frozen=True, kw_only=True):
    """A line of a table; `old`: what the box said need not be so any more."""

    site: str
    name: str
    place: str
    standing: Standing
    word: str
    why: str
    why_by_box: bool
    release: ReleaseCell
    meters: list[Reading]
    waiting: str
    commit: str
    reported_at: datetime | None
    ago: str
    old: bool


class ChangeRow(Struct, frozen=True, kw_only=True):
    """A commit and how far it got."""

    commit: str
    link: str
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
    signed: str
    signed_tone: str


class Banner(Struct, frozen=True, kw_only=True):
    """Something that the whole fleet's people must know."""

    kind: Literal["remote", "refused", "held"]
    title: str
    text: str
    problems: Sequence[str] = ()
    more_problems: int = 0


def visible_to(fleet: Fleet, tenant: DocumentId | None) -> Fleet:
    """What a tenant's people may know of the fleet; None: the team, which may know all of it."""
    if tenant is None:
        return fleet
    own = [view for view in fleet.sites if belongs_to(view, tenant)]
    return replace(fleet, sites=own, changes=[], published=None, remote=None, newest=None)


def belongs_to(view: SiteView, tenant: DocumentId | None) -> bool:
    """Whether somebody of that tenant, or of the team, may know of the site."""
    return tenant is None or view.facts.get("tenant") == tenant


def counted(counts: Mapping[str, int], words: Words) -> list[StandingCount]:
    """Every standing with how many sites stand so."""
    return [
        StandingCount(standing=s, word=words(f"standing.{s}"), count=words.number(counts[s]), some=counts[s] > 0)
        for s in STANDINGS
    ]


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
        meters=list(_readings(view, words)),
        waiting=words.number(len(view.report.waiting)) if view.report and view.report.waiting else "",
        commit=short(view.commit),
        reported_at=view.received_at,
        ago=words.ago(view.received_at, now) if view.received_at else words("never"),
        old=view.verdict.standing in OLD_EVIDENCE,
    )


def _readings(view: SiteView, words: Words) -> Iterable[Reading]:
    """What a table shows of the last measurements."""
    said = view.report.metrics if view.report else Metrics()
    yield _reading("cpu", said.cpu_percent, 101, words)  # of one moment: busy is no trouble
    yield _reading("memory", said.memory_percent, 90, words)
    yield _reading("disk", said.disk_used_percent, 90, words)
    degrees = said.temperature_celsius
    text = "—" if degrees is None else f"{words.decimal(degrees, 0)} °C"
    yield Reading(key="temperature", text=text, high=degrees is not None and degrees >= HOT_CELSIUS)


def _reading(key: str, share: float | None, limit: float, words: Words) -> Reading:
    text = "—" if share is None else words("percent", n=words.decimal(share, 0))
    return Reading(key=key, text=text, high=share is not None and share >= limit)


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
        link=change.commit[:12],
        subject=change.subject,
        author=change.author.partition("<")[0].strip() or change.author,
        at=at,
        ago=words.ago(at, now),
        state=_change_state(change, left),
        progress=progress if change.sites else words("change.nothing"),
        left=[words(f"change.left.{s}", n=words.number(left[s])) for s in (*STANDINGS,) if left[s]],
        bar=standing_bar(
            {**{s: left[s] for s in STANDINGS if s != "Synced"}, "Synced": change.converged}, change.sites, words
        ),
        problems=change.problems[:SHOWN_PROBLEMS],
        more_problems=max(0, len(change.problems) - SHOWN_PROBLEMS),
        errors=change.verdict in ("refused", "held"),
        signed=signed_by(change.signature, words),
        signed_tone=signature_tone(change.signature),
    )


def signed_by(signature: CommitSignature | None, words: Words) -> str:
    """Who signed a commit; empty where it was looked at by a server that did not keep it."""
    if signature is None:
        return ""
    return words(f"signature.{signature.state}", who=signature.signer or signature.key[:18])


def signature_tone(signature: CommitSignature | None) -> str:
    """good, bad, or quiet where nobody asked for a signature."""
    if signature is None or signature.state == "verified":
        return "good"
    return "bad" if signature.required or signature.state == "bad" else "quiet"


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


def banners(fleet: Fleet, words: Words) -> Iterable[Banner]:
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


def standing_bar(counts: dict[str, int], total: int, words: Words) -> list[Segment]:
    bar, start = [], 0.0
    for standing in _BAR_ORDER:
        if not total or not counts.get(standing):
            continue
        width = 100 * counts[standing] / total
        text = words(f"standing.{standing}") + words("colon") + words.number(counts[standing])
        bar.append(Segment(standing=standing, start=round(start, 3), width=round(width, 3), text=text))
        start += width
    return bar


def fact(view: SiteView, key: str) -> str:
    """A fact as text: lists are joined, what is neither text nor list is left out."""
    value: Any = view.facts.get(key)
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return value if isinstance(value, str) else ""


def short(revision: str) -> str:
    """A commit as people write it."""
    return revision[:8]
