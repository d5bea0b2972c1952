"""Nodes of a document against the type of its kind: every key and value that does not fit, each with its place.

Reads the same msgspec types that the fast path converts to, so that there is one definition of every document.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, Final

import msgspec
from msgspec import inspect

from control_plane.core.problem_codes import Code
from control_plane.core.problems import MAX_PROBLEMS, TOO_MANY, Problem, brief, listed, suggestion
from control_plane.core.yaml_nodes import Mapping, Node, Scalar, Sequence, is_merge_key
from control_plane.core.yaml_scalars import objection

Note = Callable[[Node, Code, str], None]


class _Enough(Exception):
    """MAX_PROBLEMS are noted."""


def check_shape(file: str, root: Node | None, kind: type[Any]) -> list[Problem]:
    """Every way in which the document is not a `kind`, up to MAX_PROBLEMS."""
    found: list[Problem] = []

    def note(node: Node, code: Code, message: str) -> None:
        if len(found) == MAX_PROBLEMS:
            code, message = "TooManyProblems", TOO_MANY
        line, column = node.line + 1, node.column + 1
        found.append(Problem(file=file, line=line, column=column, severity="error", code=code, message=message))
        if len(found) > MAX_PROBLEMS:
            raise _Enough

    if root is None or (isinstance(root, Scalar) and root.value is None):
        root = root or Scalar(0, 0, "", True, None)
        note(root, "EmptyDocument", "the file holds no document; write its keys, or delete it")
    else:
        with suppress(_Enough):
            _check(root, _type_info(kind), note)  # type: ignore[arg-type]  # every class is hashable
    return found


@cache
def _type_info(kind: type[Any]) -> inspect.Type:
    return inspect.type_info(kind)


def _check(node: Node, kind: inspect.Type, note: Note) -> None:
    match kind:
        case inspect.Metadata():
            _check_described(node, kind, note)
        case inspect.UnionType():
            _check_union(node, kind, note)
        case inspect.StructType():
            _check_struct(node, kind, note)
        case inspect.ListType():
            _check_list(node, kind, note)
        case inspect.DictType():
            _check_map(node, kind, note)
        case inspect.AnyType():
            check_free(node, note)
        case _:
            _check_scalar(node, kind, "", note)


def _check_described(node: Node, kind: inspect.Metadata, note: Note) -> None:
    description = (kind.extra_json_schema or {}).get("description", "")
    if (kind.extra or {}).get("secret"):
        _check_secret(node, kind.type, note)
    elif isinstance(kind.type, inspect.StrType | inspect.IntType | inspect.FloatType):
        _check_scalar(node, kind.type, description, note)
    else:
        _check(node, kind.type, note)


def _check_secret(node: Node, kind: inspect.Type, note: Note) -> None:
    """Never says what stands there: Problems are kept and shown."""
    if not isinstance(node, Scalar) or _converts(node.value, kind) is not None:
        message = (
            "this secret is not encrypted; write what `neopro secret encrypt` prints, and choose another one: "
            "Git keeps what was committed"
        )
        note(node, "SecretInPlainText", message)


def _check_union(node: Node, kind: inspect.UnionType, note: Note) -> None:
    """Check against the member that the node's form asks for, so that the sentence fits what was meant."""
    members = [_bare(member) for member in kind.types]
    if isinstance(node, Scalar) and node.value is None and any(isinstance(m, inspect.NoneType) for m in members):
        return
    wanted: tuple[type[inspect.Type], ...]
    match node:
        case Mapping():
            wanted = (inspect.StructType, inspect.DictType)
        case Sequence():
            wanted = (inspect.ListType,)
        case _:
            wanted = _SCALAR_TYPES
    fitting = [m for m, bare in zip(kind.types, members, strict=True) if isinstance(bare, wanted)]
    others = [m for m, bare in zip(kind.types, members, strict=True) if not isinstance(bare, inspect.NoneType)]
    _check(node, (fitting or others)[0], note)


def _bare(kind: inspect.Type) -> inspect.Type:
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def _check_struct(node: Node, kind: inspect.StructType, note: Note) -> None:
    if not isinstance(node, Mapping):
        note(node, "WrongType", f"this must be a map with keys such as {_some_keys(kind)}, not {_form(node)}")
        return
    fields = {field.encode_name: field for field in kind.fields}
    for key, value in node.pairs:
        field = fields.get(key.value)
        if field is None:
            near = suggestion(key.text, fields)
            message = f"unknown key `{brief(key.text)}`{near}; known are {listed(sorted(fields), 'and')}"
            note(key, "UnknownKey", message)
        else:
            _check(value, field.type, note)
    present = {key.value for key, _ in node.pairs}
    for name, field in fields.items():
        if field.required and name not in present:
            note(node, "MissingKey", f"`{name}` is missing; add a line `{name}: …`")


def _some_keys(kind: inspect.StructType) -> str:
    return listed([field.encode_name for field in kind.fields][:3], "and")


def _check_list(node: Node, kind: inspect.ListType, note: Note) -> None:
    if not isinstance(node, Sequence):
        note(node, "WrongType", f"this must be a list, not {_form(node)}; write [a, b] or one `- a` a line")
        return
    if kind.min_length is not None and len(node.items) < kind.min_length:
        note(node, "BadValue", f"the list needs at least {kind.min_length} entries")
    for item in node.items:
        _check(item, kind.item_type, note)


