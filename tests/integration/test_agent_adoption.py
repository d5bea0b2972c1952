"""A box that was installed by hand, and its first managed release: adopted first, so that there is a way back."""

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from reconciler_agent.core.attempt import MAX_TRIES
from schemas.manifest import FileTree, ManifestMaintenance, ManifestOperation, ManifestWindow
from schemas.names import digest_of
from tests.support.agent_world import AgentWorld, manifest_of
from tests.support.hand_installed import (
    BY_HAND,
    CLUB_VIDEO,
    NEW,
    SECRET,
    club_files,
    install_by_hand,
    offer,
    plays,
    reasons,
    trees,
)
from tests.support.trust_world import DAY, NOW


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    made = AgentWorld(tmp_path)
    install_by_hand(made.root, made.club)
    return made


def test_first_release_adopts_what_was_installed_by_hand(world: AgentWorld) -> None:
    offer(world)

    world.converge()

    assert world.conditions()["Synced"] == ("True", "Converged")
    assert world.active() == "2.0.0"
    assert trees(world) == ["1.0.8", "2.0.0"]
    assert "ReleaseAdopted" in reasons(world)
    assert not (world.root / "webapp/main-OLD123.js").exists(), "a release replaces, it never overlays"
    adopted = next((world.root / "releases").glob("1.0.8-*"))
    for path, data in BY_HAND.items():
        assert (adopted / path).read_bytes() == data
    assert str((adopted / "server/node_modules/.bin/mime").readlink()) == "../mime/cli.js"
    assert not (adopted / "data").exists()


def test_modes_are_those_of_a_release_and_secrets_stay_secret(world: AgentWorld) -> None:
    offer(world)
    world.converge()

    adopted = next((world.root / "releases").glob("1.0.8-*"))
    modes = {str(p.relative_to(adopted)): p.stat().st_mode & 0o777 for p in adopted.rglob("*") if not p.is_symlink()}
    assert modes.pop("server/.env") == 0o600
    assert (adopted / "server/.env").read_bytes() == SECRET
    assert modes["server"] == modes["scripts/tool.sh"] == 0o755
    assert modes["server/app.py"] == 0o644
    assert set(modes.values()) == {0o644, 0o755}


def test_club_keeps_its_configuration_and_every_file(world: AgentWorld) -> None:
    before = club_files(world.root)
    offer(world)

    world.converge()

    assert club_files(world.root) == before
    assert world.configuration()["auth"] == world.club["auth"]
    assert world.configuration()["categories"] == world.club["categories"]
    assert (world.root / "data/configuration.json").stat().st_mode & 0o777 == 0o644
    for tree in (world.root / "releases").iterdir():
        assert (tree / "webapp/configuration.json").resolve() == world.root / "data/configuration.json"
        assert (tree / "webapp/videos/MATCH/old.mp4").read_bytes() == CLUB_VIDEO
    assert (world.root / "webapp-videos/MATCH/old.mp4").read_bytes() == CLUB_VIDEO


def test_failing_release_goes_back_to_what_was_installed_by_hand(world: AgentWorld) -> None:
    before = plays(world.root)
    world.units.sick = lambda: (world.root / "VERSION").read_bytes() == b"2.0.0\n"
    target = offer(world)

    world.converge()

    assert plays(world.root) == before
    assert (world.root / "server/node_modules/.bin/mime").resolve().read_bytes() == BY_HAND[
        "server/node_modules/mime/cli.js"
    ]
    assert world.conditions()["Degraded"][0] == "True"
    assert reasons(world).count("ReleaseFailed") == 1
    last = world.central.reports[-1]
    assert last.release is not None
    assert (last.release.version, last.release.tree != target.tree) == ("1.0.8", True)

    world.clock.sleep(600)
    world.converge()

    assert reasons(world).count("ReleaseFailed") == 1, "a release that failed is not tried again"
    assert plays(world.root) == before


def test_adopted_release_that_was_damaged_is_not_gone_back_to(world: AgentWorld) -> None:
    def sick() -> bool:
        new = (world.root / "VERSION").read_bytes() == b"2.0.0\n"
        if new:
            next((world.root / "releases").glob("1.0.8-*/server/app.py")).write_bytes(b"torn")
        return new

    world.units.sick = sick
    offer(world)

    for _ in range(MAX_TRIES):
        world.converge()

    assert world.active() == "2.0.0", "what plays is left playing"
    assert world.conditions()["Degraded"] == ("True", "ReleaseHeld")


def test_equal_files_are_copied_and_not_downloaded(world: AgentWorld) -> None:
    offer(world)

    world.converge()

    known = {digest_of(data) for data in BY_HAND.values()}
    assert not known & set(world.central.fetched)
    assert set(world.central.fetched) == {digest_of(data) for data in NEW.values()} - known


