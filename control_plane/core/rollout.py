"""Rollouts: which sites have a new release or agent, which still wait for it, and whether the next wave may go (pure).

A rollout is one version of one kind under one policy. Its members are the sites that resolve to that version and were
served another one when it came; they go in the order of their `position`. A member that waits is served what it had
before, whatever else its manifest says. What is asked of the rest of the fleet stays as it is written in Git:

- `enrol` takes a new commit in: sites join, leave, or go home at once to what they had before.
- `advance` looks at how those that have it do: the next wave, an end, or a halt.
- `resume` goes on with one that has halted, because a person said so.
- `held` is what the rest of the compiler obeys.

ADR 0016 says why it is so.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from schemas.desired import RolloutPolicy
from schemas.manifest import Instant
from schemas.names import DocumentId, Percent, Revision, SiteId, Version, at_least, duration_s
from schemas.rollouts import Cause, Outcome, Phase, RolloutKind

KINDS: Final[tuple[RolloutKind, ...]] = ("release", "agent")
OPEN: Final[tuple[Phase, ...]] = ("rolling", "halted", "rolled_back")
"""Phases in which sites may be held back."""
HEARD_WITHIN: Final = timedelta(days=1)
"""A box that spoke within that time has its turn before those that did not."""


class Member(Struct, frozen=True, kw_only=True, gc=False):
    """A site of a rollout, which had `before`; without `wave` it waits.

    `before` is None once no box may run it any more: there is no way back. `excused`: a person said that a failure does
    not count.
    """

    position: int
    before: Version | None
    wave: int | None = None
    let_in_at: Instant | None = None
    outcome: Outcome = "pending"
    why: str = ""
    excused: bool = False


class Rollout(Struct, frozen=True, kw_only=True):
    """One version on its way; `wave` counts from 0, and began at `wave_at`.

    `sound_since`: since when the wave has done well enough for the next one. `cause`: of a halt or an end.
    """

    number: int
    kind: RolloutKind
    version: Version
    policy: DocumentId
    revision: Revision
    started_at: Instant
    phase: Phase = "rolling"
    wave: int = 0
    wave_at: Instant
    sound_since: Instant | None = None
    ended_at: Instant | None = None
    cause: Cause | None = None
    members: Mapping[SiteId, Member] = {}

    @property
    def let_in(self) -> Mapping[SiteId, Member]:
        """The members that are to have it."""
        return {site: member for site, member in self.members.items() if member.wave is not None}


class Wish(NamedTuple):
    """What a site resolves to, and by which policy it is to come; None: at once."""

    release: Version | None
    agent: Version | None
    policy: DocumentId | None


class Served(NamedTuple):
    """What a site was last told to run; None: nothing was ever managed."""

    release: Version | None
    agent: Version | None


class Held(NamedTuple):
    """What a site goes on being served; None: what it resolves to."""

    release: Version | None = None
    agent: Version | None = None


class Commit(NamedTuple):
    """A commit as far as rollouts go.

    `wishes`: of the sites that are to be looked at; None where there is no box, or no site any more. `allowed`: what
    the release list lets a box run: a site is never held on anything else. `heard`: the sites whose boxes spoke lately.
    """

    revision: Revision
    policies: Mapping[DocumentId, RolloutPolicy]
    wishes: Mapping[SiteId, Wish | None]
    allowed: Set[tuple[RolloutKind, Version]]
    heard: Set[SiteId]


def enrol(
    opened: Sequence[Rollout], commit: Commit, served: Mapping[SiteId, Served], first_number: int, now: datetime
) -> list[Rollout]:
    """The rollouts as this commit leaves them, the new ones last, numbered from `first_number`.

    A site joins when it resolves to another version than it is served, under a policy; it leaves when it resolves to a
    third one, to another policy, or is gone. One that left for what it had before gets it at once: a revert is not
    rolled out. A rollout without members is superseded.
    """
    left: set[tuple[SiteId, RolloutKind, Version | None]] = set()
    taken: dict[tuple[RolloutKind, Version, DocumentId], Rollout] = {}
    ended: list[Rollout] = []
    for rollout in opened:
        kept = {
            s: _as_allowed(rollout, m, commit, now) for s, m in rollout.members.items() if _stays(rollout, s, commit)
        }
        gone = rollout.members.keys() - kept.keys()
        left |= {(site, rollout.kind, rollout.members[site].before) for site in gone}
        taken[rollout.kind, rollout.version, rollout.policy] = replace(rollout, members=kept)
    for key, joining in _joining(taken, left, commit, served).items():
        rollout = taken.get(key) or _begin(key, commit, first_number + len(taken) - len(opened), now)
        taken[key] = replace(rollout, members={**rollout.members, **_members(rollout, joining, commit.heard)})
    for key, rollout in list(taken.items()):
        if not rollout.members:
            ended.append(replace(rollout, phase="superseded", ended_at=now, cause=Cause(kind="nobody")))
            del taken[key]
    return [*ended, *(open_wave(rollout, commit.policies[rollout.policy], now) for rollout in taken.values())]


def _stays(rollout: Rollout, site: SiteId, commit: Commit) -> bool:
    if site not in commit.wishes:
        return True
    wish = commit.wishes[site]
    return wish is not None and wish.policy == rollout.policy and getattr(wish, rollout.kind) == rollout.version


def _as_allowed(rollout: Rollout, member: Member, commit: Commit, now: datetime) -> Member:
    """What no box may run any more is nothing to wait on, or to go back to."""
    if member.before is None or (rollout.kind, member.before) in commit.allowed:
        return member
    if member.wave is not None:
        return replace(member, before=None)
    return replace(member, before=None, wave=rollout.wave, let_in_at=now)


_Joining = dict[tuple[RolloutKind, Version, DocumentId], dict[SiteId, Version]]


def _joining(
    taken: Mapping[tuple[RolloutKind, Version, DocumentId], Rollout],
    left: Set[tuple[SiteId, RolloutKind, Version | None]],
    commit: Commit,
    served: Mapping[SiteId, Served],
) -> _Joining:
    """Which sites come to which rollout, and what each had before."""
    found: _Joining = {}
    for site, wish in commit.wishes.items():
        had = served.get(site)
        if wish is None or wish.policy is None or had is None:
            continue
        for kind in KINDS:
            wanted, before = getattr(wish, kind), getattr(had, kind)
            if wanted is None or before is None or wanted == before or (site, kind, wanted) in left:
                continue
            key = (kind, wanted, wish.policy)
            is_member = key in taken and site in taken[key].members
            if not is_member and (kind, before) in commit.allowed:
                found.setdefault(key, {})[site] = before
    return found


def _begin(key: tuple[RolloutKind, Version, DocumentId], commit: Commit, number: int, now: datetime) -> Rollout:
    kind, version, policy = key
    return Rollout(
        number=number,
        kind=kind,
        version=version,
        policy=policy,
        revision=commit.revision,
        started_at=now,
        wave_at=now,
    )


def _members(rollout: Rollout, joining: Mapping[SiteId, Version], heard: Set[SiteId]) -> dict[SiteId, Member]:
    """Those that were heard of lately first, since only they can tell how it goes; then by chance, but the same each
    time, and another for each version: no site is always the first."""
    after = max((member.position for member in rollout.members.values()), default=-1) + 1
    ordered = sorted(joining, key=lambda site: (site not in heard, _chance(rollout, site)))
    return {site: Member(position=place, before=joining[site]) for place, site in enumerate(ordered, start=after)}


def _chance(rollout: Rollout, site: SiteId) -> bytes:
    return hashlib.sha256(f"{rollout.kind} {rollout.version} {site}".encode()).digest()


def open_wave(rollout: Rollout, policy: RolloutPolicy, now: datetime) -> Rollout:
    """With everybody let in whom the present wave reaches; one that does not roll lets nobody in."""
    if rollout.phase != "rolling":
        return rollout
    wave = min(rollout.wave, len(policy.waves) - 1)
    reached = sorted(rollout.members, key=lambda site: rollout.members[site].position)
    new = [s for s in reached[: reach(len(reached), policy.waves[wave])] if rollout.members[s].wave is None]
    if not new and wave == rollout.wave:
        return rollout
    let_in = {site: replace(rollout.members[site], wave=wave, let_in_at=now) for site in new}
    return replace(rollout, wave=wave, members={**rollout.members, **let_in})


def next_wave(members: int, has_it: int, waves: Sequence[Percent], wave: int) -> int | None:
    """The wave after this one that adds somebody to those that have it; None: that was the last."""
    later = range(wave + 1, len(waves))
    return next((one for one in later if reach(members, waves[one]) > has_it), None)


def reach(sites: int, share: Percent) -> int:
    """How many sites a share of all of them is, rounded up."""
    return -(-sites * percent(share) // 100)


def percent(text: Percent) -> int:
    """Of `95%`."""
    return int(text.removesuffix("%"))


Evidence = Mapping[SiteId, tuple[Outcome, str]]


def advance(rollout: Rollout, policy: RolloutPolicy, evidence: Evidence, now: datetime) -> Rollout:
    """The rollout after a look at those that have it: goes on, halts, or is as before.

    It halts at once when more than `max_failures` failed in all, or when so many of the present wave failed that
    `success` cannot be reached any more. The next wave goes when `quorum` of the present one run it well, `success` of
    those that can be told, and both have been so for `soak`. After `deadline` the last wave ends without the silent.
    """
    if rollout.phase != "rolling":
        return rollout
    rollout = _looked_at(rollout, evidence)
    if cause := _fault(rollout, policy):
        return _halt(rollout, policy, cause)
    if not _is_sound(rollout, policy):
        late = is_overdue(rollout, policy, now) and _later_wave(rollout, policy) is None
        return _end(rollout, now) if late else replace(rollout, sound_since=None)
    if rollout.sound_since is None:
        rollout = replace(rollout, sound_since=now)
    own = _own(rollout)
    if own and now - (rollout.sound_since or now) < timedelta(seconds=duration_s(policy.soak)):
        return rollout
    return _next_wave(rollout, policy, now)


def _looked_at(rollout: Rollout, evidence: Evidence) -> Rollout:
    changed = {
        site: replace(member, outcome=found[0], why=found[1])
        for site, member in rollout.members.items()
        if (found := evidence.get(site)) is not None and found != (member.outcome, member.why)
    }
    return replace(rollout, members={**rollout.members, **changed}) if changed else rollout


def _own(rollout: Rollout) -> list[Member]:
    """The members that the present wave let in, and whose outcome counts."""
    return [m for m in rollout.members.values() if m.wave == rollout.wave and not m.excused]


def _fault(rollout: Rollout, policy: RolloutPolicy) -> Cause | None:
    """Why it must not go on; None where it may."""
    counted = [member for member in rollout.members.values() if member.wave is not None and not member.excused]
    failed = _count(counted, "failed")
    if failed > policy.max_failures:
        return Cause(kind="failures", count=failed, sites=len(counted), allowed=str(policy.max_failures))
    own = _own(rollout)
    failed = _count(own, "failed")
    if (len(own) - failed) * 100 < percent(policy.success) * len(own):
        return Cause(kind="wave", count=failed, sites=len(own), wave=rollout.wave + 1, allowed=policy.success)
    return None


def _count(members: Iterable[Member], outcome: Outcome) -> int:
    return sum(member.outcome == outcome for member in members)


def _is_sound(rollout: Rollout, policy: RolloutPolicy) -> bool:
    own = _own(rollout)
    well, failed = _count(own, "well"), _count(own, "failed")
    return well * 100 >= percent(policy.quorum) * len(own) and well * 100 >= percent(policy.success) * (well + failed)


def is_overdue(rollout: Rollout, policy: RolloutPolicy, now: datetime) -> bool:
    """Whether the present wave waits for longer than its `deadline` for sites that cannot be told; nothing failed."""
    waits = rollout.phase == "rolling" and rollout.sound_since is None
    return waits and now - rollout.wave_at > timedelta(seconds=duration_s(policy.deadline))


def _halt(rollout: Rollout, policy: RolloutPolicy, cause: Cause) -> Rollout:
    if policy.on_failure == "hold":
        return replace(rollout, phase="halted", sound_since=None, cause=cause)
    home = {s: replace(m, wave=None, let_in_at=None) if m.before else m for s, m in rollout.members.items()}
    return replace(rollout, phase="rolled_back", sound_since=None, cause=cause, members=home)


def _next_wave(rollout: Rollout, policy: RolloutPolicy, now: datetime) -> Rollout:
    """Let the next sites in; waves that add none are passed over, and after the last one it is done."""
    wave = _later_wave(rollout, policy)
    if wave is None:
        return _end(rollout, now)
    return open_wave(replace(rollout, wave=wave, wave_at=now, sound_since=None), policy, now)


def _later_wave(rollout: Rollout, policy: RolloutPolicy) -> int | None:
    return next_wave(len(rollout.members), len(rollout.let_in), policy.waves, rollout.wave)


def _end(rollout: Rollout, now: datetime) -> Rollout:
    silent = _count(rollout.let_in.values(), "pending")
    cause = Cause(kind="silent", count=silent, sites=len(rollout.members)) if silent else None
    return replace(rollout, phase="done", ended_at=now, cause=cause)


def resume(rollout: Rollout, policy: RolloutPolicy, now: datetime) -> Rollout:
    """Go on with one that halted: from the wave that it had reached, what failed until now excused; or, when all went
    back to what they had, from the first wave, as if nothing had been."""
    if rollout.phase == "halted":
        excused = {s: replace(m, excused=m.excused or m.outcome == "failed") for s, m in rollout.members.items()}
        return replace(rollout, phase="rolling", wave_at=now, cause=None, members=excused)
    if rollout.phase == "rolled_back":
        anew = {s: Member(position=m.position, before=m.before) if m.before else m for s, m in rollout.members.items()}
        return open_wave(replace(rollout, phase="rolling", wave=0, wave_at=now, cause=None, members=anew), policy, now)
    return rollout


def held(rollouts: Iterable[Rollout]) -> dict[SiteId, Held]:
    """The sites that go on with what they had, and what that is."""
    found: dict[RolloutKind, dict[SiteId, Version]] = {kind: {} for kind in KINDS}
    for rollout in rollouts:
        if rollout.phase in OPEN:
            waiting = {site: m.before for site, m in rollout.members.items() if m.wave is None and m.before is not None}
            found[rollout.kind].update(waiting)
    releases, agents = found["release"], found["agent"]
    return {
        site: Held(releases.get(site), agents.get(site)) for site in (*releases, *(agents.keys() - releases.keys()))
    }


def wait_for_agents(
    found: Mapping[SiteId, Held],
    wishes: Mapping[SiteId, Wish],
    served: Mapping[SiteId, Served],
    needed: Callable[[Version], str | None],
) -> dict[SiteId, Held]:
    """The same, where a release that needs a newer agent than the one a site is held on waits for it.

    `needed`: what a release asks of the agent.
    """
    waiting = {}
    for site, one in found.items():
        release, had = wishes[site].release, served.get(site)
        if one.agent is None or one.release is not None or release is None or had is None or had.release == release:
            continue
        asked = needed(release)
        if asked is not None and not at_least(one.agent, asked):
            waiting[site] = one._replace(release=had.release)
    return {**found, **waiting}
