"""Rollouts as people read them."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from control_plane.core.rollout import next_wave, reach
from schemas.names import Percent
from schemas.rollouts import RolloutDetail, RolloutInfo, SiteRollout

HALTED: Final = frozenset(("halted", "rolled_back"))
WORDS: Final = {
    "rolling": "rolling",
    "halted": "halted",
    "rolled_back": "rolled back",
    "done": "done",
    "superseded": "superseded",
}
STYLES: Final = {"rolling": "36", "halted": "31", "rolled back": "31", "done": "32", "failed": "31", "well": "32"}


class Wave(NamedTuple):
    """A wave by its figures; one that has not gone yet has only `sites`."""

    number: int
    share: Percent
    sites: int
    well: int = 0
    failed: int = 0
    pending: int = 0


def what(rollout: RolloutInfo) -> str:
    """`release 2.2.0`."""
    return f"{rollout.kind} {rollout.version}"


def line_of(rollout: RolloutInfo) -> str:
    """In one line, where it is not alone."""
    has_it = rollout.sites - rollout.waiting
    told = f"{has_it} of {rollout.sites} sites were told"
    return f"rollout {rollout.number}, {what(rollout)}: {WORDS[rollout.phase]}, {told}; {how(rollout)}"


def how(rollout: RolloutInfo) -> str:
    """How it goes, in one sentence."""
    if rollout.phase in HALTED:
        return f"{rollout.why}; neopro rollout show {rollout.number}"
    if rollout.ended_at is not None:
        return f"ended {moment(rollout.ended_at)}{f'; {rollout.why}' if rollout.why else ''}"
    if rollout.overdue:
        return "waits for longer than its deadline for boxes that say nothing"
    if rollout.next_at is None:
        return f"wave {rollout.wave} waits until enough of its boxes run it well"
    return f"{'goes on' if _has_more(rollout) else 'ends'} at {moment(rollout.next_at)} if all stays well"


def _has_more(rollout: RolloutInfo) -> bool:
    return next_wave(rollout.sites, rollout.sites - rollout.waiting, rollout.shares, rollout.wave - 1) is not None


def moment(at: datetime) -> str:
    """`2026-11-27 03:00`, in UTC."""
    return f"{at:%Y-%m-%d %H:%M}"


def waves(rollout: RolloutDetail) -> list[Wave]:
    """Those that have gone, by what became of their sites, and those that are still to come."""
    gone: dict[int, Counter[str]] = {}
    for site in rollout.members:
        if site.wave is not None:
            gone.setdefault(site.wave, Counter())[site.outcome] += 1
    found = [Wave(number, _share(rollout, number), few.total(), **few) for number, few in sorted(gone.items())]
    has_it, wave = rollout.sites - rollout.waiting, -1 if rollout.phase == "rolled_back" else rollout.wave - 1
    while rollout.ended_at is None and (later := next_wave(rollout.sites, has_it, rollout.shares, wave)) is not None:
        upto = reach(rollout.sites, rollout.shares[later])
        found.append(Wave(later + 1, rollout.shares[later], upto - has_it))
        has_it, wave = upto, later
    return found


def _share(rollout: RolloutInfo, number: int) -> Percent:
    return rollout.shares[number - 1] if number <= len(rollout.shares) else ""


def of_site(rollout: SiteRollout) -> str:
    """What it means for one of its sites."""
    name = f"{rollout.kind} {rollout.version}"
    if rollout.wave is not None:
        done = {"well": "and runs well", "failed": "and failed", "pending": "and has not been seen to run well yet"}
        return f"{name} came to it in wave {rollout.wave} {done[rollout.outcome]}"
    comes = f"wave {rollout.turn} comes" if rollout.turn else "its wave comes"
    until = comes if rollout.phase == "rolling" else f"somebody goes on, for it was {WORDS[rollout.phase]}"
    return f"{name} is for it, and it goes on with {rollout.before} until {until}"


def rows_of(rollouts: Sequence[RolloutInfo]) -> list[tuple[str, ...]]:
    """One row a rollout."""
    return [
        (
            str(one.number),
            what(one),
            one.policy,
            WORDS[one.phase],
            f"{one.wave} of {len(one.shares)}" if one.shares else str(one.wave),
            str(one.sites),
            str(one.well),
            str(one.failed),
            str(one.pending),
            str(one.waiting),
            how(one),
        )
        for one in rollouts
    ]
