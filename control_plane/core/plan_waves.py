"""Which sites another release or agent reaches in waves, found by the very functions that let the waves go (pure)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import datetime, timedelta

from msgspec import Struct

from control_plane.core import rollout as rolling
from control_plane.core.compile import CompiledFleet
from control_plane.core.plan_load import Observed
from control_plane.core.rollout import Commit, Served, enrol, next_wave, reach, resume
from control_plane.core.rollout_trailer import resumed
from schemas.desired import RolloutPolicy
from schemas.names import DocumentId, SiteId, duration_s
from schemas.rollouts import Phase


class Rollout(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A release or agent that comes to `sites` in waves: how many of them each adds, the first at once.

    Waves that add nobody are left out. `soak_s` lie between two at least, so that the last one goes `last_after_s` from
    now at the earliest. `joins`: the number of the rollout under way that these sites join, where there is one; while
    it does not roll, there are no waves.
    """

    policy: DocumentId
    what: str
    sites: int
    waves: list[int]
    soak_s: int
    last_after_s: int = 0
    joins: int = 0
    phase: Phase = "rolling"


class Left(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rollout under way that `sites` leave: `at_once` of those that waited for their turn get it now, `never` do not.

    `ends`: nobody is left in it.
    """

    number: int
    what: str
    sites: int
    at_once: int = 0
    never: int = 0
    ends: bool = False


class Resumed(Struct, frozen=True, kw_only=True):
    """A rollout that had halted and goes on, as a commit's message asks; `waiting`: how many of its `sites` wait then.

    `anew`: from its first wave, since all had gone back to what they had.
    """

    number: int
    what: str
    sites: int
    waiting: int
    anew: bool


class Waves(Struct, frozen=True, kw_only=True):
    """What a change does to rollouts; `turns` says of each site that has to wait for how long it does, at the least.

    None: until somebody goes on with a rollout that halted.
    """

    rollouts: list[Rollout] = []
    left: list[Left] = []
    resumed: list[Resumed] = []
    turns: Mapping[SiteId, timedelta | None] = {}


def waves_of(
    base: CompiledFleet | None,
    head: CompiledFleet,
    changed: Iterable[SiteId],
    observed: Observed | None,
    now: datetime,
    *,
    messages: Iterable[str] = (),
) -> Waves:
    """Of the sites that a change gives another release or agent, beside the rollouts that are observed under way."""
    opened, heard = (observed.rollouts, observed.heard) if observed else ((), frozenset[SiteId]())
    if base is None or not (head.policies or opened):
        return Waves()
    sites = {*changed, *(site for one in opened for site in one.members)}
    commit = Commit(
        revision="0" * 40,
        policies=head.policies,
        wishes={site: found.wish if (found := head.sites.get(site)) else None for site in sites},
        allowed=head.allowed,
        heard={site for site in heard if (one := head.sites.get(site)) and one.state == "active"},
    )
    asked = resumed(messages)
    first_number = max((one.number for one in opened), default=0) + 1
    after = {
        one.number: resume(one, head.policies[one.policy], now) if (one.kind, one.version) in asked else one
        for one in enrol(opened, commit, _served(base, opened, sites), first_number, now)
    }
    rollouts, turns = _joined({one.number: one for one in opened}, after.values(), head.policies)
    left = [gone for one in opened if (gone := _left(one, after, commit))]
    goes_on = [_resumed(one, after[one.number]) for one in opened if _goes_on(one, after[one.number])]
    return Waves(rollouts=rollouts, left=left, resumed=goes_on, turns=turns)


def _goes_on(old: rolling.Rollout, new: rolling.Rollout) -> bool:
    return old.phase != "rolling" and new.phase == "rolling"


def _resumed(old: rolling.Rollout, new: rolling.Rollout) -> Resumed:
    return Resumed(
        number=new.number,
        what=_what(new),
        sites=len(new.members),
        waiting=len(new.members) - len(new.let_in),
        anew=old.phase == "rolled_back",
    )


def _served(base: CompiledFleet, opened: Iterable[rolling.Rollout], sites: Set[SiteId]) -> dict[SiteId, Served]:
    found = {site: Served(one.release, one.agent) for site in sites if (one := base.sites.get(site))}
    for site, had in rolling.held(opened).items():
        if known := found.get(site):
            found[site] = Served(had.release or known.release, had.agent or known.agent)
    return found


def _left(old: rolling.Rollout, after: Mapping[int, rolling.Rollout], commit: Commit) -> Left | None:
    now = after[old.number]
    gone = old.members.keys() if now.phase == "superseded" else old.members.keys() - now.members.keys()
    if not gone:
        return None
    waited = {site for site in gone if old.members[site].wave is None}
    still = {site for one in after.values() if _is_of(one, old) for site in one.members}
    wishes = [wish for site in waited - still if (wish := commit.wishes[site])]
    at_once = sum(getattr(wish, old.kind) == old.version for wish in wishes)
    return Left(
        number=old.number,
        what=_what(old),
        sites=len(gone),
        at_once=at_once,
        never=len(waited - still) - at_once,
        ends=now.phase == "superseded",
    )


def _is_of(one: rolling.Rollout, old: rolling.Rollout) -> bool:
    """Whether it rolls out the same as the old one."""
    return one.ended_at is None and (one.kind, one.version) == (old.kind, old.version)


def _joined(
    before: Mapping[int, rolling.Rollout],
    after: Iterable[rolling.Rollout],
    policies: Mapping[DocumentId, RolloutPolicy],
) -> tuple[list[Rollout], Mapping[SiteId, timedelta | None]]:
    rollouts, turns = [], dict[SiteId, timedelta | None]()
    for one in after:
        known = before.get(one.number)
        joined = one.members.keys() - (known.members.keys() if known else set())
        if joined and one.ended_at is None:
            steps = [joined & step for step in _steps(one, policies[one.policy])]
            rollouts.append(_planned(one, steps, len(joined), policies[one.policy], joins=known is not None))
            _take_turns(turns, one, steps, policies[one.policy])
    return sorted(rollouts, key=lambda one: (one.policy, one.what)), turns


def _what(rollout: rolling.Rollout) -> str:
    return f"{rollout.kind} {rollout.version}"


def _steps(rollout: rolling.Rollout, policy: RolloutPolicy) -> Iterator[Set[SiteId]]:
    """Who has it now, and whom each wave adds from then on."""
    ordered = sorted(rollout.members, key=lambda site: rollout.members[site].position)
    has_it, wave = set(rollout.let_in), rollout.wave
    yield has_it
    while (later := next_wave(len(ordered), len(has_it), policy.waves, wave)) is not None:
        added = set(ordered[: reach(len(ordered), policy.waves[later])]) - has_it
        yield added
        has_it, wave = has_it | added, later


def _planned(
    rollout: rolling.Rollout, steps: Sequence[Set[SiteId]], sites: int, policy: RolloutPolicy, *, joins: bool
) -> Rollout:
    soak_s, rolls = duration_s(policy.soak), rollout.phase == "rolling"
    last = max((place for place, step in enumerate(steps) if step), default=0)
    return Rollout(
        policy=rollout.policy,
        what=_what(rollout),
        sites=sites,
        waves=[len(step) for step in steps if step] if rolls else [],
        soak_s=soak_s,
        last_after_s=last * soak_s if rolls else 0,
        joins=rollout.number if joins else 0,
        phase=rollout.phase,
    )


def _take_turns(
    turns: dict[SiteId, timedelta | None],
    rollout: rolling.Rollout,
    steps: Sequence[Set[SiteId]],
    policy: RolloutPolicy,
) -> None:
    """Note who has to wait; who waits for two rollouts waits for the later one."""
    soak = timedelta(seconds=duration_s(policy.soak))
    for place, step in enumerate(steps):
        for site in step if place else ():
            known = turns.get(site, timedelta())
            waits = place * soak if rollout.phase == "rolling" else None
            turns[site] = None if known is None or waits is None else max(known, waits)
