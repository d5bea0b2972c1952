"""The JSON Schemas of what operators write: they explain every key, and agree with the programs on every example."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from control_plane.core.jsonschema import DOCUMENTS, json_schemas
from control_plane.core.shapes import check_shape
from control_plane.core.yaml_compose import compose
from control_plane.core.yaml_nodes import value_of
from control_plane.core.yaml_strict import load_plain
from schemas import desired
from schemas.desired import KINDS, SINGLES
from schemas.explained import EXPLAINED, Explained, explained
from tests.contract.golden import sample_files

OPERATORS = {name: kind for name, kind in DOCUMENTS.items() if kind.__module__ == desired.__name__}
SCHEMAS: dict[str, dict[str, Any]] = {
    name.removesuffix(".json"): json.loads(data) for name, data in json_schemas().items()
}


def structs() -> Iterator[type[msgspec.Struct]]:
    """Every struct of an operator's document."""
    for value in vars(desired).values():
        if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == desired.__name__:
            yield value


KEYS = [(kind, field) for kind in structs() for field in msgspec.structs.fields(kind)]


def entry_of(kind: type[msgspec.Struct], key: str) -> Explained:
    entry = explained(kind, key)
    assert entry is not None, f"explain `{key}` of {kind.__name__} in schemas/explained.py"
    return entry


def test_every_kind_of_an_operator_has_a_schema() -> None:
    assert set(OPERATORS.values()) == {*KINDS.values(), *SINGLES.values()}


@pytest.mark.parametrize("name", OPERATORS)
def test_every_property_has_a_description_and_an_example(name: str) -> None:
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    for title, definition in schema["$defs"].items():
        assert definition["description"], title
        for key, described in definition["properties"].items():
            assert described["description"].endswith("."), (title, key)
            assert described["examples"], (title, key)


def test_nothing_is_explained_that_is_no_key() -> None:
    for kind, entries in EXPLAINED.items():
        assert entries.keys() <= {field.encode_name for field in msgspec.structs.fields(kind)}, kind


@pytest.mark.parametrize(("kind", "field"), KEYS, ids=[f"{kind.__name__}.{field.encode_name}" for kind, field in KEYS])
def test_example_is_taken_by_our_own_reader(kind: type[msgspec.Struct], field: msgspec.structs.FieldInfo) -> None:
    example = entry_of(kind, field.encode_name).example
    text = json.dumps(example, ensure_ascii=False).encode()
    msgspec.convert(example, field.type, strict=True)
    composed = compose("x.yaml", text)
    assert composed.problems == ()
    assert composed.root is not None
    assert value_of(composed.root) == example
    assert check_shape("x.yaml", composed.root, field.type) == []


@pytest.mark.parametrize("name", OPERATORS)
def test_examples_are_valid_by_their_schema(name: str) -> None:
    schema = SCHEMAS[name]
    for definition in schema["$defs"].values():
        for described in definition["properties"].values():
            validator = Draft202012Validator({**described, "$defs": schema["$defs"]})
            assert [error.message for error in validator.iter_errors(described["examples"][0])] == []


def schema_of(path: str) -> dict[str, Any]:
    folder = path.partition("/")[0]
    kind = SINGLES.get(path) or KINDS[folder]
    return SCHEMAS[next(name for name, other in OPERATORS.items() if other is kind)]


SAMPLES = sorted(
    path for path in sample_files() if path in SINGLES or (path.partition("/")[0] in KINDS and path.endswith(".yaml"))
)


@pytest.mark.parametrize("path", SAMPLES)
def test_sample_is_valid_by_its_schema(path: str) -> None:
    document = load_plain(sample_files()[path])
    assert [error.message for error in Draft202012Validator(schema_of(path)).iter_errors(document)] == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("sites/x.yaml", "name: X\n"),
        ("sites/x.yaml", "name: X\nlocation: {city: A, region: B}\nnope: 1\n"),
        ("sites/x.yaml", "name: X\nlocation: {city: A, region: B}\nconnectivity: rarely\n"),
        ("fleet.yaml", "schema: 2\n"),
        ("operations/x.yaml", "target: {site: x}\naction: explode\nnot_after: 2026-11-24T06:00:00+01:00\n"),
    ],
)
def test_wrong_document_is_refused_by_its_schema_too(path: str, text: str) -> None:
    assert list(Draft202012Validator(schema_of(path)).iter_errors(load_plain(text.encode())))
