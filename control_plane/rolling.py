"""Rollouts in motion: what a commit and the reports of boxes do to them, and which manifests that comes to.

Everything here is looked at anew each time from the database; what is kept only saves work.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from control_plane.core.compile import CompiledFleet, CompiledSite, changed_sites
from control_plane.core.number import Mark
from control_plane.core.rollout import (
    HEARD_WITHIN,
    OPEN,
    Commit,
    Held,
    Rollout,
    Served,
    Wish,
    advance,
    enrol,
    held,
    resume,
    wait_for_agents,
)
from control_plane.core.rollout_outcome import Heard, outcome_of
from control_plane.core.rollout_trailer import resumed
from control_plane.core.standing import AWAY, OFFLINE_AFTER
from control_plane.store import reports, rollouts
from control_plane.store.pool import Connection, Pool, connection
from control_plane.store.rollouts import Change, Said
from schemas.names import Revision, SiteId
from schemas.rollouts import Outcome, RolloutKind


class HeldSite(Struct, frozen=True, gc=False):
    """What a site is served in the place of what it resolves to (`wanted`), made once."""

    wanted: CompiledSite
    held: Held
    made: CompiledSite


class Turn(Struct, frozen=True, kw_only=True):
    """What rollouts come to now. `moved`: the sites that are held otherwise than before; `absent`: why nothing of this
    can be published."""

    changes: list[Change]
    held: Mapping[SiteId, HeldSite]
    moved: Set[SiteId]
    absent: str = ""

    def served(self, compiled: CompiledFleet) -> Mapping[SiteId, CompiledSite]:
        """What each site is to be told."""
        made = {site: one.made for site, one in self.held.items()}
        return {**compiled.sites, **made} if made else compiled.sites


class Standing(NamedTuple):
    """What is published: its compilation (None: not known), what each site was told, and who is held on what."""

    compiled: CompiledFleet | None
    marks: Mapping[SiteId, Mark]
    held: Mapping[SiteId, HeldSite]


class Rolling:
    """Moves rollouts."""

    def __init__(self, pool: Pool, clock: Callable[[], datetime]) -> None:
        self._pool, self._clock = pool, clock

    async def take(
        self, published: Standing, revision: Revision, compiled: CompiledFleet, messages: Iterable[str]
    ) -> Turn:
        """What a commit that is to be published does to rollouts."""
        now = self._clock()
        async with connection(self._pool) as conn:
            opened = await rollouts.opened(conn)
            number = await rollouts.next_number(conn)
            heard = await reports.heard_since(conn, now - HEARD_WITHIN) if compiled.policies else frozenset()

        def take() -> Turn:
            commit = _commit(published, revision, compiled, opened, heard)
            after = enrol(opened, commit, _served(published, commit.wishes), number, now)
            asked = resumed(messages)
            return _turn(
                published,
                compiled,
                opened,
                [resume(r, compiled.policies[r.policy], now) if (r.kind, r.version) in asked else r for r in after],
            )

        return await asyncio.to_thread(take)

    async def has_work(self) -> bool:
        """Whether something is on its way."""
        async with connection(self._pool) as conn:
            return await rollouts.has_opened(conn)

    async def look(self, published: Standing, compiled: CompiledFleet) -> Turn:
        """How those that have it do, and what follows from that."""
        now = self._clock()
        async with connection(self._pool) as conn:
            opened = await rollouts.opened(conn)
            evidence = {one.number: await _evidence(conn, one, now) for one in opened}
        after = [advance(one, compiled.policies[one.policy], evidence[one.number], now) for one in opened]
        return await asyncio.to_thread(_turn, published, compiled, opened, after)


def _commit(
    published: Standing,
    revision: Revision,
    compiled: CompiledFleet,
    opened: Sequence[Rollout],
    heard: Set[SiteId],
) -> Commit:
    """Sites of which nothing was compiled anew resolve to what they did, and need not be looked at."""
    before = published.compiled
    sites: Set[SiteId] = compiled.sites.keys() if before is None else changed_sites(before, compiled)
    looked_at = {*sites, *(site for one in opened for site in one.members)}
    return Commit(
        revision=revision,
        policies=compiled.policies,
        wishes={site: _wish(compiled, site) for site in looked_at},
        allowed=compiled.allowed,
        heard={site for site in looked_at & heard if (one := compiled.sites.get(site)) and one.state == "active"},
    )


def _wish(compiled: CompiledFleet, site: SiteId) -> Wish | None:
    found = compiled.sites.get(site)
    return None if found is None else found.wish


def _served(published: Standing, sites: Iterable[SiteId]) -> dict[SiteId, Served]:
    marks = ((site, published.marks.get(site)) for site in sites)
    return {site: Served(mark.release, mark.agent) for site, mark in marks if mark is not None and not mark.gone}


def _turn(published: Standing, compiled: CompiledFleet, before: Sequence[Rollout], after: Sequence[Rollout]) -> Turn:
    known = {one.number: one for one in before}
    changes = [Change(known.get(one.number), one) for one in after if known.get(one.number) != one]
    if absent := _absent(compiled, after):
        return Turn(changes=changes, held=published.held, moved=frozenset(), absent=absent)
    found = held(after)
    wishes = {site: wish for site in found if (wish := _wish(compiled, site)) is not None}
    found = wait_for_agents(found, wishes, _served(published, found), compiled.agent_needed)
    kept = {site: old for site, old in published.held.items() if _still_holds(old, compiled, found.get(site))}
    made = compiled.hold({site: one for site, one in found.items() if site not in kept})
    now = kept | {site: HeldSite(compiled.sites[site], found[site], one) for site, one in made.items()}
    moved = {site for site in now.keys() | published.held.keys() if now.get(site) is not published.held.get(site)}
    return Turn(changes=changes, held=now, moved=moved)


def _still_holds(old: HeldSite, compiled: CompiledFleet, found: Held | None) -> bool:
    return found == old.held and compiled.sites.get(old.wanted.site) is old.wanted


def _absent(compiled: CompiledFleet, rollouts: Iterable[Rollout]) -> str:
    """Which documents are gone that sites have, or would go back to; empty when all are there."""
    needed = Counter(
        (r.kind, m.before) for r in rollouts if r.phase in OPEN for m in r.members.values() if m.before is not None
    )
    gone = sorted(key for key in needed if not compiled.has(*key))
    return "; ".join(
        f"{kind}s/{version}.yaml is gone, and {needed[kind, version]} sites have that {kind}, or may go back to it, "
        "while another is rolled out; leave the file until that is over"
        for kind, version in gone
    )


async def _evidence(conn: Connection, rollout: Rollout, now: datetime) -> dict[SiteId, tuple[Outcome, str]]:
    """How those that have it do."""
    said = await rollouts.said(conn, rollout.number)
    found = {}
    for site, member in rollout.let_in.items():
        heard = _heard(said[site], rollout.kind, now) if site in said else None
        found[site] = outcome_of(rollout.kind, rollout.version, member.let_in_at or now, heard)
    return found


def _heard(said: Said, kind: RolloutKind, now: datetime) -> Heard:
    if kind == "agent":
        running: str | None = said.report.agent_version
    else:
        running = said.report.release.version if said.report.release else None
    silent = now - said.received_at > max(OFFLINE_AFTER, AWAY[said.connectivity])
    return Heard(received_at=said.received_at, silent=silent, running=running, conditions=said.report.conditions)
