"""The club's part of a configuration: nothing of ours in it, nothing of the club's left out, put back once or twice."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler_agent.core.changes import same
from reconciler_agent.core.club import NOT_THE_CLUBS, club_part, put_back
from reconciler_agent.core.merge import is_central, merge
from tests.support.box_configurations import SAMPLES, TODAY, category, configurations, manifest, paths_of, sample, video

WANTED = manifest(category(video("a"), video("b")), config={"liveScoreEnabled": True, "settings": {"language": "fr"}})


def with_ours(configuration: dict[str, Any]) -> dict[str, Any]:
    return merge(configuration, WANTED, TODAY, paths_of(WANTED)).configuration


def entries(configuration: dict[str, Any]) -> list[Any]:
    """Every category, and every entry of a loop."""
    blocks = [b for b in configuration.get("timeCategories", []) if isinstance(b, dict)]
    return [
        *configuration.get("categories", []),
        *configuration.get("sponsors", []),
        *(entry for block in blocks for entry in block.get("loopVideos", []) or []),
    ]


@pytest.mark.parametrize("name", SAMPLES)
def test_part_holds_what_the_club_owns_and_nothing_of_ours(name: str) -> None:
    part = club_part(with_ours(sample(name)))
    assert not any(is_central(entry) for entry in entries(part))
    assert not part.keys() & NOT_THE_CLUBS
    assert same(part, club_part(sample(name)) | {"settings": part["settings"]})


@pytest.mark.parametrize("name", SAMPLES)
def test_what_central_changes_makes_no_other_backup(name: str) -> None:
    other = manifest(category(video("c")), config=WANTED.config)
    now = with_ours(sample(name))
    assert same(club_part(now), club_part(merge(now, other, TODAY, paths_of(other)).configuration))


def test_club_on_a_new_box_has_what_it_had_beside_what_it_did_there_and_ours() -> None:
    lost = club_part(with_ours(sample("club-handball")))
    fresh = with_ours(sample("template"))
    fresh["categories"].append({"id": "new", "name": "NEW", "videos": [{"name": "n", "path": "videos/n.mp4"}]})
    found = merge(put_back(fresh, lost), WANTED, TODAY, paths_of(WANTED)).configuration
    assert found["auth"]["password"] == lost["auth"]["password"]
    ids = [c["id"] for c in found["categories"]]
    assert ids[0] == "annonces_neopro"
    assert {c["id"] for c in lost["categories"]} | {"new"} < set(ids)
    for kept in lost["categories"]:
        (there,) = [c for c in found["categories"] if c["id"] == kept["id"]]
        assert [v for v in kept.get("videos", []) if v not in there["videos"]] == []


def test_same_category_on_both_keeps_the_videos_of_both() -> None:
    def at(*names: str) -> dict[str, Any]:
        return {"categories": [{"id": "x", "name": names[0], "videos": [{"path": f"videos/{n}.mp4"} for n in names]}]}

    (found,) = put_back(at("new", "both"), at("old", "both"))["categories"]
    assert found == {"id": "x", "name": "old", "videos": [{"path": f"videos/{n}.mp4"} for n in ("old", "both", "new")]}


def test_part_of_a_box_without_a_password_takes_no_password_away() -> None:
    part = club_part({"categories": []})
    assert put_back({"auth": {"password": "secret"}}, part)["auth"] == {"password": "secret"}


@pytest.mark.parametrize("key", sorted(NOT_THE_CLUBS))
def test_key_that_is_not_the_clubs_is_never_put_back(key: str) -> None:
    assert put_back({key: "local"}, {key: "backup"}) == {key: "local"}
    assert put_back({}, {key: "backup"}) == {}


@given(configurations, configurations)
def test_putting_back_again_changes_nothing_and_changes_no_argument(local: Any, lost: Any) -> None:
    part = club_part(with_ours(lost))
    before = copy.deepcopy((local, part))
    once = put_back(local, part)
    assert (local, part) == before
    assert same(put_back(once, part), once)


@given(configurations, st.booleans())
def test_part_of_a_part_is_the_part(configuration: Any, ours: bool) -> None:
    part = club_part(with_ours(configuration) if ours else configuration)
    assert same(club_part(part), part)
