"""What is kept of a look at the fleet is made once for each reader's question, and never outlives the look."""

from collections.abc import Callable
from datetime import UTC, datetime

from control_plane.store.views import Fleet
from control_plane.web.kept import MOST, Kept


def look() -> Fleet:
    """Looks that are equal are not the same: the clock of two may show one instant."""
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return Fleet(sites=[], changes=[], published=None, remote=None, newest=None, read_at=at)


def counting() -> tuple[list[str], Callable[[str], Callable[[], str]]]:
    made: list[str] = []

    def of(name: str) -> Callable[[], str]:
        return lambda: made.append(name) or name

    return made, of


def test_same_question_of_the_same_look_is_answered_once() -> None:
    kept, fleet, (made, of) = Kept(), look(), counting()
    assert [kept.of(fleet, "a", of("x")), kept.of(fleet, "a", of("y")), kept.of(fleet, "b", of("z"))] == ["x", "x", "z"]
    assert made == ["x", "z"]


def test_question_of_another_tenant_is_answered_anew() -> None:
    kept, fleet, (_, of) = Kept(), look(), counting()
    assert kept.of(fleet, ("map", None), of("all")) == "all"
    assert kept.of(fleet, ("map", "fff"), of("own")) == "own"


def test_newer_look_forgets_what_was_made_of_the_last_even_when_it_is_equal() -> None:
    kept, first, second, (made, of) = Kept(), look(), look(), counting()
    assert first == second
    assert [kept.of(first, "a", of("old")), kept.of(second, "a", of("new"))] == ["old", "new"]
    assert kept.of(first, "a", of("again")) == "again"
    assert made == ["old", "new", "again"]


def test_no_more_is_kept_than_the_limit() -> None:
    kept, fleet, (made, of) = Kept(), look(), counting()
    for number in range(MOST + 1):
        kept.of(fleet, number, of(str(number)))
    kept.of(fleet, 0, of("forgotten"))
    kept.of(fleet, MOST, of("still there"))
    assert made[-1] == "forgotten"


def test_work_is_given_what_it_made_of_the_look_before_and_of_no_older_one() -> None:
    kept, looks = Kept(), [look() for _ in range(4)]
    asked = [looks[0], looks[0], looks[1], looks[3]]

    def make(before: list[int] | None) -> list[int]:
        return [*(before or []), len(before or [])]

    assert [kept.renewed(fleet, "a", make) for fleet in asked] == [[0], [0], [0, 1], [0, 1, 2]]
    kept.of(looks[2], "b", list)
    assert kept.renewed(looks[0], "a", make) == [0]
