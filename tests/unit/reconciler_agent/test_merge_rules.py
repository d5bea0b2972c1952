"""Each rule of ownership and merging, by example."""

from datetime import date, timedelta
from itertools import product
from typing import Any

import pytest

from reconciler_agent.core.merge import merge
from reconciler_agent.errors import ConfigurationUnreadable
from schemas.manifest import Loops, SiteManifest, SubCategory
from tests.support.box_configurations import SAMPLES, TODAY, Item, category, manifest, paths_of, sample, video

NIKE = video("nike")
TAGS = {"locked": True, "owner": "neopro"}
OURS = {"name": "Nike", "path": NIKE.path, "type": "video/mp4", **TAGS, "video_id": "nike"}
CLUB = {"name": "Octobre rose", "path": "videos/INFOS_CLUB/OCTOBRE_ROSE.mp4", "type": "video/mp4"}


def merged(local: Item, wanted: SiteManifest, today: date = TODAY, installed: frozenset[str] | None = None) -> Item:
    return merge(local, wanted, today, paths_of(wanted) if installed is None else installed).configuration


def local(**changed: Any) -> Item:
    return {"auth": {"password": "x"}, "sponsors": [], "categories": []} | changed


@pytest.mark.parametrize("name", SAMPLES)
def test_empty_manifest_leaves_the_club_s_part_of_a_sample_alone(name: str) -> None:
    before = sample(name)
    after = merged(before, manifest())
    assert after == before | {"categories": [c for c in before["categories"] if c.get("owner") != "neopro"]}


@pytest.mark.parametrize("name", SAMPLES)
def test_central_category_comes_first_and_the_club_s_follow_verbatim(name: str) -> None:
    before = sample(name)
    after = merged(before, manifest(category(NIKE)))
    assert after["categories"][0] == {"id": "annonces_neopro", "name": "ANNONCES NEOPRO", **TAGS, "videos": [OURS]}
    assert after["categories"][1:] == [c for c in before["categories"] if c.get("owner") != "neopro"]
    assert {k: v for k, v in after.items() if k != "categories"} == {
        k: v for k, v in before.items() if k != "categories"
    }


def test_video_carries_what_analytics_needs() -> None:
    wanted = manifest(category(video("nike", sponsor_id="nike-sa", analytics_category="sponsor")))
    (entry,) = merged(local(), wanted)["categories"][0]["videos"]
    assert entry == OURS | {"sponsor_id": "nike-sa", "analytics_category": "sponsor"}


def test_category_with_subcategories_alone_has_no_videos_of_its_own() -> None:
    sub = SubCategory(id="partenaires", name="Partenaires", videos=[NIKE])
    (found,) = merged(local(), manifest(category(subcategories=[sub])))["categories"]
    assert "videos" not in found
    assert found["subCategories"] == [{"id": "partenaires", "name": "Partenaires", **TAGS, "videos": [OURS]}]


def test_local_copy_is_not_touched() -> None:
    before = sample("template")
    merge(before, manifest(category(NIKE), loops=Loops(sponsors=[NIKE])), TODAY, frozenset({NIKE.path}))
    assert before == sample("template")


# Days and files


@pytest.mark.parametrize(("from_", "until", "today"), list(product((-1, 0, 1, None), (-1, 0, 1, None), (-1, 0, 1))))
def test_video_is_shown_on_its_days_alone(from_: int | None, until: int | None, today: int) -> None:
    def day(offset: int | None) -> date | None:
        return None if offset is None else TODAY + timedelta(days=offset)

    campaign = video("nike", from_=day(from_), until=day(until))
    now = TODAY + timedelta(days=today)
    shown = merged(local(), manifest(category(campaign)), now)["categories"][0]["videos"]
    expected = (from_ is None or from_ <= today) and (until is None or today <= until)
    assert shown == ([OURS] if expected else [])


def test_video_is_left_out_until_its_file_is_there() -> None:
    wanted = manifest(category(NIKE), loops=Loops(sponsors=[NIKE]))
    after = merged(local(), wanted, installed=frozenset())
    assert (after["categories"][0]["videos"], after["sponsors"]) == ([], [])


