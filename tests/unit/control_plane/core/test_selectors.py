"""Selectors crossed: every key, every form, sites that have the value, another one, or none; through compilation."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.compile import compile_commit
from control_plane.core.select import KEYS, Selectors
from schemas.desired import Group, Location, Not, Site
from tests.support.commits import changed, small_fleet
from tests.support.fleet_generator import as_tree

# key -> what a site writes to have the value that is asked for, to have another one, and to say nothing of it;
# then the value that is asked for, and another that no site here has.
ATTRIBUTES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str, str]] = {
    "id": ({}, {}, {}, "id-has", "nowhere"),
    "name": ({"name": "N"}, {"name": "M"}, {}, "N", "O"),
    "club": ({"club": "C"}, {"club": "D"}, {}, "C", "E"),
    "city": ({"city": "Brest"}, {"city": "Dinan"}, {}, "Brest", "Lens"),
    "region": ({"region": "Île-de-France"}, {"region": "Ile-de-France"}, {}, "Île-de-France", "x"),
    "country": ({"country": "Belgique"}, {"country": "Suisse"}, {}, "Belgique", "x"),
    "sports": ({"sports": ["judo", "golf"]}, {"sports": ["golf"]}, {"sports": []}, "judo", "aikido"),
    "hardware": ({"hardware": "rpi5-8gb"}, {"hardware": "rpi4-4gb"}, {}, "rpi5-8gb", "rpi3"),
    "timezone": ({"timezone": "Indian/Reunion"}, {"timezone": "America/Cayenne"}, {}, "Indian/Reunion", "Asia/Tokyo"),
    "state": ({"state": "suspended"}, {"state": "retired"}, {}, "suspended", "nothing"),
    "tenant": ({"tenant": "kalon"}, {"tenant": "other"}, {}, "kalon", "nobody"),
    "labels.a": ({"labels": {"a": "gold"}}, {"labels": {"a": "Gold"}}, {"labels": {"b": "gold"}}, "gold", "x"),
}
HAS, OTHER, SILENT = "has", "other", "silent"
# What is asked -> which of the three sites are chosen. None but the first has the value; another is what nobody has.
FORMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "value": ("{value}", (HAS,)),
    "another": ("{another}", ()),
    "list": ("[{value}, {another}]", (HAS,)),
    "list of others": ("[{another}]", ()),
    "not": ("{{not: {value}}}", (OTHER, SILENT)),
    "not another": ("{{not: {another}}}", (HAS, OTHER, SILENT)),
    "not a list": ("{{not: [{another}, {value}]}}", (OTHER, SILENT)),
}
_FLEET = b"schema: 1\ndefaults: {release: 2.1.3}\ntenants: {kalon: {name: Kalon}, other: {name: Other}}\n"


def slug(words: str) -> str:
    return words.replace(" ", "-").replace(".", "-")


def site_file(key: str, which: str) -> bytes:
    """The site that has the value of `key`, another one, or says nothing of it."""
    said = dict(ATTRIBUTES[key][(HAS, OTHER, SILENT).index(which)])
    place = {name: said.pop(name, default) for name, default in (("city", "A"), ("region", "B"), ("country", "France"))}
    return msgspec.json.encode({"name": "X", "location": place, **said})


@pytest.fixture(scope="module")
def chosen() -> Mapping[str, frozenset[str]]:
    """Site -> the groups that it is in, as its manifest's configuration tells."""
    files: dict[str, bytes | None] = {"fleet.yaml": _FLEET, "groups/rugby.yaml": None}
    for key, (*_, value, another) in ATTRIBUTES.items():
        for which in (HAS, OTHER, SILENT):
            files[f"sites/{slug(key)}-{which}.yaml"] = site_file(key, which)
        for form, (asked, _) in FORMS.items():
            name = f"{slug(key)}-{slug(form)}"
            select = f"{key}: {asked.format(value=value, another=another)}"
            text = f"name: X\npriority: 9\nselect:\n  {select}\nconfig:\n  {name}: 1\n"
            files[f"groups/{name}.yaml"] = text.encode()
    fleet = compile_commit(*as_tree(changed(small_fleet(), files)))
    assert not [str(problem) for problem in fleet.problems if problem.severity == "error"]
    return {name: frozenset(msgspec.json.decode(site.body)["config"]) for name, site in fleet.sites.items()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("key", ATTRIBUTES)
def test_selector_chooses_by_each_key_in_each_form(chosen: Mapping[str, frozenset[str]], key: str, form: str) -> None:
    group = f"{slug(key)}-{slug(form)}"
    found = tuple(which for which in (HAS, OTHER, SILENT) if group in chosen[f"{slug(key)}-{which}"])
    assert found == FORMS[form][1]


def test_every_key_is_in_the_table() -> None:
    assert set(ATTRIBUTES) == {*KEYS, "labels.a"}


WORDS = st.sampled_from(("a", "b", "c"))
WANTED = (
    WORDS
    | st.lists(WORDS, min_size=1, max_size=2)
    | st.builds(Not, not_=WORDS | st.lists(WORDS, min_size=1, max_size=2))
)
SELECTORS = st.dictionaries(
    st.sampled_from(("sports", "region", "club", "labels.x", "id")), WANTED, min_size=1, max_size=4
)
SITES = st.builds(
    lambda club, region, sports, labels: Site(
        name="n", club=club, location=Location(city="c", region=region), sports=sports, labels=labels
    ),
    st.none() | WORDS,
    WORDS,
    st.lists(WORDS, max_size=2),
    st.dictionaries(st.just("x"), WORDS),
)


def speaks_for(site: Site, name: str, key: str) -> set[str | None]:
    """The values that a site has for a key."""
    values: dict[str, set[str | None]] = {
        "sports": set(site.sports),
        "region": {site.location.region},
        "club": {site.club} - {None},
        "labels.x": {site.labels.get("x")} - {None},
        "id": {name},
    }
    return values[key]


def agrees(wanted: str | list[str] | Not, values: set[str | None]) -> bool:
    """One condition of a selector, read aloud."""
    match wanted:
        case str():
            return wanted in values
        case list():
            return any(word in values for word in wanted)
        case Not(not_=str(word)):
            return word not in values
        case Not(not_=words):
            return not any(word in values for word in words)


@given(st.lists(SELECTORS, max_size=5), st.dictionaries(WORDS, SITES, min_size=1))
def test_site_is_in_the_groups_of_which_every_condition_agrees(
    selectors: list[dict[str, Any]], sites: dict[str, Site]
) -> None:
    groups = {f"g{n}": Group(name="G", priority=n % 2, select=select) for n, select in enumerate(selectors)}
    compiled = Selectors(groups)
    for name, site in sites.items():
        expected = [
            (group.priority, label)
            for label, group in groups.items()
            if all(agrees(wanted, speaks_for(site, name, key)) for key, wanted in (group.select or {}).items())
        ]
        assert list(compiled.groups_of(name, site)) == sorted(expected)
