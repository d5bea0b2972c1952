"""A document as nodes that know their places: what the precise reader makes of a text (`yaml_compose`)."""

from typing import Any

from msgspec import Struct

from control_plane.core.problems import KeyPath, Problem


class Scalar(Struct, frozen=True):
    """A scalar: its text as parsed, its value, and whether it stood there plain (unquoted)."""

    line: int
    column: int
    text: str
    plain: bool
    value: Any


class Sequence(Struct):
    """A list of nodes."""

    line: int
    column: int
    items: list["Node"]


class Mapping(Struct):
    """A map: pairs in the order of the text, duplicates included."""

    line: int
    column: int
    pairs: list[tuple[Scalar, "Node"]]

    def get(self, key: str) -> "Node | None":
        """The first value under `key`."""
        return next((node for name, node in self.pairs if name.value == key), None)


Node = Scalar | Sequence | Mapping


class Composed(Struct, frozen=True, kw_only=True):
    """The root (None when there is no document that can be read) and what is wrong with the text."""

    root: Node | None
    problems: tuple[Problem, ...]


def value_of(node: Node) -> Any:
    """The plain Python value of a node that was composed without problems."""
    match node:
        case Scalar():
            return node.value
        case Sequence():
            return [value_of(item) for item in node.items]
        case Mapping():
            return {key.value: value_of(value) for key, value in node.pairs}


def is_merge_key(key: Scalar) -> bool:
    """Whether it is YAML 1.1's `<<`; a quoted one is a word like any other."""
    return key.plain and key.text == "<<"


def place_of(root: Node | None, path: KeyPath, at_key: bool) -> tuple[int, int]:
    """Line and column (from 1) of the value at `path`, of its key, or of the deepest node on the way that is there."""
    if root is None:
        return 1, 1
    node, line, column = root, root.line, root.column
    for step, key in enumerate(path):
        found: Node | None = None
        match node:
            case Mapping():
                pair = next((p for p in node.pairs if p[0].value == key), None)
                if pair is not None:
                    found = pair[1]
                    line, column = pair[0].line, pair[0].column
            case Sequence() if isinstance(key, int) and key < len(node.items):
                found = node.items[key]
                line, column = found.line, found.column
        if found is None:
            return line + 1, column + 1
        node = found
        if step == len(path) - 1 and not at_key:
            line, column = node.line, node.column
    return line + 1, column + 1
