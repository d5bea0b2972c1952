"""Releases by patches: little is fetched, nothing of a patch is trusted, what is wrong with one costs bytes alone."""

import os
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import zstandard
from msgspec.structs import replace

from cli.deltas import encode_delta
from reconciler_agent.errors import NetworkTrouble
from reconciler_agent.system_calls import SYSTEM
from schemas.delta import MAX_PATCHED_BYTES, DeltaFrame
from schemas.frames import decode_delta
from schemas.manifest import FileTree, PatchRef, ReleaseTarget
from schemas.names import Digest, digest_of
from tests.support.agent_world import AgentWorld, application, manifest_of
from tests.support.release_pairs import add_patch, changed, source_files

SHARED = {f"server/{path}": data for path, data in source_files(5, 12, 60).items()}
MODULES = {f"server/{path}": data for path, data in source_files(6, 40, 60).items() if path not in SHARED}
OLD = application("1.0.0") | MODULES | SHARED
NEW = application("2.0.0") | changed(MODULES, "few") | SHARED | {"server/new.js": b"".join(MODULES.values())[:5000]}


class Pair:
    """A box on 1.0.0 for which 2.0.0 is published, with a patch; what it fetches from now on is counted."""

    def __init__(self, folder: Path) -> None:
        self.world = AgentWorld(folder)
        self.central = self.world.central
        self.old = self.central.add_release("1.0.0", OLD)
        self.central.publish(manifest_of([], self.old))
        self.world.converge()
        self.new = add_patch(self.central, self.old, self.central.add_release("2.0.0", NEW))
        self.delta = decode_delta(self.central.blobs[self.new.patches[0].index])
        self.asked: list[Digest] = []
        real = self.central.blob
        self.central.blob = lambda d, most: (self.asked.append(d), real(d, most))[1]  # type: ignore[method-assign]
        self.central.publish(manifest_of([], self.new))
        self.central.fetched.clear()

    def offer(self, index: bytes, **of_ref: Any) -> None:
        """Publish 2.0.0 with another index in the place of the right one."""
        ref = replace(self.new.patches[0], **({"index": self.central.add(index)} | of_ref))
        self.new = replace(self.new, patches=[ref])
        self.central.publish(manifest_of([], self.new))

    def altered(self, **fields: Any) -> None:
        """Publish 2.0.0 with an index of which something is different."""
        self.offer(encode_delta(replace(self.delta, **fields)))

    def frame(self, number: int = 0, **fields: Any) -> list[DeltaFrame]:
        """The frames, one of them with something different."""
        frames = list(self.delta.frames)
        frames[number] = replace(frames[number], **fields)
        return frames

    def require_new(self) -> None:
        """2.0.0 runs, file by file, and the box is at rest with nothing left behind."""
        assert self.world.conditions()["Synced"] == ("True", "Converged")
        tree = self.world.root / "releases" / f"2.0.0-{self.new.tree[7:15]}"
        assert (self.world.root / "current").resolve() == tree
        for path, data in NEW.items():
            assert (tree / path).read_bytes() == data, path
            assert (tree / path).stat().st_mode & 0o777 == (0o755 if path.startswith("scripts/") else 0o644)
        assert not list((self.world.root / "data/agent/partial").iterdir())

    def told(self) -> list[str]:
        """What the box said of patches."""
        events = [event for report in self.central.reports for event in report.events]
        return [event.message for event in events if event.reason == "PatchUnusable"]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_box_with_the_base_fetches_the_patch_and_nothing_else(pair: Pair) -> None:
    pair.world.converge()

    pair.require_new()
    assert pair.central.fetched == [pair.delta.pack]
    assert pair.new.patches[0].index in pair.asked
    assert pair.new.tree not in pair.asked, "the listing was fetched, though the patch gives it"
    assert pair.told() == []


def test_box_without_the_base_takes_whole_files(tmp_path: Path) -> None:
    world = AgentWorld(tmp_path)
    old = world.central.add_release("1.0.0", OLD)
    new = add_patch(world.central, old, world.central.add_release("2.0.0", NEW))
    world.central.publish(manifest_of([], new))

    world.converge()

    assert world.active() == "2.0.0"
    assert sorted(world.central.fetched) == sorted(digest_of(data) for data in NEW.values())


def test_smallest_of_the_patches_that_fit_is_taken(pair: Pair) -> None:
    worse = PatchRef(base=pair.old.tree, index=pair.central.add(b"never read"), size_bytes=10**6)
    other = PatchRef(base=digest_of(b"elsewhere"), index=pair.central.add(b"nor this"), size_bytes=1)
    pair.new = replace(pair.new, patches=[other, worse, *pair.new.patches])
    pair.central.publish(manifest_of([], pair.new))

    pair.world.converge()

    pair.require_new()
    assert pair.told() == []


