"""The `site.conf` of the boxes in the field, `KEY=value` lines written by the Node agent's registration, to sections.

Values are unquoted, with spaces and accents; what Git knows today (names, places, sports) or nobody reads any more
(API key, paths of logs, intervals) is left where it is.
"""

import re
from collections.abc import Mapping
from typing import Final

_LINE: Final = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_QUOTED: Final = re.compile(r"""(["'`])(.*)\1\s*(?:#.*)?""")
_COMMANDS: Final = frozenset({"reboot", "restart_service", "get_logs"})
"""What the field calls our operations; one that is missing from ALLOWED_COMMANDS was switched off there."""


def is_dotenv(text: str) -> bool:
    """Whether the first line that says anything is an assignment in the manner of a shell."""
    said = next((line for line in map(str.strip, text.splitlines()) if line and not line.startswith(("#", ";"))), "")
    return re.match(r"(export\s+)?[A-Z][A-Z0-9_]*\s*=", said) is not None


def read_dotenv(text: str) -> dict[str, str]:
    """The assignments, the last one of a name; ValueError names a line that is none."""
    values = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if not line or line.startswith(("#", ";")):
            continue
        if (found := _LINE.fullmatch(line)) is None:
            raise ValueError(f"line {number} is not KEY=value; correct it, or begin it with #")
        values[found[1]] = _value(found[2])
    return values


def to_sections(values: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The same in the words of the INI form; ValueError when the site switched its connection off."""
    if values.get("CENTRAL_SERVER_ENABLED", "true").lower() != "true":
        raise ValueError(
            "CENTRAL_SERVER_ENABLED is not true: this box is not to talk to a control plane; write true to let it"
        )
    sections = {
        "site": _some(id=values.get("SITE_ID"), root=values.get("NEOPRO_ROOT")),
        "central": _some(url=values.get("CENTRAL_SERVER_URL")),
        "features": _some(auto_update=values.get("AUTO_UPDATE_ENABLED"), remote_commands=_remote_commands(values)),
    }
    return {name: keys for name, keys in sections.items() if keys}


def _value(text: str) -> str:
    """What stands after the sign: without quotes, or without a comment after a space."""
    quoted = _QUOTED.fullmatch(text)
    return quoted[2] if quoted else re.sub(r"(^|\s+)#.*", "", text).strip()


def _remote_commands(values: Mapping[str, str]) -> str | None:
    if "ALLOWED_COMMANDS" not in values:
        return None
    allowed = {command.strip() for command in values["ALLOWED_COMMANDS"].split(",")}
    return "true" if allowed >= _COMMANDS else "false"


def _some(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None and value != ""}
