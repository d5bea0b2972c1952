"""Two configurations compared: what differs in words for a report, which files are named, what one writer changed."""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, Final

from schemas.status import Difference

Json = Any

MAX_DIFFERENCES: Final = 100
MAX_WORDS: Final = 120
_SECRET: Final = ("password", "secret", "token", "apikey", "passphrase")
_ABSENT: Final = object()


def referenced_paths(configuration: Mapping[str, Json]) -> frozenset[str]:
    """Every file that the configuration names: categories, subcategories, the default loop, the loops of time blocks.

    Relative, normalised POSIX paths. Every `path` at any depth counts, so that a variant of the format which nests
    them elsewhere never costs a club a file.
    """
    return frozenset(posixpath.normpath(path).lstrip("/") for path in _paths(configuration) if path)


def _paths(value: Json) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _paths(item)
    elif isinstance(value, dict):
        if isinstance(value.get("path"), str):
            yield value["path"]
        for item in value.values():
            yield from _paths(item)


def list_differences(observed: Mapping[str, Json], desired: Mapping[str, Json]) -> list[Difference]:
    """How `observed` differs from `desired`, by key and by the id or name of an item; secrets are never quoted."""
    found = sorted(_differences("", observed, desired), key=lambda d: d.what)
    return found[:MAX_DIFFERENCES]


def _differences(what: str, observed: Json, desired: Json) -> Iterator[Difference]:
    if same(observed, desired):
        return
    if isinstance(observed, dict) and isinstance(desired, dict):
        for key in observed.keys() | desired.keys():
            yield from _differences(_join(what, key), observed.get(key, _ABSENT), desired.get(key, _ABSENT))
    elif isinstance(observed, list) and isinstance(desired, list):
        yield from _list_differences(what, observed, desired)
    else:
        yield Difference(
            kind="configuration", what=what[-300:], desired=_words(what, desired), observed=_words(what, observed)
        )


def _list_differences(what: str, observed: list[Json], desired: list[Json]) -> Iterator[Difference]:
    """Items are matched by their id, video or path; items without one by value; order alone is one difference."""
    left, right = by_label(observed), by_label(desired)
    for label in left.keys() | right.keys():
        yield from _differences(_join(what, label), left.get(label, _ABSENT), right.get(label, _ABSENT))
    if left == right:
        yield Difference(kind="configuration", what=what[-300:], desired="another order", observed="")


def by_label(items: list[Json]) -> dict[str, Json]:
    """The items of a list by their id, video, path or name, numbered where several share one."""
    found: dict[str, Json] = {}
    for item in items:
        label, number = _label(item), 2
        name = label
        while name in found:
            name, number = f"{label}#{number}", number + 1
        found[name] = item
    return found


def _label(item: Json) -> str:
    if not isinstance(item, dict):
        return str(item)
    return next((str(item[key]) for key in ("id", "video_id", "path", "name") if item.get(key)), str(item))


def _join(what: str, key: str) -> str:
    return f"{what}/{key}" if what else str(key)


def _words(what: str, value: Json) -> str:
    if value is _ABSENT:
        return "absent"
    if any(word in what.lower().replace("_", "") for word in _SECRET) or what.startswith("auth"):
        return "(not shown)"
    return _brief(value)


def _brief(value: Json) -> str:
    if isinstance(value, dict):
        return str(value.get("name") or f"{len(value)} keys")[:MAX_WORDS]
    if isinstance(value, list):
        return f"{len(value)} items"
    return str(value)[:MAX_WORDS]


def same(one: Json, other: Json) -> bool:
    """Whether two JSON values are equal as JSON: true is not 1, but 1.0 is 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def carry(base: Json, changed: Json, onto: Json) -> Json:
    """What one writer changed between `base` and `changed`, done to `onto`, which another wrote meanwhile.

    Maps are carried key by key; lists by item: added ones at the end, removed ones out, items with an id deeply. Where
    both changed the same value, `changed` wins: it was saved last into a file that was then taken away.
    """
    if same(base, changed) or same(changed, onto):
        return onto
    if isinstance(base, dict) and isinstance(changed, dict) and isinstance(onto, dict):
        return _carry_map(base, changed, onto)
    if isinstance(base, list) and isinstance(changed, list) and isinstance(onto, list):
        return _carry_list(base, changed, onto)
    return changed


def _carry_map(base: dict[str, Json], changed: dict[str, Json], onto: dict[str, Json]) -> dict[str, Json]:
    carried = {k: v for k, v in onto.items() if k in changed or k not in base}
    for key, value in changed.items():
        if key not in base or key in onto:
            carried[key] = carry(base.get(key, _ABSENT), value, onto.get(key, _ABSENT))
        elif not same(base[key], value):
            carried[key] = value
    return carried


def _carry_list(base: list[Json], changed: list[Json], onto: list[Json]) -> list[Json]:
    before, after = by_label(base), by_label(changed)
    carried = {label: item for label, item in by_label(onto).items() if label in after or label not in before}
    for label, item in after.items():
        if label not in before or label in carried:
            carried[label] = carry(before.get(label, _ABSENT), item, carried.get(label, _ABSENT))
        elif not same(before[label], item):
            carried[label] = item
    if [label for label in before if label in after] != [label for label in after if label in before]:
        places = {label: place for place, label in enumerate(after)}
        return [carried[label] for label in sorted(carried, key=lambda label: places.get(label, len(places)))]
    return list(carried.values())
