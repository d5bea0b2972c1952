"""Commits: what each changed, how far it got over time, and who is missing and why."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from msgspec import Struct

from control_plane.errors import NotFound
from control_plane.store import library, rollouts, views
from control_plane.store.pool import connection
from control_plane.store.views import Fleet
from control_plane.web.curve import curve_of
from control_plane.web.present import ChangeRow, change_row, signature_tone, signed_by, standing_bar
from control_plane.web.present_rollouts import rollout_facts
from control_plane.web.table import Cell, Facts, ListPage, Table, heads, sites_table
from control_plane.web.visit import Room, Shown, Visit
from control_plane.web.words import Words
from schemas.api import Change
from schemas.names import SiteId

SHOWN: Final = 100
LAST: Final = 50
"""Sites that are named among those that are there."""
_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")
_QUANTILES: Final = (0.0, 0.5, 0.9, 1.0)


class ChangesPage(Struct, frozen=True, kw_only=True):
    """The commits that were looked at last, the newest first."""

    changes: list[ChangeRow]


async def show(room: Room, visit: Visit) -> Shown:
    """The last hundred commits."""
    fleet = await room.lookout.fleet()
    found = await room.lookout.changes(SHOWN)
    stands = {view.site: view.verdict.standing for view in fleet.sites}
    rows = [change_row(change, stands, fleet.read_at, visit.words) for change in found]
    return Shown("changes.html", ChangesPage(changes=rows))


async def show_one(room: Room, visit: Visit) -> Shown:
    """One commit, by its id or the first seven or more digits of it."""
    digits = visit.path["commit"]
    async with connection(room.pool) as conn:
        found = await views.changes_beginning(conn, digits) if _COMMIT.fullmatch(digits) else []
        if len(found) != 1:
            raise NotFound(f"cannot find the commit {digits[:80]}: it was not looked at, or its id is cut too short")
        spread = Spread(
            await views.reached_after(conn, found[0].commit), await views.reached_last(conn, found[0].commit, LAST)
        )
        begun = await rollouts.count_begun(conn, found[0].commit)
        policies = await library.policies(conn) if begun else {}
    in_waves = rollout_facts(begun, policies, room.clock(), visit.words)
    return Shown("list.html", change_page(found[0], spread, in_waves, await room.lookout.fleet(), visit.words))


class Spread(NamedTuple):
    """After how long each site was there, the fastest first; and the last ones: which, when and after how long."""

    reached: Sequence[timedelta]
    last: Sequence[tuple[SiteId, datetime, timedelta]]


def change_page(
    change: Change, spread: Spread, in_waves: Sequence[tuple[str, Cell]], fleet: Fleet, words: Words
) -> ListPage:
    """The page of a commit. `in_waves`: of the rollouts that it began, which go on when its other news are there."""
    stands = {view.site: view.verdict.standing for view in fleet.sites}
    row = change_row(change, stands, fleet.read_at, words)
    missing = [view for view in fleet.sites if view.site in set(change.missing)]
    facts = [
        (words("change.state"), Cell(text=words(f"change.{row.state}"))),
        (words("change.author"), Cell(text=row.author)),
        (words("change.at"), Cell(text=words.instant(row.at))),
        (words("change.commit"), Cell(text=change.commit, code=True)),
        *_signature(change, words),
        (words("change.sites"), Cell(text=row.progress, bar=row.bar)),
        *in_waves,
        *_impact(change, words),
    ]
    tables = [_problems(change, words)] if change.problems else []
    if missing:
        tables.append(
            sites_table(missing, fleet.read_at, words, key="missing", title=words("change.missing"), none=words("none"))
        )
    reached, curve = spread.reached, None
    if reached:
        lasts = fleet.read_at - row.at if missing else reached[-1]
        curve = curve_of(reached, change.sites, lasts, words)
        tables += [_pace(reached, change.sites, words), _last(spread, fleet, words)]
    return ListPage(
        title=change.subject,
        parents=[("/changes", words("fleet.changes"))],
        facts=[Facts(key="facts", title=words("change.facts"), facts=facts)],
        curve=curve,
        tables=tables,
    )


def _signature(change: Change, words: Words) -> list[tuple[str, Cell]]:
    signature = change.signature
    if signature is None:
        return []
    note = words("signature.required" if signature.required else "signature.free")
    said = signed_by(signature, words)
    key = f" · {signature.key}" if signature.key and signature.key not in said else ""
    return [(words("signature"), Cell(text=said, note=note + key, tone=signature_tone(signature)))]


def _last(spread: Spread, fleet: Fleet, words: Words) -> Table:
    """The sites that were there last."""
    names = {view.site: view.name for view in fleet.sites}
    rows = [
        [
            Cell(text=names.get(site, site), link=f"/sites/{site}"),
            Cell(text=words.instant(at), at=at),
            Cell(text=_after(after, words)),
        ]
        for site, at, after in spread.last
    ]
    left = len(spread.reached) - len(rows)
    return Table(
        key="reached",
        title=words("change.reached"),
        heads=heads(words("column.site"), words("change.reached.at"), words("change.after")),
        rows=rows,
        none=words("none"),
        more=words.count("table.more", left) if left > 0 else "",
    )


def _after(after: timedelta, words: Words) -> str:
    return words.span(after) if after >= timedelta(minutes=1) else words("span.moment")


def _impact(change: Change, words: Words) -> list[tuple[str, Cell]]:
    impact = change.impact
    if impact is None:
        return []
    said = words("change.impact.said", sites=words.number(impact.sites), total=words.number(impact.total))
    notes = [words("change.impact.bytes", size=words.size(impact.download_bytes))] if impact.download_bytes else []
    if impact.removals:
        notes.append(words.count("change.impact.removals", impact.removals))
    if impact.sites_allowed is not None:
        notes.append(words("change.impact.allowed", n=words.number(impact.sites_allowed)))
    return [(words("change.impact"), Cell(text=said, note=" · ".join(notes)))]


def _pace(reached: Sequence[timedelta], sites: int, words: Words) -> Table:
    """When the first was there, half of them, nine in ten, and the last so far."""
    rows = []
    for quantile in _QUANTILES:
        place = min(len(reached) - 1, int(quantile * len(reached)))
        share = (place + 1) / max(sites, len(reached))
        bar = standing_bar({"Synced": place + 1}, max(sites, len(reached)), words)
        after = _after(reached[place], words)
        label = words("change.pace.row", n=words.number(place + 1), share=round(100 * share))
        rows.append([Cell(text=label, bar=bar), Cell(text=after)])
    unique = [row for place, row in enumerate(rows) if place == 0 or row[0].text != rows[place - 1][0].text]
    return Table(
        key="pace",
        title=words("change.pace"),
        heads=heads(words("change.sites"), words("change.after")),
        rows=unique,
        none="",
    )


def _problems(change: Change, words: Words) -> Table:
    rows = [[Cell(text=line, code=True, lang="en")] for line in change.problems[:200]]
    return Table(
        key="problems", title=words("change.problems"), heads=heads(words("change.problems")), rows=rows, none=""
    )
