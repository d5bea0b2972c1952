"""The club's videos, left encrypted and put back on another box: each once, cut off anywhere, over nobody's file."""

import itertools
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pyrage
import pytest

from reconciler_agent.age_key import make_recipient, path_of
from reconciler_agent.app import Agent
from reconciler_agent.errors import NetworkTrouble
from reconciler_agent.sticks import Sticks
from reconciler_agent.system_calls import SYSTEM, Calls
from reconciler_agent.technician.status import describe
from reconciler_agent.video_return import AGAIN_S
from reconciler_agent.videos import LOOK_S, PIECE_BYTES, REFUSED_S
from schemas.backup import Restore, VideoIndex
from schemas.manifest import ManifestBackup
from schemas.names import Digest, digest_of
from schemas.stick import blob_path, list_path
from tests.support.agent_world import AgentWorld, Central, clip, manifest_of
from tests.support.cut_off import Killed, Recorder
from tests.support.trust_world import SITE

A = clip("a", b"a" * 1000)
RECOVERY = pyrage.x25519.Identity.generate()
BACKUP = ManifestBackup(recipient=str(RECOVERY.to_public()), configuration=False, videos=True)
FILES = {"videos/CLUB/match.mp4": os.urandom(3000), "videos/CLUB/é/but.mp4": os.urandom(70_000), "videos/x.bin": b""}


def box(folder: Path, files: dict[str, bytes] | None = None, central: Central | None = None) -> AgentWorld:
    """A box with these files of the club's, its control plane asking for backups of videos."""
    folder.mkdir(exist_ok=True)
    made = AgentWorld(folder)
    if central is not None:
        made.central = central
        (folder / "root.json").write_bytes(central.root)
    made.club_video.unlink()
    for path, data in (FILES if files is None else files).items():
        put(made, path, data)
    made.central.add(b"a" * 1000)
    return made


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    made = box(tmp_path / "old")
    made.central.publish(manifest_of([A], backup=BACKUP))
    return made


def put(world: AgentWorld, path: str, data: bytes) -> None:
    file = world.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def later(world: AgentWorld, agent: Agent, seconds: float = LOOK_S) -> None:
    world.clock.sleep(seconds)
    world.settle(agent)


def index(world: AgentWorld) -> VideoIndex:
    """The newest index, read with the recovery key."""
    return msgspec.json.decode(pyrage.decrypt(world.central.told_videos[-1].index, [RECOVERY]), type=VideoIndex)


def kept(world: AgentWorld) -> dict[str, bytes]:
    """What the newest index leads to, read with the key that stands in it."""
    found = index(world)
    key = pyrage.x25519.Identity.from_str(found.identity)
    return {one.path: pyrage.decrypt(world.central.videos[one.blob], [key]) for one in found.videos}


def hand_over(old: AgentWorld, new: AgentWorld, **changed: Any) -> None:
    """What `neopro site replace` does: the index for the new box, named as `restore` in its manifest."""
    restore = Restore(configuration={}, videos=index(old))
    recipient = pyrage.x25519.Recipient.from_str(make_recipient(path_of(new.settings.key)))
    body = bytes(pyrage.encrypt(msgspec.json.encode(restore), [recipient]))
    digest = new.central.add(body)
    new.central.publish(manifest_of([A], **{"backup": BACKUP, "restore": digest} | changed))


def lying(world: AgentWorld) -> dict[str, bytes]:
    """The club's files on the box."""
    found = {str(p.relative_to(world.root)): p.read_bytes() for p in (world.root / "videos").rglob("*") if p.is_file()}
    return {path: data for path, data in found.items() if path != A[0].path}


def partial(world: AgentWorld) -> list[str]:
    folder = world.root / "data/agent/partial"
    return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []


def reasons(world: AgentWorld) -> list[str]:
    return [event.reason for report in world.central.reports for event in report.events]


def test_videos_are_left_encrypted_and_read_with_the_recovery_key_alone(world: AgentWorld) -> None:
    world.converge()
    assert kept(world) == FILES, "and not what the fleet put there"
    for blob, data in world.central.videos.items():
        assert pyrage.decrypt(data, [RECOVERY]) in FILES.values(), "a person with the key needs no index"
        assert digest_of(data) == blob
    assert "AGE-SECRET" not in str(world.central.reports)
    assert partial(world) == []


def test_unchanged_video_is_neither_read_nor_sent_again(world: AgentWorld) -> None:
    with world.agent() as agent:
        world.settle(agent)
        told, blobs = len(world.central.told_videos), set(world.central.videos)
        for path in FILES:
            (world.root / path).chmod(0)
        for _ in range(3):
            later(world, agent)
        assert (len(world.central.told_videos), set(world.central.videos)) == (told, blobs)
    for path in FILES:
        (world.root / path).chmod(0o644)
    world.converge()
    assert set(world.central.videos) == blobs, "a touched file is the same file"


