"""A box that was installed by hand, and its first managed release: adopted first, so that there is a way back."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from reconciler_agent.system_calls import SYSTEM
from schemas.manifest import ManifestMaintenance, ManifestWindow, ReleaseTarget
from schemas.names import digest_of
from tests.support.agent_world import AgentWorld, application, manifest_of
from tests.support.hand_installed import BY_HAND, CLUB_VIDEO, SECRET, club_files, install_by_hand, plays

NEW = application("2.0.0") | {"webapp/main-NEW456.js": b"new page\n", "admin/admin-server.js": b"// admin\n"}


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    made = AgentWorld(tmp_path)
    install_by_hand(made.root, made.club)
    return made


def offer(world: AgentWorld, version: str = "2.0.0", **health: int) -> ReleaseTarget:
    target = world.central.add_release(version, NEW | {"VERSION": f"{version}\n".encode()}, **health)
    world.central.publish(manifest_of([], target))
    return target


def reasons(world: AgentWorld) -> list[str]:
    return [event.reason for report in world.central.reports for event in report.events]


def trees(world: AgentWorld) -> list[str]:
    return sorted(path.name.rpartition("-")[0] for path in (world.root / "releases").iterdir())


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


def test_every_instant_of_the_adoption_leads_to_what_was_there(world: AgentWorld) -> None:
    before = plays(world.root)
    del before["server/.env"]
    seen: list[str] = []
    offer(world)

    def looking(name: str) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            result = getattr(SYSTEM, name)(*arguments, **options)
            found = plays(world.root)
            if found.get("VERSION") == b"v1.0.8\n":
                seen.append(name)
                assert {path: found.get(path) for path in before} == before
            assert json.loads((world.root / "webapp/configuration.json").read_bytes())["auth"] == world.club["auth"]
            return result

        return call

    calls = SYSTEM._replace(**{name: looking(name) for name in ("exchange", "rename", "symlink", "unlink")})
    with world.agent(calls) as agent:
        world.settle(agent)

    assert world.active() == "2.0.0"
    assert seen.count("exchange") >= 6


def test_agent_that_was_cut_off_in_the_middle_goes_on_outside_of_any_window(world: AgentWorld) -> None:
    before = plays(world.root)

    class Cut(Exception):
        pass

    def once(*arguments: object) -> None:
        if (world.root / "webapp").is_symlink():
            raise Cut
        SYSTEM.exchange(*arguments)  # type: ignore[arg-type]

    offer(world)
    with pytest.raises(Cut), world.agent(SYSTEM._replace(exchange=once)) as agent:
        world.settle(agent)
    assert (world.root / "webapp").is_symlink()
    assert not (world.root / "server").is_symlink()
    assert plays(world.root) == before

    target = world.central.add_release("2.0.0", NEW | {"VERSION": b"2.0.0\n"})
    window = ManifestMaintenance(windows=[ManifestWindow(kind="idle", idle_s=3600)])
    world.central.publish(manifest_of([], target, maintenance=window))
    world.converge()

    assert plays(world.root).items() >= {k: v for k, v in before.items() if k != "server/.env"}.items()
    assert (world.root / "server").is_symlink()
    assert [w.reason for w in world.central.reports[-1].waiting] == ["OutsideWindow"]
