"""What is kept of measurements: in order, thinned with age, bounded, handed over once."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler_agent.core import history
from reconciler_agent.core.history import Life
from schemas.status import MAX_BOOTS, MAX_SAMPLES, Boot, Link, Metrics, Sample

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DAY_S = 86_400


def life(days_ago: float, minutes: int, name: str = "a", every_s: int = 60) -> Life:
    """A life that began so long ago, measured once a minute."""
    samples = tuple(sample(every_s * (n + 1)) for n in range(minutes))
    return Life(boot=Boot(id=name, started_at=NOW - timedelta(days=days_ago)), samples=samples)


def sample(uptime_s: float, **figures: object) -> Sample:
    return Sample(**{"boot": 0, "uptime_s": uptime_s, "span_s": 60, **figures})  # type: ignore[arg-type]


def keys(lives: tuple[Life, ...]) -> list[tuple[str, float]]:
    return [(one.boot.id, s.uptime_s) for one in lives for s in one.samples]


def test_day_stays_by_the_minute() -> None:
    day = (life(1, 1440),)
    assert history.thin(day, NOW) == day


def test_what_is_older_than_a_day_becomes_hours_that_stand_for_as_long() -> None:
    (thinned,) = history.thin((life(3, 3 * 1440),), NOW)
    old = [s for s in thinned.samples if s.uptime_s < 2 * DAY_S]
    assert len(old) == 48
    assert sum(s.span_s for s in old) == 2 * DAY_S - 60
    assert len(thinned.samples) == len(old) + 1441


def test_nothing_is_older_than_ninety_days_and_all_is_bounded() -> None:
    lives = tuple(life(100 - 2 * n, 2 * 1440, f"life {n}") for n in range(50))
    thinned = history.thin(lives, NOW)
    first = thinned[0]
    assert first.boot.started_at + timedelta(seconds=first.samples[0].uptime_s) >= NOW - timedelta(days=90)
    assert 90 * 24 < sum(len(one.samples) for one in thinned) <= history.MAX_KEPT


def test_too_much_in_one_day_loses_the_oldest() -> None:
    (thinned,) = history.thin((life(0.5, 5_000, every_s=5),), NOW)
    assert len(thinned.samples) == history.MAX_KEPT
    assert thinned.samples[-1].uptime_s == 25_000


def test_hour_tells_means_of_shares_and_the_worst_of_the_rest() -> None:
    some = (
        sample(60, cpu_percent=10, temperature_celsius=50, disk_percent=70, signal_dbm=-50, restarts=1, strain=[]),
        sample(120, cpu_percent=20, temperature_celsius=70, signal_dbm=-60, restarts=2, strain=["throttled"]),
        sample(180),
    )
    (thinned,) = history.thin((Life(boot=Boot(id="a", started_at=NOW - timedelta(days=2)), samples=some),), NOW)
    assert thinned.samples == (
        Sample(
            boot=0,
            uptime_s=180,
            span_s=180,
            cpu_percent=15.0,
            temperature_celsius=70,
            disk_percent=70,
            signal_dbm=-60,
            restarts=2,
            strain=["throttled"],
        ),
    )


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 700), max_size=8), st.floats(0, 100))
def test_thinning_again_changes_nothing_and_keeps_the_order(minutes: list[int], days: float) -> None:
    lives = tuple(life(days - n * days / 8, count, f"life {n}") for n, count in enumerate(minutes))
    once = history.thin(lives, NOW)
    assert history.thin(once, NOW) == once
    assert keys(once) == [key for key in keys(lives) if key in set(keys(once))]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=150) | st.lists(st.integers(400, 1200), min_size=1, max_size=4)
)
def test_batches_hand_over_everything_once_and_in_order(minutes: list[int]) -> None:
    lives = tuple(life(9, count, f"life {n}") for n, count in enumerate(minutes))
    left, handed = lives, []
    while left:
        batch = history.batch(left)
        assert len(batch.samples) <= MAX_SAMPLES
        assert len(batch.boots) <= MAX_BOOTS
        assert history.is_more(left) == (len(batch.samples) < sum(len(one.samples) for one in left))
        handed += [(batch.boots[s.boot].id, s.uptime_s) for s in batch.samples]
        last = history.last_of(batch)
        assert last is not None
        left = history.drop(left, last)
    assert handed == keys(lives)


def test_batch_of_another_life_takes_nothing_away() -> None:
    lives = (life(1, 3),)
    assert history.drop(lives, history.Last("forgotten", 60)) == lives
    assert history.batch(()).samples == []
    assert history.last_of(history.batch(())) is None


def test_start_that_is_certain_once_stays_and_an_uncertain_one_is_corrected() -> None:
    earliest = Boot(id="a", started_at=NOW - timedelta(days=30), certain=False)
    certain = Boot(id="a", started_at=NOW - timedelta(days=1))
    lives = history.add(history.add((), earliest, sample(60)), certain, sample(120))
    assert [one.boot for one in lives] == [certain]
    assert [one.boot for one in history.add(lives, earliest, sample(180))] == [certain]
    assert [one.boot.id for one in history.add(lives, Boot(id="b", started_at=NOW), sample(5))] == ["a", "b"]


@pytest.mark.parametrize("elapsed_s", [-5.0, 0.0, 60.0, 7e8])
def test_figures_out_of_all_bounds_are_absent(elapsed_s: float) -> None:
    wild = Metrics(
        cpu_percent=100.4,
        memory_percent=-1,
        temperature_celsius=1e6,
        disk_total_bytes=0,
        disk_free_bytes=10,
        link=Link(interface="wlan0", kind="wifi", signal_dbm=7),
        service_restarts={"a": 2**31, "b": 1},
    )
    found = history.sample_of(wild, -1.0, elapsed_s)
    assert found == Sample(boot=0, uptime_s=0, span_s=found.span_s, restarts=2**31 - 1)
    assert 1 <= found.span_s <= history.LONGEST_SPAN_S