def test_changed_new_renamed_and_removed_videos_are_followed(world: AgentWorld) -> None:
    with world.agent() as agent:
        world.settle(agent)
        blobs = {one.path: one.blob for one in index(world).videos}
        put(world, "videos/new.mp4", b"new")
        put(world, "videos/x.bin", b"now something")
        (world.root / "videos/CLUB/match.mp4").rename(world.root / "videos/CLUB/renamed.mp4")
        (world.root / "videos/CLUB/é/but.mp4").unlink()
        later(world, agent)
    now = {one.path: one.blob for one in index(world).videos}
    assert now.keys() == {"videos/new.mp4", "videos/x.bin", "videos/CLUB/renamed.mp4"}
    assert now["videos/CLUB/renamed.mp4"] == blobs["videos/CLUB/match.mp4"], "sent once"
    assert kept(world)["videos/x.bin"] == b"now something"


@pytest.mark.parametrize("backup", [None, ManifestBackup(recipient=BACKUP.recipient)])
def test_box_that_is_not_asked_leaves_no_video(world: AgentWorld, backup: ManifestBackup | None) -> None:
    world.central.publish(manifest_of([A], backup=backup))
    world.converge()
    assert (world.central.videos, world.central.told_videos) == ({}, [])


def test_upload_that_breaks_goes_on_where_it_was_in_the_next_run(tmp_path: Path) -> None:
    world = box(tmp_path / "old", {"videos/long.mp4": os.urandom(4 * PIECE_BYTES)})
    world.central.publish(manifest_of([A], backup=BACKUP))
    pieces = 0

    def cut() -> None:
        nonlocal pieces
        pieces += 1
        world.central.offline = pieces == 2

    world.central.on_piece = cut
    world.converge()
    assert world.central.told_videos == [] or index(world).videos == []
    (unfinished,) = world.central.unfinished
    world.central.offline = False
    world.converge()
    assert list(world.central.videos) == [unfinished], "the very same age file"
    assert pieces == 5, "no piece was sent twice"
    assert kept(world)["videos/long.mp4"] == (world.root / "videos/long.mp4").read_bytes()


def test_news_are_looked_at_while_an_upload_goes_on(tmp_path: Path) -> None:
    world = box(tmp_path / "old", {"videos/long.mp4": os.urandom(3 * PIECE_BYTES)})
    world.central.publish(manifest_of([A], backup=BACKUP))
    with world.agent() as agent:
        world.central.on_piece = lambda: agent.loop.stop()
        world.settle(agent)
        assert len(world.central.unfinished) == 1
    world.central.on_piece = lambda: None
    world.converge()
    assert len(world.central.videos) == 1


def test_refusal_is_said_and_asked_again_an_hour_later(world: AgentWorld) -> None:
    world.central.takes_videos = False
    with world.agent() as agent:
        world.settle(agent)
        assert world.conditions()["Synced"] == ("True", "Converged")
        assert reasons(world).count("VideosNotKept") >= 1
        world.central.takes_videos = True
        later(world, agent, REFUSED_S)
    assert kept(world) == FILES


