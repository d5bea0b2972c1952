"""Operations as values: every phase met by every run, boot and time; what is due, what is forgotten."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import get_args

import pytest
from msgspec.structs import replace

from reconciler_agent.core import operations
from reconciler_agent.core.operations import SENDING_GRACE, Entry, Phase
from schemas.desired import OperationAction, Service
from schemas.manifest import ManifestOperation

NOW = datetime(2026, 11, 23, tzinfo=UTC)
HOUR = timedelta(hours=1)
OURS, THEIRS = "a" * 32, "b" * 32
PHASES: tuple[Phase, ...] = get_args(Phase)
ACTIONS: tuple[OperationAction, ...] = get_args(OperationAction)


def entry(action: OperationAction = "self_test", phase: Phase = "waiting", **known: object) -> Entry:
    given = {"action": action, "phase": phase, "not_after": NOW + HOUR, "wanted_at": NOW, "run": THEIRS, "boot": "1"}
    return Entry(**(given | known))  # type: ignore[arg-type]


def wanted(name: str, not_after: datetime = NOW + HOUR) -> ManifestOperation:
    return ManifestOperation(id=name, action="self_test", not_after=not_after)


@pytest.mark.parametrize("phase", [None, *PHASES])
@pytest.mark.parametrize("left", [-HOUR, timedelta(0), HOUR])
def test_due_is_what_was_not_begun_and_has_not_expired(phase: Phase | None, left: timedelta) -> None:
    ledger = {} if phase is None else {"x": entry(phase=phase)}
    found = operations.due([wanted("x", NOW + left)], ledger, NOW)
    assert bool(found) is (phase in (None, "waiting") and left >= timedelta(0))


@pytest.mark.parametrize(("action", "phase", "run", "boot"), list(product(ACTIONS, PHASES, [OURS, THEIRS], ["1", "2"])))
def test_what_another_run_began_has_come_to_its_end(action: OperationAction, phase: Phase, run: str, boot: str) -> None:
    before = entry(action, phase, run=run, service="neopro-app")

    after = operations.take_up(before, OURS, boot)

    if phase != "started" or run == OURS:
        assert after == before
    elif action == "reboot" and boot == "2":
        assert after.phase == "succeeded"
    else:
        assert after.phase == "failed"
        assert "not tried again" in after.message


@pytest.mark.parametrize("run", [OURS, THEIRS])
def test_restart_of_the_agent_is_proved_by_another_run(run: str) -> None:
    before = entry("restart_service", "started", run=run, service="neopro-sync-agent")
    assert operations.take_up(before, OURS, "1").phase == ("started" if run == OURS else "succeeded")


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("late", [-HOUR, timedelta(0), HOUR, SENDING_GRACE + HOUR])
def test_time_ends_what_waits_and_what_nobody_takes(phase: Phase, late: timedelta) -> None:
    before = entry(phase=phase, not_after=NOW - late)
    after = operations.expire(before, NOW)
    if phase == "waiting" and late > timedelta(0):
        assert after.phase == "expired"
    elif phase == "sending" and late > SENDING_GRACE:
        assert after.phase == "failed"
    else:
        assert after == before


@pytest.mark.parametrize(("phase", "named", "past"), list(product(PHASES, [False, True], [False, True])))
def test_only_what_can_never_run_again_is_forgotten(phase: Phase, named: bool, past: bool) -> None:
    known = entry(phase=phase, not_after=NOW - HOUR if past else NOW + HOUR)

    kept = operations.prune({"x": known}, {"x"} if named else set(), NOW)

    over = phase in ("succeeded", "failed", "expired")
    assert bool(kept) is not ((over and past) or (phase == "waiting" and not named))
    if not kept and named:
        assert operations.due([replace(wanted("x"), not_after=known.not_after)], kept, NOW) == []


def test_entering_keeps_what_is_known() -> None:
    known = {"x": entry(phase="succeeded")}
    entered = operations.enter(known, [wanted("x"), wanted("y")], NOW)
    assert (entered["x"].phase, entered["y"].phase, entered["y"].wanted_at) == ("succeeded", "waiting", NOW)


@pytest.mark.parametrize(
    ("action", "service", "kind"),
    [
        ("reboot", None, "disruptive"),
        ("restart_service", "neopro-kiosk", "disruptive"),
        ("restart_service", "neopro-sync-agent", None),
        ("fetch_logs", "neopro-app", None),
        ("self_test", None, None),
        ("retry", None, None),
    ],
)
def test_what_stops_the_screen_is_disruptive(action: OperationAction, service: Service | None, kind: str) -> None:
    assert operations.kind_of(entry(action, service=service)) == kind
