"""From a commit with a patch to a box that runs the new release, over HTTP, without one file of it whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.deltas import Tree, encode_delta, make_delta
from schemas.manifest import encode_canonical
from schemas.names import digest_of
from tests.support.live_box import QUICK, LiveBox, application, release_changes, with_release
from tests.support.release_pairs import changed, source_files
from tests.support.trust_keys import Changes
from tests.support.world import ServedWorld, file_tree, run_apart, served_world

MODULES = {f"server/{path}": data for path, data in source_files(9, 30, 60).items()}
OLD = application("1.1.0") | MODULES
NEW = application("1.2.0") | changed(MODULES, "bundles")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[LiveBox]:
    with LiveBox(tmp_path / "brest").switched_on() as live:
        yield live


@pytest.fixture
def served(tmp_path: Path, database: str) -> Iterator[ServedWorld]:
    with served_world(tmp_path / "world", database) as world:
        yield world


def patched_changes(served: ServedWorld, folder: Path) -> Changes:
    """Upload 1.2.0 with a patch from 1.1.0, and want it everywhere."""
    world = served.world
    base, target = (Tree(file_tree(files), lambda file, of=files: of[file.path]) for files in (OLD, NEW))
    delta = make_delta(base, target, folder / "pack", lambda _: None)
    world.upload((folder / "pack").read_bytes())
    index = encode_delta(delta)
    patch = {
        "from": "1.1.0",
        "base": delta.base,
        "index": world.upload(index),
        "size_bytes": len(index) + delta.pack_size_bytes,
    }
    made = world.add_release("1.2.0", NEW, health=QUICK, patches=[patch])
    return made | {"fleet.yaml": with_release(world.file("fleet.yaml"), "1.2.0")}


def test_box_on_the_old_release_needs_the_patch_alone(served: ServedWorld, box: LiveBox, tmp_path: Path) -> None:
    world = served.world
    served.publish(release_changes(world, "1.1.0", OLD), "Release 1.1.0")
    box.provision(world, served.url)
    box.converge()
    served.publish(patched_changes(served, tmp_path), "Release 1.2.0")
    run_apart(world.objects.delete([digest_of(data) for data in NEW.values() if data not in OLD.values()]))

    box.converge()

    tree = (box.root / "current").resolve()
    assert tree.name == f"1.2.0-{digest_of(encode_canonical(file_tree(NEW)))[7:15]}"
    assert {path: (tree / path).read_bytes() for path in NEW} == NEW
