"""What others do to an active release: told as LocalOverride, healed in the window; nothing of the club's is lost."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from schemas.manifest import ManifestMaintenance, ManifestWindow
from tests.support.agent_world import AgentWorld, application, clip, manifest_of

RELEASE = application("1.0.0") | {
    "webapp/main-ABC.js": b"page\n",
    "admin/admin-server.js": b"// admin\n",
    "server/node_modules/mime/index.js": b"// mime\n",
}
SHUT = ManifestMaintenance(windows=[ManifestWindow(kind="idle", idle_s=3600)])
A = clip("a", b"a" * 1000)


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    """A box that runs 1.0.0."""
    made = AgentWorld(tmp_path)
    made.central.add(b"a" * 1000)
    publish(made)
    made.converge()
    made.units.calls.clear()
    return made


def publish(world: AgentWorld, **wanted: Any) -> None:
    world.central.publish(manifest_of([A], world.central.add_release("1.0.0", RELEASE), **wanted))


def events(world: AgentWorld, reason: str) -> list[str]:
    found = [event for report in world.central.reports for event in report.events if event.reason == reason]
    return [event.message for event in {event.number: event for event in found}.values()]


def require_released(world: AgentWorld) -> None:
    """The active tree has the files of the release and no others, and the names at the root lead to it."""
    tree = (world.root / "current").resolve()
    found = {str(p.relative_to(tree)): p for p in tree.rglob("*") if p.is_file() and not p.is_symlink()}
    assert {path: place.read_bytes() for path, place in found.items()} == RELEASE
    assert all((world.root / name).resolve() == tree / name for name in ("webapp", "server", "admin", "VERSION"))
    assert (world.root / "webapp/configuration.json").resolve() == world.root / "data/configuration.json"


def update_by_admin_page(world: AgentWorld) -> dict[str, Any]:
    """What the box's admin page does with a package: the page rewritten, the rest copied over; the configuration."""
    root = world.root
    edited: dict[str, Any] = json.loads((root / "webapp/configuration.json").read_bytes())
    edited["remote"]["title"] = "Saved while it was updated"
    for path in (root / "webapp").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (root / "webapp/index.html").write_bytes(b"<app-root></app-root> 9.9.9\n")
    (root / "webapp/main-XYZ.js").write_bytes(b"another page\n")
    (root / "webapp/configuration.json").write_text(json.dumps(edited))
    (root / "server/app.py").write_bytes(b"print('server 9.9.9')\n")
    (root / "server/node_modules/new").mkdir()
    (root / "server/node_modules/new/index.js").write_bytes(b"// new\n")
    (root / "server/node_modules/.bin").mkdir()
    (root / "server/node_modules/.bin/mime").symlink_to("../mime/index.js")
    (root / "VERSION").write_bytes(b"9.9.9\n")
    return edited


def test_update_by_the_admin_page_is_taken_back_and_its_configuration_kept(world: AgentWorld) -> None:
    update_by_admin_page(world)

    world.converge()

    require_released(world)
    assert world.configuration()["remote"]["title"] == "Saved while it was updated"
    assert {unit for _, unit in world.units.calls} == {"neopro-app", "neopro-admin"}
    assert any("server/app.py" in message for message in events(world, "LocalOverride"))
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_update_by_the_admin_page_is_told_and_waits_for_the_window(world: AgentWorld) -> None:
    publish(world, maintenance=SHUT)
    world.converge()
    update_by_admin_page(world)

    world.converge()

    assert (world.root / "server/app.py").read_bytes() == b"print('server 9.9.9')\n"
    last = world.central.reports[-1]
    told = {d.what for d in last.differences if d.observed == "changed on the box (LocalOverride)"}
    assert {"server/app.py", "webapp/main-XYZ.js", "server/node_modules/new/index.js"} <= told
    assert "OutsideWindow" in {waiting.reason for waiting in last.waiting}
    assert world.configuration()["remote"]["title"] == "Saved while it was updated", "taken over at once"


def test_file_beyond_the_listing_is_taken_away_within_the_hour_and_nothing_restarted(world: AgentWorld) -> None:
    with world.agent() as agent:
        world.settle(agent)
        (world.root / "webapp/main-OLD.js").write_bytes(b"left by a copy\n")
        world.clock.sleep(3600)
        world.settle(agent)
        world.settle(agent)

    require_released(world)
    assert world.units.calls == []
    assert events(world, "LocalOverride") == ["webapp/main-OLD.js: changed on the box, now as released again."]


def test_what_is_the_boxs_own_in_a_tree_stays(world: AgentWorld) -> None:
    (world.root / "server/.env").write_bytes(b"SECRET=1\n")
    (world.root / "webapp/videos/MATCH").mkdir(parents=True)
    (world.root / "webapp/videos/MATCH/club.mp4").write_bytes(b"the club's")
    (world.root / "scripts/other.sh").symlink_to("tool.sh")

    world.converge()

    assert (world.root / "server/.env").read_bytes() == b"SECRET=1\n"
    assert (world.root / "webapp/videos/MATCH/club.mp4").read_bytes() == b"the club's"
    assert (world.root / "scripts/other.sh").is_symlink()
    assert events(world, "LocalOverride") == []


