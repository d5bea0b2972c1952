"""Conditions over time: what ends, what begins and when, from late words and from what holds now."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

from hypothesis import given
from hypothesis import strategies as st

from control_plane.core import spans
from control_plane.core.spans import Span
from schemas.status import Condition, StatusReport, Transition

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WEEK = timedelta(days=7)


def report(*conditions: Condition, synchronised: bool = True) -> StatusReport:
    return StatusReport(
        run_id="a" * 32,
        sequence=1,
        at=NOW,
        agent_version="1.0.0",
        conditions=list(conditions),
        clock_synchronised=synchronised,
    )


def synced(status: Literal["True", "False"], reason: str, since: datetime) -> Condition:
    return Condition(type="Synced", status=status, reason=reason, since=since)


def turned(status: Literal["True", "False"], reason: str, at: datetime, certain: bool = True) -> Transition:
    return Transition(boot="b", uptime_s=1, at=at, certain=certain, type="Synced", status=status, reason=reason)


def span(status: str, reason: str, since: datetime, **more: Any) -> Span:
    return Span(type="Synced", status=status, reason=reason, message="", since=since, **more)


def test_first_report_begins_a_span_as_long_ago_as_the_box_says() -> None:
    found = spans.follow({}, [], report(synced("True", "Converged", NOW - WEEK)), NOW)
    assert found == [span("True", "Converged", NOW - WEEK)]


def test_box_without_a_clock_begins_it_now() -> None:
    found = spans.follow({}, [], report(synced("True", "Converged", NOW - WEEK), synchronised=False), NOW)
    assert found == [span("True", "Converged", NOW, certain=False)]


def test_same_condition_goes_on() -> None:
    current = {"Synced": span("True", "Converged", NOW - WEEK)}
    assert spans.follow(current, [], report(synced("True", "Converged", NOW - MINUTE)), NOW) == []


def test_change_ends_one_span_where_the_next_begins() -> None:
    old = span("True", "Converged", NOW - WEEK)
    found = spans.follow({"Synced": old}, [], report(synced("False", "DiskFull", NOW - MINUTE)), NOW)
    assert found == [
        span("True", "Converged", NOW - WEEK, until=NOW - MINUTE),
        span("False", "DiskFull", NOW - MINUTE),
    ]


def test_change_that_began_before_what_it_follows_was_seen_now() -> None:
    old = span("True", "Converged", NOW - MINUTE)
    ended, begun = spans.follow({"Synced": old}, [], report(synced("False", "DiskFull", NOW - WEEK)), NOW)
    assert (ended.until, begun.since) == (NOW, NOW)


def test_weeks_that_were_queued_are_told_in_order_and_marked_late() -> None:
    old = span("True", "Converged", NOW - 4 * WEEK)
    queued = [
        turned("False", "DiskFull", NOW - 3 * WEEK),
        turned("False", "RolledBack", NOW - 2 * WEEK, certain=False),
        turned("True", "Converged", NOW - MINUTE),
    ]
    found = spans.follow({"Synced": old}, queued, report(synced("True", "Converged", NOW - 4 * WEEK)), NOW)
    assert found == [
        span("True", "Converged", NOW - 4 * WEEK, until=NOW - 3 * WEEK),
        span("False", "DiskFull", NOW - 3 * WEEK, until=NOW - 2 * WEEK, late=True),
        span("False", "RolledBack", NOW - 2 * WEEK, until=NOW - MINUTE, certain=False, late=True),
        span("True", "Converged", NOW - MINUTE),
    ]


INSTANTS = st.integers(-100_000, 100_000).map(lambda minutes: NOW + minutes * MINUTE)
STATUSES = st.sampled_from(["True", "False"])


@given(
    st.lists(st.tuples(STATUSES, INSTANTS, st.booleans())),
    st.none() | st.tuples(STATUSES, INSTANTS, st.booleans()),
    st.none() | st.tuples(STATUSES, INSTANTS.filter(lambda at: at <= NOW)),
)
def test_whatever_a_box_says_time_has_no_gap_no_overlap_and_no_future(
    queued: list[tuple[Any, datetime, bool]],
    now_said: tuple[Any, datetime, bool] | None,
    before: tuple[str, datetime] | None,
) -> None:
    said = [turned(status, "Reason", at, certain) for status, at, certain in queued]
    last = report(synced(now_said[0], "Reason", now_said[1]), synchronised=now_said[2]) if now_said else None
    current = {"Synced": span(before[0], "Reason", before[1])} if before else {}
    found = sorted(spans.follow(current, said, last, NOW), key=lambda one: one.since)
    for one, following in pairwise(found):
        assert one.until == following.since
        assert (one.status, one.reason) != (following.status, following.reason)
        assert one.since < following.since
    if found:
        assert found[-1].until is None
        assert found[-1].since <= NOW + timedelta(seconds=1)
        assert found[-1].status == (now_said[0] if now_said else queued[-1][0])
