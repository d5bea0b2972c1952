"""The control plane is lost; what is left is Git, the object store and the keys. The boxes notice nothing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.live_box import LiveBox, application, release_changes
from tests.support.patience import wait_for
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY, S3Server
from tests.support.server_process import server_process
from tests.support.world import World, make_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "world").mkdir()
    return make_world(tmp_path / "world")


@pytest.fixture(params=["folder", "s3"])
def settings(request: pytest.FixtureRequest, world: World) -> Path:
    """The settings of a server whose objects lie in a folder of its own, or in a bucket."""
    if request.param == "folder":
        return world.settings_file()
    server: S3Server = request.getfixturevalue("s3_server")
    bucket = server.make_bucket()
    world.store = server.store(bucket)
    keys = {"s3_access_key_file": ACCESS_KEY, "s3_secret_key_file": SECRET_KEY}
    files = {name: world.folder / name for name in keys}
    for name, file in files.items():
        file.write_text(keys[name])
    return world.settings_file(objects=f"s3://{bucket}", s3_endpoint=server.endpoint, s3_secure=False, **files)


def test_rebuilt_control_plane_serves_generations_that_the_boxes_accept_and_restarts_nothing(
    world: World, settings: Path, tmp_path: Path
) -> None:
    world.commit(world.first_files(), "Start the fleet")
    world.commit(release_changes(world, "1.1.0", application("1.1.0")), "Release 1.1.0")
    with LiveBox(tmp_path / "brest").switched_on() as box:
        with server_process(settings) as server:
            box.provision(world, server.url)
            server.wait_for(r"event=published")
            before = converged(box)
            server.kill()
        contents, disturbed = box.contents(), box.disturbances()
        lose_all_but_objects(world.folder / "server")

        with server_process(settings) as rebuilt:
            box.write(url=rebuilt.url)
            rebuilt.wait_for(r"event=published")
            assert "event=migrated" in rebuilt.said, "its database is new"
            after = converged(box)
            assert (box.contents(), box.disturbances()) == (contents, disturbed)
            assert after["accepted_generation"] > before["accepted_generation"]
            assert after["reached_generation"] == after["accepted_generation"]

            takes_the_next_commit(world, box)
        assert box.disturbances()[0] == disturbed[0]


def lose_all_but_objects(data: Path) -> None:
    """The database, the clone and what was being uploaded are gone; Git and the keys lie elsewhere.

    The database of a server that was killed ends by itself, and deletes files of its own meanwhile.
    """
    assert {"postgres", "clone.git"} <= {path.name for path in data.iterdir()}

    def is_lost() -> bool:
        for path in data.iterdir():
            if path.is_dir() and path.name != "objects":
                shutil.rmtree(path, ignore_errors=True)
            elif path.is_file():
                path.unlink()
        return {path.name for path in data.iterdir()} <= {"objects"}

    wait_for(is_lost, "all but the objects is gone")


def takes_the_next_commit(world: World, box: LiveBox) -> None:
    """The road goes on from there."""
    world.commit({"sites/brest.yaml": world.site_file("brest", config={"volume": 3})}, "Louder")

    def louder() -> bool:
        converged(box)
        return bool(box.configuration().get("volume") == 3)

    wait_for(louder, "the next commit arrives")


def converged(box: LiveBox) -> dict[str, Any]:
    """One run of the agent, after which the box is as desired; what it says of itself."""
    ended = box.run("once")
    assert (ended.returncode, ended.stdout) == (0, "Converged: The box is as desired.\n"), ended.stderr
    found: dict[str, Any] = json.loads(box.run("status", "--json").stdout)
    return found
