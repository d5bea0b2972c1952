"""`make agent-bundle`: a release of the agent, as one file that a box installs from without any network.

    neopro-agent-VERSION-DIGEST8.tar
        neopro-agent-VERSION-DIGEST8/     DIGEST8: the first hex digits of its tree's digest, so that it proves itself
            start.py  VERSION
            any/                          the agent, and what it takes that is Python alone
            aarch64/  x86_64/             what was compiled, for every Python of `PYTHONS` (their names tell them apart)

The wheels are those of `requirements/agent.txt`, by their hashes. The same inputs give the same bytes: nothing of this
machine, its clock or its user gets in. `neopro release add FILE --agent` adds it to the fleet.
"""

import argparse
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Final

from control_plane.core.packaging import PackageEntry, listing, select
from schemas.manifest import FileTree, TreeFile, encode_canonical
from schemas.names import Digest, digest_of

ROOT: Final = Path(__file__).parent.parent
LOCKED: Final = ROOT / "requirements" / "agent.txt"
OWN: Final = ("reconciler_agent", "schemas")
MACHINES: Final = ("aarch64", "x86_64")
PYTHONS: Final = ("3.11", "3.13")
"""Of Raspberry Pi OS Bookworm and Trixie."""
GLIBC: Final = ("manylinux2014", "manylinux_2_17", "manylinux_2_28", "manylinux_2_34")
ANY: Final = "any"
START: Final = "start.py"
NAME: Final = "neopro-agent"
_UNUSED: Final = ("zstandard/_cffi", "pycparser-", "pycparser/")
"""What is in a wheel and not loaded by CPython; the first one has 11 MB for each Python."""

Files = Mapping[str, bytes]


class BundleFailed(Exception):
    """One sentence, 'cannot VERB OBJECT: WHY'."""


def main(arguments: list[str] | None = None) -> int:
    """Write the bundle, and say what it is."""
    parser = argparse.ArgumentParser(prog="make agent-bundle", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--out", type=Path, default=ROOT / "build", help="the folder to write to (default: %(default)s)"
    )
    chosen = parser.parse_args(arguments)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    try:
        with tempfile.TemporaryDirectory(prefix="neopro-agent-bundle-") as scratch:
            files = collect(version, fetch(LOCKED, Path(scratch)))
    except BundleFailed as problem:
        print(problem, file=sys.stderr)
        return 2
    chosen.out.mkdir(parents=True, exist_ok=True)
    tree = tree_of(files)
    path = chosen.out / f"{bundle_name(version, tree)}.tar"
    path.write_bytes(pack(path.stem, files))
    print(f"{path}\ntree: {digest_of(encode_canonical(tree))}")
    return 0


def fetch(locked: Path, scratch: Path) -> list[Path]:
    """Every wheel that a requirement file names, for each machine and Python, checked by its hashes."""
    found: dict[str, Path] = {}
    for machine in MACHINES:
        for python in PYTHONS:
            folder = scratch / f"{machine}-{python}"
            platforms = [f"--platform={glibc}_{machine}" for glibc in GLIBC]
            download(locked, folder, [*platforms, f"--python-version={python}", "--implementation=cp"])
            found |= {wheel.name: wheel for wheel in folder.glob("*.whl")}
    return [found[name] for name in sorted(found)]


def download(locked: Path, folder: Path, options: Iterable[str]) -> None:
    """The wheels of a requirement file, by pip: it knows the index of this machine."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    bound = ["--no-deps", "--require-hashes", "--only-binary=:all:", f"--dest={folder}", f"--requirement={locked}"]
    done = subprocess.run([*pip, *bound, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        why = next((line for line in reversed(done.stderr.splitlines()) if "ERROR" in line), "pip failed")
        raise BundleFailed(f"cannot fetch the agent's wheels: {why.removeprefix('ERROR: ')}")


def collect(version: str, wheels: Iterable[Path]) -> dict[str, bytes]:
    """Every file of the release, by its path."""
    files = {START: (ROOT / "reconciler_agent" / "install" / START).read_bytes(), "VERSION": f"{version}\n".encode()}
    for package in OWN:
        for path in sorted((ROOT / package).rglob("*.py")):
            files[f"{ANY}/{path.relative_to(ROOT).as_posix()}"] = path.read_bytes()
    for wheel in wheels:
        for name, data in unpack(wheel).items():
            if files.setdefault(name, data) != data:
                raise BundleFailed(f"cannot bundle {wheel.name}: another wheel has another {name}")
    chosen = select([PackageEntry(path=path, kind="file") for path in files], "agent")
    if chosen.refused or chosen.stripped:
        wrong = (*chosen.refused, *chosen.stripped)[0]
        raise BundleFailed(f"cannot bundle {wrong.path}: {wrong.why}")
    return files


def unpack(wheel: Path) -> dict[str, bytes]:
    """What a wheel (PEP 427) lays into site-packages, by its path in the release; its licences stay with it."""
    tags = wheel.stem.rpartition("-")[2]
    folder = ANY if tags == "any" else next(machine for machine in MACHINES if machine in tags)
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and _is_used(name)]
        return {f"{folder}/{name}": archive.read(name) for name in names}


def _is_used(name: str) -> bool:
    """Not what only installers read (it differs between wheels of the same files), nor commands, nor `_UNUSED`."""
    top, _, rest = name.partition("/")
    if top.endswith(".data"):
        return False
    return not (top.endswith(".dist-info") and rest in ("RECORD", "WHEEL")) and not name.startswith(_UNUSED)


def tree_of(files: Files) -> FileTree:
    """The listing, as `neopro release add` makes it."""
    return listing(
        TreeFile(path=path, mode="0644", size_bytes=len(data), digest=digest_of(data)) for path, data in files.items()
    )


def bundle_name(version: str, tree: FileTree) -> str:
    """Name of the bundle's folder: with it a box sees whether the files are those that were bundled."""
    digest: Digest = digest_of(encode_canonical(tree))
    return f"{NAME}-{version}-{digest.partition(':')[2][:8]}"


def pack(folder: str, files: Files) -> bytes:
    """A tar of the files in a folder, without anything of this machine; not compressed, as compressors differ."""
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(files, key=str.encode):
            entry = tarfile.TarInfo(f"{folder}/{path}")
            entry.size, entry.mode = len(files[path]), 0o644
            archive.addfile(entry, BytesIO(files[path]))
    return out.getvalue()


if __name__ == "__main__":
    sys.exit(main())
