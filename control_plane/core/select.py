"""Which sites are in which group: selectors compiled once, asked once a site.

A selector's first positive key files it under the values it wants, so that a site meets only the groups that can match.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

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

GroupKey = tuple[int, DocumentId]
"""Priority and id: groups of a site are layered in the order of these."""


def read_values(key: str, name: SiteId, site: Site) -> Values:
    """The site's values under a selector's key; none when it has none."""
    if key.startswith("labels."):
        label = site.labels.get(key[len("labels.") :])
        return () if label is None else (label,)
    return _READERS[key](name, site)


def matches(select: Mapping[str, str | list[str] | Not], name: SiteId, site: Site) -> bool:
    """Whether every key of the selector holds; values compare exactly."""
    return all(_holds(wanted, read_values(key, name, site)) for key, wanted in select.items())


def _holds(wanted: str | list[str] | Not, values: Values) -> bool:
    if isinstance(wanted, Not):
        return not any(value in _as_list(wanted.not_) for value in values)
    return any(value in _as_list(wanted) for value in values)


def _as_list(wanted: str | list[str]) -> list[str]:
    return [wanted] if isinstance(wanted, str) else wanted


class Selectors:
    """Every group's selector, filed by what it asks for first."""

    def __init__(self, groups: Mapping[DocumentId, Group]) -> None:
        self._by_site: dict[SiteId, list[GroupKey]] = {}
        self._by_value: dict[str, dict[str, list[DocumentId]]] = {}
        self._everywhere: list[DocumentId] = []
        self._keys: dict[DocumentId, GroupKey] = {name: (group.priority, name) for name, group in groups.items()}
        self._selects: dict[DocumentId, Mapping[str, str | list[str] | Not]] = {}
        for name, group in groups.items():
            self._file(name, group)

    def _file(self, name: DocumentId, group: Group) -> None:
        for site in dict.fromkeys(group.sites or ()):
            self._by_site.setdefault(site, []).append(self._keys[name])
        if not group.select or any(key not in _READERS and not key.startswith("labels.") for key in group.select):
            return
        self._selects[name] = group.select
        for key, wanted in group.select.items():
            if not isinstance(wanted, Not):
                buckets = self._by_value.setdefault(key, {})
                for value in dict.fromkeys(_as_list(wanted)):
                    buckets.setdefault(value, []).append(name)
                return
        self._everywhere.append(name)

    def groups_of(self, name: SiteId, site: Site) -> tuple[GroupKey, ...]:
        """The groups that the site is in, in the order of their layers."""
        found = list(self._by_site.get(name, ()))
        for key, buckets in self._by_value.items():
            for value in read_values(key, name, site):
                if value in buckets:
                    found += self._matching(buckets[value], name, site)
        if self._everywhere:
            found += self._matching(self._everywhere, name, site)
        return tuple(sorted(set(found))) if len(found) > 1 else tuple(found)

    def _matching(self, candidates: Iterable[DocumentId], name: SiteId, site: Site) -> list[GroupKey]:
        return [self._keys[group] for group in candidates if matches(self._selects[group], name, site)]
