"""What holds of every merge, whatever a club made of its configuration."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler_agent.core.changes import carry, list_differences, referenced_paths, same
from reconciler_agent.core.merge import is_central, merge
from schemas.manifest import SiteManifest
from tests.support.box_configurations import TODAY, Item, configurations, manifest, worlds

quick = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
World = tuple[Item, SiteManifest, frozenset[str]]


def canonical(value: Any) -> str:
    return repr(sorted(value.items(), key=str)) if isinstance(value, dict) else repr(value)


def club_entries(configuration: Item) -> Iterator[str]:
    """Every entry of the club's, in whatever list it stands."""
    lists = [configuration.get("sponsors") or []]
    lists += [block.get("loopVideos") or [] for block in configuration.get("timeCategories") or []]
    for category in configuration.get("categories") or []:
        lists += [part.get("videos") or [] for part in (category, *(category.get("subCategories") or []))]
    return (canonical(entry) for entries in lists for entry in entries if not is_central(entry))


@quick
@given(worlds())
def test_merging_twice_equals_once(world: World) -> None:
    local, wanted, installed = world
    once = merge(local, wanted, TODAY, installed)
    twice = merge(once.configuration, wanted, TODAY, installed)
    assert same(twice.configuration, once.configuration)
    assert (twice.differences, twice.renamed) == ([], {})


@quick
@given(worlds())
def test_no_entry_of_the_club_s_disappears(world: World) -> None:
    local, wanted, installed = world
    after = merge(local, wanted, TODAY, installed).configuration
    assert Counter(club_entries(local)) - Counter(club_entries(after)) == Counter()


@quick
@given(worlds())
def test_every_club_category_and_key_is_there_still(world: World) -> None:
    local, wanted, installed = world
    result = merge(local, wanted, TODAY, installed)
    after = result.configuration
    names = Counter(c["name"] for c in local.get("categories", []) if not is_central(c))
    stripped = {c.id for c in wanted.categories}
    kept = Counter(c["name"] for c in after["categories"] if not is_central(c))
    lost = names - kept
    assert all(c["id"] in stripped for c in local.get("categories", []) if c["name"] in lost)
    for key in ("auth", "remote", "anything"):
        assert local.get(key, after.get(key)) == after.get(key)
    for key, value in local.get("settings", {}).items():
        assert after["settings"][key] == value


@quick
@given(worlds())
def test_removing_all_central_content_gives_back_the_club_s_configuration(world: World) -> None:
    local, wanted, installed = world
    club = merge(_without_dangling(local), manifest(), TODAY, frozenset()).configuration
    if {c["id"] for c in club["categories"]} & {c.id for c in wanted.categories}:
        return  # a club category that had to take another id keeps that one
    ours = merge(club, SiteManifest(**_without_config(wanted)), TODAY, installed).configuration
    back = merge(ours, manifest(), TODAY, installed).configuration
    assert same(_plain(back), _plain(club))


def _without_config(wanted: SiteManifest) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in wanted.__struct_fields__ if name != "config"}


def _without_dangling(local: Item) -> Item:
    """Without references to categories that are not there: which of two they once meant cannot be told later."""
    ids = [c["id"] for c in local.get("categories", []) if not is_central(c)]
    blocks = local.get("timeCategories", [])
    return local | {
        "timeCategories": [b | {"categoryIds": [i for i in b.get("categoryIds", []) if i in ids]} for b in blocks]
    }


def _plain(configuration: Item) -> Item:
    """Without what absent and empty have in common, blocks of ours with nothing in them, and healed central videos."""
    plain = {k: v for k, v in configuration.items() if k not in ("timeCategories", "categories")}
    plain["timeCategories"] = [
        {k: v for k, v in block.items() if v != [] or k != "loopVideos"}
        for block in configuration.get("timeCategories", [])
        if not is_central(block) or block.get("categoryIds") or block.get("loopVideos")
    ]
    plain["categories"] = [
        (c["id"], c["name"], list(club_entries({"categories": [c]}))) for c in configuration["categories"]
    ]
    return plain


@quick
@given(worlds())
def test_only_installed_files_are_newly_named(world: World) -> None:
    local, wanted, installed = world
    after = merge(local, wanted, TODAY, installed).configuration
    assert referenced_paths(after) <= referenced_paths(local) | installed


@quick
@given(worlds())
def test_differences_are_empty_exactly_when_nothing_differs(world: World) -> None:
    local, wanted, installed = world
    result = merge(local, wanted, TODAY, installed)
    assert (result.differences == []) == same(local, result.configuration)


@quick
@given(configurations, configurations)
def test_carrying_onto_an_unchanged_file_gives_the_change(base: Item, changed: Item) -> None:
    assert same(carry(base, changed, base), changed) or list_differences(carry(base, changed, base), changed)
    assert same(carry(base, base, changed), changed)


@quick
@given(configurations, st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=3), st.text(max_size=5))
def test_saves_of_two_writers_both_survive(base: Item, added: list[str], title: str) -> None:
    """One adds categories to a file that was displaced, the other renames the remote in the one that replaced it."""
    new = [{"id": f"new-{word}", "name": word} for word in added]
    late = base | {"categories": [*base.get("categories", []), *new]}
    current = base | {"remote": {"title": title}}
    both = carry(base, late, current)
    assert both["remote"] == {"title": title}
    assert all(category in both["categories"] for category in new)
