"""What an operator types behind `KEY=` -> the value that the document wants there, by the document's own type."""

from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from msgspec import inspect
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from cli.errors import CommandFailed
from control_plane.core.yaml_compose import compose
from control_plane.core.yaml_nodes import value_of
from control_plane.core.yaml_scalars import objection, plain_value
from control_plane.core.yaml_strict import AMBIGUOUS

_STRUCTURED: Final = ("[", "{", '"', "'")


class Assignment(NamedTuple):
    """`KEY=VALUE` as typed: the path of keys, and the text; an empty text deletes."""

    path: tuple[str, ...]
    text: str


def read_assignment(word: str) -> Assignment:
    """`labels.offer=gold`; CommandFailed where it is none."""
    key, equals, text = word.partition("=")
    path = tuple(key.split("."))
    if not equals or not all(path):
        raise CommandFailed(f"cannot read {word!r}: write KEY=VALUE, such as labels.offer=gold (KEY= deletes)")
    return Assignment(path, text)


def typed(kind: type[Any], assignment: Assignment) -> Any:
    """The value for a document of this kind: lists as `a,b` or `[a, b]`, maps as `{a: b}`, text as it is typed.

    CommandFailed where the kind has no such key (with the nearest one), or the value is no YAML.
    """
    wanted = type_at(kind, assignment.path)
    key, text = ".".join(assignment.path), assignment.text
    forms = {type(_bare(member)) for member in _members(wanted)}
    if text.startswith(_STRUCTURED):
        return _read_yaml(key, text)
    if inspect.ListType in forms:
        return [part.strip() for part in text.split(",") if part.strip()]
    if forms <= {inspect.StrType, inspect.LiteralType, inspect.DateTimeType, inspect.DateType, inspect.NoneType}:
        return text
    return plain_value(text)


def free_value(key: str, text: str) -> Any:
    """A value of a free map (`config`): JSON or YAML, and plain text where it is neither.

    CommandFailed where readers of YAML disagree what it is (`yes`, `012`), as documents refuse it, too.
    """
    if text.startswith(_STRUCTURED):
        return _read_yaml(key, text)
    value = plain_value(text)
    if (reason := objection(text, value)) is not None:
        in_a_shell = reason.replace(f"'{text}'", f"'\"{text}\"'")  # which takes the outer quotes away
        raise CommandFailed(f"cannot set {key}: {in_a_shell}")
    return value


def as_written(value: Any) -> Any:
    """The value as an Edit writes it: maps and lists on one line, text quoted where readers of YAML disagree."""
    if isinstance(value, dict):
        written = CommentedMap((as_written(key), as_written(item)) for key, item in value.items())
        written.fa.set_flow_style()
        return written
    if isinstance(value, list):
        items = CommentedSeq(as_written(item) for item in value)
        items.fa.set_flow_style()
        return items
    if isinstance(value, str) and (plain_value(value) != value or AMBIGUOUS.fullmatch(value)):
        return DoubleQuotedScalarString(value)
    return value


def type_at(kind: type[Any], path: tuple[str, ...]) -> inspect.Type:
    """The type of the value at `path`; CommandFailed, with the nearest key, where a document has no such key."""
    found: inspect.Type = inspect.type_info(kind)
    for step, key in enumerate(path):
        found = _member(found, key, ".".join(path[:step]))
    return found


def _member(kind: inspect.Type, key: str, above: str) -> inspect.Type:
    known: list[str] = []
    for member in map(_bare, _members(kind)):
        match member:
            case inspect.StructType():
                fields = {field.encode_name: field.type for field in member.fields}
                if key in fields:
                    return fields[key]
                known += fields
            case inspect.DictType():
                return member.value_type
            case inspect.AnyType():
                return member
    named = f"{above}.{key}" if above else key
    if not known:
        raise CommandFailed(f"cannot set {named}: {above} is a single value and has no keys")
    near = get_close_matches(key, known, 1)
    hint = f"did you mean {above + '.' if above else ''}{near[0]}?" if near else f"there are {', '.join(sorted(known))}"
    raise CommandFailed(f"cannot set {named}: there is no such key; {hint}")


def _members(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    kind = _bare(kind)
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


def _bare(kind: inspect.Type) -> inspect.Type:
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _read_yaml(key: str, text: str) -> Any:
    composed = compose(key, text.encode())
    if composed.problems or composed.root is None:
        why = composed.problems[0].message if composed.problems else "it is empty"
        raise CommandFailed(f"cannot read the value of {key}: {why}")
    return value_of(composed.root)
