"""YAML 1.2 read strictly and fast: the plain case by one native call, every doubtful one by `yaml_compose`.

The fast parser (`ryaml`) refuses duplicate keys, several documents and deep nesting by itself, but it expands aliases,
ignores tags and takes `<<` and directives. A cheap scan of the bytes sends whatever may hold one of those, an escape or
an invisible character to the precise path, which decides; the scan may only be too careful, never too trusting.
"""

import re
from collections.abc import Iterable
from math import isfinite
from typing import Any, Final

from ryaml import loads as load_yaml  # type: ignore[attr-defined]

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 20
MAX_BRACKETS: Final = 5_000
"""The fast parser takes time by the square of the open brackets: with more, a tenth of a second and soon minutes."""

# Bytes that need no second look: printable ASCII without & * ! < % \ and the lead bytes of no invisible character.
_PLAIN_BYTES: Final = bytes(
    (set(range(0x20, 0x7F)) | {0x0A} | set(range(0x80, 0x100)))
    - set(b"&*!<%\\")
    - {0xC2, 0xD8, 0xE2, 0xEF}  # U+0080-00BF, U+0600-063F, U+2000-2FFF, U+F000-FFFF
)
INVISIBLE: Final = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]|\r(?!\n)"
)
"""Control, line-separating and bidirectional characters (Unicode TR 36, 2.5, and YAML 1.2, 5.1); a tab is fine."""
_SPECIAL: Final = re.compile(r"(?:^|[\s,\[{:])(?:[&*](?=\S)|!|<<)|^%|\\", re.MULTILINE)

# Plain scalars that YAML 1.1 and 1.2 read differently, or that people read differently from both.
_AMBIGUOUS_WORDS: Final = "y|yes|n|no|on|off"
AMBIGUOUS: Final = re.compile(
    rf"(?i:{_AMBIGUOUS_WORDS})|=|<<"
    r"|[-+]?0[0-9_]+(?:\.[0-9_]*)?|[-+]?0o[0-7_]+|[-+]?0b[01_]+"
    r"|[-+]?0[xX][0-9a-fA-F]*_[0-9a-fA-F_]*|[-+]?0X[0-9a-fA-F]+|[-+]0x[0-9a-fA-F]+"
    r"|[-+]?[0-9]+(?:_[0-9]*)+(?:\.[0-9_]*)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"
    r"|[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+"
    r"|[-+]?[0-9]{300,}"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\s].*)?"
)
# Numbers whose value does not show how they were written.
_ODD_NUMBER: Final = re.compile(r"0[ob][0-7]|[0-9.][eE][-+]?[0-9]|[0-9]\.\s*$", re.MULTILINE)
MAX_JSON_INTEGER: Final = 2**53 - 1


class Doubtful(Exception):
    """The fast path cannot vouch for this text; the precise path must look."""


def load_plain(data: bytes) -> Any:
    """The value of a document that holds nothing special; raises Doubtful for anything else, wrong or not."""
    if len(data) > MAX_BYTES or data.count(b"[") + data.count(b"{") > MAX_BRACKETS:
        raise Doubtful
    try:
        text = data.decode()
        if data.translate(None, _PLAIN_BYTES) and (INVISIBLE.search(text) or _SPECIAL.search(text)):
            raise Doubtful
        return load_yaml(text)
    except (ValueError, RecursionError, OverflowError):
        raise Doubtful from None


def require_plain_config(config: dict[str, Any], data: bytes, depth: int) -> None:
    """Raise Doubtful if a free map may hold what YAML versions read differently, or what JSON cannot carry.

    `depth` is the level of nesting at which the map stands, from 1.
    """
    if _holds_number(config, depth) and _ODD_NUMBER.search(data.decode()):
        raise Doubtful


def _holds_number(value: Any, depth: int) -> bool:
    """Whether there is a number in it; raises Doubtful on the way for what must be looked at."""
    match value:
        case str():
            if AMBIGUOUS.fullmatch(value):
                raise Doubtful
            return False
        case bool() | None:
            return False
        case int() | float():
            if abs(value) > MAX_JSON_INTEGER or not isfinite(value):
                raise Doubtful
            return True
    if depth > MAX_DEPTH:
        raise Doubtful
    if isinstance(value, list):
        return _any_number(value, depth)
    if not all(isinstance(key, str) and not AMBIGUOUS.fullmatch(key) for key in value):
        raise Doubtful
    return _any_number(value.values(), depth)


def _any_number(items: Iterable[Any], depth: int) -> bool:
    found = False
    for item in items:
        found = _holds_number(item, depth + 1) or found  # every item must be looked at, not only up to the first
    return found
