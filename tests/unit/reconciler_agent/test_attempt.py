"""The resume table of a release, crossed by its factors; and what the health check makes of its looks."""

from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler_agent.core import attempt
from reconciler_agent.core.attempt import MAX_TRIES, Attempt, Releases, Watch
from schemas.desired import HttpCheck
from schemas.manifest import ReleaseHealth, ReleaseTarget
from schemas.names import digest_of

NOW = datetime(2026, 11, 23, tzinfo=UTC)
OURS, THEIRS = "a" * 32, "b" * 32
HEALTH = ReleaseHealth(within_s=30, settle_s=5)


def target(version: str) -> ReleaseTarget:
    return ReleaseTarget(
        version=version, tree=digest_of(version.encode()), size_bytes=1, services=["neopro-app"], health=HEALTH
    )


OLD, NEW, NEXT = target("1.0.0"), target("2.0.0"), target("3.0.0")

PHASES = ("activating", "testing")
CAUSES = ("interrupted", "error", "healthy")
GOODS = (None, OLD, NEW)


def expected(phase: str, back: bool, cause: str, tries: int, good: ReleaseTarget | None) -> str:
    """The table: what follows when `cause` meets an attempt at NEW (or, `back`, at the good one)."""
    if cause == "healthy":
        return "commit"
    if cause == "interrupted" and tries < MAX_TRIES:
        return "again"
    if back or good is None or good == NEW:
        return "hold"
    return "back"


@pytest.mark.parametrize(
    ("phase", "back", "cause", "tries", "good"),
    [row for row in product(PHASES, (False, True), CAUSES, (1, 2, 3), GOODS) if not row[1] or row[4] == OLD],
)
def test_attempt_that_met_something_goes_on_as_the_table_says(
    phase: Any, back: bool, cause: str, tries: int, good: ReleaseTarget | None
) -> None:
    tried = OLD if back else NEW
    bad = attempt.BadRelease(target=NEW, reason="ReleaseUnhealthy", message="sick", at=NOW) if back else None
    run = THEIRS if cause == "interrupted" else OURS
    known = Releases(attempt=Attempt(target=tried, phase=phase, back=back, tries=tries, run=run), good=good, bad=bad)

    after = meet(known, cause)

    match expected(phase, back, cause, tries, good):
        case "commit":
            assert (after.attempt, after.good, after.held) == (None, tried, False)
        case "again":
            assert after.attempt == Attempt(target=tried, phase="activating", back=back, tries=tries + 1, run=OURS)
        case "back":
            assert after.attempt == Attempt(target=OLD, phase="activating", back=True, run=OURS)
            assert after.bad is not None and after.bad.target == NEW
            assert attempt.choose(after, NEW) == OLD
        case "hold":
            assert (after.attempt, after.held) == (None, True)
            assert attempt.choose(after, NEW) is None


def meet(known: Releases, cause: str) -> Releases:
    if cause == "interrupted":
        return attempt.resume(known, OURS, NOW)
    if cause == "error":
        return attempt.fail(known, "ServiceFailed", "no", OURS, NOW)
    return attempt.succeed(known)


def test_attempt_of_this_run_is_not_taken_for_interrupted() -> None:
    known = Releases(attempt=Attempt(target=NEW, phase="testing", run=OURS))

    assert attempt.resume(known, OURS, NOW) is known


@pytest.mark.parametrize("run", [OURS, THEIRS])
def test_try_that_is_still_to_be_made_is_made_by_whoever_comes_next(run: str) -> None:
    known = attempt.begin(Releases(good=OLD), NEW, OURS)
    for made in range(2, attempt.MAX_TRIES + 1):
        again = attempt.hindered(known)
        assert again is not None
        known = attempt.resume(again, run, NOW)
        assert known.attempt == Attempt(target=NEW, phase="activating", tries=made, run=run)
        assert attempt.begin(known, NEW, run) == known

    assert attempt.hindered(known) is None


def failed() -> Releases:
    known = attempt.begin(Releases(good=OLD), NEW, OURS)
    return attempt.succeed(attempt.fail(known, "ReleaseUnhealthy", "sick", OURS, NOW))


def test_bad_release_is_not_chosen_while_the_manifest_names_it() -> None:
    known = attempt.face(failed(), NEW)

    assert attempt.choose(known, NEW) == OLD


def test_manifest_that_names_another_release_forgets_the_bad_one() -> None:
    known = attempt.face(failed(), NEXT)

    assert known.bad is None
    assert attempt.choose(known, NEXT) == NEXT
    assert attempt.choose(attempt.face(known, NEW), NEW) == NEW


def test_held_box_tries_again_when_the_manifest_names_another() -> None:
    held = attempt.fail(attempt.begin(Releases(), NEW, OURS), "ServiceFailed", "no", OURS, NOW)

    assert attempt.choose(attempt.face(held, NEW), NEW) is None
    assert attempt.choose(attempt.face(held, NEXT), NEXT) == NEXT


def test_held_box_whose_only_release_is_well_after_all_takes_it_for_good() -> None:
    held = attempt.fail(attempt.begin(Releases(), NEW, OURS), "ServiceFailed", "no", OURS, NOW)

    assert attempt.playing(held, None) is None
    assert attempt.playing(held, NEW.tree) == NEW
    known = attempt.recover(held, NEW)
    assert (known.good, known.bad, known.held) == (NEW, None, False)
    assert attempt.choose(known, NEW) == NEW
    assert attempt.playing(known, NEW.tree) is None


