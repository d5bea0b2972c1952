"""`make schema`: write the JSON Schemas of every document to schemas/jsonschema/ anew."""

from pathlib import Path
from typing import Final

from control_plane.core.jsonschema import json_schemas

FOLDER: Final = Path(__file__).parent.parent / "schemas" / "jsonschema"


def main() -> None:
    """Write every schema, and take away what no longer is one."""
    FOLDER.mkdir(exist_ok=True)
    files = json_schemas()
    for name, data in files.items():
        (FOLDER / name).write_bytes(data)
    for file in FOLDER.glob("*.json"):
        if file.name not in files:
            file.unlink()


if __name__ == "__main__":
    main()
