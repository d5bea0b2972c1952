"""Layers crossed: every key, every kind of value, every level, against an oracle that is written in another way.

The code merges maps into one another. The oracle keeps one flat table of paths and lets each layer strike out and enter
rows; of sets it asks who spoke last.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import permutations, product
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from control_plane.core.resolve import SCALAR_KEYS, Base, Resolved, Source, apply_layer, merge_base, undecided
from schemas.alerts import OfflineThreshold, PercentThreshold
from schemas.desired import Layer

ABSENT = "absent"
LEVELS = ("fleet", "low", "high", "site")
Config = Mapping[str, Any]
SILENT = Layer()


def layer(**keys: Any) -> Layer:
    """A layer with these keys; what is absent is left out."""
    return msgspec.convert({key: value for key, value in keys.items() if value != ABSENT}, Layer)


def source(name: str, given: Layer, priority: int) -> Source:
    return Source(name, f"{name}.yaml", (), given, priority)


def merged(fleet: Layer, groups: Sequence[tuple[int, Layer]], site: Layer) -> tuple[Resolved, Base]:
    """What the site resolves to, and the merge below it."""
    sources = [source(f"g{n}", given, priority) for n, (priority, given) in enumerate(groups)]
    base = merge_base(source("fleet", fleet, -1), sources)
    return apply_layer(base.resolved, source("site", site, -1)), base


def stacked(*layers: Layer) -> Resolved:
    """Four layers, one of each level."""
    fleet, low, high, site = layers
    return merged(fleet, [(1, low), (2, high)], site)[0]


def conflicts(groups: Sequence[tuple[int, Layer]], site: Layer = SILENT) -> set[str]:
    """Keys that groups set differently and no higher layer decides."""
    base = merged(Layer(), groups, site)[1]
    return {".".join(map(str, c.path)) for c in undecided(base.conflicts, [source("site", site, -1)])}


# --- the oracle


def flat(config: Config, at: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Every path of a map that is named, maps included, from the top."""
    rows: list[tuple[tuple[str, ...], Any]] = []
    for key, value in config.items():
        rows.append(((*at, key), value))
        if isinstance(value, dict):
            rows += flat(value, (*at, key))
    return rows


def written_over(layers: Sequence[Config]) -> dict[tuple[str, ...], str]:
    """Path -> JSON of the list or scalar there, after each layer struck out what it takes the place of."""
    table: dict[tuple[str, ...], str] = {}
    for config in layers:
        for path, value in flat(config):
            deeper = [row for row in table if row[: len(path)] == path]
            for row in deeper if not isinstance(value, dict) else [row for row in deeper if row == path]:
                del table[row]
            if value is not None and not isinstance(value, dict):
                table[path] = json_of(value)
    return table