def test_replaced_video_stays_until_the_new_file_is_there() -> None:
    before = merged(local(), manifest(category(NIKE), loops=Loops(sponsors=[NIKE])))
    newer = video("nike", path="videos/NEOPRO/nike-2.mp4")
    wanted = manifest(category(newer), loops=Loops(sponsors=[newer]))
    assert merged(before, wanted, installed=frozenset({NIKE.path})) == before
    after = merged(before, wanted, installed=frozenset({NIKE.path, newer.path}))
    assert after["sponsors"] == after["categories"][0]["videos"] == [OURS | {"path": newer.path}]


# Categories


def test_club_category_with_a_central_id_goes_on_under_another() -> None:
    club = {"id": "annonces_neopro", "name": "Nos annonces", "videos": [CLUB], "icon": "star"}
    result = merge(local(categories=[club]), manifest(category(NIKE)), TODAY, frozenset({NIKE.path}))
    assert [c["id"] for c in result.configuration["categories"]] == ["annonces_neopro", "annonces_neopro_club"]
    assert result.configuration["categories"][1] == club | {"id": "annonces_neopro_club"}
    assert result.renamed == {"annonces_neopro": "annonces_neopro_club"}


def test_second_collision_takes_the_next_free_id() -> None:
    clubs = [{"id": i, "name": i, "videos": [CLUB]} for i in ("annonces_neopro_club", "annonces_neopro")]
    found = merged(local(categories=clubs), manifest(category(NIKE)))["categories"]
    assert [c["id"] for c in found] == ["annonces_neopro", "annonces_neopro_club", "annonces_neopro_club_2"]


def test_blocks_and_mappings_follow_a_renamed_category() -> None:
    block = {"id": "before", "name": "Avant", "categoryIds": ["match", "annonces_neopro"]}
    clubs = [{"id": "annonces_neopro", "name": "x", "videos": [CLUB]}, {"id": "match", "name": "Match"}]
    before = local(categories=clubs, timeCategories=[block], categoryMappings={"annonces_neopro": "sponsor"})
    after = merged(before, manifest(category(NIKE, blocks=["before"])))
    assert after["timeCategories"] == [block | {"categoryIds": ["match", "annonces_neopro_club", "annonces_neopro"]}]
    assert after["categoryMappings"] == {"annonces_neopro_club": "sponsor"}


@pytest.mark.parametrize("tag", [{"locked": True}, {"owner": "neopro"}, TAGS])
def test_central_category_that_is_no_longer_desired_is_removed(tag: Item) -> None:
    old = {"id": "old", "name": "Old", "videos": [OURS]} | tag
    assert merged(local(categories=[old]), manifest())["categories"] == []


@pytest.mark.parametrize("tag", [{"locked": False}, {"owner": "club"}, {"locked": "true"}, {}])
def test_club_category_is_never_removed(tag: Item) -> None:
    own = {"id": "own", "name": "Own", "videos": [CLUB]} | tag
    assert merged(local(categories=[own]), manifest())["categories"] == [own]


@pytest.mark.parametrize("wanted", [manifest(category(NIKE)), manifest()])
def test_club_video_inside_a_central_category_moves_out_beside_it(wanted: SiteManifest) -> None:
    sub = {"id": "s", "name": "S", **TAGS, "videos": [OURS, CLUB]}
    ours = {"id": "annonces_neopro", "name": "N", **TAGS, "videos": [CLUB, OURS], "subCategories": [sub]}
    block = {"id": "before", "name": "Avant", "categoryIds": ["annonces_neopro"]}
    result = merge(local(categories=[ours], timeCategories=[block]), wanted, TODAY, paths_of(wanted))
    assert result.configuration["categories"][-1] == {
        "id": "annonces_neopro_club",
        "name": "N (club)",
        "videos": [CLUB],
        "subCategories": [{"id": "s", "name": "S", "videos": [CLUB]}],
    }
    assert result.configuration["timeCategories"][0]["categoryIds"] == ["annonces_neopro_club"]
    assert result.renamed == {"annonces_neopro": "annonces_neopro_club"}


def test_central_category_whose_tags_were_taken_off_is_healed_and_not_kept_twice() -> None:
    wanted = manifest(category(NIKE))
    stripped = {"id": "annonces_neopro", "name": "Edited", "videos": [{"name": "Edited", "path": NIKE.path}]}
    assert merged(local(categories=[stripped]), wanted) == merged(local(), wanted)


