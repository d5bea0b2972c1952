"""An export of the existing central database -> the documents of a fleet-state repository. Values in, values out.

What cannot be taken over is told with its place, never dropped in silence; what is a secret (api_key) never is.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from cli.documents import site_text, video_text
from cli.edits import SCHEMA_LINE, flow, scalar
from cli.exports import Row, clean, left_columns
from cli.words import slug
from schemas.desired import Location, Media, SiteState, Video

MAX_TEXT: Final = 200
MAX_ID: Final = 63
EVERYONE: Final = "imported"
_STATES: Final[Mapping[str, SiteState]] = {
    **dict.fromkeys(("", "active", "online", "offline", "ok", "warning", "error", "maintenance", "pending"), "active"),
    **dict.fromkeys(("suspended", "disabled", "inactive", "paused"), "suspended"),
    **dict.fromkeys(("retired", "archived", "deleted", "decommissioned"), "retired"),
}
_PRIORITIES: Final = {"sport": 100, "geography": 200, "custom": 300, "version": 900}
_SELECTORS: Final = {
    "sport": "sports",
    "sports": "sports",
    "region": "region",
    "regions": "region",
    "city": "city",
    "cities": "city",
    "country": "country",
    "countries": "country",
    "club": "club",
    "hardware": "hardware",
}
_FLEET: Final = f"""\
{SCHEMA_LINE.format(kind="fleet").replace("../../", "../")}
schema: 1

# The lowest layer: every box starts from it. Add releases (neopro release add), then name one here.
defaults: {{}}
"""
_EVERYONE: Final = f"""\
{SCHEMA_LINE.format(kind="group")}
name: Taken over from the existing system
type: custom
# Boxes keep the release that they have until one is named, here or in fleet.yaml.
select: {{labels.origin: import}}
priority: 10
"""


class Takeover(NamedTuple):
    """Documents by path, how many of each kind, and what was left out or guessed: (place, what)."""

    files: dict[str, str]
    counts: dict[str, int]
    notes: list[tuple[str, str]]


class _Names:
    """Ids that are given once each."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def take(self, *wishes: str) -> str:
        """The first wish that makes an id, with a number where it is taken."""
        stem = next((made for wish in wishes if (made := slug(wish))), "site")
        number = 1
        while (name := _numbered(stem, number)) in self._taken:
            number += 1
        self._taken.add(name)
        return name


def take_over(tables: Mapping[str, Sequence[Row]]) -> Takeover:
    """Everything that the tables hold."""
    notes: list[tuple[str, str]] = []
    files = {"fleet.yaml": _FLEET, f"groups/{EVERYONE}.yaml": _EVERYONE}
    sites = _take_sites(tables["sites"], files, notes)
    groups = _take_groups(tables.get("groups", ()), tables.get("site_groups", ()), sites, files, notes)
    videos, sets = _take_videos(tables.get("videos", ()), files, notes)
    for table, rows in tables.items():
        if columns := left_columns(rows):
            notes.append((table, f"not taken over: the columns {', '.join(columns)}"))
    counts = {"sites": len(tables["sites"]), "groups": groups, "videos": videos, "video sets": sets}
    return Takeover(files, counts, notes)


def _take_sites(rows: Sequence[Row], files: dict[str, str], notes: list[tuple[str, str]]) -> dict[str, str]:
    """Write the sites; what an export may call each of them by -> its id."""
    names = _Names()
    known: dict[str, str] = {}
    for row in rows:
        old = row.text("id", "site_id", "uuid")
        title = row.text("site_name", "name", "club_name", "club") or old
        name = names.take(title, old)
        files[f"sites/{name}.yaml"], remarks = _site(row, title or name, old)
        notes += [(row.place, remark) for remark in remarks]
        for alias in filter(None, (old, title, name)):
            known.setdefault(alias, name)
    return known


