"""Changes to YAML that people wrote: their comments, order, quotes and indentation stay. Text in, text out."""

import json
import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from io import StringIO
from typing import Any, Final

from cli.errors import CommandFailed

SCHEMA_LINE: Final = "# yaml-language-server: $schema=../.neopro/schemas/{kind}.json"
"""Of a document in a folder of kinds; `neopro init` brings the schemas there."""
_PLAIN: Final = re.compile(r"^[^\W\d_][\w ./'’()+-]*$")
_RESERVED: Final = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"))
KeyPath = Sequence[str]
"""Keys of maps, from the top."""


class Edit:
    """A document being changed; `text` is what it comes to, the very same text while nothing changed.

    `name` is the file's, for messages. Every method says whether it changed anything, and raises CommandFailed where
    the document has another form than the path supposes.
    """

    def __init__(self, text: str, name: str) -> None:
        self._line_end = "\r\n" if "\r\n" in text else "\n"
        self._before, self._name, self._changed = text.replace("\r\n", "\n"), name, False
        self._yaml, self._document = _load(self._before, name)

    @property
    def text(self) -> str:
        """The document as it is to be written."""
        return self._text().replace("\n", self._line_end)

    def _text(self) -> str:
        if not self._changed:
            return self._before
        after = _dump(self._yaml, self._document)
        moved = _transplanted(self._before, _dump(*_load(self._before, self._name)), after)
        return moved if _load(moved, self._name)[1] == self._document else after

    def get(self, path: KeyPath) -> Any:
        """The value at `path`; None where there is none."""
        found = self._document
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return found

    def set(self, path: KeyPath, value: Any) -> bool:
        """Put `value` at `path`; maps on the way are made, new keys go to the end."""
        if self.get(path) == value and value is not None:
            return False
        parent, before = self._map(path[:-1]), self.get(path)
        if isinstance(before, dict | list) and not (before.fa.flow_style() or parent.fa.flow_style()):  # type: ignore[union-attr]
            self._replace_lines(path, f"{scalar(path[-1])}: {_inner(value)}\n")
        else:
            _shift_comment(parent, path[-1], len(str(value)) - len(str(before)))
            parent[path[-1]] = value
            self._changed = True
        return True

    def delete(self, path: KeyPath) -> bool:
        """Take the key at `path` away, and the maps that are empty without it."""
        parent = self.get(path[:-1])
        if not isinstance(parent, dict) or path[-1] not in parent:
            return False
        if len(parent) == 1 and path[:-1]:
            return self.delete(path[:-1])
        if len(parent) == 1 or parent.fa.flow_style():  # type: ignore[attr-defined]
            del parent[path[-1]]
            self._changed = True
        else:
            self._replace_lines(path, "")
        return True

    def _replace_lines(self, path: KeyPath, line: str) -> None:
        """Write `line` for a key of a block map and its value: ruamel would take the comment above the next key along,
        which it files under this one."""
        lines = self._text().splitlines(keepends=True)
        _, document = _load("".join(lines), self._name)
        for key in path[:-1]:
            document = document[key]
        first, column = document.lc.key(path[-1])
        lines[first : _end_of_value(lines, first, column)] = [" " * column + line] if line else []
        self._before, self._changed = "".join(lines), False
        self._yaml, self._document = _load(self._before, self._name)

    def append(self, path: KeyPath, item: Any) -> bool:
        """Put `item` at the end of the list at `path`, unless it is there; a map counts by its video."""
        items = self._list(path)
        if items is None:
            return self.set(path, [item])
        if any(_same(item, present) for present in items):
            return False
        items.append(item)
        self._changed = True
        return True

    def put(self, path: KeyPath, item: Any) -> bool:
        """As `append`, but an entry of the same video makes way for `item` where it stands; maps are written flow."""
        items = self._list(path) or []
        written = _in_flow(item)
        for index, present in enumerate(items):
            if _same(item, present):
                if present == item:
                    return False
                items[index] = written
                self._changed = True
                return True
        return self.append(path, written)

    def remove(self, path: KeyPath, item: Any) -> bool:
        """Take every entry that is `item` out of the list at `path`; a list that is empty then goes, too."""
        items = self._list(path)
        if items is None or not any(_same(item, present) for present in items):
            return False
        for index in [i for i, present in enumerate(items) if _same(item, present)][::-1]:
            del items[index]
        self._changed = True
        return bool(items) or self.delete(path)

    def _map(self, path: KeyPath) -> Any:
        found = self._document
        for step, key in enumerate(path):
            if key not in found or found[key] is None:
                found[key] = {}
            found = found[key]
            if not isinstance(found, dict):
                raise CommandFailed(f"cannot edit {self._name}: {'.'.join(path[: step + 1])} is not a map")
        return found

    def _list(self, path: KeyPath) -> Any:
        items = self.get(path)
        if items is not None and not isinstance(items, list):
            raise CommandFailed(f"cannot edit {self._name}: {'.'.join(path)} is not a list")
        return items


