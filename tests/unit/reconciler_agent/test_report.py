"""What a round found, in the words of a report."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler_agent.core import attempt
from reconciler_agent.core.attempt import Releases
from reconciler_agent.core.clock import backoff_s
from reconciler_agent.core.diff import Changes
from reconciler_agent.core.report import (
    KEPT_FIRST_EVENTS,
    MAX_EVENTS,
    Failure,
    Round,
    Told,
    acknowledge,
    enqueue,
    numbered,
    tell,
)
from schemas.manifest import ReleaseHealth, ReleaseTarget
from schemas.names import digest_of
from schemas.status import Difference, Event, Waiting
from tests.support.agent_world import clip, manifest_of

NOW = datetime(2026, 11, 23, tzinfo=UTC)
TARGET = ReleaseTarget(
    version="2.0.0",
    tree=digest_of(b"2"),
    size_bytes=1,
    services=["neopro-app"],
    health=ReleaseHealth(within_s=1, settle_s=0),
)
GOOD = Releases(good=TARGET)
HELD = attempt.fail(attempt.begin(Releases(), TARGET, "a" * 32), "ReleaseUnhealthy", "it is sick", "a" * 32, NOW)
DENIED = Failure(reason="AccessDenied", message="nobody knows this box")
MANIFEST = manifest_of([], TARGET)


def round_(**changed: Any) -> Round:
    return Round(**({"state": "active", "manifest": MANIFEST, "releases": GOOD, "active": "2.0.0"} | changed))


def said(found: Round) -> dict[str, tuple[str, str]]:
    return {c.type: (c.status, c.reason) for c in tell(found, Told(), NOW).conditions}


@pytest.mark.parametrize(
    ("found", "kind", "status", "reason"),
    [
        (round_(), "Synced", "True", "Converged"),
        (round_(), "Degraded", "False", "AsExpected"),
        (round_(), "ReleaseHealthy", "True", "Healthy"),
        (round_(state=None, manifest=None), "Synced", "Unknown", "NoManifest"),
        (round_(state="suspended"), "Synced", "False", "Suspended"),
        (round_(state="retired"), "Synced", "False", "Retired"),
        (round_(failures=[Failure(reason="DiskFull", message="full")]), "Degraded", "True", "DiskFull"),
        (round_(failures=[Failure(reason="DiskFull", message="full")]), "Synced", "False", "DiskFull"),
        (round_(working="Fetching x."), "Progressing", "True", "Converging"),
        (round_(working="Fetching x."), "Synced", "False", "Converging"),
        (round_(changes=Changes(configure=True)), "Synced", "False", "Converging"),
        (round_(changes=Changes(unneeded_content=("videos/A/a.mp4",))), "Synced", "True", "Converged"),
        (round_(waiting=[Waiting(step="x", reason="MatchInProgress")]), "Synced", "False", "MatchInProgress"),
        (round_(connection=Failure(reason="NetworkTrouble", message="away")), "Connected", "False", "NetworkTrouble"),
        (round_(connection=Failure(reason="NetworkTrouble", message="away")), "Synced", "True", "Converged"),
        (round_(connection=DENIED), "Connected", "False", "AccessDenied"),
        (round_(connection=DENIED, state=None, manifest=None), "Connected", "False", "AwaitingAcceptance"),
        (round_(connection=DENIED, state=None, manifest=None), "Degraded", "False", "AsExpected"),
        (round_(stale=True), "Connected", "False", "HeadExpired"),
        (round_(releases=HELD), "Degraded", "True", "ReleaseHeld"),
        (round_(unhealthy=["sick"]), "ReleaseHealthy", "False", "ReleaseUnhealthy"),
        (round_(active=None), "ReleaseHealthy", "Unknown", "NoRelease"),
    ],
)
def test_round_is_told_in_conditions(found: Round, kind: str, status: str, reason: str) -> None:
    assert said(found)[kind] == (status, reason)


def test_rolled_back_box_is_degraded_and_says_which_release_failed() -> None:
    old = ReleaseTarget(version="1.0.0", tree=digest_of(b"1"), size_bytes=1, services=[], health=TARGET.health)
    run = "a" * 32
    failed = attempt.fail(attempt.begin(Releases(good=old), TARGET, run), "ReleaseUnhealthy", "it is sick", run, NOW)
    found = round_(releases=attempt.succeed(failed), active="1.0.0")

    degraded = next(c for c in tell(found, Told(), NOW).conditions if c.type == "Degraded")

    assert (degraded.status, degraded.reason) == ("True", "ReleaseUnhealthy")
    assert "2.0.0" in degraded.message and "sick" in degraded.message and "1.0.0" in degraded.message


def test_condition_keeps_its_instant_while_its_status_stays() -> None:
    first = tell(round_(), Told(), NOW)
    later = NOW + timedelta(hours=1)

    same = tell(round_(), first, later)
    other = tell(round_(working="Fetching x."), first, later)

    assert {c.since for c in same.conditions} == {NOW}
    assert {c.type for c in other.conditions if c.since == later} == {"Synced", "Progressing"}


def test_differences_are_named_by_what_they_are_about() -> None:
    file, _ = clip("a", b"a")
    changes = Changes(
        fetch=(file,),
        configure=True,
        configuration_differences=(Difference(kind="configuration", what="liveScoreEnabled"),),
        activate=TARGET,
        start=("neopro-app",),
    )

    found = tell(round_(changes=changes), Told(), NOW).differences

    assert [(d.kind, d.what) for d in found] == [
        ("content", file.path),
        ("configuration", "liveScoreEnabled"),
        ("release", "release"),
        ("service", "neopro-app"),
    ]


def events(count: int) -> list[Event]:
    return numbered(0, NOW, *[("info", "Tested", str(number)) for number in range(count)])


def test_full_outbox_keeps_the_first_and_the_newest() -> None:
    kept = enqueue(events(MAX_EVENTS), numbered(MAX_EVENTS, NOW, ("error", "Newest", "")))

    assert len(kept) == MAX_EVENTS
    assert [e.number for e in kept[:KEPT_FIRST_EVENTS]] == list(range(1, KEPT_FIRST_EVENTS + 1))
    assert kept[-1].reason == "Newest"
    assert [e.number for e in kept] == sorted({e.number for e in kept})


def test_acknowledged_events_leave_the_outbox() -> None:
    assert [e.number for e in acknowledge(events(5), 3)] == [4, 5]


@pytest.mark.parametrize(
    ("failures", "chance", "asked_s", "wait_s"),
    [
        (0, 0.5, None, 0.0),
        (1, 0.5, None, 2.5),
        (3, 0.5, None, 10.0),
        (9, 0.5, None, 30.0),
        (1000, 1.0, None, 60.0),
        (1, 0.0, None, 0.0),
        (1, 0.0, 7.0, 7.0),
        (1, 0.0, 0.001, 1.0),
        (1, 0.0, 1e9, 3600.0),
    ],
)
def test_wait_grows_to_the_interval_and_honours_what_was_asked(
    failures: int, chance: float, asked_s: float | None, wait_s: float
) -> None:
    assert backoff_s(failures, 60.0, chance, asked_s) == wait_s
