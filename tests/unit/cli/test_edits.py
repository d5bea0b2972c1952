"""Edits of YAML keep what people wrote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from cli.edits import append_item, flow, scalar, set_values
from cli.errors import CommandFailed

SET = """\
# yaml-language-server: $schema=../../schemas/jsonschema/video-set.json
name: 'Annonces'   # as the remote shows it
category: {id: annonces, name: ANNONCES}

# Sold until June.
videos:
  - energie-verte
  # the loud one
  - {video: train, from: 2026-09-01, until: 2027-06-30}
"""


def test_item_is_appended_and_every_comment_stays() -> None:
    assert append_item(SET, "videos", "noel", "set.yaml") == SET + "  - noel\n"


def test_item_that_is_there_changes_nothing() -> None:
    assert append_item(SET, "videos", "energie-verte", "set.yaml") is SET
    assert append_item(SET, "videos", {"video": "train", "until": "2028-01-01"}, "set.yaml") is SET


def test_list_without_indentation_keeps_its_form() -> None:
    text = "name: A\nvideos:\n- one\n- two\n"
    assert append_item(text, "videos", "three", "set.yaml") == text + "- three\n"


def test_missing_list_is_made() -> None:
    assert append_item("name: A\n", "videos", "one", "set.yaml") == "name: A\nvideos:\n  - one\n"


def test_value_is_set_in_its_place_and_a_new_key_goes_to_the_end() -> None:
    text = "# why\nname: A   # who\nstate: active\n"
    edited = set_values(text, {"name": "B", "identity": "ed25519:x"}, "site.yaml")
    assert edited == "# why\nname: B   # who\nstate: active\nidentity: ed25519:x\n"


@pytest.mark.parametrize("text", ["name: [", "- a\n- b\n", "a: 1\na: 2\n", ""])
def test_text_that_cannot_be_edited_is_named(text: str) -> None:
    with pytest.raises(CommandFailed, match=r"cannot edit set\.yaml"):
        set_values(text, {"name": "B"}, "set.yaml")


def test_list_key_with_a_scalar_is_refused() -> None:
    with pytest.raises(CommandFailed, match="videos is not a list"):
        append_item("videos: one\n", "videos", "two", "set.yaml")


@given(st.one_of(st.text(max_size=30), st.integers(), st.booleans(), st.none()))
def test_scalar_reads_back_as_itself(value: object) -> None:
    assert _read(f"key: {scalar(value)}\n") == {"key": value}


@given(st.dictionaries(st.sampled_from(["city", "region", "country"]), st.text(max_size=20)))
def test_flow_mapping_reads_back_as_itself(value: dict[str, str]) -> None:
    assert _read(f"key: {flow(value)}\n") == {"key": value}


@given(st.lists(st.text(max_size=20)))
def test_flow_list_reads_back_as_itself(value: list[str]) -> None:
    assert _read(f"key: {flow(value)}\n") == {"key": value}


def _read(text: str) -> object:
    return YAML(typ="safe", pure=True).load(text)
