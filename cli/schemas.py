"""`make schema`: write the JSON Schemas of every document anew: to schemas/jsonschema/, and to those of the sample."""

from pathlib import Path
from typing import Final

from cli.new_repository import schema_files
from control_plane.core.jsonschema import json_schemas

ROOT: Final = Path(__file__).parent.parent
FOLDER: Final = ROOT / "schemas" / "jsonschema"
SAMPLE: Final = ROOT / "fleet-state"


def main() -> None:
    """Write every schema, and take away what no longer is one."""
    FOLDER.mkdir(exist_ok=True)
    files = json_schemas()
    for name, data in files.items():
        (FOLDER / name).write_bytes(data)
    for file in FOLDER.glob("*.json"):
        if file.name not in files:
            file.unlink()
    for path, data in schema_files().items():
        (SAMPLE / path).parent.mkdir(parents=True, exist_ok=True)
        (SAMPLE / path).write_bytes(data)


if __name__ == "__main__":
    main()
