"""State of a newer agent, read by an older one: what it knows stays, what it cannot read is left out and named."""

from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, field

from reconciler_agent.core.tolerant import read_tolerantly


class Entry(Struct, frozen=True, kw_only=True):
    action: Literal["reboot", "retry"]


class Kept(Struct, frozen=True, kw_only=True):
    """As `State`: what must be there, words, maps and lists of structs."""

    must: Literal["yes"]
    word: Literal["one", "two"] = "one"
    entries: dict[str, Entry] = {}
    items: list[Entry] = []
    named: int = field(name="from", default=0)


WHOLE: dict[str, Any] = {
    "must": "yes",
    "word": "two",
    "entries": {"a": {"action": "retry"}},
    "items": [{"action": "reboot"}],
    "from": 7,
}


def read(changed: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
    return read_tolerantly(msgspec.json.encode(WHOLE | changed), Kept)


def test_fields_of_a_newer_agent_are_passed_over() -> None:
    later = {"later": {"deep": [1]}, "items": [{"action": "reboot", "more": 1}]}
    assert read(later) == (msgspec.convert(WHOLE, Kept), ())


@pytest.mark.parametrize(
    ("changed", "left_out", "differs"),
    [
        ({"word": "three"}, ("word",), {"word": "one"}),
        ({"from": "seven"}, ("from",), {"named": 0}),
        ({"entries": {"a": {"action": "retry"}, "b": {"action": "dance"}}}, ("entries",), {}),
        ({"items": [{"action": "dance"}, {"action": "reboot"}]}, ("items",), {}),
        ({"items": {"no": "list"}}, ("items",), {"items": []}),
    ],
)
def test_what_cannot_be_read_is_left_out_alone(
    changed: dict[str, Any], left_out: tuple[str, ...], differs: dict[str, Any]
) -> None:
    expected = msgspec.structs.replace(msgspec.convert(WHOLE, Kept), **differs)
    assert read(changed) == (expected, left_out)


def test_document_without_what_it_must_have_is_none() -> None:
    assert read({"must": "no"})[0] is None
    assert read_tolerantly(b"[]", Kept)[0] is None


JSON = st.recursive(st.none() | st.text(max_size=3) | st.integers(), st.lists)


@given(st.binary(max_size=60) | JSON.map(msgspec.json.encode))
def test_whatever_stands_there_is_no_reason_to_fall(body: bytes) -> None:
    read_tolerantly(body, Kept)