BAD_INDEX: dict[str, Callable[[Pair], None]] = {
    "no zstd": lambda p: p.offer(b"{}"),
    "no JSON": lambda p: p.offer(zstandard.compress(b"nothing")),
    "bomb": lambda p: p.offer(zstandard.compress(bytes((16 << 20) + 1))),
    "of another base": lambda p: p.altered(base=digest_of(b"other")),
    "of another tree": lambda p: p.altered(tree=digest_of(b"other")),
    "pack larger than announced": lambda p: p.altered(pack_size_bytes=p.new.patches[0].size_bytes + 1),
    "critical": lambda p: p.altered(critical=["frames_of_tomorrow"]),
    "place outside of the base": lambda p: p.altered(frames=p.frame(bases=[10**6])),
    "frame gives too much": lambda p: p.altered(frames=p.frame(sizes=[MAX_PATCHED_BYTES, 1])),
    "frame is too long": lambda p: p.altered(frames=p.frame(length_bytes=1 << 40)),
    "frames longer than the pack": lambda p: p.altered(frames=[*p.delta.frames, *p.delta.frames]),
    "listing too large": lambda p: p.altered(listing_bytes=1 << 40),
}


@pytest.mark.parametrize("what", BAD_INDEX)
def test_bad_index_costs_bytes_and_is_told(pair: Pair, what: str) -> None:
    BAD_INDEX[what](pair)

    pair.world.converge()

    pair.require_new()
    assert pair.delta.pack not in pair.central.fetched
    assert len(pair.told()) == 1


def repacked(pair: Pair, pack: bytes, **fields: Any) -> None:
    """Another pack under an index that names it, with whatever it was signed for."""
    delta = replace(pair.delta, pack=pair.central.add(pack), pack_size_bytes=len(pack), **fields)
    pair.offer(encode_delta(delta), size_bytes=len(pack) + 10**6)


def with_bomb(pair: Pair) -> None:
    """A frame that would give a gigabyte, in the place of the first, and says so or not."""
    bomb = zstandard.compress(bytes(1 << 28))
    pack = pair.central.blobs[pair.delta.pack]
    rest = pack[pair.delta.frames[0].length_bytes :]
    repacked(pair, bomb + rest, frames=pair.frame(length_bytes=len(bomb)))


def with_nameless_bomb(pair: Pair) -> None:
    bomb = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1 << 28))
    pack = pair.central.blobs[pair.delta.pack]
    repacked(pair, bomb + pack[pair.delta.frames[0].length_bytes :], frames=pair.frame(length_bytes=len(bomb)))


def with_zeros_in_the_middle(pair: Pair) -> None:
    pack = bytearray(pair.central.blobs[pair.delta.pack])
    pack[30:60] = bytes(30)
    repacked(pair, bytes(pack))


def with_other_listing(pair: Pair) -> None:
    pack = pair.central.blobs[pair.delta.pack]
    start = sum(frame.length_bytes for frame in pair.delta.frames)
    other = zstandard.compress(bytes(pair.delta.listing_bytes))
    repacked(pair, pack[:start] + other)


def with_frames_of_the_right_size_and_wrong_bytes(pair: Pair) -> None:
    frames = [
        zstandard.ZstdCompressor(level=1).compress(random.Random(n).randbytes(sum(frame.sizes)))
        for n, frame in enumerate(pair.delta.frames)
    ]
    lengths = [replace(f, length_bytes=len(data)) for f, data in zip(pair.delta.frames, frames, strict=True)]
    repacked(pair, b"".join(frames) + b"no frame", frames=lengths)


def on_disk(pair: Pair, path: str, change: Callable[[Path], object]) -> None:
    """Change a base file on the box, so that nobody notices before the patch does."""
    change(pair.world.root / "releases" / f"1.0.0-{pair.old.tree[7:15]}" / path)


def base_of_first_frame(pair: Pair) -> str:
    listing = msgspec.json.decode(pair.central.blobs[pair.old.tree], type=FileTree)
    return listing.files[pair.delta.frames[0].bases[0]].path


BAD_PACK: dict[str, Callable[[Pair], None]] = {
    "bomb": with_bomb,
    "bomb that does not say so": with_nameless_bomb,
    "zeros": with_zeros_in_the_middle,
    "other listing": with_other_listing,
    "wrong bytes": with_frames_of_the_right_size_and_wrong_bytes,
    "other blob": lambda p: p.central.blobs.update({p.delta.pack: b"z" * p.delta.pack_size_bytes}),
    "edited base": lambda p: on_disk(p, base_of_first_frame(p), lambda f: f.write_bytes(b"edited")),
    "no base": lambda p: on_disk(p, base_of_first_frame(p), Path.unlink),
    "folder for a base": lambda p: on_disk(p, base_of_first_frame(p), lambda f: (f.unlink(), f.mkdir())),
}


@pytest.mark.parametrize("what", BAD_PACK)
def test_bad_pack_or_base_costs_bytes_and_is_told(pair: Pair, what: str) -> None:
    BAD_PACK[what](pair)

    pair.world.converge()

    pair.require_new()
    assert len(pair.told()) == 1
    assert ("base" in what) == (base_of_first_frame(pair) in pair.told()[0]), "the file that is to blame is named"