def test_box_with_the_very_release_keeps_its_files_and_downloads_nothing(tmp_path: Path) -> None:
    world = AgentWorld(tmp_path)
    install_by_hand(world.root, world.club, NEW)
    inode = (world.root / "server/app.py").stat().st_ino
    target = offer(world)

    world.converge()

    assert world.conditions()["Synced"] == ("True", "Converged")
    assert world.central.fetched == []
    assert world.units.calls == [], "nothing changed, so nothing is restarted"
    assert (world.root / "server/app.py").stat().st_ino == inode
    assert trees(world) == ["2.0.0"]
    last = world.central.reports[-1].release
    assert last is not None
    assert last.tree == target.tree


def test_release_of_a_hand_installed_box_waits_for_its_window(world: AgentWorld) -> None:
    before = plays(world.root)
    target = world.central.add_release("2.0.0", NEW)
    window = ManifestMaintenance(windows=[ManifestWindow(kind="idle", idle_s=3600)])
    world.central.publish(manifest_of([], target, maintenance=window))

    world.converge()

    assert plays(world.root) == before
    assert not (world.root / "current").is_symlink()
    assert [w.reason for w in world.central.reports[-1].waiting] == ["OutsideWindow"]
    last = world.central.reports[-1].release
    assert last is not None
    assert (last.version, last.tree) == ("1.0.8", None)


def test_admin_page_without_its_root_stops_the_adoption_with_words(world: AgentWorld) -> None:
    world.units.environments["neopro-admin"] = {"NODE_ENV": "production"}
    world.settings = replace(world.settings, admin_url="http://127.0.0.1:9")
    before = plays(world.root)
    offer(world)

    world.converge()

    assert plays(world.root) == before
    status, reason = world.conditions()["Degraded"]
    message = next(c.message for c in world.central.reports[-1].conditions if c.type == "Degraded")
    assert (status, reason) == ("True", "ReleaseNotAdopted")
    assert f"Environment=NEOPRO_DIR={world.root}" in message

    world.units.environments["neopro-admin"]["NEOPRO_DIR"] = str(world.root)
    world.converge()

    assert "ReleaseAdopted" in reasons(world)


def test_admin_page_without_its_root_is_told_of_before_the_window_comes(world: AgentWorld) -> None:
    world.units.environments["neopro-admin"] = {"NEOPRO_DIR": "/home/pi/other"}
    world.settings = replace(world.settings, admin_url="http://127.0.0.1:9")
    target = world.central.add_release("2.0.0", NEW)
    window = ManifestMaintenance(windows=[ManifestWindow(kind="idle", idle_s=3600)])
    world.central.publish(manifest_of([], target, maintenance=window))

    world.converge()

    message = next(c.message for c in world.central.reports[-1].conditions if c.type == "Degraded")
    assert "neopro-admin has NEOPRO_DIR=/home/pi/other" in message
    assert trees(world) == ["2.0.0"], "it is fetched meanwhile"


def test_link_of_somebody_else_stops_the_adoption_with_words(world: AgentWorld) -> None:
    (world.root / "server").rename(world.root / "server-by-hand")
    (world.root / "server").symlink_to("server-by-hand")
    offer(world)

    world.converge()

    assert world.conditions()["Degraded"] == ("True", "ReleaseNotAdopted")
    assert str((world.root / "server").readlink()) == "server-by-hand"
    assert (world.root / "webapp").is_dir()
    assert not (world.root / "webapp").is_symlink()


def test_file_with_a_second_name_becomes_a_file_by_itself(world: AgentWorld) -> None:
    store = world.folder / "store-of-a-package-manager.js"
    os.link(world.root / "server/app.py", store)
    offer(world)

    world.converge()

    store.write_bytes(b"written in place")
    adopted = next((world.root / "releases").glob("1.0.8-*"))
    assert (adopted / "server/app.py").read_bytes() == BY_HAND["server/app.py"]


def test_requirement_is_held_against_the_version_installed_by_hand(world: AgentWorld) -> None:
    target = replace(world.central.add_release("2.0.0", NEW), requires_from=">=1.1.0")
    world.central.publish(manifest_of([], target))

    world.converge()

    assert world.conditions()["Synced"] == ("False", "RequirementNotMet")
    assert not (world.root / "releases").exists()


@pytest.mark.parametrize("lack", [lambda r: (r / "scripts").rename(r / "gone"), lambda r: (r / "VERSION").unlink()])
def test_box_that_lacks_a_part_is_adopted_as_it_is(world: AgentWorld, lack: Callable[[Path], object]) -> None:
    lack(world.root)
    offer(world)

    world.converge()

    assert world.conditions()["Synced"] == ("True", "Converged")