def test_central_video_inside_a_club_category_survives_and_is_healed() -> None:
    edited = OURS | {"name": "Edited", "path": "videos/elsewhere.mp4", "deployed_at": "2025-01-01", "sponsor_id": "x"}
    old = {"name": "Old", "path": "videos/OLD/old.mp4", "locked": True}
    club = {
        "id": "match",
        "name": "Match",
        "subCategories": [{"id": "but", "name": "But", "videos": [CLUB, edited, old]}],
    }
    after = merged(local(categories=[club]), manifest(category(NIKE)))
    assert after["categories"][1]["subCategories"][0]["videos"] == [CLUB, OURS | {"deployed_at": "2025-01-01"}, old]


def test_ids_and_entries_of_any_shape_are_kept() -> None:
    odd = [{"id": 7, "name": "n"}, {"name": "no id"}, {"id": ["x"]}, "text", None, {"id": "v", "videos": "none"}]
    sponsors = [CLUB, "text", 3]
    after = merged(local(categories=odd, sponsors=sponsors), manifest(category(NIKE)))
    assert (after["categories"][1:], after["sponsors"]) == (odd, sponsors)


# Loops


def test_loop_keeps_the_club_s_order_and_new_ones_come_last() -> None:
    other = CLUB | {"name": "other"}
    wanted = manifest(loops=Loops(sponsors=[video("decathlon"), NIKE]))
    before = local(sponsors=[CLUB, OURS | {"name": "Edited"}, other])
    names = [e["name"] for e in merged(before, wanted)["sponsors"]]
    assert names == ["Octobre rose", "Nike", "other", "Decathlon"]


def test_loop_loses_only_what_is_ours() -> None:
    before = local(sponsors=[OURS, CLUB, {"name": "legacy", "path": "videos/l.mp4", "locked": True}])
    assert merged(before, manifest())["sponsors"] == [CLUB]


def test_sponsor_stands_both_in_its_category_and_in_the_loop() -> None:
    after = merged(local(), manifest(category(NIKE), loops=Loops(sponsors=[NIKE])))
    assert after["sponsors"] == after["categories"][0]["videos"] == [OURS]


# Time blocks


def test_blocks_are_all_made_when_there_are_none_and_one_is_needed() -> None:
    after = merged(local(), manifest(category(NIKE, blocks=["during"]), loops=Loops(after=[NIKE])))
    assert [(b["id"], b["categoryIds"]) for b in after["timeCategories"]] == [
        ("before", []),
        ("during", ["annonces_neopro"]),
        ("after", []),
    ]
    assert after["timeCategories"][2]["loopVideos"] == [OURS]
    assert {"name", "icon", "color", "description"} <= after["timeCategories"][0].keys()


def test_only_the_missing_block_is_made_beside_the_club_s() -> None:
    club = {"id": "before", "name": "Échauffement", "categoryIds": ["match"]}
    after = merged(local(timeCategories=[club]), manifest(category(NIKE, blocks=["before", "after"])))
    assert after["timeCategories"][0] == club | {"categoryIds": ["match", "annonces_neopro"]}
    assert [b["id"] for b in after["timeCategories"]] == ["before", "after"]


def test_no_block_is_made_when_none_is_needed() -> None:
    assert "timeCategories" not in merged(local(), manifest(category(NIKE)))


@pytest.mark.parametrize(
    "blocks", [None, [{"id": "before", "name": "A", "categoryIds": ["match"], "loopVideos": [CLUB]}]]
)
def test_blocks_are_as_before_when_central_leaves_them(blocks: list[Item] | None) -> None:
    before = local() if blocks is None else local(timeCategories=blocks)
    wanted = manifest(category(NIKE, blocks=["before", "after"]), loops=Loops(before=[NIKE], during=[NIKE]))
    assert merged(merged(before, wanted), manifest()) == before


def test_block_of_ours_stays_when_the_club_put_something_into_it() -> None:
    made = merged(local(), manifest(category(NIKE, blocks=["during"])))
    made["timeCategories"][1]["loopVideos"] = [CLUB]
    after = merged(made, manifest())
    assert [b["id"] for b in after["timeCategories"]] == ["before", "during", "after"]
    assert after["timeCategories"][1]["loopVideos"] == [CLUB]


