"""What an older agent makes of a document that a newer one wrote: all that it can read, and what it had to leave out.

Fields that it does not know are passed over as ever. A field whose value it cannot read (a word that there was not in
its days) is left out alone; of a list or a map, the entries that it cannot read.
"""

from typing import Any, Final, NamedTuple, TypeVar, get_args, get_origin

import msgspec
from msgspec import Raw, Struct

T = TypeVar("T", bound=Struct)
_UNREADABLE: Final = object()


class Read(NamedTuple):
    """`document`: None when not even what it must have can be read. `left_out`: names of fields, whole or in part."""

    document: Any
    left_out: tuple[str, ...]


def read_tolerantly(body: bytes, kind: type[T]) -> Read:
    """The document of this kind in `body`, as much of it as can be read."""
    try:
        return Read(msgspec.json.decode(body, type=kind), ())
    except msgspec.DecodeError:
        pass
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    left_out: list[str] = []
    found: dict[str, Any] = {}
    try:
        parts = msgspec.json.decode(body, type=dict[str, Raw])
        for name, part in ((name, part) for name, part in parts.items() if name in fields):
            value, whole = _value(part, fields[name].type)
            if not whole:
                left_out.append(name)
            if value is not _UNREADABLE:
                found[fields[name].name] = value
        return Read(kind(**found), tuple(left_out))
    except (msgspec.DecodeError, TypeError):
        return Read(None, tuple(left_out))


def _value(part: Raw, kind: Any) -> tuple[Any, bool]:
    """The value, and whether it is all of it."""
    value = _entry(part, kind)
    if value is not _UNREADABLE:
        return value, True
    inner = get_args(kind)
    if get_origin(kind) is dict and isinstance(entries := _entry(part, dict[str, Raw]), dict):
        read = {key: _entry(entry, inner[1]) for key, entry in entries.items()}
        return {key: entry for key, entry in read.items() if entry is not _UNREADABLE}, False
    if get_origin(kind) is list and isinstance(items := _entry(part, list[Raw]), list):
        return [item for item in (_entry(item, inner[0]) for item in items) if item is not _UNREADABLE], False
    return _UNREADABLE, False


def _entry(part: Raw, kind: Any) -> Any:
    """The value of this kind, or _UNREADABLE."""
    try:
        return msgspec.json.decode(part, type=kind)
    except msgspec.DecodeError:
        return _UNREADABLE
