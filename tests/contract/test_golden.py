"""The sample repository in, the same manifests out as last time; the schemas as they are checked in."""

import json

import msgspec
import pytest

from cli.schemas import FOLDER as SCHEMAS
from control_plane.core.compile import compile_commit
from control_plane.core.jsonschema import json_schemas
from schemas.manifest import SiteManifest
from tests.contract.golden import FOLDER, golden_files, sample_files
from tests.support.fleet_generator import as_tree


def test_sample_compiled_gives_the_golden_manifests() -> None:
    """After a change that is meant: `python -m tests.contract.golden`, and look at the difference."""
    written = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert {name: data.decode() for name, data in golden_files().items()} == written


def test_sample_has_no_error() -> None:
    fleet = compile_commit(*as_tree(sample_files()))
    assert [str(problem) for problem in fleet.problems if problem.severity == "error"] == []
    assert len(fleet.sites) >= 12


def test_golden_manifests_are_what_boxes_decode() -> None:
    bodies = [path.read_bytes() for path in FOLDER.glob("manifest-*.json")]
    assert bodies
    assert all(msgspec.json.decode(body, type=SiteManifest).schema == 1 for body in bodies)


def test_schemas_generated_again_leave_no_difference() -> None:
    """After a change that is meant: `make schema`."""
    assert {path.name: path.read_text() for path in SCHEMAS.glob("*.json")} == {
        name: data.decode() for name, data in json_schemas().items()
    }


@pytest.mark.parametrize("name", sorted(json_schemas()))
def test_a_schema_refers_to_nothing_outside_and_types_its_document(name: str) -> None:
    schema = json.loads(json_schemas()[name])
    references = {value for value in _values(schema, "$ref") if isinstance(value, str)}
    assert references <= {f"#/$defs/{definition}" for definition in schema["$defs"]}
    assert schema["$ref"] in references


def _values(node: object, key: str) -> list[object]:
    if isinstance(node, list):
        return [value for item in node for value in _values(item, key)]
    if not isinstance(node, dict):
        return []
    found = [value for item in node.values() for value in _values(item, key)]
    return [*found, node[key]] if key in node else found