def json_of(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def leaves(config: Config) -> dict[tuple[str, ...], str]:
    """What a merged map comes to, in the oracle's form; it holds no null and no map without anything in it."""
    rows = flat(config)
    assert all(value not in (None, {}) for _, value in rows)
    return {path: json_of(value) for path, value in rows if not isinstance(value, dict)}


# --- one key that the highest layer decides

VALUES: dict[str, tuple[Any, Any]] = {
    "release": ("2.1.3", "2.2.0"),
    "agent": ("1.0.0", "1.1.0"),
    "maintenance": ({"windows": ["at_boot"]}, {"windows": [{"idle": "30m"}]}),
    "poll": ({"interval": "30s"}, {"interval": "60s"}),
    "bandwidth": ({"limit": "1MB/s"}, {"limit": "2MB/s", "hours": "08:00-22:00"}),
    "connectivity": ("always", "rare"),
    "rollout": ("standard", "careful"),
    "hotspot": ({"ssid": "a", "passphrase": "age:QQ=="}, {"ssid": "b", "passphrase": "age:QQ=="}),
    "backup": ({"videos": True}, {"videos": False}),
}


def test_every_key_of_a_layer_is_in_a_table_here() -> None:
    assert set(VALUES) == set(SCALAR_KEYS)
    others = {"video_sets", "without_video_sets", "config", "alerts"}
    assert {field.encode_name for field in msgspec.structs.fields(Layer)} == set(VALUES) | others


@pytest.mark.parametrize("key", VALUES)
def test_highest_layer_that_sets_a_key_wins_it(key: str) -> None:
    for choice in product((ABSENT, *VALUES[key]), repeat=len(LEVELS)):
        resolved = stacked(*(layer(**{key: value}) for value in choice))
        spoken = [value for value in choice if value != ABSENT]
        expected = getattr(layer(**{key: spoken[-1]}), key) if spoken else None
        assert getattr(resolved, key) == expected
        assert resolved == msgspec.structs.replace(Resolved(), **{key: expected}), "nothing else is set"


# --- configuration: level x value

FORMS: tuple[Any, ...] = (
    *(ABSENT, None, {}, {"x": 1}, {"x": None}, {"x": {}}, {"x": {"y": 1}}, {"y": [1]}, [], [{"x": None}], 2, False, ""),
)


@pytest.mark.parametrize("site", FORMS, ids=repr)
def test_maps_merge_and_all_else_replaces_whatever_is_below(site: Any) -> None:
    for choice in product(FORMS, repeat=3):
        layers = [{} if value == ABSENT else {"a": value} for value in (*choice[:2], choice[2], site)]
        resolved = stacked(*(Layer(config=config) for config in layers))
        assert leaves(resolved.config) == written_over(layers), layers


JSON = st.recursive(
    st.sampled_from((None, True, False, 0, 1, 1.0, "", "a")),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
CONFIGS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


@given(st.lists(CONFIGS, min_size=4, max_size=4))
def test_any_configurations_merge_as_the_table_says(configs: list[Config]) -> None:
    assert leaves(stacked(*(Layer(config=config) for config in configs)).config) == written_over(configs)


@given(CONFIGS, CONFIGS, CONFIGS)
def test_layers_may_be_merged_from_above_or_from_below(low: Config, middle: Config, high: Config) -> None:
    """What fleet and groups come to is shared by sites: where the stack is cut must not matter."""
    whole = stacked(Layer(config=low), Layer(config=middle), Layer(), Layer(config=high))
    again = stacked(Layer(), Layer(config=low), Layer(config=middle), Layer(config=high))
    assert json_of(whole.config) == json_of(again.config)


# --- video sets: level x (silent, adds, takes away)


def test_set_is_there_when_the_last_layer_that_speaks_of_it_adds_it() -> None:
    for choice in product(("silent", "adds", "takes"), repeat=len(LEVELS)):
        layers = [
            Layer(video_sets=["a"] if word == "adds" else [], without_video_sets=["a"] if word == "takes" else [])
            for word in choice
        ]
        spoken = [word for word in choice if word != "silent"]
        assert stacked(*layers).video_sets == (("a",) if spoken and spoken[-1] == "adds" else ())


SETS = st.lists(st.sampled_from("abcd"), max_size=3, unique=True)
SET_LAYERS = st.tuples(SETS, SETS).map(lambda two: (two[0], [name for name in two[1] if name not in two[0]]))


@given(st.lists(SET_LAYERS, min_size=4, max_size=4))
def test_sets_come_in_the_order_in_which_they_came_to_stay(choice: list[tuple[list[str], list[str]]]) -> None:
    came: dict[str, tuple[int, int]] = {}
    for level, (added, taken) in enumerate(choice):
        came = {name: at for name, at in came.items() if name not in taken}
        came = {**{name: (level, n) for n, name in enumerate(added)}, **came}
    layers = [Layer(video_sets=added, without_video_sets=taken) for added, taken in choice]
    assert list(stacked(*layers).video_sets) == sorted(came, key=lambda name: came[name])


# --- groups of one priority: same or different x decided above or not

DECIDERS = ("nobody", "a group above", "the site", "a group below")


@pytest.mark.parametrize("decider", DECIDERS)
@pytest.mark.parametrize("key", VALUES)
def test_key_that_groups_of_one_priority_set_differently_is_a_conflict_unless_decided_above(
    key: str, decider: str
) -> None:
    first, second = VALUES[key]
    for one, other in product((ABSENT, first, second), repeat=2):
        deciding = layer(**{key: first})
        groups = [(5, layer(**{key: one})), (5, layer(**{key: other}))]
        groups += {"a group above": [(6, deciding)], "a group below": [(4, deciding)]}.get(decider, [])
        found = conflicts(sorted(groups, key=lambda group: group[0]), deciding if decider == "the site" else Layer())
        differ = ABSENT not in (one, other) and one != other
        assert found == ({key} if differ and decider in ("nobody", "a group below") else set())


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1, set()),
        (1, 2, {"config.a"}),
        (1, True, {"config.a"}),
        (1, 1.0, {"config.a"}),
        ([1], [1], set()),
        ([1], [True], {"config.a"}),
        ([{"x": 1, "y": 2}], [{"y": 2, "x": 1}], set()),
        (None, None, set()),
        (None, 1, {"config.a"}),
        ([], {}, {"config.a"}),
        ({"x": 1}, {"x": 1}, set()),
        ({"x": 1}, {"y": 1}, set()),
        ({"x": 1}, {"x": 2}, {"config.a.x"}),
        ({"x": 1}, {"x": {"y": 1}}, {"config.a.x"}),
        ({"x": 1}, 1, {"config.a"}),
        ({"x": 1}, None, {"config.a"}),
        ({"x": 1}, [1], {"config.a"}),
        ({"x": {"y": 1}}, 1, {"config.a"}),
        ({}, 1, {"config.a"}),
        ({}, {}, set()),
        ({}, {"x": 1}, set()),
        ({"x": {}}, {"x": 1}, {"config.a.x"}),
    ],
)
def test_configuration_of_groups_of_one_priority_meets_value_by_value(one: Any, other: Any, expected: set[str]) -> None:
    groups = [(5, Layer(config={"a": one})), (5, Layer(config={"a": other}))]
    assert conflicts(groups) == conflicts(groups[::-1]) == expected
    assert conflicts([(5, groups[0][1]), (6, groups[1][1])]) == set(), "another priority decides"
    if expected:
        assert conflicts(groups, Layer(config={"a": 3})) == conflicts(groups, Layer(config={"a": None})) == set()
        assert conflicts(groups, Layer(config={"b": 3})) == conflicts(groups, Layer(config={"a": {}})) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((["a"], []), (["a"], []), set()),
        ((["a"], []), (["b"], []), set()),
        ((["a"], []), ([], ["a"]), {"video_sets.a"}),
        (([], ["a"]), ([], ["a"]), set()),
        ((["a"], ["b"]), (["b"], ["a"]), {"video_sets.a", "video_sets.b"}),
    ],
)
def test_set_that_one_group_adds_and_another_takes_away_is_a_conflict(
    one: tuple[list[str], list[str]], other: tuple[list[str], list[str]], expected: set[str]
) -> None:
    groups = [(5, Layer(video_sets=added, without_video_sets=taken)) for added, taken in (one, other)]
    assert conflicts(groups) == expected
    deciding = Layer(video_sets=["a"], without_video_sets=["b"])
    assert conflicts([*groups, (6, deciding)]) == conflicts(groups, deciding) == set()


