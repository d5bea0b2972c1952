"""Patches between releases: they give every file back, they are small, and what is damaged is told."""

import random
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.deltas import Tree, apply_delta, encode_delta, make_delta, parts
from schemas.delta import MAX_PATCHED_BYTES, ReleaseDelta
from schemas.frames import decode_delta
from schemas.manifest import FileTree, TreeFile, encode_canonical
from schemas.names import digest_of
from tests.support.release_pairs import Files, changed, source_files, whole_archive_patch


def tree_of(files: Files) -> Tree:
    listed = [
        TreeFile(path=path, mode="0644", size_bytes=len(data), digest=digest_of(data))
        for path, data in sorted(files.items(), key=lambda item: item[0].encode())
    ]
    return Tree(FileTree(schema=1, files=listed), lambda file: files[file.path])


def made(base: Files, target: Files, folder: Path) -> tuple[ReleaseDelta, bytes]:
    """A delta that went through its blob, and its pack."""
    delta = make_delta(tree_of(base), tree_of(target), folder / "pack", lambda _: None)
    return decode_delta(encode_delta(delta)), (folder / "pack").read_bytes()


def applied(base: Files, delta: ReleaseDelta, pack: bytes) -> tuple[bytes, dict[str, bytes]]:
    by_digest = {digest_of(data): data for data in base.values()}
    return apply_delta(delta, pack, tree_of(base).listing, by_digest.__getitem__)


paths = st.text("abc/", min_size=1, max_size=6).filter(lambda p: "//" not in p and p.strip("/") == p)
contents = st.binary(max_size=300)
some_files = st.dictionaries(paths, contents, max_size=8)


@settings(max_examples=60, deadline=None)
@given(some_files, some_files)
def test_patched_files_are_the_target_whatever_the_base(
    tmp_path_factory: pytest.TempPathFactory, base: Files, target: Files
) -> None:
    delta, pack = made(base, target, tmp_path_factory.mktemp("delta"))
    listing, files = applied(base, delta, pack)
    assert listing == tree_of(target).body
    had = {digest_of(data) for data in base.values()}
    assert files == {digest_of(data): data for data in target.values() if digest_of(data) not in had}


@pytest.mark.parametrize("how", ["few", "most", "bundles"])
def test_download_is_at_most_a_tenth_more_than_a_patch_of_the_whole_archive(tmp_path: Path, how: str) -> None:
    base = source_files(1, 300, 120)
    target = changed(base, how)
    delta, pack = made(base, target, tmp_path)
    downloaded = len(encode_delta(delta)) + len(pack)
    assert downloaded <= 1.1 * whole_archive_patch(base, target)
    assert applied(base, delta, pack)[0] == tree_of(target).body


def test_files_called_by_their_hash_alone_are_made_of_those_that_are_gone(tmp_path: Path) -> None:
    sources = list(source_files(5, 60, 120).values())
    built = [data + b"anew" if n < 20 else data for n, data in enumerate(sources)]
    base, target = (
        {f"webapp/{digest_of(data)[7:17]}.chunk.js": data for data in release} for release in (sources, built)
    )
    delta, pack = made(base, target, tmp_path)
    assert len(encode_delta(delta)) + len(pack) <= sum(map(len, built[:20])) / 50
    assert applied(base, delta, pack)[0] == tree_of(target).body


def test_dictionary_never_grows_beyond_a_frame_by_what_is_gone() -> None:
    def listing(name: str) -> FileTree:
        sizes = enumerate([1 << 20] * 12)
        return FileTree(
            schema=1,
            files=[
                TreeFile(
                    path=f"w/{name}{n:02}.js", mode="0644", size_bytes=size, digest=digest_of(f"{name}{n}".encode())
                )
                for n, size in sizes
            ],
        )

    wanted = parts(listing("a"), listing("b"))
    assert [len(part.bases) for part in wanted] == [4, 4, 4]


def test_same_releases_give_the_same_bytes(tmp_path: Path) -> None:
    base = source_files(2, 80, 60)
    target = changed(base, "bundles")
    one, two = (made(base, target, tmp_path) for _ in range(2))
    assert one == two


def test_moved_files_cost_nothing_but_their_names(tmp_path: Path) -> None:
    base = {f"a/{n}": random.Random(n).randbytes(5000) for n in range(20)}
    delta, pack = made(base, {path.replace("a/", "b/"): data for path, data in base.items()}, tmp_path)
    assert delta.frames == []
    assert len(pack) < 500


def test_file_too_large_to_be_patched_is_left_to_be_fetched_whole() -> None:
    large = TreeFile(path="large", mode="0644", size_bytes=MAX_PATCHED_BYTES + 1, digest=digest_of(b"large"))
    small = TreeFile(path="small", mode="0644", size_bytes=10, digest=digest_of(b"small"))
    old = TreeFile(path="small", mode="0644", size_bytes=MAX_PATCHED_BYTES + 1, digest=digest_of(b"old"))
    wanted = parts(FileTree(schema=1, files=[old]), FileTree(schema=1, files=[large, small]))
    assert [(part.bases, part.targets) for part in wanted] == [((), (1,))]


def test_frames_stay_small_however_many_files_changed() -> None:
    files = [TreeFile(path=f"{n:05}", mode="0644", size_bytes=1 << 20, digest=digest_of(b"%d" % n)) for n in range(40)]
    wanted = parts(FileTree(schema=1, files=[]), FileTree(schema=1, files=files))
    assert [len(part.targets) for part in wanted] == [4] * 10


def test_base_with_other_bytes_is_found_out(tmp_path: Path) -> None:
    base = source_files(3, 20, 40)
    delta, pack = made(base, changed(base, "most"), tmp_path)
    rotten = {digest_of(data): data[:100] + b"rot" + data[103:] for data in base.values()}
    with pytest.raises(ValueError, match=r"a frame|the listing"):
        apply_delta(delta, pack, tree_of(base).listing, rotten.__getitem__)


def test_damaged_pack_or_document_is_refused(tmp_path: Path) -> None:
    base = source_files(4, 20, 40)
    delta, pack = made(base, changed(base, "most"), tmp_path)
    for broken in (pack[:-1], b"", pack[:40] + bytes(40) + pack[80:]):
        with pytest.raises(ValueError, match=r"a frame|the listing"):
            applied(base, delta, broken)
    outside = msgspec.structs.replace(delta.frames[0], bases=[10**6])
    with pytest.raises(ValueError, match="its base does not have"):
        applied(base, msgspec.structs.replace(delta, frames=[outside]), pack)
    for blob in (b"", b"{}", encode_canonical(delta), encode_delta(delta)[:-3], zstandard.compress(b"[]")):
        with pytest.raises(ValueError, match=r"it is|Expected"):
            decode_delta(blob)
