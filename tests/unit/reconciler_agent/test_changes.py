"""Differences in words, referenced files, and what counts as equal."""

from typing import Any

import pytest

from reconciler_agent.core.changes import MAX_DIFFERENCES, carry, list_differences, referenced_paths, same


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        (True, 1, False),
        (False, 0, False),
        (None, False, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([1, 2], [2, 1], False),
        ({"a": [True]}, {"a": [1]}, False),
        ({}, [], False),
        ("", None, False),
    ],
)
def test_values_are_equal_as_json(one: Any, other: Any, equal: bool) -> None:
    assert same(one, other) is equal
    assert same(other, one) is equal


def test_files_are_found_in_all_four_lists_and_normalised() -> None:
    configuration = {
        "sponsors": [{"path": "videos/S/a.mp4"}],
        "categories": [
            {
                "videos": [{"path": "./videos/C/b.mp4"}],
                "subCategories": [{"videos": [{"path": "/videos//C/x/../c.mp4"}]}],
            }
        ],
        "timeCategories": [{"loopVideos": [{"path": "videos/T/d.mp4"}, {"path": None}, {"path": ""}]}],
    }
    assert referenced_paths(configuration) == {"videos/S/a.mp4", "videos/C/b.mp4", "videos/C/c.mp4", "videos/T/d.mp4"}


@pytest.mark.parametrize("key", ["password", "apiKey", "api_key", "Token", "wifiPassphrase"])
def test_secret_is_never_quoted(key: str) -> None:
    for observed, desired in (({key: "hush"}, {key: "hush2"}), ({"sync": {key: "hush"}}, {"sync": {}})):
        (found,) = list_differences(observed, desired)
        assert "hush" not in found.observed + found.desired + found.what


def test_nothing_of_auth_is_quoted() -> None:
    (found,) = list_differences({"auth": {"clubName": "NTES"}}, {"auth": {"clubName": "x"}})
    assert (found.what, found.observed, found.desired) == ("auth/clubName", "(not shown)", "(not shown)")


def test_differences_are_few_and_short_whatever_differs() -> None:
    many = list_differences({}, {f"{n:03}{'k' * 1000}": "v" * 1000 for n in range(500)})
    assert len(many) == MAX_DIFFERENCES
    assert all(max(len(d.what), len(d.desired), len(d.observed)) <= 512 for d in many)


def test_another_order_is_one_difference() -> None:
    (found,) = list_differences({"sponsors": [{"id": 1}, {"id": 2}]}, {"sponsors": [{"id": 2}, {"id": 1}]})
    assert (found.what, found.desired) == ("sponsors", "another order")


@pytest.mark.parametrize(
    ("base", "changed", "onto", "expected"),
    [
        ({"a": 1}, {"a": 2}, {"a": 1, "b": 3}, {"a": 2, "b": 3}),
        ({"a": 1}, {}, {"a": 1, "b": 3}, {"b": 3}),
        ({}, {"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": 2}, {}, {"a": 2}),
        ({"a": 1}, {"a": 1}, {}, {}),
        ([{"id": 1}], [{"id": 1}, {"id": 2}], [{"id": 1}, {"id": 3}], [{"id": 1}, {"id": 3}, {"id": 2}]),
        ([{"id": 1}, {"id": 2}], [{"id": 2}], [{"id": 1}, {"id": 2}, {"id": 3}], [{"id": 2}, {"id": 3}]),
        (
            [{"id": 1}, {"id": 2}],
            [{"id": 2}, {"id": 1}],
            [{"id": 1}, {"id": 2}, {"id": 3}],
            [{"id": 2}, {"id": 1}, {"id": 3}],
        ),
        ([{"id": 1, "n": "a"}], [{"id": 1, "n": "b"}], [{"id": 1, "n": "a", "x": 1}], [{"id": 1, "n": "b", "x": 1}]),
        (["a"], ["a", "b"], ["a", "c"], ["a", "c", "b"]),
    ],
)
def test_change_of_one_writer_is_carried_onto_the_work_of_another(
    base: Any, changed: Any, onto: Any, expected: Any
) -> None:
    assert carry(base, changed, onto) == expected
