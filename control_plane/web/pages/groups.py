"""Groups: the rule of each, who is in it and how they stand, and the layer that it lays over them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from control_plane.errors import NotFound
from control_plane.store import library
from control_plane.store.pool import connection
from control_plane.store.views import Fleet, SiteView, standings
from control_plane.web.present import standing_bar
from control_plane.web.table import Cell, Facts, ListPage, Table, heads, sites_table
from control_plane.web.visit import Room, Shown, Visit
from control_plane.web.words import Words
from schemas.desired import Group, Layer, Not
from schemas.names import DocumentId

_LAYER: Final = tuple(Layer.__struct_fields__)


async def show(room: Room, visit: Visit) -> Shown:
    """All groups, by ascending priority: a later one lies over an earlier one."""
    async with connection(room.pool) as conn:
        groups = await library.documents_of(conn, "groups", Group)
    members = _members(await room.lookout.fleet())
    ordered = sorted(groups.items(), key=lambda pair: (pair[1].priority, pair[0]))
    words = visit.words
    table = Table(
        key="groups",
        title=words("nav.groups"),
        heads=heads(words("group.name"), words("group.rule"), words("group.priority") + ">", words("group.sites")),
        rows=[_row(name, group, members.get(name, []), words) for name, group in ordered],
        none=words("groups.none"),
    )
    return Shown("list.html", ListPage(title=words("nav.groups"), intro=words("groups.intro"), tables=[table]))


async def show_one(room: Room, visit: Visit) -> Shown:
    """One group."""
    name, words = visit.path["group"], visit.words
    async with connection(room.pool) as conn:
        group = await library.document_of(conn, "groups", name, Group)
    if group is None:
        raise NotFound(f"cannot find the group {name[:80]}: the published commit has none of that name")
    fleet = await room.lookout.fleet()
    facts = [
        (words("group.rule"), Cell(text=rule_of(group, words))),
        (words("group.priority"), Cell(text=words.number(group.priority))),
        *((key, Cell(text=value, code=True)) for key, value in settings_of(group)),
    ]
    title, none = words("group.sites"), words("group.empty")
    members = _members(fleet).get(name, [])
    page = ListPage(
        title=group.name,
        parents=[("/groups", words("nav.groups"))],
        facts=[Facts(key="layer", title=words("group.layer"), facts=facts)],
        tables=[sites_table(members, fleet.read_at, words, key="members", title=title, none=none)],
    )
    return Shown("list.html", page)


def _row(name: DocumentId, group: Group, members: Sequence[SiteView], words: Words) -> list[Cell]:
    bar = standing_bar(standings(members), len(members), words)
    return [
        Cell(text=group.name, link=f"/groups/{name}", note=", ".join(key for key, _ in settings_of(group))),
        Cell(text=rule_of(group, words)),
        Cell(text=words.number(group.priority)),
        Cell(text=words.number(len(members)), bar=bar),
    ]


def _members(fleet: Fleet) -> dict[DocumentId, list[SiteView]]:
    members: dict[DocumentId, list[SiteView]] = {}
    for view in fleet.sites:
        for group in view.facts.get("groups", ()):
            members.setdefault(group, []).append(view)
    return members


def rule_of(group: Group, words: Words) -> str:
    """Who is in it, as a person says it."""
    if group.sites is not None:
        return words("group.listed")
    return " · ".join(_conditions(group.select or {}))


def _conditions(select: Mapping[str, str | list[str] | Not]) -> Iterable[str]:
    for key, wanted in select.items():
        sign, value = ("≠", wanted.not_) if isinstance(wanted, Not) else ("=", wanted)
        yield f"{key} {sign} {' | '.join(value) if isinstance(value, list) else value}"


def settings_of(layer: Layer) -> list[tuple[str, str]]:
    """What a layer sets, key by key, as YAML's flow form would write it."""
    found: list[tuple[str, str]] = []
    for key in _LAYER:
        value: Any = getattr(layer, key)
        if value is None or value in ([], {}):
            continue
        found.append((key, "…" if key == "hotspot" else _plain(value)))
    return found


def _plain(value: Any) -> str:
    plain = msgspec.to_builtins(value)
    return plain if isinstance(plain, str) else msgspec.json.encode(_without_nulls(plain)).decode()


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value
