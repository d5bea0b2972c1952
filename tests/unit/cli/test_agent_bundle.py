"""The agent's bundle: what of wheels gets in, the same bytes every time, and what `neopro release add` makes of it."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from cli.agent_bundle import BundleFailed, bundle_name, collect, pack, tree_of, unpack
from cli.package import list_tree, read_package

PURE = {
    "httpx/__init__.py": "A = 1\n",
    "httpx-1.dist-info/METADATA": "Name: httpx\n",
    "httpx-1.dist-info/licenses/LICENSE": "free\n",
    "httpx-1.dist-info/RECORD": "a,b\n",
    "httpx-1.dist-info/WHEEL": "Tag: py3\n",
    "httpx-1.data/scripts/httpx": "#!python\n",
}
COMPILED = {"msgspec/__init__.py": "B = 1\n", "zstandard/_cffi.cpython-311-aarch64-linux-gnu.so": "elf"}


def wheel(folder: Path, tags: str, files: dict[str, str], date: tuple[int, ...] = (2020, 1, 1, 0, 0, 0)) -> Path:
    path = folder / f"part-1.0-{tags}.whl"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, date), text)  # type: ignore[arg-type]
    return path


def wheels(folder: Path, date: tuple[int, ...] = (2020, 1, 1, 0, 0, 0)) -> list[Path]:
    parts = [
        wheel(folder, f"cp3{minor}-cp3{minor}-manylinux2014_{machine}.manylinux_2_17_{machine}",
              {**COMPILED, f"msgspec/_core.cpython-3{minor}-{machine}-linux-gnu.so": f"{minor} {machine}"}, date)
        for minor in (11, 13) for machine in ("aarch64", "x86_64")
    ]  # fmt: skip
    return [*parts, wheel(folder, "py3-none-any", PURE, date)]


def test_wheels_are_laid_by_machine_without_what_installers_alone_read(tmp_path: Path) -> None:
    files = collect("1.2.3", wheels(tmp_path))

    assert files["any/httpx/__init__.py"] == b"A = 1\n"
    assert files["any/httpx-1.dist-info/licenses/LICENSE"] == b"free\n"
    assert files["aarch64/msgspec/_core.cpython-311-aarch64-linux-gnu.so"] == b"11 aarch64"
    assert files["aarch64/msgspec/_core.cpython-313-aarch64-linux-gnu.so"] == b"13 aarch64"
    assert files["x86_64/msgspec/_core.cpython-313-x86_64-linux-gnu.so"] == b"13 x86_64"
    assert not [path for path in files if "RECORD" in path or "WHEEL" in path or ".data" in path or "_cffi" in path]
    assert {"start.py", "VERSION", "any/reconciler_agent/__main__.py", "any/schemas/manifest.py"} <= files.keys()
    assert not [path for path in files if path.startswith(("any/cli", "any/control_plane", "any/tests"))]


def test_same_inputs_give_the_same_bytes_whatever_the_wheels_are_dated(tmp_path: Path) -> None:
    one = collect("1.2.3", wheels(tmp_path / "one"))
    other = collect("1.2.3", wheels(tmp_path / "other", (2024, 5, 6, 7, 8, 10))[::-1])

    assert pack("x", one) == pack("x", other)
    assert bundle_name("1.2.3", tree_of(one)) == bundle_name("1.2.3", tree_of(other))


def test_wheels_that_bring_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    two = [
        wheel(tmp_path, "py3-none-any", PURE),
        wheel(tmp_path / "b", "py3-none-any", PURE | {"httpx/__init__.py": ""}),
    ]
    with pytest.raises(BundleFailed, match=r"another wheel has another any/httpx/__init__\.py"):
        collect("1.2.3", two)


def test_bundle_is_a_release_of_the_agent_with_the_tree_that_its_name_says(tmp_path: Path) -> None:
    files = collect("1.2.3", wheels(tmp_path))
    name = bundle_name("1.2.3", tree_of(files))
    path = tmp_path / f"{name}.tar"
    path.write_bytes(pack(name, files))

    package = read_package(path, tmp_path, "agent")

    assert (package.declared_version, package.selection.stripped) == ("1.2.3", ())
    assert list_tree(package) == tree_of(files)
    assert bundle_name("1.2.3", list_tree(package)) == name


def test_bundle_holds_nothing_of_the_machine_that_made_it(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(pack("x", collect("1.2.3", wheels(tmp_path))))) as archive:
        facts = {(entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname, entry.mode) for entry in archive}
    assert facts == {(0, 0, 0, "", "", 0o644)}


def test_licences_of_wheels_come_along(tmp_path: Path) -> None:
    assert "any/httpx-1.dist-info/licenses/LICENSE" in unpack(wheel(tmp_path, "py3-none-any", PURE))
