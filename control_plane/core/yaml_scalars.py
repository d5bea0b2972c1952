"""Plain scalars by the YAML 1.2 core schema (10.3.2), and what to write instead where versions of YAML disagree.

Where the fast reader is more generous than the schema (signs before 0x, 0b for binary) this is too: a typed field takes
the number that it looks like, and a free map refuses the scalar.
"""

import re
from math import isfinite
from typing import Any, Final

from control_plane.core.problems import brief
from control_plane.core.yaml_strict import AMBIGUOUS, MAX_JSON_INTEGER

_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
MAX_DIGITS: Final = 400
# Of 64 bits, as the fast reader's; a number beyond is a rough one, and no typed key takes it for a whole one.
_LEAST: Final = -(2**63)
_MOST: Final = 2**64 - 1
# A leading zero makes it text here: what looks like a telephone or a postal code is none of the numbers.
_INT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_BASED: Final = re.compile(r"[-+]?0(?:o[0-7]+|x[0-9a-fA-F]+|b[01]+)")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*|(?=[eE])))(?:[eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_TRUE_WORDS: Final = frozenset(("y", "yes", "on"))
_FALSE_WORDS: Final = frozenset(("n", "no", "off"))


def plain_value(text: str) -> Any:
    """The value of a plain scalar: null, bool, int, float or, for everything else, the text."""
    if text in _WORDS:
        return _WORDS[text]
    number = _integer(text)
    if number is None and (_FLOAT.fullmatch(text) or _INT.fullmatch(text)) and isfinite(float(text)):
        return float(text)
    if _SPECIAL_FLOAT.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text if number is None else number


def _integer(text: str) -> int | None:
    if len(text) > MAX_DIGITS:
        return None
    number = int(text, 0) if _INT.fullmatch(text) or _BASED.fullmatch(text) else None
    return None if number is None or not _LEAST <= number <= _MOST else number


def objection(text: str, value: Any) -> str | None:
    """Why a plain scalar may not stand in a free map: it means different things to different readers; else None."""
    shown = brief(text)
    if AMBIGUOUS.fullmatch(text):
        return f"`{shown}` means different things to different readers of YAML; {_instead(text, value)}"
    if isinstance(value, float) and not isfinite(value):
        return f"`{shown}` cannot be sent to a box; write a number"
    if isinstance(value, int | float) and abs(value) > MAX_JSON_INTEGER:
        return f"`{shown}` is too large for a number that a box can read; quote it: '{shown}'"
    return None


def _instead(text: str, value: Any) -> str:
    word, shown = text.lower(), brief(text)
    if word in _TRUE_WORDS:
        return f"quote it ('{shown}') or write true"
    if word in _FALSE_WORDS:
        return f"quote it ('{shown}') or write false"
    if isinstance(value, int | float):
        return f"quote it ('{shown}') or write {value}"
    digits = text.replace("_", "").lstrip("+")
    if re.fullmatch(r"-?0*[0-9]{1,18}", digits) and len(digits) <= MAX_DIGITS:
        return f"quote it ('{shown}') or write {int(digits)}"
    return f"quote it: '{shown}'"
