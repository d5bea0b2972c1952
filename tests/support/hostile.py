"""Every string of a document a script: made by walking the document's type, so that a new field is hostile by itself.

    markers = Markers()
    markers.fill(StatusReport, run_id="0" * 32, sequence=1)

A string that a pattern limits to what is harmless gets something harmless that fits it.
"""

import contextlib
import re
from datetime import UTC, date, datetime
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

from schemas.names import digest_of

T = TypeVar("T")
SIGN: Final = "pwned"
"""In every marker, as the name of an element, of an attribute and of a function: none of these may ever come to be."""
_LEADS: Final = ("=", "+", "-", "@", "")
"""With which a spreadsheet's formula begins."""
_DAY: Final = date(2026, 3, 1)
_HARMLESS: Final = (
    "hostile",
    "Hostile",
    digest_of(b""),
    "1.0.0",
    ">=1.0.0",
    "12h",
    "1MB/s",
    "03:00",
    "08:00-22:00",
    "95%",
    "Europe/Paris",
    "http://localhost/",
    "0" * 32,
    "0" * 40,
    "ed25519:" + "A" * 43 + "=",
    "age1" + "q" * 58,
    "age:AAAA",
)


class Markers:
    """Makes scripts, and knows by its number which field each one was given to."""

    def __init__(self) -> None:
        self.fields: dict[int, str] = {}

    def text(self, field: str, max_length: int | None = None, pattern: str | None = None) -> str:
        """A script for that field: the longest that fits; LookupError where none does."""
        number = len(self.fields) + 1
        lead = _LEADS[number % len(_LEADS)]
        whole = f"{lead}{number}|'\"><script>pwned({number})</script><img src=x onerror=pwned({number})><pwned>"
        tail = "<b pwned=1></textarea></title>--><!--]]>{{7*7}}javascript:pwned()"
        short = f"'\"><svg/onload=pwned({number})>"
        for script in (whole + tail, whole, lead + short, f"{short}@pwned"):
            if (max_length is None or len(script) <= max_length) and (pattern is None or re.search(pattern, script)):
                self.fields[number] = field
                return script
        raise LookupError(field)

    def fill(self, kind: type[T], **given: Any) -> T:
        """A document of that kind with a script in each of its strings; `given` fields are as they are given."""
        described = inspect.type_info(kind)
        assert isinstance(described, inspect.StructType), kind
        return msgspec.convert(self._struct(described, kind.__name__, given), kind, strict=False)

    def _struct(self, kind: inspect.StructType, where: str, given: dict[str, Any]) -> Any:
        made = {}
        for field in kind.fields:
            if field.name not in given:
                made[field.encode_name] = self._value(field.type, f"{where}.{field.name}")
            elif given[field.name] is not ...:
                made[field.encode_name] = msgspec.to_builtins(given[field.name])
        return list(made.values()) if kind.array_like else made

    def _value(self, kind: inspect.Type, where: str) -> Any:
        match kind:
            case inspect.Metadata():
                return self._value(kind.type, where)
            case inspect.StrType():
                return self._string(kind, where)
            case inspect.StructType():
                return self._struct(kind, where, {})
            case inspect.ListType():
                return [self._value(kind.item_type, f"{where}[]")]
            case inspect.DictType():
                return {self._value(kind.key_type, f"{where} key"): self._value(kind.value_type, f"{where}{{}}")}
            case inspect.UnionType():
                # A string before anything else, else the largest: what may be absent is there.
                options = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
                return self._value(max(options, key=_appeal), where)
            case inspect.AnyType():
                return {self.text(f"{where} key"): [self.text(where)]}
            case _:
                return _plain(kind)

    def _string(self, kind: inspect.StrType, where: str) -> str:
        with contextlib.suppress(LookupError):
            return self.text(where, kind.max_length, kind.pattern)
        assert kind.pattern is not None
        for text in _HARMLESS:
            if re.search(kind.pattern, text):
                return text
        raise AssertionError(f"nothing fits {where}, {kind.pattern}: add an example")


def _appeal(kind: inspect.Type) -> int:
    bare = kind.type if isinstance(kind, inspect.Metadata) else kind
    order = (inspect.LiteralType, inspect.StrType, inspect.ListType, inspect.StructType)
    return order.index(type(bare)) if isinstance(bare, order) else -1


def _plain(kind: inspect.Type) -> Any:
    match kind:
        case inspect.LiteralType():
            return kind.values[0]
        case inspect.BoolType():
            return True
        case inspect.IntType() | inspect.FloatType():
            return max(1, kind.ge or 0, (kind.gt or 0) + 1) if kind.le is None or kind.le >= 1 else kind.le
        case inspect.DateTimeType():
            return datetime.now(UTC)
        case inspect.DateType():
            return _DAY
        case inspect.BytesType():
            return b""
    raise AssertionError(f"no value for {kind}: add one")
