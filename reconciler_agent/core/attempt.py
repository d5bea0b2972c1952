"""The one release attempt that may be under way: go on, go back, or hold; and what is remembered of those that failed.

    fetch · verify · download · stage | activate · test | commit · clean up
    left of the first bar nothing is kept: start over
    between the bars the attempt is on disk before it is made. Interrupted (a boot, a kill, a disk that fails in the
    middle of the switch): again, three times in all; another error, the deadline or the third interruption: go back to
    the last good release, by the same two steps. There, every error but a failed test has three tries: nothing else is
    left
    the way back fails too: hold, until the manifest names another release, or what plays proves to be well after all

A release that failed is remembered as bad and not tried again until the manifest names another.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from schemas.manifest import Instant, ReleaseHealth, ReleaseTarget
from schemas.names import Digest
from schemas.status import Message, Reason, RunId

MAX_TRIES: Final = 3
NOBODY: Final[RunId] = "0" * 32
"""The run of a try that is still to be made: whoever comes next makes it, and nothing was interrupted."""


class Attempt(Struct, frozen=True, kw_only=True):
    """An activation under way, by the run (the life of one agent process) that works at it."""

    target: ReleaseTarget
    phase: Literal["activating", "testing"]
    back: bool = False
    tries: int = 1
    run: RunId


class BadRelease(Struct, frozen=True, kw_only=True):
    """A release that failed here, and how."""

    target: ReleaseTarget
    reason: Reason
    message: Message
    at: Instant


class Releases(Struct, frozen=True, kw_only=True):
    """What cannot be observed about releases: `good` passed its test last, `previous` before it.

    `held`: neither the wanted release nor the way back worked; what plays is left playing. `adopted`: the tree of what
    was installed by hand, of which nobody else has the files.
    """

    attempt: Attempt | None = None
    good: ReleaseTarget | None = None
    previous: ReleaseTarget | None = None
    bad: BadRelease | None = None
    held: bool = False
    adopted: Digest | None = None


def choose(known: Releases, wanted: ReleaseTarget | None) -> ReleaseTarget | None:
    """The release to converge on: the wanted one; the last good one where that is bad; None: leave releases alone."""
    if known.held:
        return None
    if known.attempt is not None and known.attempt.back:
        return known.attempt.target
    if wanted is not None and known.bad is not None and known.bad.target.tree == wanted.tree:
        return known.good
    return wanted


def face(known: Releases, wanted: ReleaseTarget | None) -> Releases:
    """What is remembered when the manifest wants this: another tree than the bad one is a new beginning."""
    bad = known.bad
    if wanted is not None and bad is not None and bad.target.tree != wanted.tree:
        known = replace(known, bad=None, held=False, attempt=None)
    attempt = known.attempt
    if attempt is not None and not attempt.back and (wanted is None or wanted.tree != attempt.target.tree):
        known = replace(known, attempt=None)
    return known


def resume(known: Releases, run: RunId, now: Instant) -> Releases:
    """What to go on with at the start of a round: an attempt of another run was interrupted, which counts."""
    attempt = known.attempt
    if attempt is None or attempt.run == run:
        return known
    if attempt.run == NOBODY:
        return replace(known, attempt=replace(attempt, phase="activating", run=run))
    if attempt.tries >= MAX_TRIES:
        message = f"the box or the agent stopped {MAX_TRIES} times while release {attempt.target.version} was tried"
        return fail(known, "Interrupted", message, run, now)
    return replace(known, attempt=replace(attempt, phase="activating", tries=attempt.tries + 1, run=run))


def begin(known: Releases, target: ReleaseTarget, run: RunId) -> Releases:
    """Before anything is switched: the attempt that is to be on disk; one that is being resumed stays as it is."""
    attempt = known.attempt
    if attempt is not None and attempt.target.tree == target.tree and attempt.run == run:
        return known
    back = known.bad is not None and known.good is not None and known.good.tree == target.tree
    return replace(known, attempt=Attempt(target=target, phase="activating", run=run, back=back))


def adopt(known: Releases, found: ReleaseTarget, before: ReleaseTarget) -> Releases:
    """What was installed by hand is the way back from now on, when another release is to follow; kept before it is one.

    Where it has the very files of that release, it is that release.
    """
    if found.tree == before.tree:
        return replace(known, good=before, adopted=None)
    return replace(known, good=found, adopted=found.tree)


def give_up(known: Releases) -> Releases:
    """The switch was not made: nothing changed, nothing is to be held against the release."""
    return replace(known, attempt=None)


def hindered(known: Releases) -> Releases | None:
    """What failed is not the release's fault (the disk; anything on the way back): again; None after three times."""
    attempt = known.attempt
    if attempt is None or attempt.tries >= MAX_TRIES:
        return None
    return replace(known, attempt=replace(attempt, tries=attempt.tries + 1, run=NOBODY))


