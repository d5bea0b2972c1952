"""Edits of YAML keep what people wrote."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from cli.edits import Edit, append_item, flow, scalar, set_values
from cli.errors import CommandFailed

SET = """\
# yaml-language-server: $schema=../.neopro/schemas/video-set.json
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
@example(["A\n"])
def test_flow_list_reads_back_as_itself(value: list[str]) -> None:
    assert _read(f"key: {flow(value)}\n") == {"key": value}


def _read(text: str) -> object:
    return YAML(typ="safe", pure=True).load(text)


SITE = """\
# the club's box
name: A   # who
config:
  # hides the score
  scoreOverlay: {position: bottom, offsetX: 2}
sports: [futsal, rugby]
"""


def test_nested_value_is_set_and_the_comments_stay() -> None:
    edit = Edit(SITE, "site.yaml")
    assert edit.set(("config", "scoreOverlay", "position"), "top")
    assert edit.set(("config", "remote", "title"), "Club A")
    assert edit.text == SITE.replace("bottom", "top").replace(
        "offsetX: 2}\n", "offsetX: 2}\n  remote:\n    title: Club A\n"
    )


def test_value_that_is_there_already_changes_not_a_byte() -> None:
    edit = Edit(SITE.replace("futsal, rugby", "  futsal,rugby"), "site.yaml")
    assert not edit.set(("config", "scoreOverlay", "offsetX"), 2)
    assert edit.text == SITE.replace("futsal, rugby", "  futsal,rugby")


def test_deleted_key_takes_the_maps_that_it_empties_along() -> None:
    edit = Edit("name: A\nconfig:\n  scoreOverlay:\n    position: top\nstate: active\n", "site.yaml")
    assert edit.delete(("config", "scoreOverlay", "position"))
    assert not edit.delete(("config", "scoreOverlay", "position"))
    assert edit.text == "name: A\nstate: active\n"


COMMENTED = """\
config:
  liveScoreEnabled: true   # since May
  # the posts stand in the way
  scoreOverlay:
    position: top   # of the screen
    # pixels
    offsetX: 2

# whom to call
contact:
  name: A
  notes: |
    # no comment
    text
sports:
- futsal
# the last word
state: active
"""


@pytest.mark.parametrize(
    ("path", "gone"),
    [
        ("config.liveScoreEnabled", "  liveScoreEnabled: true   # since May\n"),
        ("config.scoreOverlay.position", "    position: top   # of the screen\n"),
        ("config.scoreOverlay.offsetX", "    offsetX: 2\n"),
        ("contact", "contact:\n  name: A\n  notes: |\n    # no comment\n    text\n"),
        ("sports", "sports:\n- futsal\n"),
        ("state", "state: active\n"),
    ],
)
def test_deleted_key_leaves_the_comments_of_its_neighbours(path: str, gone: str) -> None:
    edit = Edit(COMMENTED, "site.yaml")
    assert edit.delete(path.split(".")) and edit.text == COMMENTED.replace(gone, "")


def test_keys_are_deleted_one_after_the_other_and_beside_other_changes() -> None:
    edit = Edit(COMMENTED, "site.yaml")
    edit.set(("state",), "retired")
    assert edit.delete(("config",)) and edit.delete(("contact",)) and edit.set(("sports",), ["rugby"])
    assert edit.text == "\n# whom to call\nsports: [rugby]\n# the last word\nstate: retired\n"


def test_item_is_removed_from_a_list_and_the_rest_stays() -> None:
    edit = Edit(SITE, "site.yaml")
    assert edit.remove(("sports",), "futsal") and not edit.remove(("sports",), "tennis")
    assert edit.text == SITE.replace("futsal, rugby", "rugby")


def test_dated_video_is_removed_by_its_name() -> None:
    edit = Edit(SET, "set.yaml")
    assert edit.remove(("videos",), "train")
    assert edit.text == SET.replace("  - {video: train, from: 2026-09-01, until: 2027-06-30}\n", "")


def test_path_through_something_that_is_no_map_is_named() -> None:
    with pytest.raises(CommandFailed, match=r"cannot edit site\.yaml: name is not a map"):
        Edit(SITE, "site.yaml").set(("name", "first"), "x")


BLOCKS = (
    "name: A   # who\n",
    "name: 'A'\n",
    'contact: {email: "a@b.example", phone: "0299"}\n',
    "# alone\n\n",
    "sports: [futsal, rugby]   # both\n",
    "sports:\n- futsal\n- rugby\n",
    "location:\n  # where\n  city: Rennes\n  lat: 48.10\n",
    "config:\n  overlay:   # of the score\n    position: top\n\n    # px\n    x: 0x10\n",
    "remote:\n  title: >-\n    Club\n    Rennes\n  note: 'a\n    b'\n",
    "odd: { a:  1,b: [ 2 ] }\n",
    "tight:\n  -  x\n  - {y: 1}\n",
    "changelog: |\n  # no comment\n  - no item\n",
    "from: 2026-09-01\n",
    "empty:\n",
)


@settings(deadline=None)
@given(st.permutations(BLOCKS), st.integers(0, len(BLOCKS)), st.sampled_from(["\n", "\r\n"]), st.integers(1, 3))
def test_edit_of_one_line_leaves_every_other_byte(blocks: list[str], at: int, line_end: str, indent: int) -> None:
    kinds: dict[str, str] = {}
    for block in blocks:
        kinds.setdefault(block.partition(":")[0], block)
    chosen = [re.sub(r"^ +", lambda m: m[0] * indent, block, flags=re.MULTILINE) for block in kinds.values()]
    chosen.insert(at, "state: active   # for now\n")
    text = "".join(chosen).replace("\n", line_end)
    edit = Edit(text, "site.yaml")
    assert edit.set(("state",), "suspended")
    assert edit.text == text.replace("state: active ", "state: suspended ")
    assert edit.delete(("state",))
    without = text.replace(f"state: active   # for now{line_end}", "")
    assert edit.text == without
    assert edit.set(("tenant",), "kalon")
    assert edit.text.replace(f"tenant: kalon{line_end}", "") == without