def test_held_box_whose_last_good_release_is_well_again_stays_with_it() -> None:
    back = attempt.fail(attempt.begin(Releases(good=OLD), NEW, OURS), "ReleaseUnhealthy", "sick", OURS, NOW)
    held = attempt.fail(back, "ServiceFailed", "no", OURS, NOW)
    assert (held.held, attempt.playing(held, OLD.tree)) == (True, OLD)

    known = attempt.recover(held, OLD)
    assert (known.held, known.bad, attempt.choose(known, NEW)) == (False, held.bad, OLD)


def test_manifest_that_changes_during_an_attempt_ends_it() -> None:
    known = attempt.begin(Releases(good=OLD), NEW, OURS)

    assert attempt.face(known, NEXT).attempt is None
    assert attempt.face(known, None).attempt is None
    assert attempt.face(known, NEW).attempt == known.attempt


def test_release_left_in_the_middle_of_its_test_is_untested() -> None:
    known = attempt.face(attempt.switched(attempt.begin(Releases(good=OLD), NEW, OURS)), NEXT)

    assert attempt.is_untested(known, NEW)
    assert not attempt.is_untested(known, OLD)


def test_going_back_is_marked_in_the_attempt_that_begins_anew() -> None:
    known = replace(failed(), attempt=None)

    begun = attempt.begin(known, OLD, OURS)

    assert begun.attempt is not None and begun.attempt.back


def test_good_release_before_the_last_is_kept_for_retention() -> None:
    known = attempt.succeed(attempt.begin(Releases(good=OLD), NEW, OURS))

    assert (known.good, known.previous) == (NEW, OLD)


def test_lost_state_takes_the_active_release_for_good() -> None:
    as_found = replace(NEW, size_bytes=7)
    assert attempt.assume(Releases(), NEW, as_found).good == NEW, "of the wanted one more is known"
    assert attempt.assume(Releases(), NEW, OLD).good == OLD
    on_trial = Releases(attempt=Attempt(target=NEW, phase="testing", run=OURS))
    for known, wanted, active in (
        (on_trial, NEW, OLD),
        (Releases(held=True), NEW, OLD),
        (Releases(good=NEW), NEW, OLD),
        (Releases(), None, OLD),
        (Releases(), NEW, None),
    ):
        assert attempt.assume(known, wanted, active) is known


def test_release_that_is_found_has_the_services_of_the_wanted_one_and_none_of_its_own_checks() -> None:
    checked = replace(NEW, health=replace(NEW.health, checks=[HttpCheck(http="http://127.0.0.1/new", expect="new")]))
    assert attempt.found("1.0.0", OLD.tree, 3, checked) == replace(NEW, version="1.0.0", tree=OLD.tree, size_bytes=3)


def watch_over(looks: list[tuple[float, bool, int]]) -> str:
    """The verdict after these looks: at, sick, restarts."""
    watch, verdict = Watch(started_s=0.0), "settling"
    for at, sick, restarts in looks:
        problems = ["sick"] if sick else []
        watch, verdict = attempt.look(watch, at, problems, {"neopro-app": restarts}, HEALTH)
    return verdict


@pytest.mark.parametrize(
    ("looks", "verdict"),
    [
        ([(0, False, 0)], "settling"),
        ([(0, False, 0), (4.9, False, 0)], "settling"),
        ([(0, False, 0), (5, False, 0)], "healthy"),
        ([(0, False, 0), (3, True, 0), (5, False, 0)], "settling"),
        ([(0, False, 0), (3, True, 0), (5, False, 0), (10, False, 0)], "healthy"),
        ([(0, False, 0), (5, False, 1)], "settling"),
        ([(0, False, 0), (4, False, 1), (9, False, 1)], "healthy"),
        ([(0, True, 0), (29.9, True, 0)], "settling"),
        ([(0, True, 0), (30, True, 0)], "unhealthy"),
        ([(0, True, 0), (26, False, 0), (30, False, 0)], "unhealthy"),
        ([(float(at), False, at) for at in range(31)], "unhealthy"),
    ],
)
def test_release_is_healthy_only_when_it_stays_so_without_restarts(
    looks: list[tuple[float, bool, int]], verdict: str
) -> None:
    assert watch_over(looks) == verdict


def test_limit_too_short_to_settle_in_is_stretched() -> None:
    short = ReleaseHealth(within_s=1, settle_s=10)
    watch, _ = attempt.look(Watch(started_s=0.0), 2.0, [], {}, short)

    assert attempt.look(watch, 12.0, [], {}, short)[1] == "healthy"


@pytest.mark.parametrize(
    ("unseen_s", "sick", "verdict"),
    [(9.0, False, "settling"), (500.0, False, "settling"), (500.0, True, "settling")],
)
def test_time_in_which_the_agent_stood_still_is_not_held_against_a_release(
    unseen_s: float, sick: bool, verdict: str
) -> None:
    watch, _ = attempt.look(Watch(started_s=0.0), 0.5, ["sick"], {}, HEALTH)
    awake_s = 0.5 + unseen_s
    watch = attempt.take_up(watch, awake_s)
    assert attempt.look(watch, awake_s, ["sick"] if sick else [], {}, HEALTH)[1] == verdict


def test_looks_that_take_long_are_held_against_a_release() -> None:
    watch, verdict, now_s = Watch(started_s=0.0), "settling", 0.0
    while verdict == "settling":
        watch = attempt.take_up(watch, now_s)
        now_s += 15.0  # services that do not answer
        watch, verdict = attempt.look(watch, now_s, ["sick"], {}, HEALTH)
    assert (verdict, now_s) == ("unhealthy", 30.0)