def test_pack_that_broke_off_goes_on_in_the_next_life(pair: Pair) -> None:
    had: list[int] = []
    real = pair.central.download

    def broken(digest: Digest, size_bytes: int, sink: Any, on_bytes: Any = None) -> None:
        had.append(sink.size_bytes)
        if len(had) == 1:
            sink.write(pair.central.blobs[digest][:200])
            raise NetworkTrouble("cannot reach anybody")
        real(digest, size_bytes, sink, on_bytes)

    pair.central.download = broken  # type: ignore[method-assign]
    pair.world.converge()
    assert pair.world.active() == "1.0.0"
    pair.world.converge()

    pair.require_new()
    assert had == [0, 200]
    assert pair.told() == []


def test_pack_that_breaks_off_again_and_again_is_taken_up_as_long_as_some_of_it_comes(pair: Pair) -> None:
    had: list[int] = []
    real = pair.central.download

    def broken(digest: Digest, size_bytes: int, sink: Any, on_bytes: Any = None) -> None:
        had.append(sink.size_bytes)
        if len(had) <= 6:
            sink.write(pair.central.blobs[digest][sink.size_bytes :][:50])
            raise NetworkTrouble("cannot reach anybody")
        real(digest, size_bytes, sink, on_bytes)

    pair.central.download = broken  # type: ignore[method-assign]
    with pair.world.agent() as agent:
        for _ in range(7):
            pair.world.settle(agent)

    pair.require_new()
    assert had == [0, 50, 100, 150, 200, 250, 300]
    assert pair.told() == []


@pytest.mark.parametrize("blob", ["index", "pack"])
def test_patch_that_never_comes_gives_way_to_whole_files(pair: Pair, blob: str) -> None:
    del pair.central.blobs[pair.new.patches[0].index if blob == "index" else pair.delta.pack]

    with pair.world.agent() as agent:
        for _ in range(3):
            pair.world.settle(agent)

    pair.require_new()
    assert len(pair.told()) == 1
    assert "3 times" in pair.told()[0]


def test_box_that_is_cut_off_still_takes_the_patch_when_it_is_back(pair: Pair) -> None:
    with pair.world.agent() as agent:
        head = pair.central.envelope
        real = pair.central.download
        pair.central.download = unreachable  # type: ignore[method-assign]
        for _ in range(8):
            agent.loop.settle(head)
        pair.central.download = real  # type: ignore[method-assign]
        pair.central.fetched.clear()
        pair.world.settle(agent)

    pair.require_new()
    assert pair.central.fetched == [pair.delta.pack]


def unreachable(*_: Any, **__: Any) -> None:
    raise NetworkTrouble("cannot reach anybody")


class Cut(RuntimeError):
    """The process ends."""


def die_before_the_tree_is_installed(pair: Pair) -> None:
    """All of 2.0.0 lies in the agent's folder, and the agent ends."""

    def dying(src: Any, dst: Any, **folders: Any) -> None:
        if str(dst).startswith("2.0.0-"):
            raise Cut
        SYSTEM.rename(src, dst, **folders)

    with pair.world.agent(SYSTEM._replace(rename=dying)) as agent, pytest.raises(Cut):
        agent.loop.reconcile_once(pair.central.envelope)


def test_tree_that_was_put_together_is_installed_without_a_control_plane(pair: Pair) -> None:
    die_before_the_tree_is_installed(pair)
    pair.central.blobs.clear()

    pair.world.converge()

    pair.require_new()
    assert pair.central.fetched == [pair.delta.pack]


def test_what_an_earlier_life_put_together_needs_no_room_again(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    die_before_the_tree_is_installed(pair)
    tight = SimpleNamespace(f_frsize=4096, f_blocks=1000, f_bavail=101)
    assert sum(map(len, NEW.values())) > 4096
    monkeypatch.setattr(os, "fstatvfs", lambda _handle: tight)

    pair.world.converge()

    pair.require_new()


def test_pack_on_a_disk_without_room_for_the_release_is_not_begun(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    tight = SimpleNamespace(f_frsize=4096, f_blocks=1000, f_bavail=101)
    monkeypatch.setattr(os, "fstatvfs", lambda _handle: tight)

    pair.world.converge()

    assert pair.world.conditions()["Degraded"] == ("True", "DiskFull")
    assert pair.central.fetched == []
    assert pair.world.active() == "1.0.0"
    monkeypatch.undo()
    pair.world.converge()
    pair.require_new()


def test_pack_of_a_release_that_is_wanted_no_more_is_forgotten(pair: Pair) -> None:
    real = pair.central.download

    def broken(digest: Digest, size_bytes: int, sink: Any, on_bytes: Any = None) -> None:
        sink.write(pair.central.blobs[digest][:200])
        raise NetworkTrouble("cannot reach anybody")

    pair.central.download = broken  # type: ignore[method-assign]
    pair.world.converge()
    partial = pair.world.root / "data/agent/partial"
    assert [path.name for path in partial.iterdir()] == [f"pack-{pair.new.tree[7:]}"]
    pair.central.download = real  # type: ignore[method-assign]
    third: ReleaseTarget = pair.central.add_release("3.0.0", application("3.0.0"))
    pair.central.publish(manifest_of([], third))

    pair.world.converge()

    assert not list(partial.iterdir())
    assert pair.world.active() == "3.0.0"
