"""Rollouts as the API tells them: how far a new release or agent has come, and how it does."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.manifest import Instant
from schemas.names import DocumentId, Percent, Revision, SiteId, Version

RolloutKind = Literal["release", "agent"]
Phase = Literal["rolling", "halted", "rolled_back", "done", "superseded"]
"""`halted`: nobody else gets it, and who has it keeps it. `rolled_back`: all went back to what they had."""
Outcome = Literal["pending", "well", "failed"]
Wave = Annotated[int, Meta(ge=1, description="Counted from 1.")]


class Cause(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a rollout halted or ended early, in figures: `count` of `sites` failed, or are silent.

    `failures`: more in all than `max_failures`, which is `allowed`. `wave`: too many of one wave for `success`, which
    is `allowed`. `silent`: it ended without their word. `nobody`: no site resolves to it any more.
    """

    kind: Literal["failures", "wave", "silent", "nobody"]
    count: int = 0
    sites: int = 0
    wave: Wave = 1
    allowed: str = ""


class RolloutInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rollout, by its figures: of all `sites`, `waiting` do not have it yet; the others are one of the outcomes.

    `shares`: of the sites, after each wave, as the policy has it now; none where the policy is gone. `next_at`: when
    the next wave goes, if all stays well. `overdue`: the wave waits beyond its `deadline` for boxes that say nothing.
    `why` it halted or ended is the `cause` in words.
    """

    number: int
    kind: RolloutKind
    version: Version
    policy: DocumentId
    commit: Revision
    phase: Phase
    why: str = ""
    cause: Cause | None = None
    started_at: Instant
    ended_at: Instant | None = None
    wave: Wave
    wave_at: Instant
    shares: list[Percent] = []
    next_at: Instant | None = None
    overdue: bool = False
    sites: int
    waiting: int = 0
    pending: int = 0
    well: int = 0
    failed: int = 0


class RolloutSite(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A site of a rollout; without `wave` it waits for its turn. `excused`: its failure does not count any more.

    `before`: what it had, and may go back to; None where that was revoked since.
    """

    site: SiteId
    before: Version | None = None
    wave: Wave | None = None
    let_in_at: Instant | None = None
    outcome: Outcome = "pending"
    why: str = ""
    excused: bool = False


class RolloutDetail(RolloutInfo, frozen=True, kw_only=True, omit_defaults=True):
    """A rollout with its sites, in the order in which they have their turn."""

    members: list[RolloutSite] = []


class SiteRollout(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rollout under way, as one of its sites has it; without `wave` it has `before` until the wave `turn`."""

    number: int
    kind: RolloutKind
    version: Version
    policy: DocumentId
    phase: Phase
    before: Version | None = None
    wave: Wave | None = None
    turn: Wave | None = None
    let_in_at: Instant | None = None
    outcome: Outcome = "pending"
    why: str = ""
