"""Input `number` of `seed`: always the same, whatever was made before.

Starts from documents that people write (the sample, a made fleet, every example of the problem catalogue, calendars),
from the types themselves (right keys with any values) and from signed trust documents, and breaks them.
"""

import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, inspect

from control_plane.core.problem_catalogue import CATALOGUE
from schemas.desired import KINDS, SINGLES
from schemas.dsse import decode_base64, open_envelope, sign
from schemas.trust import MAX_DOCUMENT_BYTES, RELEASE_LIST_TYPE, ROOT_TYPE
from tests.contract.golden import sample_files
from tests.fuzz.mutations import mutated
from tests.support.commits import changed, small_fleet
from tests.support.fleet_generator import make_fleet, private_key, trust_documents

Kind = Literal["document", "calendar", "trust", "commit"]


class Input(Struct, frozen=True):
    """Files by path: one document or calendar, the documents of `trust/`, or two commits, `before` and `files`."""

    kind: Kind
    files: dict[str, bytes]
    before: dict[str, bytes] = {}


_KINDS: Final[Sequence[Kind]] = ("document",) * 41 + ("calendar",) * 4 + ("trust",) * 2 + ("commit",) * 3
_CALENDAR: Final = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Club//FR
X-WR-TIMEZONE:Europe/Paris
BEGIN:VTIMEZONE
TZID:Paris
BEGIN:STANDARD
DTSTART:19701025T030000
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19700329T020000
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
END:DAYLIGHT
END:VTIMEZONE
BEGIN:VEVENT
UID:match-1@club
DTSTAMP:20260101T000000Z
DTSTART;TZID=Europe/Paris:20260307T150000
DTEND;TZID=Europe/Paris:20260307T170000
RRULE:FREQ=WEEKLY;BYDAY=SA;COUNT=10
EXDATE;TZID=Europe/Paris:20260321T150000
RDATE;TZID=Europe/Paris:20260701T150000
SUMMARY:Rennes - Brest\\, aller
END:VEVENT
BEGIN:VEVENT
UID:match-1@club
RECURRENCE-ID;TZID=Europe/Paris:20260314T150000
DTSTART;TZID=Europe/Paris:20260314T200000
DURATION:PT2H
STATUS:CONFIRMED
END:VEVENT
BEGIN:VEVENT
UID:day@club
DTSTART;VALUE=DATE:20260501
DTEND;VALUE=DATE:20260503
TRANSP:OPAQUE
END:VEVENT
END:VCALENDAR
"""
_ICS_WORDS: Final = tuple(
    word.encode()
    for word in (
        *(
            "FREQ=SECONDLY",
            "FREQ=DAILY",
            "FREQ=YEARLY",
            "INTERVAL=0",
            "INTERVAL=999999999",
            "COUNT=99999999",
            "COUNT=-1",
        ),
        *("UNTIL=20991231", "UNTIL=00010101T000000Z", "BYDAY=53MO", "BYSETPOS=-366", "BYMONTH=13", "BYMONTHDAY=31"),
        *("BYHOUR=0,1,2,3", "WKST=XX", "BYEASTER=1", "TZID=Nowhere/Land", "TZID=", "VALUE=PERIOD", "VALUE=DATE"),
        *("00000000T000000", "99991231T235959Z", "20260230", "20260329T023000", "PT999999999999H", "-P1D", "P1W"),
        *(
            "BEGIN:VALARM",
            "END:VEVENT",
            "BEGIN:VEVENT",
            "RANGE=THISANDFUTURE",
            "TRANSP:TRANSPARENT",
            "STATUS:CANCELLED",
        ),
    )
)


def make_input(seed: int, number: int) -> Input:
    """The input of that number."""
    chance = random.Random(f"{seed}-{number}")
    kind = chance.choice(_KINDS)
    return _MAKERS[kind](chance)


@cache
def _documents() -> dict[str, tuple[bytes, ...]]:
    """Documents by path prefix: the folder, or the name of a single file."""
    fleets: list[Mapping[str, bytes]] = [sample_files(), make_fleet(8, 1), small_fleet()]
    fleets += [{s.path: s.data for s in (*e.wrong, *e.right)} for e in CATALOGUE.values()]
    found: dict[str, set[bytes]] = {}
    for path, data in (item for files in fleets for item in files.items()):
        place = path.partition("/")[0]
        if place in KINDS or place in SINGLES:
            found.setdefault(place, set()).add(data)
    return {place: tuple(sorted(texts)) for place, texts in sorted(found.items())}


@cache
def _all_documents() -> tuple[bytes, ...]:
    return tuple(text for texts in _documents().values() for text in texts)


def _path(place: str) -> str:
    if place in SINGLES:
        return place
    return f"{place}/{'2.1.3' if place in ('releases', 'agents') else 'x'}.yaml"


def _document(chance: random.Random) -> Input:
    place = chance.choice((*KINDS, *SINGLES))
    texts = _documents().get(place, ())
    if not texts or chance.random() < 0.3:
        data = _typed(chance, KINDS.get(place) or SINGLES[place])
        data = mutated(chance, data, _all_documents()) if chance.random() < 0.3 else data
    else:
        data = mutated(chance, chance.choice(texts), _all_documents())
    return Input("document", {_path(place): data})


_LEAVES: Final = (
    *(None, True, False, 0, 1, -1, 2**53, 2**70, 1.5, 1e300, -0.0, "", "x", "no", "012", "1:30", "2026-01-01", "12:00"),
    *("30s", "95%", "2MB/s", "08:00-22:00", "2.1.3", ">=2.0", "Europe/Paris", "daily", "active", "always", "rennes"),
    *("sha256:" + "0" * 64, "ed25519:" + "A" * 43 + "=", "2026-01-01T00:00:00+01:00", "\u202e", "e\u0301", "a\nb", "#"),
)


def _typed(chance: random.Random, kind: type[Any]) -> bytes:
    """Keys that the kind has, with values that are right, wrong, or of another key: as JSON, which is YAML."""
    return msgspec.json.format(
        msgspec.json.encode(_value(chance, inspect.type_info(kind), 0)), indent=chance.choice((0, 2))
    )


def _value(chance: random.Random, kind: inspect.Type, depth: int) -> object:
    if chance.random() < 0.08:
        return chance.choice((*_LEAVES, [], {}, [1], {"a": {"b": None}}))
    match kind:
        case inspect.Metadata():
            return _value(chance, kind.type, depth)
        case inspect.UnionType():
            return _value(chance, chance.choice(kind.types), depth)
        case inspect.StructType():
            fields = [field for field in kind.fields if field.required or chance.random() < 0.3]
            return {field.encode_name: _value(chance, field.type, depth + 1) for field in fields}
        case inspect.ListType():
            return [_value(chance, kind.item_type, depth + 1) for _ in range(chance.choice((0, 1, 1, 2)))]
        case inspect.DictType():
            keys = ("a", "region", "sports", "labels.offer", "no", "1")
            return {
                chance.choice(keys): _value(chance, kind.value_type, depth + 1) for _ in range(chance.choice((0, 1, 2)))
            }
        case inspect.AnyType() if depth < 6:
            return [_value(chance, kind, depth + 1)] if chance.random() < 0.2 else chance.choice(_LEAVES)
        case inspect.LiteralType():
            return chance.choice(kind.values)
    return chance.choice(_LEAVES)


def _calendar(chance: random.Random) -> Input:
    data = _CALENDAR.encode().replace(b"\n", chance.choice((b"\n", b"\r\n")))
    for _ in range(chance.choice((0, 1, 2))):
        at = data.rfind(chance.choice((b";", b"=", b":", b"\n")), 0, chance.randrange(1, len(data))) + 1
        data = data[:at] + chance.choice(_ICS_WORDS) + chance.choice((b";", b"\r\n", b"", b",")) + data[at:]
    return Input("calendar", {"calendars/x.ics": mutated(chance, data, [_CALENDAR.encode()])})


@cache
def _signed() -> tuple[tuple[str, str, bytes, str], ...]:
    """Path, type, payload and key of each trust document."""
    found = []
    for path, envelope in trust_documents(7).items():
        payload = decode_base64(open_envelope(envelope, MAX_DOCUMENT_BYTES).payload)
        root = path.startswith("trust/root")
        found.append((path, ROOT_TYPE if root else RELEASE_LIST_TYPE, payload, "root-7" if root else "release-7"))
    return tuple(found)


def _trust(chance: random.Random) -> Input:
    files = trust_documents(7)
    path, payload_type, payload, key = chance.choice(_signed())
    if chance.random() < 0.5:
        files[path] = mutated(chance, files[path], list(files.values()))
    else:
        files[path] = sign(payload_type, mutated(chance, payload, [payload]), [private_key(key)])
    return Input("trust", files)


@cache
def _fleet() -> dict[str, bytes]:
    return changed(small_fleet(), {"calendars/home.ics": _CALENDAR.encode()})


def _commit(chance: random.Random) -> Input:
    """A small fleet, and the same after a few files changed, came or went."""
    before = dict(_fleet())
    after = dict(before)
    for _ in range(chance.choice((1, 2, 4))):
        path = chance.choice(sorted(after))
        match chance.randrange(6):
            case 0:
                after.pop(path)
            case 1:
                after[_renamed(chance, path)] = after[path]
            case 2:
                place = chance.choice(list(KINDS))
                after[f"{place}/{chance.choice('abc')}.yaml"] = _typed(chance, KINDS[place])
            case _:
                after[path] = mutated(chance, after[path], _all_documents())
    if not _could_be_git(after):
        after = before
    return Input("commit", after, before)


def _renamed(chance: random.Random, path: str) -> str:
    """A path as Git can have it, however odd."""
    name = mutated(chance, path.encode(), [b"fleet.yaml", b"sites/a/b.yaml"]).decode("utf-8", "backslashreplace")
    parts = [part for part in name.replace("\0", "").split("/") if part not in ("", ".", "..")]
    return "/".join(parts)[:200] or "x"


def _could_be_git(files: Mapping[str, bytes]) -> bool:
    """Whether no path is a file and a folder at once."""
    return not any(
        path.rpartition("/")[0].startswith(other) and f"{path}/".startswith(f"{other}/")
        for path in files
        for other in files
        if path != other
    )


_MAKERS: Final = {"document": _document, "calendar": _calendar, "trust": _trust, "commit": _commit}