def test_file_outside_that_a_link_leads_to_is_not_touched(world: AgentWorld) -> None:
    outside = world.folder / "outside"
    outside.mkdir(0o700)
    (outside / "shadow").write_bytes(b"root's own")
    (outside / "shadow").chmod(0o600)
    (world.root / "server/link-to-file").symlink_to(outside / "shadow")
    (world.root / "server/link-to-folder").symlink_to(outside)
    offer(world)

    world.converge()

    assert world.active() == "2.0.0"
    assert (outside.stat().st_mode & 0o777, (outside / "shadow").stat().st_mode & 0o777) == (0o700, 0o600)
    assert (outside / "shadow").read_bytes() == b"root's own"
    adopted = next((world.root / "releases").glob("1.0.8-*"))
    assert (adopted / "server/link-to-folder").readlink() == outside
    (kept,) = (world.folder / "state/listings").glob(f"{adopted.name.rpartition('-')[2]}*")
    listed = msgspec.json.decode(kept.read_bytes(), type=FileTree)
    assert not [file.path for file in listed.files if file.path.startswith("server/link-to")]


def test_names_and_things_that_cannot_be_listed_go_along(world: AgentWorld) -> None:
    (world.root / os.fsdecode(b"server/caf\xe9.js")).write_bytes(b"latin")
    (world.root / "server/two\nlines.js").write_bytes(b"two")
    os.mkfifo(world.root / "server/pipe")
    world.units.sick = lambda: (world.root / "VERSION").read_bytes() == b"2.0.0\n"
    offer(world)

    world.converge()
    world.clock.sleep(3600)
    world.converge()

    assert world.active() == "v1.0.8"
    assert (world.root / os.fsdecode(b"server/caf\xe9.js")).read_bytes() == b"latin"
    assert (world.root / "server/two\nlines.js").read_bytes() == b"two"
    assert (world.root / "server/pipe").is_fifo()


def test_bad_release_is_tried_again_after_an_operation_says_so(world: AgentWorld) -> None:
    world.units.sick = lambda: (world.root / "VERSION").read_bytes() == b"2.0.0\n"
    target = offer(world)
    world.converge()
    assert world.active() == "v1.0.8"

    world.units.sick = lambda: False
    again = ManifestOperation(id="again", action="retry", not_after=NOW + DAY)
    world.central.publish(manifest_of([], target, operations=[again]))
    world.converge()
    world.converge()

    assert world.active() == "2.0.0"


def test_adopted_release_leaves_with_the_ones_before_and_the_clubs_videos_stay(world: AgentWorld) -> None:
    for version in ("2.0.0", "3.0.0"):
        offer(world, version)
        world.converge()
        world.converge()

    assert trees(world) == ["2.0.0", "3.0.0"]
    assert (world.root / "webapp-videos/MATCH/old.mp4").read_bytes() == CLUB_VIDEO
    assert (world.root / "webapp/videos/MATCH/old.mp4").read_bytes() == CLUB_VIDEO


def test_site_without_a_release_is_left_as_it_was_installed(world: AgentWorld) -> None:
    before = plays(world.root)
    world.central.publish(manifest_of([]))

    world.converge()

    assert plays(world.root) == before
    assert not (world.root / "server").is_symlink()
    assert world.conditions()["Synced"] == ("True", "Converged")
    assert world.conditions()["ReleaseHealthy"] == ("Unknown", "NoRelease")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_nobody_is_given_what_they_could_not_read_before(world: AgentWorld) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    world.settings = replace(world.settings, owner="nobody")
    for path in [world.root, *world.root.rglob("*")]:
        os.chown(path, nobody, -1, follow_symlinks=False)
    secret, theirs, elsewhere = (world.root / "server" / name for name in ("root.key", "by-root.js", "linked.js"))
    secret.write_bytes(b"root's own")
    secret.chmod(0o600)
    theirs.write_bytes(b"copied by root")
    (world.folder / "shadow").write_bytes(b"root's own")
    (world.folder / "shadow").chmod(0o600)
    os.link(world.folder / "shadow", elsewhere)
    offer(world)

    world.converge()

    assert world.active() == "2.0.0"
    adopted = next((world.root / "releases").glob("1.0.8-*/server"))
    for path in (adopted / "root.key", adopted / "linked.js", world.folder / "shadow"):
        assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (0, 0o600)
    assert (adopted / "linked.js").stat().st_ino == (world.folder / "shadow").stat().st_ino
    assert ((adopted / "by-root.js").stat().st_uid, (adopted / "app.py").stat().st_uid) == (nobody, nobody)
