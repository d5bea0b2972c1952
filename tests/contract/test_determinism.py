"""The bytes that boxes get depend on what is meant alone: not on order, names that mean nothing, or the machine."""

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from ruamel.yaml import YAML

from control_plane.core.compile import CompiledFleet, compile_commit
from tests.contract.golden import sample_files
from tests.support.fleet_generator import as_tree, make_fleet

ROOT = Path(__file__).parents[2]


def manifests(fleet: CompiledFleet) -> dict[str, str]:
    """Site -> digest of what its box gets."""
    assert not fleet.has_errors, [str(problem) for problem in fleet.problems if problem.severity == "error"]
    return {name: site.manifest for name, site in fleet.sites.items()}


def compiled(files: Mapping[str, bytes]) -> CompiledFleet:
    return compile_commit(*as_tree(files))


def edited(files: Mapping[str, bytes], path: str, **keys: object) -> dict[str, bytes]:
    """The files with some keys of one set anew."""
    document = YAML(typ="safe").load(files[path].decode())
    return {**files, path: msgspec.json.encode({**document, **keys})}


@pytest.mark.parametrize("seed", range(6))
def test_order_of_entries_and_blobs_changes_nothing(seed: int) -> None:
    chance = random.Random(seed)
    entries, blobs = as_tree(make_fleet(9, seed))
    shuffled, rows = entries.copy(), list(blobs.items())
    chance.shuffle(shuffled)
    chance.shuffle(rows)
    one, other = compile_commit(entries, blobs), compile_commit(shuffled, dict(rows))
    assert manifests(one) == manifests(other)
    assert one.problems == other.problems


@pytest.mark.parametrize("seed", range(6))
def test_order_within_documents_that_means_nothing_changes_nothing(seed: int) -> None:
    """Keys of maps, sites of a group, values of a selector, sports of a site; videos and sets have an order."""
    chance = random.Random(seed)
    files = make_fleet(9, 3)
    files["groups/listed.yaml"] = (
        b"name: L\npriority: 300\nsites: [club-000001, club-000004, club-000007]\nconfig: {z: 1, a: {w: 2, b: 3}}\n"
    )
    assert manifests(compiled({p: _shuffled(p, data, chance) for p, data in files.items()})) == manifests(
        compiled(files)
    )


_ANY_ORDER = ("sites", "sports", "select")


def _shuffled(path: str, data: bytes, chance: random.Random) -> bytes:
    if not path.endswith(".yaml"):
        return data
    return msgspec.json.encode(_mixed(YAML(typ="safe").load(data.decode()), chance, free=False), enc_hook=str)


def _mixed(value: object, chance: random.Random, *, free: bool) -> object:
    if isinstance(value, dict):
        keys = list(value)
        chance.shuffle(keys)
        return {key: _mixed(value[key], chance, free=free or key in _ANY_ORDER) for key in keys}
    if isinstance(value, list):
        items = [_mixed(item, chance, free=free) for item in value]
        if free:
            chance.shuffle(items)
        return items
    return value


@pytest.mark.parametrize("seed", range(6))
def test_names_of_groups_that_do_not_conflict_change_nothing(seed: int) -> None:
    """Each group of the made fleet has a priority of its own, but for those that no site shares."""
    chance = random.Random(seed)
    files = make_fleet(9, seed % 7)
    groups = [path for path in files if path.startswith("groups/")]
    names = [f"groups/g{number}.yaml" for number in range(len(groups))]
    chance.shuffle(names)
    renamed = dict(zip(groups, names, strict=True))
    assert manifests(compiled({renamed.get(p, p): data for p, data in files.items()})) == manifests(compiled(files))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("priority", [0, 100, 204, 1000])
@pytest.mark.parametrize("name", ["a", "zz", "0"])
def test_group_that_sets_nothing_changes_nothing_whatever_its_name_and_priority(
    name: str, priority: int, seed: int
) -> None:
    files = make_fleet(9, seed % 5)
    empty = f"name: E\npriority: {priority}\nselect: {{country: France}}\n".encode()
    assert manifests(compiled({**files, f"groups/{name}.yaml": empty})) == manifests(compiled(files))


@pytest.mark.parametrize("seed", range(6))
def test_folders_that_sort_documents_change_nothing(seed: int) -> None:
    chance = random.Random(seed)
    files = make_fleet(9, 2)
    moved = {}
    for path, data in files.items():
        folder, slash, name = path.partition("/")
        below = "/".join(chance.choice("abc") for _ in range(chance.randrange(4)))
        sortable = slash and folder != "trust" and below
        moved[f"{folder}/{below}/{name}" if sortable else path] = data
    assert manifests(compiled(moved)) == manifests(compiled(files))


@pytest.mark.parametrize("key", ["name", "club", "contact", "labels", "hardware"])
def test_what_is_said_of_a_site_and_no_selector_asks_for_changes_no_manifest(key: str) -> None:
    values = {
        "name": "Other",
        "club": "Other",
        "contact": {"email": "a@b"},
        "labels": {"x": "y"},
        "hardware": "rpi4-4gb",
    }
    files = {path: data for path, data in make_fleet(3, 1).items() if path != "groups/beta.yaml"}
    path = "sites/club-000001.yaml"
    assert manifests(compiled(edited(files, path, **{key: values[key]}))) == manifests(compiled(files))


def test_another_site_changes_no_manifest_but_its_own() -> None:
    """Sites do not know of one another: what is added, broken up or retired next door reaches nobody else."""
    files = make_fleet(9, 4)
    before = manifests(compiled(files))
    less = {path: data for path, data in files.items() if path != "sites/club-000004.yaml"}
    assert manifests(compiled(less)) == {name: digest for name, digest in before.items() if name != "club-000004"}


def whole_digest() -> str:
    """Of every manifest and Problem of a made fleet and of the sample, and of a fleet that is wrong."""
    wrong = {
        p: d + b"nope: 1\nconfig: {a: no, b: &x 1}\n" for p, d in make_fleet(5, 1).items() if p.startswith("sites/")
    }
    fleets = [make_fleet(40, 11), sample_files(), {**make_fleet(5, 1), **wrong}]
    found = hashlib.sha256()
    for fleet in map(compiled, fleets):
        found.update(repr(sorted((name, site.body, site.state) for name, site in fleet.sites.items())).encode())
        found.update("\n".join(map(str, fleet.problems)).encode())
    return found.hexdigest()


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "0", "LC_ALL": "C", "TZ": "UTC", "LANG": "C", "PYTHONUTF8": "0"},
        {"PYTHONHASHSEED": "1", "LC_ALL": "C.UTF-8", "TZ": "Pacific/Kiritimati"},
        {"PYTHONHASHSEED": "4242", "LC_ALL": "POSIX", "TZ": "America/St_Johns", "PYTHONOPTIMIZE": "1"},
        {"PYTHONHASHSEED": "random", "LC_ALL": "tr_TR.UTF-8", "TZ": ":/nowhere"},
    ],
    ids=lambda environment: environment["TZ"],
)
def test_machine_and_its_settings_change_no_byte(environment: dict[str, str]) -> None:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "VIRTUAL_ENV")}
    code = "from tests.contract.test_determinism import whole_digest; print(whole_digest())"
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd="/",
        env={**kept, **environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.strip() == whole_digest()
