"""The one word for a site: every factor crossed with every other, and the words of each rule."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, get_args

import pytest

from control_plane.core.standing import OFFLINE_AFTER, TAKES_NEWS_WITHIN, Desired, Reported, Verdict, judge
from schemas.api import Standing
from schemas.status import Condition, Waiting

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GENERATION = 100


def condition(type_: Any, status: Any, reason: str = "Because", message: str = "") -> Condition:
    return Condition(type=type_, status=status, reason=reason, message=message, since=NOW)


def desired(**fields: Any) -> Desired:
    return Desired(**{"generation": GENERATION, "published_at": NOW - timedelta(minutes=1), **fields})


def reported(**fields: Any) -> Reported:
    usual = {"generation": GENERATION, "head_generation": GENERATION, "conditions": [condition("Synced", "True")]}
    return Reported(**{"received_at": NOW - timedelta(seconds=5), **usual, **fields})


STATES: list[dict[str, Any]] = [{}, {"state": "suspended"}, {"state": "retired"}, {"gone": True}]
IDENTITIES = [True, False]
AGES = [None, timedelta(seconds=5), OFFLINE_AFTER, OFFLINE_AFTER + timedelta(seconds=1), -OFFLINE_AFTER * 2]
GENERATIONS: list[tuple[int | None, int | None]] = [
    (GENERATION, GENERATION),
    (GENERATION, None),
    (GENERATION - 1, GENERATION),
    (GENERATION - 1, GENERATION - 1),
    (None, GENERATION),
    (None, None),
    (GENERATION + 1, GENERATION + 1),
]
SYNCED = ["True", "False", "Unknown", None]
PROGRESSING = ["True", "False", None]
DEGRADED = ["True", "False", None]
HEALTHY = ["True", "False"]
WAITS: list[list[Waiting]] = [[], [Waiting(step="Restart", reason="MatchInProgress")]]
NEWS = [timedelta(minutes=1), TAKES_NEWS_WITHIN + timedelta(minutes=1)]


def conditions(synced: Any, progressing: Any, degraded: Any, healthy: Any) -> list[Condition]:
    given = {"Synced": synced, "Progressing": progressing, "Degraded": degraded, "ReleaseHealthy": healthy}
    return [condition(type_, status) for type_, status in given.items() if status]


def test_every_crossing_of_factors_stands_as_the_rules_say() -> None:
    told = product(STATES, IDENTITIES, AGES, GENERATIONS, SYNCED, PROGRESSING, DEGRADED, HEALTHY, WAITS, NEWS)
    seen: set[str] = set()
    for state, identity, age, (own, head), synced, progressing, degraded, healthy, waits, news in told:
        report = age is not None and reported(
            received_at=NOW - age,
            generation=own,
            head_generation=head,
            conditions=conditions(synced, progressing, degraded, healthy),
            waiting=waits,
        )
        verdict = judge(desired(has_identity=identity, published_at=NOW - news, **state), report or None, NOW)
        newest = max(own or 0, head or 0)
        expected: Standing
        if state:
            expected = "Suspended" if state.get("state") == "suspended" else "Retired"
        elif not identity or age is None or age < timedelta(0):
            expected = "Unknown"
        elif age > OFFLINE_AFTER:
            expected = "Offline"
        elif degraded == "True" or healthy == "False" or newest > GENERATION:
            expected = "Degraded"
        elif newest < GENERATION:
            expected = "Degraded" if news > TAKES_NEWS_WITHIN else "Progressing"
        elif waits or progressing == "True" or own != GENERATION or synced != "True":
            expected = "Progressing"
        else:
            expected = "Synced"
        assert verdict.standing == expected
        assert verdict.reason
        assert verdict.message
        seen.add(verdict.standing)
    assert seen == set(get_args(Standing))


@pytest.mark.parametrize(
    "stale",
    [
        {"received_at": NOW - OFFLINE_AFTER - timedelta(seconds=1)},
        {"received_at": NOW + OFFLINE_AFTER * 2},
        {"generation": GENERATION - 1},
        {"generation": None, "head_generation": None},
        {"generation": GENERATION + 1, "head_generation": GENERATION + 1},
        {"conditions": []},
        {"conditions": [condition("Synced", "Unknown")]},
    ],
)
def test_evidence_that_is_old_or_of_something_else_is_never_called_synced(stale: dict[str, Any]) -> None:
    assert judge(desired(), reported(), NOW).standing == "Synced"
    assert judge(desired(), reported(**stale), NOW).standing != "Synced"


def test_site_without_a_box_says_what_is_missing() -> None:
    assert judge(desired(has_identity=False), None, NOW).reason == "NoIdentity"
    assert judge(desired(), None, NOW).reason == "NeverReported"
    assert judge(desired(revoked=True), reported(), NOW).reason == "IdentityRevoked"


@pytest.mark.parametrize(
    ("silence", "words"),
    [
        (timedelta(minutes=16), "16 minutes"),
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(hours=47), "47 hours"),
        (timedelta(days=20), "20 days"),
    ],
)
def test_silent_box_says_for_how_long(silence: timedelta, words: str) -> None:
    verdict = judge(desired(), reported(received_at=NOW - silence), NOW)
    assert (verdict.standing, words in verdict.message) == ("Offline", True)


def test_trouble_is_told_in_the_words_of_the_box() -> None:
    trouble = condition("Degraded", "True", "DiskFull", "2 MB are left.")
    assert judge(desired(), reported(conditions=[trouble]), NOW) == Verdict(
        standing="Degraded", reason="DiskFull", message="2 MB are left.", by_box=True
    )


def test_waiting_step_is_what_keeps_a_site_progressing() -> None:
    waits = Waiting(step="Activate 2.2.0", reason="MatchInProgress", message="A match is on the screen.")
    verdict = judge(desired(), reported(waiting=[waits]), NOW)
    assert (verdict.standing, verdict.reason, verdict.message) == (
        "Progressing",
        "MatchInProgress",
        "A match is on the screen.",
    )


def test_box_that_refuses_our_word_is_an_alarm_even_when_it_is_as_desired() -> None:
    refuses = condition("Connected", "False", "TrustRefused", "cannot accept head 100: it is signed by nobody known")
    verdict = judge(desired(), reported(conditions=[condition("Synced", "True"), refuses]), NOW)
    assert (verdict.standing, verdict.reason) == ("Degraded", "TrustRefused")


def test_box_that_cannot_fetch_the_news_says_why() -> None:
    away = condition("Connected", "False", "NetworkTrouble", "a captive portal answered")
    behind = reported(generation=1, head_generation=1, conditions=[away])
    assert judge(desired(), behind, NOW).message == "a captive portal answered"
    assert judge(desired(), reported(conditions=[condition("Synced", "True"), away]), NOW).standing == "Synced"


@pytest.mark.parametrize(
    ("fields", "knows", "reason"),
    [
        ({"gone": True}, True, "Gone"),
        ({"gone": True}, False, "GoneUntold"),
        ({"state": "retired"}, True, "Retired"),
        ({"state": "suspended"}, False, "SuspendedUntold"),
    ],
)
def test_ended_site_says_whether_its_box_knows(fields: dict[str, Any], knows: bool, reason: str) -> None:
    head = GENERATION if knows else GENERATION - 1
    assert judge(desired(**fields), reported(generation=1, head_generation=head), NOW).reason == reason


@pytest.mark.parametrize("connectivity", ["always", "matchdays", "rare"])
@pytest.mark.parametrize("silent_days", [0.5, 14, 16, 89, 91])
def test_silence_that_is_usual_for_a_box_is_no_trouble_and_never_green(connectivity: Any, silent_days: float) -> None:
    silent = timedelta(days=silent_days)
    said = judge(desired(connectivity=connectivity), reported(received_at=NOW - silent), NOW)
    usual = silent_days < {"always": 0, "matchdays": 15, "rare": 90}[connectivity]
    assert (said.standing, said.reason) == ("Offline", "Away" if usual else "Silent")