def test_category_leaves_a_block_that_is_no_longer_named() -> None:
    before = merged(local(), manifest(category(NIKE, blocks=["before", "after"])))
    after = merged(before, manifest(category(NIKE, blocks=["after"])))
    assert [b["categoryIds"] for b in after["timeCategories"]] == [[], [], ["annonces_neopro"]]


# Values


def test_central_keys_replace_and_merge_deeply() -> None:
    before = local(liveScoreEnabled=False, scoreOverlay={"position": "top", "offsetX": 3}, version="1.0", own=1)
    config = {"liveScoreEnabled": True, "scoreOverlay": {"offsetX": 5, "font": {"size": 9}}, "version": "2.0"}
    after = merged(before, manifest(config=config))
    assert after == before | {
        "liveScoreEnabled": True,
        "scoreOverlay": {"position": "top", "offsetX": 5, "font": {"size": 9}},
        "version": "2.0",
    }


def test_settings_and_title_are_only_defaults() -> None:
    config = {"settings": {"language": "en", "timezone": "UTC"}, "remote": {"title": "Ours", "theme": "dark"}}
    before = local(settings={"language": "fr"}, remote={"title": "Club", "theme": "light"})
    after = merged(before, manifest(config=config))
    assert after["settings"] == {"language": "fr", "timezone": "UTC"}
    assert after["remote"] == {"title": "Club", "theme": "dark"}
    assert merged(local(), manifest(config=config))["remote"] == {"title": "Ours", "theme": "dark"}


@pytest.mark.parametrize("key", ["auth", "categories", "sponsors", "timeCategories"])
def test_config_cannot_reach_what_is_the_club_s(key: str) -> None:
    before = sample("template") | {"timeCategories": [{"id": "before", "name": "A", "categoryIds": []}]}
    assert merged(before, manifest(config={key: []})) == merged(before, manifest())


def test_absent_and_null_mean_not_managed() -> None:
    before = local(liveScoreEnabled=True, scoreOverlay={"position": "top"})
    assert merged(before, manifest(config={"liveScoreEnabled": None, "scoreOverlay": {"position": None}})) == before


def test_foreign_variant_is_completed_and_keeps_its_keys() -> None:
    foreign = {"club": "NTES", "playlist": ["a"], "categories": None}
    after = merged(foreign, manifest(category(NIKE)))
    assert after["auth"] == {"password": "", "clubName": "", "sessionDuration": 28_800_000}
    assert (after["club"], after["playlist"], after["sponsors"]) == ("NTES", ["a"], [])
    assert [c["id"] for c in after["categories"]] == ["annonces_neopro"]


@pytest.mark.parametrize("key", ["categories", "sponsors", "timeCategories"])
def test_list_that_is_none_is_not_guessed_at(key: str) -> None:
    with pytest.raises(ConfigurationUnreadable, match=key):
        merged(local(**{key: {"a": 1}}), manifest())


def test_one_video_of_two_sets_stands_twice_and_each_follows_its_own_file() -> None:
    here, there = (video("nike", path=f"videos/{folder}/nike.mp4") for folder in ("A", "B"))
    wanted = manifest(category(here), category(there, id="pub"), loops=Loops(sponsors=[here, there]))
    after = merged(local(), wanted, installed=frozenset({here.path}))
    assert [e["path"] for e in after["sponsors"]] == [here.path]
    assert after["categories"][1]["videos"] == []
    after = merged(after, wanted)
    assert [e["path"] for e in after["sponsors"]] == [here.path, there.path]


@pytest.mark.parametrize("key", ["path", "video_id", "id"])
@pytest.mark.parametrize("nonsense", [["a", "list"], {"an": "object"}, None, 7])
def test_nonsense_in_the_place_of_a_text_ends_no_merge(key: str, nonsense: Any) -> None:
    odd = [{**OURS, key: nonsense}, {**CLUB, key: nonsense}]
    before = local(sponsors=odd, categories=[{"id": "annonces_neopro", "name": "Ads", "videos": odd}])
    wanted = manifest(category(NIKE), loops=Loops(sponsors=[NIKE]))
    after = merged(before, wanted)
    assert OURS in after["sponsors"]
    assert after["categories"][0]["videos"] == [OURS]
    assert {**CLUB, key: nonsense} in after["sponsors"]