def _site(row: Row, title: str, old: str) -> tuple[str, list[str]]:
    """The text of a site's document, and what was guessed or left out."""
    remarks: list[str] = []
    status = row.text("state", "status").lower()
    if status not in _STATES:
        remarks.append(f"its status {status!r} is not known; taken over as active")
    email = row.text("email", "contact_email", "club_email")
    if email and not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        remarks.append(f"its e-mail address {email!r} is none; left out")
        email = ""
    hardware = slug(row.text("hardware", "hardware_model", "model"))
    text = site_text(
        _short(title),
        _location(row, remarks),
        club=_short(row.text("club_name", "club")) or None,
        sports=sorted({sport[:40] for item in row.items("sports", "sport") if (sport := slug(item))}),
        labels={"origin": "import", **({"imported-id": _short(old)} if old else {})},
        hardware=hardware[:MAX_ID] or None,
        timezone=_timezone(row, remarks),
        email=email or None,
    )
    return text.replace("state: active ", f"state: {_STATES.get(status, 'active')} "), remarks


def _location(row: Row, remarks: list[str]) -> Location:
    """Where it is: columns of their own, a map, or `City, Region, Country` as text."""
    place = row.get("location", "address")
    cells = {str(key).lower(): value for key, value in place.items()} if isinstance(place, dict) else {}
    here = {key: value for key, value in row.cells.items() if value not in (None, "")}
    within = Row(row.place, {**cells, **here}, row.asked)
    parts = [clean(part) for part in place.split(",")] if isinstance(place, str) else []
    found = {
        key: _short(within.text(key) or (parts[index] if index < len(parts) else ""))
        for index, key in enumerate(("city", "region", "country"))
    }
    for key in ("city", "region"):
        if not found[key]:
            remarks.append(f"it has no {key}; written as `unknown`")
            found[key] = "unknown"
    lat, lon = within.number("lat", "latitude"), within.number("lon", "lng", "longitude")
    if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 180:
        lat = lon = None
    return Location(city=found["city"], region=found["region"], country=found["country"] or "France", lat=lat, lon=lon)


def _timezone(row: Row, remarks: list[str]) -> str:
    from control_plane.core.timezones import TIMEZONES

    zone = row.text("timezone", "time_zone") or "Europe/Paris"
    if zone in TIMEZONES:
        return zone
    remarks.append(f"there is no time zone {zone!r}; written as Europe/Paris")
    return "Europe/Paris"


def _take_groups(
    rows: Sequence[Row],
    members: Sequence[Row],
    sites: Mapping[str, str],
    files: dict[str, str],
    notes: list[tuple[str, str]],
) -> int:
    """Write the groups that have members or can be selected; how many."""
    names, taken = _Names([EVERYONE]), 0
    for row in rows:
        old, title = row.text("id", "group_id", "uuid"), row.text("name", "group_name", "title")
        listed = [*row.items("sites", "site_ids", "members"), *_listed(members, {old, title})]
        found = list(dict.fromkeys(sites[item] for item in listed if item in sites))
        notes += [(row.place, f"its member {item!r} is no site of the export") for item in listed if item not in sites]
        chosen = {} if found else _selector(row)
        if not (found or chosen):
            notes.append((row.place, f"the group {title or old!r} has neither members nor criteria; left out"))
            continue
        kind = row.text("type", "group_type").lower()
        kind = kind if kind in _PRIORITIES else "custom"
        name = names.take(title, old)
        files[f"groups/{name}.yaml"] = _group(_short(title or name), kind, found, chosen)
        taken += 1
    return taken


def _listed(members: Sequence[Row], group: set[str]) -> list[str]:
    """The members of a group by the table that joins them."""
    rows = [row for row in members if row.text("group_id", "group") in group - {""}]
    return [name for row in rows if (name := row.text("site_id", "site"))]


def _selector(row: Row) -> dict[str, Any]:
    """What sites of the group have, by its criteria."""
    criteria = row.get("criteria", "filters", "filter", "metadata")
    cells = {str(key).lower(): value for key, value in criteria.items()} if isinstance(criteria, dict) else {}
    found: dict[str, Any] = {}
    for key in cells.keys() & _SELECTORS.keys():
        values = Row(row.place, cells, set()).items(key)
        wanted = [made for value in values if (made := slug(value))] if _SELECTORS[key] == "sports" else values
        if wanted:
            found[_SELECTORS[key]] = wanted[0] if len(wanted) == 1 else wanted
    return dict(sorted(found.items()))


