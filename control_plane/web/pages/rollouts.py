"""Rollouts: how far each new release or agent has come, what it waits for or why it halted, and each of its sites."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from control_plane.core.rollout_cause import why
from control_plane.errors import NotFound
from control_plane.store import library, rollouts
from control_plane.store.pool import connection
from control_plane.store.rollouts import Placed
from control_plane.store.views import Fleet
from control_plane.web.present import short
from control_plane.web.present_rollouts import (
    Rolled,
    RolloutCard,
    WaveRow,
    bar_of,
    card_of,
    gravest_first,
    rolled,
    share,
    sign_of,
    site_cells,
    state_of,
    title_of,
    waves_of,
)
from control_plane.web.table import Cell, Facts, Head, Table, heads
from control_plane.web.visit import Room, Shown, Visit
from control_plane.web.words import Words
from schemas.desired import RolloutPolicy
from schemas.names import duration_s

PAGE_SITES: Final = 100
ENDED: Final = 20
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")
_PAGE: Final = re.compile(r"[1-9][0-9]{0,6}")
_ENDS: Final = {"done": "good", "superseded": "quiet"}


class Turn(Struct, frozen=True, kw_only=True):
    """Which page of a table is shown."""

    page: int


class RolloutsPage(Struct, frozen=True, kw_only=True):
    """Rollouts as cards, then facts and tables; `pages` of the last table."""

    title: str
    intro: str = ""
    parents: Sequence[tuple[str, str]] = ()
    cards: Sequence[RolloutCard]
    heading: str = ""
    none: str = ""
    facts: Sequence[Facts] = ()
    tables: Sequence[Table] = ()
    query: Turn = Turn(page=1)
    pages: int = 1
    previous: str = ""
    next: str = ""


async def show(room: Room, visit: Visit) -> Shown:
    """Those that are open, what needs a person first, and those that ended last."""
    now, words = room.clock(), visit.words
    async with connection(room.pool) as conn:
        policies = await library.policies(conn)
        opened = [rolled(one, policies, now) for one in await rollouts.count_opened(conn)]
        ended = [rolled(one, policies, now) for one in await rollouts.count_ended(conn, ENDED)]
    page = RolloutsPage(
        title=words("nav.rollouts"),
        intro=words("rollouts.intro"),
        cards=[card_of(one, now, words) for one in gravest_first(opened)],
        heading=words("rollouts.open"),
        none=words("rollouts.none"),
        tables=[_ended(ended, words)],
    )
    return Shown("rollouts.html", page)


async def show_one(room: Room, visit: Visit) -> Shown:
    """One rollout: its waves, and its sites, a hundred to a page."""
    asked, now, words = visit.path["rollout"], room.clock(), visit.words
    page = int(visit.query["page"]) if _PAGE.fullmatch(visit.query.get("page", "")) else 1
    async with connection(room.pool) as conn:
        found = await rollouts.count(conn, int(asked)) if _NUMBER.fullmatch(asked) else None
        if found is None:
            raise NotFound(f"cannot find rollout {asked[:80]}: there is none of that number, or it ended long ago")
        one = rolled(found, await library.policies(conn), now)
        pages = max(1, -(-one.info.sites // PAGE_SITES))
        page = min(page, pages)
        skip = (page - 1) * PAGE_SITES
        placed = await rollouts.members(conn, one.info.number, limit=PAGE_SITES, skip=skip)
    fleet = await room.lookout.fleet()
    title = words("rollout.of", title=title_of(one.info, words), number=one.info.number)
    shown = RolloutsPage(
        title=title,
        parents=[("/rollouts", words("nav.rollouts"))],
        cards=[card_of(one, now, words)],
        facts=[Facts(key="facts", title=words("rollout.facts"), facts=_facts(one, words))],
        tables=[_waves(one, words), _sites(placed, one, fleet, words)],
        query=Turn(page=page),
        pages=pages,
        previous=f"/rollouts/{one.info.number}?page={page - 1}" if page > 1 else "",
        next=f"/rollouts/{one.info.number}?page={page + 1}" if page < pages else "",
    )
    return Shown("rollouts.html", shown)


def _ended(found: Sequence[Rolled], words: Words) -> Table:
    labels = ("rollout", "rollout.how", "rollout.column.sites", "rollout.over", "rollout.lasted>")
    return Table(
        key="ended",
        title=words("rollouts.ended"),
        heads=_heads(labels, words),
        rows=[_ended_row(one, words) for one in found],
        none=words("rollouts.ended.none"),
    )


def _heads(labels: Sequence[str], words: Words) -> list[Head]:
    return heads(*(words(label.removesuffix(">")) + (">" if label.endswith(">") else "") for label in labels))


def _ended_row(one: Rolled, words: Words) -> list[Cell]:
    info, state = one.info, state_of(one.info)
    over = info.ended_at or info.started_at
    return [
        Cell(text=title_of(info, words), link=f"/rollouts/{info.number}", note=info.policy),
        Cell(text=sign_of(state, words).word, note=why(info.cause, words.language), tone=_ENDS.get(state, "")),
        Cell(text=words.number(info.sites), bar=bar_of(one, words)),
        Cell(text=words.instant(over), at=over),
        Cell(text=_span(over - info.started_at, words)),
    ]


def _span(span: timedelta, words: Words) -> str:
    return words.span(span) if span >= timedelta(minutes=1) else words("span.moment")


def _facts(one: Rolled, words: Words) -> list[tuple[str, Cell]]:
    info = one.info
    link = f"/releases/{info.version}" if info.kind == "release" else ""
    facts = [
        (words("rollout.what"), Cell(text=title_of(info, words), link=link)),
        (words("rollout.policy"), _policy(one, words)),
        (words("rollout.commit"), Cell(text=short(info.commit), link=f"/changes/{info.commit[:12]}")),
        (words("rollout.started"), _at(info.started_at, words)),
    ]
    if info.ended_at is not None:
        facts.append((words("rollout.over"), _at(info.ended_at, words)))
        facts.append((words("rollout.lasted"), Cell(text=_span(info.ended_at - info.started_at, words))))
    return facts


def _at(at: datetime, words: Words) -> Cell:
    return Cell(text=words.instant(at), at=at)


def _policy(one: Rolled, words: Words) -> Cell:
    note = words("rollout.gone") if one.policy is None else _rules(one.policy, words)
    return Cell(text=one.info.policy, note=note)


def _rules(policy: RolloutPolicy, words: Words) -> str:
    soak, deadline = (
        words.span(timedelta(seconds=duration_s(duration))) for duration in (policy.soak, policy.deadline)
    )
    rules = words(
        "rollout.rules",
        waves=", ".join(share(wave, words) for wave in policy.waves),
        soak=soak,
        success=share(policy.success, words),
        quorum=share(policy.quorum, words),
        deadline=deadline,
    )
    return f"{rules} · {words(f'rollout.on.{policy.on_failure}', n=words.number(policy.max_failures))}"


def _waves(one: Rolled, words: Words) -> Table:
    labels = ("wave", "share>", "sites>", "well>", "failed>", "pending>", "since")
    return Table(
        key="waves",
        title=words("rollout.waves"),
        heads=_heads([f"rollout.column.{label}" for label in labels], words),
        rows=[_wave_cells(row, one.info.ended_at is not None, words) for row in waves_of(one)],
        none=words("rollout.waves.none"),
    )


def _wave_cells(row: WaveRow, ended: bool, words: Words) -> list[Cell]:
    """Figures only of what it let in."""
    absent = "passed" if not row.sites else "never" if ended else "to_come"
    figures = [row.counts.get(kept, 0) if row.since else None for kept in ("well", "failed", "pending")]
    since = Cell(text=words(f"rollout.{absent}"), tone="quiet")
    return [
        Cell(text=words("rollout.wave", wave=row.number)),
        Cell(text=share(row.share, words) if row.share else "—"),
        Cell(text=words.number(row.sites)),
        *(
            Cell(text="—" if count is None else words.number(count), tone="bad" if place == 1 and count else "")
            for place, count in enumerate(figures)
        ),
        Cell(text=words.instant(row.since), at=row.since) if row.since else since,
    ]


def _sites(placed: Sequence[Placed], one: Rolled, fleet: Fleet, words: Words) -> Table:
    names = {view.site: view.name for view in fleet.sites}
    labels = ("place>", "wave>", "outcome", "since", "before")
    return Table(
        key="sites",
        title=words("rollout.sites"),
        heads=[*_heads(["column.site"], words), *_heads([f"rollout.column.{label}" for label in labels], words)],
        rows=[site_cells(each, one, names, words) for each in placed],
        none=words("rollout.sites.none"),
    )
