"""A technician's questions to a box: answered read-only, beside a running agent, offline, on a broken state too."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.live_box import LiveBox, application, release_changes
from tests.support.world import ServedWorld, as_yaml, served_world


@pytest.fixture
def served(tmp_path: Path, database: str) -> Iterator[ServedWorld]:
    with served_world(tmp_path / "world", database) as world:
        changes = release_changes(world.world, "1.1.0", application("1.1.0"))
        fleet = json.loads('{"schema": 1, "defaults": {"release": "1.1.0", "video_sets": ["national"], "config": {}}}')
        fleet["defaults"]["config"] = {"liveScoreEnabled": True, "scoreOverlay": {"position": "bottom"}}
        world.publish(changes | {"fleet.yaml": as_yaml(fleet)}, "Release 1.1.0")
        yield world


@pytest.fixture
def box(served: ServedWorld, tmp_path: Path) -> Iterator[LiveBox]:
    """Converged, and then without a network."""
    with LiveBox(tmp_path / "brest").switched_on() as live:
        live.provision(served.world, served.url)
        assert live.run("once").returncode == 0
        live.write(url="http://127.0.0.1:9")
        yield live


def ask(box: LiveBox, *words: str) -> tuple[int, Any]:
    """The status and the answer for programs; nothing on the box was changed by asking."""
    before = box.traces()
    done = box.run(*words, "--json")
    assert done.stderr == ""
    assert box.traces() == before
    return done.returncode, json.loads(done.stdout)


def clips(box: LiveBox) -> list[Path]:
    return sorted((box.root / "videos").rglob("*.mp4"))


# verify


def test_box_as_it_should_be_verifies_whole_beside_a_running_agent_too(box: LiveBox) -> None:
    status, said = ask(box, "verify")
    assert (status, said["findings"], said["release"]) == (0, [], "1.1.0")
    assert said["files"] == 2 + len(application("1.1.0"))
    with box.agent():
        box.pass_rounds(1)
        beside = box.run("verify")
    assert (beside.returncode, "all as it should be" in beside.stdout) == (0, True), beside.stdout


def another_byte(path: Path) -> None:
    """Change a file and give it its times back: only its digest tells."""
    before = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def change_clip(box: LiveBox) -> None:
    another_byte(clips(box)[0])


def lose_clip(box: LiveBox) -> None:
    clips(box)[0].unlink()


def change_release(box: LiveBox) -> None:
    another_byte(box.root / "current/server/app.py")


def open_release(box: LiveBox) -> None:
    (box.root / "current/server/app.py").chmod(0o666)


def lose_release_file(box: LiveBox) -> None:
    (box.root / "current/webapp/logo.svg").unlink()


def add_to_release(box: LiveBox) -> None:
    (box.root / "current/server/more.py").write_text("print('by hand')")


def lead_elsewhere(box: LiveBox) -> None:
    (box.root / "server").unlink()
    (box.root / "server").symlink_to("/tmp")


def lose_current(box: LiveBox) -> None:
    (box.root / "current").unlink()


def lose_release(box: LiveBox) -> None:
    [tree] = (box.root / "releases").glob("1.1.0-*")
    shutil.rmtree(tree)


def change_central_key(box: LiveBox) -> None:
    value = box.configuration()
    (box.root / "data/configuration.json").write_text(json.dumps(value | {"liveScoreEnabled": False}))


def break_configuration(box: LiveBox) -> None:
    (box.root / "data/configuration.json").write_text("{")


def lose_listing(box: LiveBox) -> None:
    for path in (box.folder / "state/listings").iterdir():
        path.write_bytes(b"other bytes")


def damage_one_copy(box: LiveBox) -> None:
    (box.folder / "state/state-a").write_bytes(b"\0" * 100)


def damage_both_copies(box: LiveBox) -> None:
    for name in ("state-a", "state-b"):
        (box.folder / "state" / name).write_bytes(b"\0" * 100)


def lose_trust_root(box: LiveBox) -> None:
    (box.folder / "root.json").unlink()


def break_trust_root(box: LiveBox) -> None:
    (box.folder / "root.json").write_text("{}")


DAMAGES: dict[Callable[[LiveBox], None], tuple[str, str]] = {
    change_clip: ("content", "its bytes are others"),
    lose_clip: ("content", "is missing"),
    change_release: ("release", "is not as released"),
    open_release: ("release", "is not as released"),
    lose_release_file: ("release", "is missing"),
    add_to_release: ("release", "is in no release"),
    lead_elsewhere: ("release", "leads to /tmp"),
    lose_current: ("release", "release 1.1.0 should be in force"),
    lose_release: ("release", "which is no release"),
    change_central_key: ("configuration", "wanted: True"),
    break_configuration: ("configuration", "cannot be read"),
    lose_listing: ("release", "its listing is not here"),
    damage_one_copy: ("trust", "its twin"),
    damage_both_copies: ("trust", "holds nothing that can be read"),
    lose_trust_root: ("trust", "cannot be read"),
    break_trust_root: ("trust", "cannot accept the provisioned trust root"),
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_whatever_differs_is_named_and_the_answer_is_no(box: LiveBox, damage: Callable[[LiveBox], None]) -> None:
    damage(box)
    status, said = ask(box, "verify")
    kind, words = DAMAGES[damage]
    assert status == 1
    assert [f for f in said["findings"] if f["kind"] == kind and words in f["problem"]], said["findings"]
    for command in (["why", "release"], ["doctor"]):
        assert box.run(*command).returncode in (0, 1), command


def test_clubs_own_doings_are_no_finding(box: LiveBox) -> None:
    value = box.configuration()
    value["auth"]["clubName"] = "Another"
    (box.root / "data/configuration.json").write_text(json.dumps(value))
    (box.root / "videos/MATCH").mkdir(parents=True, exist_ok=True)
    (box.root / "videos/MATCH/club.mp4").write_bytes(b"the club's own")
    assert ask(box, "verify")[0] == 0


def test_box_on_which_the_agent_never_ran_is_told_so(tmp_path: Path) -> None:
    with LiveBox(tmp_path / "new").switched_on() as new:
        said = new.run("verify")
        assert (said.returncode, "the agent never ran" in said.stdout) == (1, True)
        assert new.run("why", "release").returncode == 1
        assert not (tmp_path / "new/state").exists()


def test_box_without_its_root_is_told_so(box: LiveBox) -> None:
    shutil.rmtree(box.root)
    said = box.run("verify")
    assert (said.returncode, "there is no such folder" in said.stdout) == (1, True)
    assert (box.run("why", "release").returncode, box.run("doctor").returncode) == (0, 1)


# why


def test_each_thing_has_its_owner_and_its_reason(box: LiveBox) -> None:
    clip = str(clips(box)[0].relative_to(box.root))
    (box.root / "videos/MATCH").mkdir(parents=True, exist_ok=True)
    (box.root / "videos/MATCH/club.mp4").write_bytes(b"the club's own")
    for thing, owner, words in (
        ("release", "fleet", "The fleet wants release 1.1.0 (generation "),
        ("1.1.0", "fleet", "passed its health check here"),
        (clip, "fleet", "its bytes are the right ones"),
        (str(box.root / clip), "fleet", "video clip-a in category ANNONCES"),
        (Path(clip).name, "fleet", "the default loop"),
        ("clip-b", "fleet", "category ANNONCES"),
        ("server/app.py", "fleet", "It is as released."),
        ("webapp", "fleet", "It leads to current/webapp"),
        ("liveScoreEnabled", "fleet", "The fleet sets it to true"),
        ("scoreOverlay.position", "fleet", '"bottom"'),
        ("scoreOverlay/position", "fleet", '"bottom"'),
        ("annonces", "fleet", "The fleet shows category ANNONCES"),
        ("videos/MATCH/club.mp4", "club", "No release and no manifest of the fleet names it."),
        ("auth.clubName", "club", "Its value is not shown."),
        ("data/configuration.json", "club", "owner: neopro"),
        ("nothing-like-it", "nobody", ""),
        ("../../etc/passwd", "nobody", ""),
        ("", "nobody", ""),
        (".", "nobody", ""),
        ("a/../../..", "nobody", ""),
        ("x" * 5000, "nobody", ""),
        ("a\nb/\udce9", "nobody", ""),
    ):
        status, said = ask(box, "why", thing)
        assert (status, said["owner"]) == (int(owner == "nobody"), owner), said
        assert words in " ".join(said["because"]), said
    assert box.club["auth"]["password"] not in box.run("why", "auth").stdout + box.run("why", "auth.password").stdout


def test_file_that_is_missing_or_changed_says_what_becomes_of_it(box: LiveBox) -> None:
    lose_clip(box)
    assert "the agent fetches it" in " ".join(ask(box, "why", "clip-a")[1]["because"])
    change_release(box)
    assert "LocalOverride" in " ".join(ask(box, "why", "server/app.py")[1]["because"])


# status


def test_status_says_since_when(box: LiveBox) -> None:
    assert " is True since 20" in box.run("status").stdout
