"""A bundle of the agent, unpacked, made without a network: of this checkout and the packages installed here."""

import platform
import re
from importlib.metadata import distribution
from pathlib import Path

from cli.agent_bundle import LOCKED, bundle_name, collect, tree_of


def bundle_files(version: str = "0.1.0", **changed: str) -> dict[str, bytes]:
    """The files of a release of the agent for this machine and this Python; `changed`: modules with another text."""
    files = collect(version, [])
    for name in re.findall(r"^([a-z0-9-]+)==", LOCKED.read_text(), re.MULTILINE):
        found = distribution(name)
        for path in found.files or ():
            if not re.search(r"\.\./|__pycache__|\.dist-info/|_cffi\.cpython", str(path)):
                files[f"{platform.machine()}/{path.as_posix()}"] = Path(str(found.locate_file(path))).read_bytes()
    own = "any/reconciler_agent/__init__.py"
    files[own] = files[own].replace(b'"0.1.0"', f'"{version}"'.encode())
    return files | {f"any/reconciler_agent/{name}.py": text.encode() for name, text in changed.items()}


def unpack_bundle(folder: Path, files: dict[str, bytes]) -> Path:
    """The bundle as a technician unpacks it."""
    version = files["VERSION"].decode().strip()
    place = folder / bundle_name(version, tree_of(files))
    for path, data in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(data)
    return place
