"""Changes to YAML that people wrote: their comments, order, quotes and indentation stay. Text in, text out."""

import json
import re
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any, Final

from cli.errors import CommandFailed

SCHEMA_LINE: Final = "# yaml-language-server: $schema=../../schemas/jsonschema/{kind}.json"
_PLAIN: Final = re.compile(r"^[^\W\d_][\w ./'’()+-]*$")
_RESERVED: Final = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"))


def append_item(text: str, key: str, item: Any, name: str) -> str:
    """`text` with `item` at the end of the list under `key`; the same text if the list has it already.

    `name` is the file's, for messages. An item that is a mapping counts as present when its video is.
    """
    yaml, document = _load(text, name)
    items = document.setdefault(key, [])
    if not isinstance(items, list):
        raise CommandFailed(f"cannot edit {name}: {key} is not a list")
    if any(_same(item, present) for present in items):
        return text
    items.append(item)
    return _dump(yaml, document)


def set_values(text: str, values: Mapping[str, Any], name: str) -> str:
    """`text` with these keys of the top level set; keys that are new go to the end."""
    yaml, document = _load(text, name)
    document.update(values)
    return _dump(yaml, document)


def scalar(value: object) -> str:
    """One value as it is written after `key: `: plain where that reads back the same in YAML 1.2, else quoted."""
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    text = str(value)
    plain = _PLAIN.match(text) and not text.endswith(" ") and text.lower() not in _RESERVED
    return text if plain else "".join(map(_escaped, json.dumps(text, ensure_ascii=False)))


def flow(value: Mapping[str, object] | Sequence[object]) -> str:
    """A short mapping or list on one line: `{city: Rennes, region: Bretagne}`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_inner(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(_inner(item) for item in value) + "]"


def _inner(value: object) -> str:
    return flow(value) if isinstance(value, list | tuple | dict) else scalar(value)


def _escaped(character: str) -> str:
    """The character, or an escape for one that YAML 1.2 does not take as it is or that nobody could see."""
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


def _same(item: Any, present: Any) -> bool:
    def video(entry: Any) -> Any:
        return entry.get("video") if isinstance(entry, Mapping) else entry

    return bool(video(item) == video(present))


def _load(text: str, name: str) -> tuple[Any, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 4096
    offset = _dash_offset(text)
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    try:
        document = yaml.load(text)
    except (YAMLError, ValueError) as problem:
        where = getattr(problem, "problem_mark", None)
        line = f"{name}:{where.line + 1}" if where else name
        raise CommandFailed(f"cannot edit {line}: {getattr(problem, 'problem', None) or problem}") from None
    if not isinstance(document, dict):
        raise CommandFailed(f"cannot edit {name}: it is not a mapping of keys to values")
    return yaml, document


def _dash_offset(text: str) -> int:
    """How far the dashes of the first list stand in: 0 or 2, as the file has it."""
    dash = re.search(r"^( *)- ", text, re.MULTILINE)
    return len(dash.group(1)) if dash and len(dash.group(1)) < 8 else 2


def _dump(yaml: Any, document: Any) -> str:
    stream = StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()