LAYERS = st.builds(
    lambda config, sets, release: Layer(config=config, video_sets=sets[0], without_video_sets=sets[1], release=release),
    CONFIGS,
    SET_LAYERS,
    st.none() | st.sampled_from(("2.1.3", "2.2.0")),
)


@given(LAYERS, st.lists(LAYERS, min_size=2, max_size=3), st.none() | LAYERS, LAYERS)
@example(Layer(), [Layer(config={"a": {}}), Layer(config={"a": 1})], None, Layer())
@example(Layer(), [Layer(config={"a": 1}), Layer(config={"a": True})], None, Layer())
def test_groups_without_a_conflict_may_come_in_any_order(
    fleet: Layer, groups: list[Layer], above: Layer | None, site: Layer
) -> None:
    """What a conflict is, without asking how it is found: the names of the groups decide what a box gets."""
    higher = [] if above is None else [(6, above)]
    outcomes = set()
    for order in permutations(groups):
        resolved, base = merged(fleet, [*((5, group) for group in order), *higher], site)
        if undecided(base.conflicts, [source("site", site, -1)]):
            return
        outcomes.add((resolved.release, tuple(sorted(resolved.video_sets)), json_of(resolved.config)))
    assert len(outcomes) == 1


def test_alerts_are_merged_kind_by_kind_and_a_silence_comes_with_its_end() -> None:
    low = layer(alerts={"offline": {"critical": "1h"}, "disk": {"critical": "90%"}})
    high = layer(alerts={"offline": {"warning": "3d"}, "silence": ["disk"], "until": date(2026, 12, 24)})
    found = stacked(low, SILENT, high, SILENT).alerts
    assert found is not None
    assert found.offline == OfflineThreshold(warning="3d")
    assert found.disk == PercentThreshold(critical="90%")
    assert (found.silence, found.until) == (["disk"], date(2026, 12, 24))