def switched(known: Releases) -> Releases:
    """The release is active and its services were restarted: now its test."""
    return replace(known, attempt=known.attempt and replace(known.attempt, phase="testing"))


def fail(known: Releases, reason: Reason, message: Message, run: RunId, now: Instant) -> Releases:
    """After an error or the deadline between the bars: the way back begins, or, where there is none, hold."""
    attempt = known.attempt
    if attempt is None:
        return known
    if attempt.back:
        return replace(known, attempt=None, held=True)
    failed = replace(known, bad=BadRelease(target=attempt.target, reason=reason, message=message[:2000], at=now))
    if known.good is None or known.good.tree == attempt.target.tree:
        return replace(failed, attempt=None, held=True)
    return replace(failed, attempt=Attempt(target=known.good, phase="activating", back=True, run=run))


def succeed(known: Releases) -> Releases:
    """The attempt stood its test: its release is the good one now."""
    attempt = known.attempt
    if attempt is None:
        return known
    same = known.good is not None and known.good.tree == attempt.target.tree
    previous = known.previous if same else known.good
    return replace(known, attempt=None, good=attempt.target, previous=previous)


def playing(known: Releases, active: Digest | None) -> ReleaseTarget | None:
    """What a held box was left with, if it is the release that failed or the last good one; None when not held."""
    left = (known.good, known.bad.target if known.bad is not None else None)
    return next((t for t in left if known.held and t is not None and t.tree == active), None)


def recover(known: Releases, target: ReleaseTarget) -> Releases:
    """What a held box was left with has been healthy for as long as a test asks: it counts as good."""
    bad = None if known.bad is not None and known.bad.target.tree == target.tree else known.bad
    return replace(known, good=target, bad=bad, held=False)


def retry(known: Releases) -> Releases:
    """Somebody asked for it: what was given up may be tried again. An attempt under way goes on."""
    return replace(known, bad=None, held=False) if known.attempt is None else known


def assume(known: Releases, wanted: ReleaseTarget | None, active: ReleaseTarget | None) -> Releases:
    """After the state was lost: the release that is active, and on no trial, is taken for a good one."""
    if wanted is None or active is None or known.good is not None or known.attempt is not None or known.held:
        return known
    return replace(known, good=wanted if wanted.tree == active.tree else active)


def found(version: str, tree: Digest, size_bytes: int, wanted: ReleaseTarget) -> ReleaseTarget:
    """A release that is there and of which nothing else is known: its services are those of the one that is wanted."""
    health = replace(wanted.health, checks=[])
    return ReleaseTarget(version=version, tree=tree, size_bytes=size_bytes, services=wanted.services, health=health)


def is_untested(known: Releases, target: ReleaseTarget) -> bool:
    """Whether a release that is active was left before its test was over, for another one that never came."""
    return known.attempt is None and known.good is not None and known.good.tree != target.tree


class Watch(Struct, frozen=True, kw_only=True):
    """A health check under way, on the monotonic clock: since when, since when healthy, restarts counted then.

    `looked_s`: when the last look was over; None before the first.
    """

    started_s: float
    looked_s: float | None = None
    healthy_s: float | None = None
    restarts: Mapping[str, int] = {}


Health = Literal["settling", "healthy", "unhealthy"]
MOST_UNSEEN_S: Final = 10.0


def take_up(watch: Watch, now_s: float) -> Watch:
    """Before a look: a time in which nobody looked, since the agent stood still, is not held against a release."""
    unseen_s = now_s - (watch.started_s if watch.looked_s is None else watch.looked_s)
    return replace(watch, started_s=watch.started_s + unseen_s) if unseen_s > MOST_UNSEEN_S else watch


def look(
    watch: Watch, now_s: float, problems: Sequence[str], restarts: Mapping[str, int], health: ReleaseHealth
) -> tuple[Watch, Health]:
    """One more look: healthy is without problems and without a restart for `settle_s`, reached within `within_s`.

    A `within_s` that leaves no time to settle is stretched to the least that can be met.
    """
    watch = replace(watch, looked_s=now_s)
    if problems or (watch.healthy_s is not None and restarts != watch.restarts):
        watch = replace(watch, healthy_s=None)
    if not problems and watch.healthy_s is None:
        watch = replace(watch, healthy_s=now_s, restarts=dict(restarts))
    if watch.healthy_s is not None and now_s - watch.healthy_s >= health.settle_s:
        return watch, "healthy"
    if now_s - watch.started_s >= max(health.within_s, 2 * health.settle_s):
        return watch, "unhealthy"
    return watch, "settling"