def _group(title: str, kind: str, sites: Sequence[str], select: Mapping[str, Any]) -> str:
    lines = [
        SCHEMA_LINE.format(kind="group"),
        f"name: {scalar(title)}",
        f"type: {kind}",
        f"sites: {flow(sites)}" if sites else f"select: {flow(select)}",
        f"priority: {_PRIORITIES[kind]}",
    ]
    return "\n".join(lines) + "\n"


def _take_videos(rows: Sequence[Row], files: dict[str, str], notes: list[tuple[str, str]]) -> tuple[int, int]:
    """Write the videos of known digest and a set for each category; how many of both."""
    names = _Names()
    categories: dict[str, str] = {}
    sets: dict[tuple[str, str], list[str]] = {}
    taken: dict[str, str] = {}
    for row in rows:
        digest = _digest(row)
        size = row.number("size_bytes", "file_size", "size")
        file = row.text("filename", "original_name", "file_name")
        title = row.text("title", "name") or file.rpartition(".")[0] or file
        if digest is None or not size or size < 1:
            lacks = "no SHA-256" if digest is None else "no size"
            notes.append((row.place, f"the video {title!r} has {lacks}; left out, add its file by neopro video add"))
            continue
        if digest not in taken:
            taken[digest] = names.take(title, row.text("id"))
            files[f"videos/{taken[digest]}.yaml"] = _video(row, title, digest, int(size))
        category = _category(row.text("category"), categories), _category(row.text("subcategory"), categories)
        if category[0]:
            sets.setdefault(category, []).append(taken[digest])
    _write_sets(sets, files)
    return len(taken), len(sets)


def _digest(row: Row) -> str | None:
    text = row.text("sha256", "digest", "checksum", "hash").lower().removeprefix("sha256:")
    return f"sha256:{text}" if re.fullmatch(r"[0-9a-f]{64}", text) else None


def _video(row: Row, title: str, digest: str, size: int) -> str:
    width, height, duration = row.number("width"), row.number("height"), row.number("duration_s", "duration")
    facts = {
        "duration_s": duration if duration and duration > 0 else None,
        "width": int(width) if width and width >= 1 else None,
        "height": int(height) if height and height >= 1 else None,
    }
    media = Media(**facts) if any(facts.values()) else None  # type: ignore[arg-type]
    sponsor = slug(row.text("sponsor", "sponsor_name"))[:MAX_ID]
    return video_text(
        Video(name=_short(title) or "video", digest=digest, size_bytes=size, media=media, sponsor=sponsor or None)
    )


def _category(name: str, known: dict[str, str]) -> str:
    """The name, as it was first written: a box shows each category once, by its id."""
    return known.setdefault(_category_id(name), _short(name)) if name else ""


def _category_id(name: str) -> str:
    return slug(name).replace("-", "_")[:MAX_ID] or "category"


def _write_sets(sets: Mapping[tuple[str, str], list[str]], files: dict[str, str]) -> None:
    names = _Names()
    for (category, sub), videos in sets.items():
        lines = [
            SCHEMA_LINE.format(kind="video-set"),
            f"name: {scalar(_short(f'{category} / {sub}' if sub else category))}",
            f"category: {flow({'id': _category_id(category), 'name': category})}",
            *([f"subcategory: {flow({'id': _category_id(sub), 'name': sub})}"] if sub else []),
            "videos:",
            *(f"  - {scalar(video)}" for video in dict.fromkeys(videos)),
        ]
        name = names.take(f"{category} {sub}")
        files[f"video-sets/{name}.yaml"] = "\n".join(lines) + "\n"


def _numbered(stem: str, number: int) -> str:
    end = f"-{number}" if number > 1 else ""
    return stem[: MAX_ID - len(end)].rstrip("-") + end


def _short(text: str) -> str:
    return text[:MAX_TEXT].strip()
