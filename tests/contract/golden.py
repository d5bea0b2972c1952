"""The sample repository compiled, in files that people can read: `python -m tests.contract.golden` writes them anew."""

import json
from pathlib import Path

from control_plane.core.compile import compile_commit
from tests.support.fleet_generator import as_tree

SAMPLE = Path(__file__).parents[2] / "fleet-state"
FOLDER = Path(__file__).parent / "golden"


def sample_files() -> dict[str, bytes]:
    """The files of `fleet-state/` as a commit would hold them."""
    return {path.relative_to(SAMPLE).as_posix(): path.read_bytes() for path in SAMPLE.rglob("*") if path.is_file()}


def golden_files() -> dict[str, bytes]:
    """Name -> contents: every site in one line, each manifest in a file of its own, and the problems."""
    fleet = compile_commit(*as_tree(sample_files()))
    sites = {
        name: {"manifest": site.manifest, "release": site.release, "state": site.state, **site.facts}
        for name, site in sorted(fleet.sites.items())
    }
    manifests = {
        f"manifest-{site.manifest[7:19]}.json": _pretty(json.loads(site.body)) for site in fleet.sites.values()
    }
    problems = "".join(f"{problem}\n" for problem in fleet.problems).encode()
    return {"sites.json": _pretty(sites), "problems.txt": problems, **manifests}


def _pretty(value: object) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def write() -> None:
    """Write the golden files, and take away those that no longer are any."""
    FOLDER.mkdir(exist_ok=True)
    files = golden_files()
    for path in FOLDER.iterdir():
        if path.name not in files:
            path.unlink()
    for name, data in files.items():
        (FOLDER / name).write_bytes(data)


if __name__ == "__main__":
    write()
