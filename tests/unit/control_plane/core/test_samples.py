"""What a box measured: dated by our time, late or not, each once, nothing later than now or too old."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from control_plane.core import samples
from control_plane.core.samples import Life
from schemas.status import Boot, History, Sample, StatusReport, Transition

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
STARTED = NOW - timedelta(hours=1)


def report(
    *taken: Sample, boots: list[Boot] | None = None, transitions: list[Transition] | None = None
) -> StatusReport:
    boots = boots if boots is not None else [Boot(id="life", started_at=STARTED)]
    return StatusReport(
        run_id="a" * 32,
        sequence=1,
        at=NOW,
        agent_version="1.0.0",
        history=History(boots=boots, samples=list(taken)),
        transitions=transitions or [],
    )


def sample(uptime_s: float, boot: int = 0, **figures: Any) -> Sample:
    return Sample(boot=boot, uptime_s=uptime_s, span_s=60, **figures)


@pytest.mark.parametrize(
    ("uptime_s", "began", "late_s"),
    [
        (3600, NOW - timedelta(minutes=1), 0),
        (2700, NOW - timedelta(minutes=16), 0),
        (2699, NOW - timedelta(minutes=16, seconds=1), 60),
        (9999, NOW - timedelta(minutes=1), 0),
    ],
)
def test_sample_lies_where_it_began_never_later_than_now(uptime_s: float, began: datetime, late_s: int) -> None:
    (row,) = samples.new_samples("brest", report(sample(uptime_s)), {}, NOW)
    assert (row.at, row.late_s, row.unsure) == (began, late_s, False)


def test_samples_that_were_taken_do_not_count_again() -> None:
    known = {"life": Life(boot="life", started_at=STARTED, certain=True, sampled_s=120)}
    said = report(sample(60), sample(120), sample(180))
    assert [row.at for row in samples.new_samples("brest", said, known, NOW)] == [STARTED + timedelta(seconds=120)]
    (life,) = samples.lives(said, known, NOW)
    assert (life.sampled_s, life.turned_s) == (180, -1)
    assert samples.new_samples("brest", said, {"life": life}, NOW) == []


def test_samples_of_no_life_or_of_long_ago_are_left_out() -> None:
    old = Boot(id="old", started_at=NOW - 91 * DAY, certain=False)
    said = report(sample(60), sample(2 * 86_400), sample(60, boot=5), boots=[old])
    (row,) = samples.new_samples("brest", said, {}, NOW)
    assert (row.at, row.unsure, row.late_s) == (NOW - 89 * DAY - timedelta(minutes=1), True, 60)


@pytest.mark.parametrize(
    ("strain", "weak", "slowed"),
    [
        (None, None, None),
        ([], False, False),
        (["under_voltage"], True, False),
        (["throttled"], False, True),
        (["under_voltage", "soft_temperature_limit"], True, True),
    ],
)
def test_strain_is_power_and_speed(strain: Any, weak: bool | None, slowed: bool | None) -> None:
    (row,) = samples.new_samples("brest", report(sample(60, strain=strain)), {}, NOW)
    assert (row.weak_power, row.slowed) == (weak, slowed)


def test_start_that_was_certain_stays_and_transitions_have_a_count_of_their_own() -> None:
    known = {"life": Life(boot="life", started_at=STARTED, certain=True, sampled_s=600, turned_s=60)}
    unsure = [Boot(id="life", started_at=STARTED - DAY, certain=False)]
    turned = [
        Transition(boot="life", uptime_s=at, at=STARTED, type="Synced", status="True", reason="Converged")
        for at in (60, 61)
    ]
    said = report(sample(660), boots=unsure, transitions=turned)
    assert samples.new_transitions(said, known) == turned[1:]
    (life,) = samples.lives(said, known, NOW)
    assert life.sampled_s == 660
    assert life.turned_s == 61
    assert life.certain


def test_minutes_last_until_the_day_after_is_over() -> None:
    assert samples.minutes_from(NOW) == datetime(2026, 11, 22, tzinfo=UTC)
