"""The precise reader: a YAML 1.2 text as nodes with their places, and every way in which it is not strict enough.

Complete rather than fast: it never stops at the first fault where it can go on, only at MAX_PROBLEMS. It composes from
the events of libyaml, which knows places, without recursion and one at a time: whatever is nested costs nothing beyond
MAX_DEPTH. (libyaml's own composer dies of ten thousand brackets.)
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from yaml import CBaseLoader, Mark, MarkedYAMLError
from yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from control_plane.core.problem_codes import Code
from control_plane.core.problems import MAX_PROBLEMS, TOO_MANY, Problem, brief
from control_plane.core.yaml_nodes import Composed, Mapping, Node, Scalar, Sequence, is_merge_key
from control_plane.core.yaml_scalars import plain_value
from control_plane.core.yaml_strict import INVISIBLE, MAX_BYTES, MAX_DEPTH

MAX_DIRECTIVES: Final = 100
"""libyaml takes time by the square of the `%TAG` lines: a tenth of a second at a thousand, and soon minutes."""
_DIRECTIVE: Final = re.compile(r"^%", re.MULTILINE)


def compose(file: str, data: bytes) -> Composed:
    """Compose one document; never raises for what the text may hold."""
    if len(data) > MAX_BYTES:
        message = f"the file has {len(data)} bytes, more than {MAX_BYTES}; split it"
        return Composed(root=None, problems=(_problem(file, 0, 0, "FileTooLarge", message),))
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        message = "these bytes are not UTF-8; save the file as UTF-8"
        return Composed(root=None, problems=(_problem(file, *_place(before, len(before)), "NotUtf8", message),))
    composer = _Composer(file)
    composer.run(text)
    return Composed(root=composer.root, problems=tuple(composer.problems))


def _problem(file: str, line: int, column: int, code: Code, message: str) -> Problem:
    return Problem(file=file, line=line + 1, column=column + 1, severity="error", code=code, message=message)


def _place(text: str, position: int) -> tuple[int, int]:
    """Line and column (from 0) of a character position."""
    return text.count("\n", 0, position), position - (text.rfind("\n", 0, position) + 1)


class _Stop(Exception):
    pass


class _Composer:
    """Builds nodes from events; `problems` and `root` are its result."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.root: Node | None = None
        self._documents = 0
        self._end = (0, 0)
        # The open collections, and for each open map the key that waits for its value.
        self._open: list[Sequence | Mapping] = []
        self._keys: list[Scalar | None] = []
        self._first_lines: list[dict[Any, int]] = []

    def run(self, text: str) -> None:
        """Read every event of the text."""
        try:
            self._end = _place(text, len(text))
            self._bound_directives(text)
            for event in _events(self._without_invisible(text)):
                self._take(event)
        except _Stop:
            self.root = None
        except MarkedYAMLError as error:
            self.root = None
            mark = error.problem_mark or error.context_mark
            line, column = self._end if mark is None else self._inside(mark)
            self._append(line, column, "YamlSyntax", _syntax_sentence(error))

    def _bound_directives(self, text: str) -> None:
        if text.count("\n%") >= MAX_DIRECTIVES:
            first = _DIRECTIVE.search(text)
            line, column = _place(text, 0 if first is None else first.start())
            self._append(line, column, "Directive", "directives (`%…`) are not allowed; delete these lines")
            raise _Stop

    def _without_invisible(self, text: str) -> str:
        """The text with each invisible character noted and replaced, so that the places of the rest hold."""
        for match in INVISIBLE.finditer(text):
            name = f"U+{ord(match[0]):04X}"
            message = f"the invisible character {name} is not allowed; delete it, or write it visibly in another way"
            line, column = _place(text, match.start())
            self._note(line, column, "InvisibleCharacter", message)
        return INVISIBLE.sub("?", text)

    def _note(self, line: int, column: int, code: Code, message: str) -> None:
        if len(self.problems) == MAX_PROBLEMS:
            code, message = "TooManyProblems", TOO_MANY
        self._append(line, column, code, message)
        if len(self.problems) > MAX_PROBLEMS:
            raise _Stop

    def _append(self, line: int, column: int, code: Code, message: str) -> None:
        """As `_note`, where the reading ends anyway."""
        self.problems.append(_problem(self.file, line, column, code, message))

    def _note_at(self, event: Event, code: Code, message: str) -> None:
        self._note(*self._inside(event.start_mark), code, message)

    def _inside(self, mark: Mark) -> tuple[int, int]:
        """Line and column (from 0): the parser takes the end of a text for the beginning of another line."""
        return (mark.line, mark.column) if mark.line <= self._end[0] else self._end

    def _take(self, event: Event) -> None:
        match event:
            case DocumentStartEvent():
                self._start_document(event)
            case AliasEvent():
                self._note_at(event, "AnchorOrAlias", "aliases (`*name`) are not allowed; write the value out")
                self._add(Scalar(*self._inside(event.start_mark), "", False, None))
            case ScalarEvent():
                self._check_node(event)
                self._add_scalar(event)
            case MappingStartEvent():
                self._check_node(event)
                self._enter(Mapping(*self._inside(event.start_mark), []))
            case SequenceStartEvent():
                self._check_node(event)
                self._enter(Sequence(*self._inside(event.start_mark), []))
            case MappingEndEvent() | SequenceEndEvent():
                closed = self._open.pop()
                self._keys.pop()
                self._first_lines.pop()
                self._add(closed)

    def _start_document(self, event: DocumentStartEvent) -> None:
        self._documents += 1
        if event.version is not None or event.tags:
            self._note_at(event, "Directive", "directives (`%…`) are not allowed; delete the line")
        if self._documents > 1:
            self._note_at(event, "SeveralDocuments", "one file holds one document; move the second to its own file")
            raise _Stop

    def _check_node(self, event: ScalarEvent | CollectionStartEvent) -> None:
        if event.anchor is not None:
            message = f"anchors (`&{brief(event.anchor)}`) are not allowed; write the value out where it is needed"
            self._note_at(event, "AnchorOrAlias", message)
        if event.tag is not None:
            message = "tags (`!…`) are not allowed; delete the tag, and quote the value if it is to be text"
            self._note_at(event, "TagNotAllowed", message)

    def _add_scalar(self, event: ScalarEvent) -> None:
        plain = event.style is None or event.style == ""
        hidden = None if plain else INVISIBLE.search(event.value)
        if hidden is not None:
            message = f"the escape stands for the invisible character U+{ord(hidden[0]):04X}; leave it out"
            self._note_at(event, "InvisibleCharacter", message)
        value = plain_value(event.value) if plain else event.value
        self._add(Scalar(*self._inside(event.start_mark), event.value, plain, value))

    def _enter(self, node: Sequence | Mapping) -> None:
        if len(self._open) >= MAX_DEPTH:
            self._note(node.line, node.column, "TooDeep", f"nested deeper than {MAX_DEPTH}; write it flatter")
            raise _Stop
        self._open.append(node)
        self._keys.append(None)
        self._first_lines.append({})

    def _add(self, node: Node) -> None:
        """Put a finished node where it belongs: root, list item, key or value."""
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
            return
        key = self._keys[-1]
        if key is None:
            self._keys[-1] = self._key(node)
        else:
            if isinstance(node, Scalar) and node.plain and not node.text:
                node = Scalar(key.line, key.column, "", True, None)  # nothing stands there: its place is its key's
            parent.pairs.append((key, node))
            self._keys[-1] = None

    def _key(self, node: Node) -> Scalar:
        """The node as a key; what cannot be one is noted and stood in for by its text."""
        if not isinstance(node, Scalar):
            self._note(node.line, node.column, "KeyNotText", "a list or map cannot be a key; write a word")
            return Scalar(node.line, node.column, "?", False, "?")
        if is_merge_key(node):
            self._note(node.line, node.column, "MergeKey", "merge keys (`<<`) are not allowed; write the keys out")
        elif not isinstance(node.value, str):
            message = (
                f"a key must be text; quote it: '{brief(node.text)}'"
                if node.text
                else "a key is missing before the `:`"
            )
            self._note(node.line, node.column, "KeyNotText", message)
            node = Scalar(node.line, node.column, node.text, False, node.text)
        lines = self._first_lines[-1]
        if node.value in lines:
            first = lines[node.value]
            message = f"`{brief(node.text)}` stands here already, in line {first + 1}; keep one of them"
            self._note(node.line, node.column, "DuplicateKey", message)
        lines.setdefault(node.value, node.line)
        return node


def _events(text: str) -> Iterator[Event]:
    parser = CBaseLoader(text)
    while parser.check_event():
        yield parser.get_event()


def _syntax_sentence(error: MarkedYAMLError) -> str:
    parts = [str(part) for part in (error.context, error.problem) if part]
    return (
        f"this is not YAML: {', '.join(parts)}; look at this line and the one above for a missing quote, `:` or space"
    )