def append_item(text: str, key: str, item: Any, name: str) -> str:
    """`text` with `item` at the end of the list under `key`; the same text if the list has it already."""
    edit = Edit(text, name)
    edit.append((key,), item)
    return edit.text


def set_values(text: str, values: Mapping[str, Any], name: str) -> str:
    """`text` with these keys of the top level set; keys that are new go to the end."""
    edit = Edit(text, name)
    for key, value in values.items():
        edit.set((key,), value)
    return edit.text


def scalar(value: object) -> str:
    """One value as it is written after `key: `: plain where that reads back the same in YAML 1.2, else quoted."""
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    text = str(value)
    plain = _PLAIN.fullmatch(text) and not text.endswith(" ") and text.lower() not in _RESERVED
    return text if plain else "".join(map(_escaped, json.dumps(text, ensure_ascii=False)))


def flow(value: Mapping[str, object] | Sequence[object]) -> str:
    """A short mapping or list on one line: `{city: Rennes, region: Bretagne}`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {_inner(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(_inner(item) for item in value) + "]"


def _inner(value: object) -> str:
    return flow(value) if isinstance(value, list | tuple | dict) else scalar(value)


def _escaped(character: str) -> str:
    """The character, or an escape for one that YAML 1.2 does not take as it is or that nobody could see."""
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


def _shift_comment(parent: Any, key: str, columns: int) -> None:
    """The comment behind a value moves with the value's end, as it would under a person's hands."""
    comment = (parent.ca.items.get(key) or [None] * 3)[2] if hasattr(parent, "ca") else None
    if comment is not None:
        comment.start_mark.column = max(0, comment.start_mark.column + columns)


def _end_of_value(lines: Sequence[str], first: int, column: int) -> int:
    """The line behind the value of the key at `first`, `column`; comments above the next key are the next key's."""
    end = last = first + 1
    while end < len(lines):
        text = lines[end].strip()
        indent = len(lines[end]) - len(lines[end].lstrip(" "))
        if indent > column or (indent == column and text.startswith("- ")):
            last = end + 1 if text else last
        elif text and not text.startswith("#"):
            break
        end += 1
    return last


def _same(item: Any, present: Any) -> bool:
    def video(entry: Any) -> Any:
        return entry.get("video") if isinstance(entry, Mapping) else entry

    return bool(video(item) == video(present))


def _in_flow(item: Any) -> Any:
    """A map that is written on one line."""
    if not isinstance(item, Mapping):
        return item
    from ruamel.yaml.comments import CommentedMap

    written = CommentedMap(item)
    written.fa.set_flow_style()
    return written


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


def _transplanted(text: str, before: str, after: str) -> str:
    """`text` with the lines that differ between `before` and `after`, two dumps of it: what ruamel writes in its own
    way all over the file stays as people wrote it."""
    if text == before:
        return after
    source, written, wanted = (part.splitlines(keepends=True) for part in (text, before, after))
    same = SequenceMatcher(None, written, source, autojunk=False).get_matching_blocks()
    places = {block.a + k: block.b + k for block in same for k in range(block.size + 1)}
    result, done = [], 0
    for tag, first, last, begin, end in SequenceMatcher(None, written, wanted, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        if first not in places or last not in places:
            return after
        result += [*source[done : places[first]], *wanted[begin:end]]
        done = places[last]
    return "".join([*result, *source[done:]])


def _dash_offset(text: str) -> int:
    """How far the dashes of the first list stand in: 0 or 2, as the file has it."""
    dash = re.search(r"^( *)- ", text, re.MULTILINE)
    return len(dash.group(1)) if dash and len(dash.group(1)) < 8 else 2


def _dump(yaml: Any, document: Any) -> str:
    stream = StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()