def test_bandwidth_limit_holds_for_uploads(tmp_path: Path) -> None:
    world = box(tmp_path / "old", {"videos/long.mp4": os.urandom(3 * PIECE_BYTES)})
    world.central.publish(manifest_of([A], backup=BACKUP, bandwidth={"limit_bytes_s": PIECE_BYTES // 4}))
    with world.agent() as agent:
        began_s = world.clock.monotonic()
        world.settle(agent)
        took_s = world.clock.monotonic() - began_s
    assert len(world.central.videos) == 1
    assert took_s >= 10


def test_videos_come_back_on_the_next_box_and_are_not_sent_again(world: AgentWorld, tmp_path: Path) -> None:
    world.converge()
    blobs = set(world.central.videos)
    new = box(tmp_path / "new", {}, world.central)
    hand_over(world, new)
    with new.agent() as agent:
        new.settle(agent)
        later(new, agent)
        later(new, agent)
        assert lying(new) == FILES
        assert (set(new.central.videos), partial(new)) == (blobs, [])
        assert "VideosPutBack" in reasons(new)
        (new.root / "videos/x.bin").unlink()
        later(new, agent)
    new.converge()
    assert "videos/x.bin" not in lying(new), "what the club deletes later stays deleted"
    assert kept(new).keys() == FILES.keys() - {"videos/x.bin"}
    assert (new.root / "videos/CLUB/match.mp4").stat().st_mode & 0o777 == 0o644


def test_nothing_is_left_before_all_was_put_back(world: AgentWorld, tmp_path: Path) -> None:
    world.converge()
    told = len(world.central.told_videos)
    new = box(tmp_path / "new", {"videos/template.mp4": b"of the card"}, world.central)
    hand_over(world, new)
    new.central.on_download = lambda digest: setattr(new.central, "offline", digest != A[0].digest)
    new.converge()
    assert len(new.central.told_videos) == told, "an empty box never takes the place of what the club had"
    new.central.on_download, new.central.offline = None, False
    with new.agent() as agent:
        new.settle(agent)
        later(new, agent)
    assert lying(new) == FILES | {"videos/template.mp4": b"of the card"} == kept(new)


def lay(stick: Path, central: Central, blobs: Mapping[Digest, bytes]) -> None:
    """What `neopro usb` writes, but for the head."""
    for path, data in {
        **{blob_path(digest): data for digest, data in blobs.items()},
        **{list_path(version): data for version, data in central.lists.items()},
    }.items():
        (stick / path).parent.mkdir(parents=True, exist_ok=True)
        (stick / path).write_bytes(data)


def test_without_a_network_each_stick_gives_what_it_has_and_nothing_else_is_waited_for(
    world: AgentWorld, tmp_path: Path
) -> None:
    world.converge()
    new = box(tmp_path / "new", {}, world.central)
    hand_over(world, new)
    answer = new.central.head()
    assert answer is not None
    new.central.offline = True
    lacking, damaged, *_ = (one.blob for one in index(world).videos if one.size_bytes)
    stick = tmp_path / "stick"
    blobs = new.central.blobs | new.central.videos
    lay(stick, new.central, {digest: data for digest, data in blobs.items() if digest != lacking})
    (stick / blob_path(damaged)).write_bytes(b"x" * len(blobs[damaged]))
    new.sticks = Sticks(lambda: [stick], SITE)
    trouble = NetworkTrouble("cannot reach the control plane: no route")
    with new.agent() as agent:
        agent.loop.settle(answer.envelope, trouble)
        assert lying(new) == {"videos/x.bin": b""}, "one by one, whatever of them is missing"
        assert describe(SITE, agent.store.state).to_put_back == "videos"
        assert [f for f in agent.loop.settle(None, trouble).failures if f.reason == "BackupUnreadable"] == []

        lay(stick, new.central, blobs)
        agent.loop.settle(None, trouble)
        assert lying(new) == FILES
        assert describe(SITE, agent.store.state).to_put_back is None
    assert partial(new) == []


def test_file_that_is_there_by_now_is_never_written_over(world: AgentWorld, tmp_path: Path) -> None:
    world.converge()
    new = box(tmp_path / "new", {"videos/CLUB/match.mp4": b"the club's newer film"}, world.central)
    hand_over(world, new)
    new.converge()
    assert lying(new) == FILES | {"videos/CLUB/match.mp4": b"the club's newer film"}


@pytest.mark.parametrize("harm", ["blob", "digest", "size", "identity"])
def test_video_that_is_not_what_the_index_says_is_reported_and_the_others_come_back(
    world: AgentWorld, tmp_path: Path, harm: str
) -> None:
    world.converge()
    new = box(tmp_path / "new", {}, world.central)
    path = "videos/CLUB/match.mp4"
    found = index(world)
    (one,) = [video for video in found.videos if video.path == path]
    garbage = world.central.add(b"age-encryption.org/v1\nnothing")
    wrong: dict[str, Any] = {
        "blob": {"blob": garbage, "blob_bytes": 29},
        "digest": {"digest": digest_of(b"another")},
        "size": {"size_bytes": 10},
        "identity": {},
    }[harm]
    videos = [msgspec.structs.replace(v, **wrong) if v.path == path else v for v in found.videos]
    identity = str(pyrage.x25519.Identity.generate()) if harm == "identity" else found.identity
    recipient = pyrage.x25519.Recipient.from_str(make_recipient(path_of(new.settings.key)))
    restore = Restore(configuration={}, videos=VideoIndex(identity=identity, videos=videos))
    digest = new.central.add(bytes(pyrage.encrypt(msgspec.json.encode(restore), [recipient])))
    new.central.publish(manifest_of([A], backup=BACKUP, restore=digest))
    with new.agent() as agent:
        new.settle(agent)
        assert new.conditions()["Degraded"] == ("True", "BackupUnreadable")
        assert path not in lying(new)
        if harm != "identity":
            assert lying(new) == {p: d for p, d in FILES.items() if p != path}
        later(new, agent, AGAIN_S)
    assert path not in lying(new)
    assert one.path == path


@pytest.mark.parametrize(
    "path", ["videos/../configuration.json", "data/x.mp4", "videos", "videos/" + "n" * 256, "videos/a\nb"]
)
def test_path_that_leads_elsewhere_is_not_written(world: AgentWorld, tmp_path: Path, path: str) -> None:
    world.converge()
    new = box(tmp_path / "new", {}, world.central)
    found = index(world)
    videos: list[Any] = [msgspec.to_builtins(found.videos[0]) | {"path": path}]
    body = {"configuration": {}, "videos": {"identity": found.identity, "videos": videos}}
    recipient = pyrage.x25519.Recipient.from_str(make_recipient(path_of(new.settings.key)))
    digest = new.central.add(bytes(pyrage.encrypt(json.dumps(body).encode(), [recipient])))
    new.central.publish(manifest_of([A], restore=digest))
    before = {p for p in new.root.rglob("*") if p.is_file()}
    new.converge()
    assert lying(new) == {}
    assert {p.name for p in new.root.rglob("*") if p.is_file()} - {p.name for p in before} <= {
        Path(A[0].path).name,
        "configuration.good.json",
        "configuration.json",
        *{p.name for p in (new.root / "data").rglob("*")},
    }


def test_disk_without_room_for_a_video_says_so_and_takes_none(
    world: AgentWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.converge()
    new = box(tmp_path / "new", {}, world.central)
    hand_over(world, new)
    real = os.fstatvfs

    def small(handle: int) -> Any:
        found = list(real(handle))
        found[4] = found[2] // 10 + 60_000 // found[1]
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "fstatvfs", small)
    new.converge()
    assert new.conditions()["Degraded"] == ("True", "DiskFull")
    assert lying(new).keys() == FILES.keys() - {"videos/CLUB/é/but.mp4"}


SMALL = {"videos/a.mp4": b"1" * 300, "videos/b/b.mp4": b"22"}


def test_touched_file_is_known_again_in_the_very_next_look(world: AgentWorld) -> None:
    with world.agent() as agent:
        world.settle(agent)
        blobs = {one.path: one.blob for one in index(world).videos}
        for path in FILES:
            (world.root / path).touch()
        later(world, agent)
        later(world, agent)
    assert {one.path: one.blob for one in index(world).videos} == blobs
    assert set(world.central.videos) == set(blobs.values())


def converge(world: AgentWorld, calls: Calls = SYSTEM) -> None:
    with world.agent(calls) as agent:
        world.settle(agent)
        later(world, agent)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kill_before_or_after_any_call_of_leaving_loses_nothing_and_sends_nothing_twice(tmp_path: Path) -> None:
    points = 0
    for after in (False, True):
        for last in itertools.count(1):
            world = box(tmp_path / f"{after}{last}", SMALL)
            world.central.publish(manifest_of([]))
            world.converge()
            world.central.publish(manifest_of([], backup=BACKUP))
            recorder = Recorder(last, after)
            with suppress(Killed):
                converge(world, recorder.calls)
            converge(world)
            assert kept(world) == lying(world) == SMALL, (after, last)
            assert partial(world) == [], (after, last)
            if recorder.count < last:
                break
            points += 1
    print(f"videos: killed before and after every call of leaving them: {points} points, 0 files lost")
    assert points > 60


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kill_before_or_after_any_call_of_putting_back_ends_with_every_video_in_its_place(tmp_path: Path) -> None:
    old = box(tmp_path / "old", SMALL)
    old.central.publish(manifest_of([], backup=BACKUP))
    converge(old)
    points = 0
    for after in (False, True):
        for last in itertools.count(1):
            new = box(tmp_path / f"{after}{last}", {}, old.central)
            new.central.publish(manifest_of([]))
            new.converge()
            hand_over(old, new, content=[], categories=[], loops={})
            recorder = Recorder(last, after)
            with suppress(Killed):
                converge(new, recorder.calls)
            converge(new)
            assert kept(new) == lying(new) == SMALL, (after, last)
            assert partial(new) == [], (after, last)
            if recorder.count < last:
                break
            points += 1
    print(f"videos: killed before and after every call of putting them back: {points} points, 0 files lost")
    assert points > 60


def test_control_plane_that_lost_them_is_left_them_anew_within_a_day(world: AgentWorld) -> None:
    with world.agent() as agent:
        world.settle(agent)
        world.central.videos.clear()
        world.central.told_videos.clear()
        later(world, agent, 86_400)
        later(world, agent)
    assert kept(world) == FILES
