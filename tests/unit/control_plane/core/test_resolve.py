"""Layers: what a site resolves to, and where each value comes from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.compile import explain
from control_plane.core.resolve import NOTHING, Origins, Resolved, Source, apply_layer
from control_plane.core.select import Selectors
from schemas.desired import Group, Layer, Location, Not, Site
from tests.support.commits import FLEET, changed, compiled, site, small_fleet

JSON = st.recursive(
    st.none() | st.integers(0, 3) | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
MAPS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


def stack(*layers: Layer, origins: Origins | None = None) -> Resolved:
    resolved = NOTHING
    for number, layer in enumerate(layers):
        resolved = apply_layer(resolved, Source(f"layer {number}", f"{number}.yaml", (), layer), origins)
    return resolved


@pytest.mark.parametrize(
    ("low", "high", "merged"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"x": 1}}, {"a": 2}, {"a": 2}),
        ({"a": 2}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": 1, "b": 1}, {"a": None}, {"b": 1}),
        ({"a": {"x": 1}}, {"a": {"x": None}}, {}),
        ({}, {"a": {"x": None}}, {}),
        ({"a": 1}, {"a": {}}, {}),
        ({"a": False}, {}, {"a": False}),
        ({"a": [1]}, {"a": []}, {"a": []}),
    ],
)
def test_maps_merge_deeply_and_all_else_replaces(
    low: dict[str, object], high: dict[str, object], merged: dict[str, object]
) -> None:
    assert stack(Layer(config=low), Layer(config=high)).config == merged


@given(st.lists(MAPS, max_size=4))
def test_every_resolved_leaf_has_exactly_one_origin_and_it_holds_the_value(maps: list[dict[str, object]]) -> None:
    origins: Origins = {}
    config = stack(*(Layer(config=m) for m in maps), origins=origins).config
    leaves: dict[tuple[str | int, ...], object] = {}

    def walk(value: object, path: tuple[str | int, ...]) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                walk(item, (*path, key))
        else:
            leaves[path] = value

    walk(config, ("config",))
    assert leaves.keys() == origins.keys()
    for path, (source, within) in origins.items():
        written: object = source.layer.config
        for key in within[1:]:
            assert isinstance(written, dict)
            written = written[key]
        assert written == leaves[path]


@given(st.lists(MAPS, max_size=4))
def test_asking_for_origins_changes_nothing(maps: list[dict[str, object]]) -> None:
    layers = [Layer(config=m) for m in maps]
    assert stack(*layers) == stack(*layers, origins={})


@given(MAPS, MAPS)
def test_merging_leaves_the_layers_as_they_are(low: dict[str, object], high: dict[str, object]) -> None:
    before = (repr(low), repr(high))
    stack(Layer(config=low), Layer(config=high))
    assert (repr(low), repr(high)) == before


def test_sets_are_united_in_the_order_of_the_layers_and_can_be_taken_away() -> None:
    resolved = stack(
        Layer(video_sets=["a", "b"]), Layer(video_sets=["c", "a"]), Layer(video_sets=["d"], without_video_sets=["b"])
    )
    assert resolved.video_sets == ("a", "c", "d")


def test_a_set_that_was_taken_away_can_come_back_above() -> None:
    resolved = stack(Layer(video_sets=["a", "b"]), Layer(without_video_sets=["a"]), Layer(video_sets=["a"]))
    assert resolved.video_sets == ("b", "a")


def a_site(**changes: object) -> Site:
    values: dict[str, object] = {
        "name": "Rennes FC",
        "location": Location(city="Rennes", region="Bretagne"),
        "sports": ["football", "futsal"],
        "labels": {"offer": "premium"},
        "hardware": "rpi4-4gb",
    }
    return Site(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        ({"region": "Bretagne"}, True),
        ({"region": "bretagne"}, False),
        ({"region": ["Normandie", "Bretagne"]}, True),
        ({"region": Not(not_="Bretagne")}, False),
        ({"region": Not(not_=["Normandie", "Occitanie"])}, True),
        ({"sports": "futsal"}, True),
        ({"sports": ["rugby", "football"]}, True),
        ({"sports": Not(not_="futsal")}, False),
        ({"sports": Not(not_="rugby")}, True),
        ({"labels.offer": ["premium", "gold"]}, True),
        ({"labels.offer": "gold"}, False),
        ({"labels.zone": "a"}, False),
        ({"labels.zone": Not(not_="a")}, True),
        ({"club": "x"}, False),
        ({"club": Not(not_="x")}, True),
        ({"id": "rennes"}, True),
        ({"name": "Rennes FC", "state": "active", "timezone": "Europe/Paris", "country": "France"}, True),
        ({"region": "Bretagne", "sports": "rugby"}, False),
        ({"sports": "rugby", "region": "Bretagne"}, False),
        ({"region": Not(not_="Occitanie"), "sports": "futsal"}, True),
        ({"region": Not(not_="Bretagne"), "sports": "futsal"}, False),
        ({"tenant": "kalon"}, False),
        ({"hardware": "rpi4-4gb", "labels.offer": Not(not_="gold")}, True),
    ],
)
def test_a_selector_holds_when_every_key_does(select: dict[str, str | list[str] | Not], expected: bool) -> None:
    groups = {"g": Group(name="G", priority=5, select=select)}
    assert Selectors(groups).groups_of("rennes", a_site()) == (((5, "g"),) if expected else ())


def test_groups_come_by_priority_and_then_by_id_and_each_once() -> None:
    groups = {
        "z": Group(name="Z", priority=1, select={"sports": ["football", "futsal"]}),
        "b": Group(name="B", priority=2, sites=["rennes", "rennes"]),
        "a": Group(name="A", priority=2, select={"city": "Rennes"}),
        "other": Group(name="O", priority=3, sites=["brest"]),
    }
    assert Selectors(groups).groups_of("rennes", a_site()) == ((1, "z"), (2, "a"), (2, "b"))


def test_explain_names_file_line_column_and_layer_of_every_value() -> None:
    files = changed(
        small_fleet(),
        {
            "fleet.yaml": FLEET + b"  config:\n    live: true\n    overlay: {h: 1, v: 2}\n",
            "groups/rugby.yaml": b"name: R\nselect: {sports: rugby}\npriority: 1\nrelease: 2.2.0\n"
            b"config:\n  overlay: {v: 3}\n",
            "sites/vannes.yaml": site("vannes", "config:\n  live: null\n  remote:\n    title: V\n", sports="rugby"),
        },
    )
    found = explain(compiled(files), "vannes")
    assert [(o.key, o.value, f"{o.file}:{o.line}:{o.column}", o.layer) for o in found] == [
        ("config.overlay.h", 1, "fleet.yaml:7:18", "fleet"),
        ("config.overlay.v", 3, "groups/rugby.yaml:6:16", "group rugby"),
        ("config.remote.title", "V", "sites/vannes.yaml:8:12", "site"),
        ("release", "2.2.0", "groups/rugby.yaml:4:10", "group rugby"),
        ("video_sets.national", True, "fleet.yaml:4:16", "fleet"),
    ]


def test_explain_of_a_site_that_is_not_there_is_empty() -> None:
    assert explain(compiled(small_fleet()), "brest") == []
