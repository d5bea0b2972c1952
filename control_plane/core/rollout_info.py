"""A rollout as people and programs are told of it (pure)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from control_plane.core.rollout import Member, Rollout, is_overdue, reach
from control_plane.core.rollout_cause import why
from schemas.desired import RolloutPolicy
from schemas.names import Percent, SiteId, duration_s
from schemas.rollouts import RolloutDetail, RolloutInfo, RolloutSite, SiteRollout, Wave


def info_of(
    rollout: Rollout, policy: RolloutPolicy | None, now: datetime, counts: Mapping[str, int] | None = None
) -> RolloutInfo:
    """Its figures; `policy` is the one of its name that is published, if there still is one.

    `counts`: how many wait or have which outcome, where its members were counted and not read.
    """
    return RolloutInfo(**_figures(rollout, policy, now, counts))


def turn_of(rollout: Rollout, ahead: int, sites: int, shares: Sequence[Percent]) -> Wave | None:
    """With which wave a site gets it that waits, and that so many of the `sites` go before; None: that is not known.

    Who came late goes with the next one; after all went back, all begins with the first.
    """
    following = rollout.wave + 2 if rollout.phase in ("rolling", "halted") else 1
    turn = next((wave for wave, share in enumerate(shares, start=1) if reach(sites, share) > ahead), None)
    return None if turn is None else min(max(turn, following), len(shares))


def detail_of(rollout: Rollout, policy: RolloutPolicy | None, now: datetime) -> RolloutDetail:
    """Its figures and its sites."""
    ordered = sorted(rollout.members.items(), key=lambda item: item[1].position)
    return RolloutDetail(**_figures(rollout, policy, now), members=[site_of(site, member) for site, member in ordered])


def site_of(site: SiteId, member: Member) -> RolloutSite:
    """One of its sites."""
    return RolloutSite(
        site=site,
        before=member.before,
        wave=None if member.wave is None else member.wave + 1,
        let_in_at=member.let_in_at,
        outcome=member.outcome,
        why=member.why,
        excused=member.excused,
    )


def of_site(rollout: Rollout, member: Member, turn: Wave | None) -> SiteRollout:
    """The rollout as this member of it has it, whose turn is with that wave, if that is known."""
    return SiteRollout(
        number=rollout.number,
        kind=rollout.kind,
        version=rollout.version,
        policy=rollout.policy,
        phase=rollout.phase,
        before=member.before,
        wave=None if member.wave is None else member.wave + 1,
        turn=turn if member.wave is None else None,
        let_in_at=member.let_in_at,
        outcome=member.outcome,
        why=member.why,
    )


def rollout_of(told: RolloutDetail) -> Rollout:
    """The rollout that was told; since when its wave does well is not."""
    return Rollout(
        number=told.number,
        kind=told.kind,
        version=told.version,
        policy=told.policy,
        revision=told.commit,
        started_at=told.started_at,
        phase=told.phase,
        wave=told.wave - 1,
        wave_at=told.wave_at,
        ended_at=told.ended_at,
        cause=told.cause,
        members={one.site: _member(place, one) for place, one in enumerate(told.members)},
    )


def _member(position: int, told: RolloutSite) -> Member:
    return Member(
        position=position,
        before=told.before,
        wave=None if told.wave is None else told.wave - 1,
        let_in_at=told.let_in_at,
        outcome=told.outcome,
        why=told.why,
        excused=told.excused,
    )


def _figures(
    rollout: Rollout, policy: RolloutPolicy | None, now: datetime, counts: Mapping[str, int] | None = None
) -> dict[str, Any]:
    if counts is None:
        counts = Counter(m.outcome if m.wave is not None else "waiting" for m in rollout.members.values())
    return {
        "number": rollout.number,
        "kind": rollout.kind,
        "version": rollout.version,
        "policy": rollout.policy,
        "commit": rollout.revision,
        "phase": rollout.phase,
        "why": why(rollout.cause),
        "cause": rollout.cause,
        "started_at": rollout.started_at,
        "ended_at": rollout.ended_at,
        "wave": rollout.wave + 1,
        "wave_at": rollout.wave_at,
        "shares": [] if policy is None else policy.waves,
        "next_at": _next_at(rollout, policy),
        "overdue": policy is not None and is_overdue(rollout, policy, now),
        "sites": sum(counts.values()),
        **counts,
    }


def _next_at(rollout: Rollout, policy: RolloutPolicy | None) -> datetime | None:
    """When the wave has soaked; None while it does not, and where nothing rolls."""
    if rollout.phase != "rolling" or rollout.sound_since is None or policy is None:
        return None
    return rollout.sound_since + timedelta(seconds=duration_s(policy.soak))
