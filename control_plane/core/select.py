"""Which sites are in which group: selectors compiled once, asked once a site.

A selector's first positive key files it under the values it wants, so that a site meets only the groups that can match.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from schemas.desired import Group, Not, Site
from schemas.names import DocumentId, SiteId

Values = tuple[str, ...]
_READERS: Final[Mapping[str, Callable[[SiteId, Site], Values]]] = {
    "id": lambda name, _: (name,),
    "name": lambda _, site: (site.name,),
    "club": lambda _, site: (site.club,) if site.club is not None else (),
    "city": lambda _, site: (site.location.city,),
    "region": lambda _, site: (site.location.region,),
    "country": lambda _, site: (site.location.country,),
    "sports": lambda _, site: tuple(site.sports),
    "hardware": lambda _, site: (site.hardware,) if site.hardware is not None else (),
    "timezone": lambda _, site: (site.timezone,),
    "state": lambda _, site: (site.state,),
    "tenant": lambda _, site: (site.tenant,) if site.tenant is not None else (),
}
KEYS: Final = tuple(_READERS)
_LABELS: Final = "labels."

GroupKey = tuple[int, DocumentId]
"""Priority and id: groups of a site are layered in the order of these."""


def is_known(key: str) -> bool:
    """Whether sites can be selected by this key."""
    return key in _READERS or (key.startswith(_LABELS) and len(key) > len(_LABELS))


def values_of(key: str, name: SiteId, site: Site) -> Values:
    """The values of a site under a known key."""
    return _reader(key)(name, site)


def _reader(key: str) -> Callable[[SiteId, Site], Values]:
    if not key.startswith(_LABELS):
        return _READERS[key]
    label = key[len(_LABELS) :]
    return lambda _, site: (site.labels[label],) if label in site.labels else ()


def _as_set(wanted: str | list[str]) -> frozenset[str]:
    return frozenset((wanted,) if isinstance(wanted, str) else wanted)


class _Condition(NamedTuple):
    """One key of a selector: one of the site's values is among `wanted`, or, turned round, none is."""

    read: Callable[[SiteId, Site], Values]
    wanted: frozenset[str]
    turned: bool

    def holds(self, name: SiteId, site: Site) -> bool:
        return self.wanted.isdisjoint(self.read(name, site)) is self.turned


class _Candidate(NamedTuple):
    """A group and what must still hold for a site that was found under its first key."""

    key: GroupKey
    conditions: tuple[_Condition, ...]


def _hold(conditions: tuple[_Condition, ...], name: SiteId, site: Site) -> bool:
    return all(condition.holds(name, site) for condition in conditions)


class Selectors:
    """Every group's selector, filed by what it asks for first; values compare exactly.

    Sites that are the same in all that any selector asks for are in the same selected groups: worked out once.
    """

    def __init__(self, groups: Mapping[DocumentId, Group]) -> None:
        self._known: dict[tuple[Values, ...], tuple[GroupKey, ...]] = {}
        self._by_site: dict[SiteId, list[GroupKey]] = {}
        self._by_value: dict[str, dict[str, list[_Candidate]]] = {}
        self._everywhere: list[_Candidate] = []
        for name, group in groups.items():
            self._file((group.priority, name), group)
        self._firsts = [(_reader(key), buckets) for key, buckets in self._by_value.items()]
        asked = {key for group in groups.values() for key in group.select or ()}
        self._asked = [_reader(key) for key in sorted(asked) if is_known(key)]

    def _file(self, key: GroupKey, group: Group) -> None:
        for site in dict.fromkeys(group.sites or ()):
            self._by_site.setdefault(site, []).append(key)
        select = group.select or {}
        if not select or not all(is_known(name) for name in select):
            return
        conditions = {
            name: _Condition(_reader(name), _as_set(wanted.not_), True)
            if isinstance(wanted, Not)
            else _Condition(_reader(name), _as_set(wanted), False)
            for name, wanted in select.items()
        }
        first = next((name for name, condition in conditions.items() if not condition.turned), None)
        rest = _Candidate(key, tuple(condition for name, condition in conditions.items() if name != first))
        if first is None:
            self._everywhere.append(rest)
            return
        buckets = self._by_value.setdefault(first, {})
        for value in conditions[first].wanted:
            buckets.setdefault(value, []).append(rest)

    def groups_of(self, name: SiteId, site: Site) -> tuple[GroupKey, ...]:
        """The groups that the site is in, in the order of their layers."""
        values = tuple([read(name, site) for read in self._asked])
        found = self._known.get(values)
        if found is None:
            found = self._known[values] = self._selected(name, site)
        listed = self._by_site.get(name)
        return tuple(sorted({*found, *listed})) if listed else found

    def _selected(self, name: SiteId, site: Site) -> tuple[GroupKey, ...]:
        found = []
        for read, buckets in self._firsts:
            for value in read(name, site):
                for key, conditions in buckets.get(value, ()):
                    if not conditions or _hold(conditions, name, site):
                        found.append(key)
        for key, conditions in self._everywhere:
            if _hold(conditions, name, site):
                found.append(key)
        return tuple(sorted(set(found)))