def _check_map(node: Node, kind: inspect.DictType, note: Note) -> None:
    if not isinstance(node, Mapping):
        note(node, "WrongType", f"this must be a map of `key: value`, not {_form(node)}")
        return
    if isinstance(kind.value_type, inspect.AnyType):
        check_free(node, note)
        return
    for key, value in node.pairs:
        _check(key, kind.key_type, note)
        _check(value, kind.value_type, note)


def check_free(node: Node, note: Note) -> None:
    """A free map may hold anything that every reader of YAML and JSON reads alike."""
    match node:
        case Scalar():
            reason = objection(node.text, node.value) if node.plain else None
            if reason is not None:
                note(node, "AmbiguousScalar", reason)
        case Sequence():
            for item in node.items:
                check_free(item, note)
        case Mapping():
            for key, value in node.pairs:
                if not is_merge_key(key):  # noted when it was read
                    check_free(key, note)
                check_free(value, note)


def _check_scalar(node: Node, kind: inspect.Type, description: str, note: Note) -> None:
    if not isinstance(node, Scalar):
        note(node, "WrongType", f"this must be {_NAMES.get(type(kind), 'one value')}, not {_form(node)}")
        return
    if isinstance(kind, inspect.LiteralType):
        if node.value not in kind.values or isinstance(node.value, bool):
            known = sorted(str(value) for value in kind.values)
            note(
                node,
                "BadValue",
                f"`{brief(node.text)}` is not known here{suggestion(node.text, known)}; write {listed(known)}",
            )
        return
    problem = _converts(node.value, kind)
    if problem is None:
        return
    code: Code = "BadValue" if _has_type(node.value, kind) else "WrongType"
    note(node, code, _sentence(node, kind, code, description, problem))


def _converts(value: Any, kind: inspect.Type) -> str | None:
    """What msgspec says against the value, or None."""
    try:
        msgspec.convert(value, _as_type(kind), strict=True)
    except msgspec.ValidationError as error:
        return str(error)
    return None


def _as_type(kind: inspect.Type) -> Any:
    match kind:
        case inspect.StrType():
            meta = msgspec.Meta(min_length=kind.min_length, max_length=kind.max_length, pattern=kind.pattern)
            return _annotated(str, meta)
        case inspect.IntType():
            return _annotated(int, _bounds(kind))
        case inspect.FloatType():
            return _annotated(float, _bounds(kind))
        case inspect.DateTimeType():
            return _annotated(datetime, msgspec.Meta(tz=kind.tz))
        case _:
            return _PYTHON_TYPES[type(kind)]


def _bounds(kind: inspect.IntType | inspect.FloatType) -> msgspec.Meta:
    bounds = {name: value for name in ("ge", "le", "gt", "lt") if (value := getattr(kind, name)) is not None}
    return msgspec.Meta(**bounds)


def _annotated(kind: type, meta: msgspec.Meta) -> Any:
    return Annotated[kind, meta]


def _has_type(value: Any, kind: inspect.Type) -> bool:
    expected = _PYTHON_TYPES.get(type(kind), object)
    if isinstance(value, bool):
        return expected is bool
    if expected is float:
        return isinstance(value, int | float)
    return isinstance(value, str if expected in (date, datetime) else expected)


def _sentence(node: Scalar, kind: inspect.Type, code: Code, description: str, problem: str) -> str:
    wanted = _NAMES.get(type(kind), "another value")
    if code == "WrongType":
        hint = f"; quote it: '{brief(node.text)}'" if isinstance(kind, inspect.StrType) and node.text else ""
        if node.value is None:
            hint = "; leave the key out, or write a value"
        elif isinstance(kind, inspect.IntType | inspect.FloatType) and _NUMBER.fullmatch(node.text):
            hint = f"; write {int(node.text.replace('_', ''))}"
        return f"this must be {wanted}, not {_form(node)}{hint}"
    if description:
        return f"`{brief(node.text)}` does not fit: {description}"
    match kind:
        case inspect.DateType():
            return f"`{brief(node.text)}` is not a date; write it as 2026-01-31"
        case inspect.DateTimeType():
            return f"`{brief(node.text)}` is not an instant; write it as 2026-01-31T06:00:00+01:00"
        case inspect.StrType(pattern=str(pattern)):
            return f"`{brief(node.text)}` does not fit the pattern {pattern}"
    return f"`{brief(node.text)}` does not fit: {problem[:1].lower()}{problem[1:]}"


def _form(node: Node) -> str:
    match node:
        case Mapping():
            return "a map"
        case Sequence():
            return "a list"
        case _ if node.value is None:
            return "nothing"
        case _ if isinstance(node.value, bool):
            return f"true or false (`{brief(node.text)}`)"
        case _ if isinstance(node.value, int | float):
            return f"the number `{brief(node.text)}`"
        case _:
            return f"the text `{brief(node.text)}`"


_NUMBER: Final = re.compile(r"[-+]?[0-9][0-9_]{0,17}")
_PYTHON_TYPES: Final[dict[type[inspect.Type], type]] = {
    inspect.StrType: str,
    inspect.IntType: int,
    inspect.FloatType: float,
    inspect.BoolType: bool,
    inspect.DateType: date,
    inspect.DateTimeType: datetime,
}
_SCALAR_TYPES: Final[tuple[type[inspect.Type], ...]] = (*_PYTHON_TYPES, inspect.LiteralType)
_NAMES: Final[dict[type[inspect.Type], str]] = {
    inspect.StrType: "text",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.BoolType: "true or false",
    inspect.DateType: "a date",
    inspect.DateTimeType: "an instant",
    inspect.LiteralType: "one of the known words",
}
