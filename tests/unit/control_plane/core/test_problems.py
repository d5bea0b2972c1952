"""Names that are near, and how lists of words read."""

import pytest

from control_plane.core.problems import MANY, Problem, listed, sort_problems, suggestion


@pytest.mark.parametrize("word", ["club-0001", "club-000012x", "clbu-000012", "club-00012", "club-00o012"])
def test_a_name_one_slip_away_is_found_among_many(word: str) -> None:
    known = {f"club-{number:06d}" for number in range(12, 12 + 1)} | {f"x{number}" for number in range(MANY)}
    expected = "" if word == "club-0001" else " (did you mean `club-000012`?)"
    assert suggestion(word, known) == expected


def test_among_few_the_nearest_is_found_and_nothing_when_none_is_near() -> None:
    assert suggestion("sprots", ["sports", "state", "name"]) == " (did you mean `sports`?)"
    assert suggestion("zzz", ["sports", "state"]) == ""


def test_the_suggestion_does_not_depend_on_the_order_of_the_names() -> None:
    assert suggestion("ab", ["abx", "aby"]) == suggestion("ab", ["aby", "abx"])


@pytest.mark.parametrize(("words", "text"), [([], ""), (["a"], "`a`"), (["a", "b", "c"], "`a`, `b` or `c`")])
def test_words_are_listed_as_people_write_them(words: list[str], text: str) -> None:
    assert listed(words) == text


def test_problems_are_sorted_by_place_and_each_is_there_once() -> None:
    def at(file: str, line: int, column: int) -> Problem:
        return Problem(file=file, line=line, column=column, severity="error", code="X", message="m")

    unsorted = [at("b", 1, 1), at("a", 10, 1), at("a", 9, 2), at("a", 9, 1), at("b", 1, 1)]
    assert [str(p) for p in sort_problems(unsorted)] == [
        "a:9:1: error X: m",
        "a:9:2: error X: m",
        "a:10:1: error X: m",
        "b:1:1: error X: m",
    ]