def unpack_over_the_links(world: AgentWorld) -> None:
    """What `tar -x` does: a folder of the package takes the place of a link."""
    root = world.root
    (root / "webapp").unlink()
    (root / "webapp/videos").mkdir(parents=True)
    (root / "webapp/videos/old.mp4").write_bytes(b"the club's")
    (root / "webapp/index.html").write_bytes(b"unpacked\n")
    edited = json.loads((root / "data/configuration.json").read_bytes())
    edited["remote"]["title"] = "Newer truth"
    (root / "webapp/configuration.json").write_text(json.dumps(edited))


def test_folder_in_the_place_of_a_link_is_replaced_and_the_clubs_part_of_it_kept(world: AgentWorld) -> None:
    unpack_over_the_links(world)

    world.converge()

    require_released(world)
    assert world.configuration()["remote"]["title"] == "Newer truth"
    assert (world.root / "webapp-videos/old.mp4").read_bytes() == b"the club's"
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_folder_in_the_place_of_a_link_waits_for_the_window(world: AgentWorld) -> None:
    publish(world, maintenance=SHUT)
    world.converge()
    unpack_over_the_links(world)

    world.converge()

    assert (world.root / "webapp/index.html").read_bytes() == b"unpacked\n"
    assert "OutsideWindow" in {waiting.reason for waiting in world.central.reports[-1].waiting}


@pytest.mark.parametrize("name", ["VERSION", "webapp", "scripts"])
def test_file_in_the_place_of_a_link_is_replaced(world: AgentWorld, name: str) -> None:
    (world.root / name).unlink()
    (world.root / name).write_bytes(b"9.9.9\n")

    world.converge()

    require_released(world)
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_folder_in_the_place_of_a_link_gives_way_to_another_release(world: AgentWorld) -> None:
    unpack_over_the_links(world)
    world.central.publish(manifest_of([A], world.central.add_release("2.0.0", application("2.0.0"))))

    world.converge()

    assert world.active() == "2.0.0"
    assert (world.root / "webapp").is_symlink()
    assert world.configuration()["remote"]["title"] == "Newer truth"
    assert (world.root / "webapp-videos/old.mp4").read_bytes() == b"the club's"
    assert world.conditions()["Synced"] == ("True", "Converged")


CLOSED = {
    "data/configuration.json": 0o600,
    "data": 0o700,
    "videos": 0o700,
    A[0].path: 0o600,
    A[0].path.rpartition("/")[0]: 0o750,
    "webapp/index.html": 0o600,
    "server/app.py": 0o666,
}


@pytest.mark.parametrize(("path", "mode"), CLOSED.items(), ids=CLOSED)
def test_closed_file_or_folder_is_opened_at_once_and_told(world: AgentWorld, path: str, mode: int) -> None:
    publish(world, maintenance=SHUT)
    world.converge()
    world.tv.match = True
    place = (world.root / path).resolve()
    inode, right = place.stat().st_ino, place.stat().st_mode & 0o777
    place.chmod(mode)
    world.central.fetched.clear()

    world.converge()

    assert place.stat().st_mode & 0o777 == right
    assert place.stat().st_ino == inode, "opened, not made anew"
    (said,) = events(world, "PermissionsRestored")
    assert str(place.relative_to(world.root)) in said
    assert world.central.fetched == []
    assert world.units.calls == []


def test_closed_folder_of_a_release_is_opened_within_the_hour(world: AgentWorld) -> None:
    folder = (world.root / "webapp").resolve()
    with world.agent() as agent:
        world.settle(agent)
        folder.chmod(0o700)
        world.clock.sleep(3600)
        world.settle(agent)
        world.settle(agent)

    assert folder.stat().st_mode & 0o777 == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_configuration_of_another_owner_is_given_back(world: AgentWorld) -> None:
    import pwd

    from msgspec.structs import replace

    world.settings = replace(world.settings, owner="nobody")
    nobody = pwd.getpwnam("nobody").pw_uid
    world.converge()
    os.chown(world.root / "data/configuration.json", 0, 0)

    world.converge()

    assert (world.root / "data/configuration.json").stat().st_uid == nobody


def test_configuration_found_in_the_page_is_taken_over_before_another_release_takes_its_place(
    world: AgentWorld,
) -> None:
    edited = world.configuration()
    edited["remote"]["title"] = "Newer truth"
    place = world.root / "webapp/configuration.json"
    place.unlink()
    place.write_text(json.dumps(edited))
    world.central.publish(manifest_of([A], world.central.add_release("2.0.0", application("2.0.0"))))

    world.converge()

    assert world.active() == "2.0.0"
    assert world.configuration()["remote"]["title"] == "Newer truth"
    assert json.loads(place.read_bytes())["remote"]["title"] == "Newer truth"
