"""Layers -> what a site resolves to: fleet, then groups by ascending priority, then the site itself.

One merge serves both uses: resolving, and telling where a value comes from (`origins`, asked for by `neopro why`).
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, groupby
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from control_plane.core.problems import KeyPath
from schemas.alerts import Alerts
from schemas.desired import Backup, Bandwidth, Connectivity, Hotspot, Layer, Maintenance, Poll
from schemas.names import DocumentId, Version

SCALAR_KEYS: Final = (
    "release",
    "agent",
    "maintenance",
    "poll",
    "bandwidth",
    "connectivity",
    "rollout",
    "hotspot",
    "backup",
)
"""Keys of which the highest layer that sets one wins."""


class Source(Struct, frozen=True):
    """A layer and where it is written: `at` is its key path in `file`."""

    name: str
    file: str
    at: KeyPath
    layer: Layer
    priority: int = -1


class Resolved(Struct, frozen=True, gc=False):
    """What the layers of a site come to; `video_sets` in the order in which they were added, lowest layer first."""

    release: Version | None = None
    agent: Version | None = None
    maintenance: Maintenance | None = None
    poll: Poll | None = None
    bandwidth: Bandwidth | None = None
    connectivity: Connectivity | None = None
    rollout: DocumentId | None = None
    hotspot: Hotspot | None = None
    backup: Backup | None = None
    alerts: Alerts | None = None
    video_sets: tuple[DocumentId, ...] = ()
    config: dict[str, Any] = {}


class Conflict(Struct, frozen=True):
    """Two groups of one priority that set `path` differently, and no higher layer that decides."""

    path: KeyPath
    one: Source
    other: Source


class Base(Struct, frozen=True):
    """Fleet and groups merged: shared by every site that is in the same groups."""

    resolved: Resolved
    conflicts: tuple[Conflict, ...] = ()


NOTHING: Final = Resolved()
NO_ALERTS: Final = Alerts()
_EMPTY: Final[dict[str, Any]] = {}
"""A map that sets nothing: it takes the place of a scalar below it, and leaves a map as it is."""
_ENCODER: Final = msgspec.json.Encoder(order="sorted")
Origins = dict[KeyPath, tuple[Source, KeyPath]]
"""Resolved key path -> the layer that set it, and the key path of the value within that layer."""


def sets_nothing(layer: Layer) -> bool:
    """Whether the layer leaves everything as it is."""
    return not (
        layer.config
        or layer.video_sets
        or layer.without_video_sets
        or layer.release is not None
        or layer.maintenance is not None
        or layer.poll is not None
        or layer.bandwidth is not None
        or layer.connectivity is not None
        or layer.agent is not None
        or layer.rollout is not None
        or layer.hotspot is not None
        or layer.backup is not None
        or layer.alerts is not None
    )


def apply_layer(low: Resolved, source: Source, origins: Origins | None = None) -> Resolved:
    """`low` with a higher layer on top; with `origins`, it is told who set what."""
    layer = source.layer
    if sets_nothing(layer):
        return low
    changes: dict[str, Any] = {key: value for key in SCALAR_KEYS if (value := getattr(layer, key)) is not None}
    if origins is not None:
        origins |= {(key,): (source, (key,)) for key in changes}
    if layer.alerts is not None:
        changes["alerts"] = merge_alerts(low.alerts or NO_ALERTS, layer.alerts)
        if origins is not None:
            origins |= {("alerts", key): (source, ("alerts", key)) for key in _set_keys(layer.alerts)}
    if layer.video_sets or layer.without_video_sets:
        changes["video_sets"] = _merge_sets(low.video_sets, source, origins)
    if layer.config:
        changes["config"] = _merge_maps(low.config, layer.config, ("config",), source, origins)
    return replace(low, **changes)


def merge_alerts(low: Alerts, high: Alerts) -> Alerts:
    """Kind by kind the higher one; a silence comes with its end."""
    return replace(low, **{key: getattr(high, key) for key in _set_keys(high)})


def _set_keys(alerts: Alerts) -> list[str]:
    return [key for key in alerts.__struct_fields__ if getattr(alerts, key) is not None]


def _merge_sets(low: tuple[DocumentId, ...], source: Source, origins: Origins | None) -> tuple[DocumentId, ...]:
    without = source.layer.without_video_sets
    kept = [name for name in low if name not in without]
    added = [name for name in dict.fromkeys(source.layer.video_sets) if name not in kept]
    if origins is not None:
        for name in without:
            origins.pop(("video_sets", name), None)
        for name in added:
            origins["video_sets", name] = (source, ("video_sets", source.layer.video_sets.index(name)))
    return (*kept, *added)


def _merge_maps(
    low: Mapping[str, Any], high: Mapping[str, Any], at: KeyPath, source: Source, origins: Origins | None
) -> dict[str, Any]:
    """Maps merge deeply, lists and scalars replace, null takes away; a map that manages nothing is not there."""
    merged = dict(low)
    for key, value in high.items():
        below = merged.get(key)
        if origins is not None and not (isinstance(value, dict) and isinstance(below, dict)):
            _take_over((*at, key), value, source, origins)
        if isinstance(value, dict):
            result = _merge_maps(below if isinstance(below, dict) else {}, value, (*at, key), source, origins) or None
        else:
            result = value
        if result is None:
            merged.pop(key, None)
        else:
            merged[key] = result
    return merged


def _take_over(path: KeyPath, value: Any, source: Source, origins: Origins) -> None:
    """What was set at or below `path` is no more; a list or scalar is set there instead."""
    for known in [known for known in origins if known[: len(path)] == path]:
        del origins[known]
    if value is not None and not isinstance(value, dict):
        origins[path] = (source, path)


def merge_base(fleet: Source | None, groups: Sequence[Source], origins: Origins | None = None) -> Base:
    """Fleet and groups (in the order of their layers) merged, and the conflicts among groups of one priority."""
    resolved = NOTHING if fleet is None else apply_layer(NOTHING, fleet, origins)
    conflicts: list[Conflict] = []
    for _, same in groupby(groups, key=lambda source: source.priority):
        level = list(same)
        for source in level:
            resolved = apply_layer(resolved, source, origins)
        conflicts = undecided(conflicts, level)
        conflicts += [c for one, other in combinations(level, 2) for c in _differences(one, other)]
    return Base(resolved, tuple(conflicts))


def undecided(conflicts: Iterable[Conflict], higher: Iterable[Source]) -> list[Conflict]:
    """The conflicts that no higher layer decides by setting the same key itself."""
    decided = {path for source in higher for path, value in _settings(source.layer).items() if value != _EMPTY}
    return [c for c in conflicts if not any(c.path[: len(path)] == path for path in decided)]


def _settings(layer: Layer) -> dict[KeyPath, Any]:
    """What a layer sets, flat; maps of `config` leaf by leaf (an empty one as itself), sets as present or not."""
    found: dict[KeyPath, Any] = {(key,): value for key in SCALAR_KEYS if (value := getattr(layer, key)) is not None}
    if layer.alerts is not None:
        found |= {("alerts", key): msgspec.to_builtins(getattr(layer.alerts, key)) for key in _set_keys(layer.alerts)}
    found |= {("video_sets", name): True for name in layer.video_sets}
    found |= {("video_sets", name): False for name in layer.without_video_sets}
    _flatten(layer.config, ("config",), found)
    return found


def _flatten(config: Mapping[str, Any], at: KeyPath, found: dict[KeyPath, Any]) -> None:
    for key, value in config.items():
        if isinstance(value, dict) and value:
            _flatten(value, (*at, key), found)
        else:
            found[(*at, key)] = value


def _differences(one: Source, other: Source) -> list[Conflict]:
    """What two layers of one rank set differently: other values, or a value where the other has a map."""
    first, second = _settings(one.layer), _settings(other.layer)
    found = [path for path in first.keys() & second.keys() if not _same(first[path], second[path])]
    for these, those in ((first, second), (second, first)):
        longer = {path[:n] for path in those for n in range(1, len(path))}
        found += [path for path, value in these.items() if path in longer and value != _EMPTY]
    return [Conflict(path, one, other) for path in sorted(set(found), key=str)]


def _same(one: Any, other: Any) -> bool:
    """Whether a box gets the same: to JSON, unlike to Python, `true`, 1 and 1.0 are three values."""
    return _ENCODER.encode(one) == _ENCODER.encode(other)
