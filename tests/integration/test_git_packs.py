"""A clone that fetched for years: its packs are put together, and no file descriptors run out."""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

import pytest

from control_plane.git_packs import MAX_OPEN_PACKS, MAX_PACKS
from control_plane.git_source import GitSource
from tests.support.git_servers import BareRemote

SOME = {f"sites/s{n}.yaml": f"name: Club {n}\n" for n in range(5)}


@pytest.fixture
def source(remote: BareRemote, tmp_path: Path) -> GitSource:
    return GitSource(str(remote.path), "main", tmp_path / "clone")


def packs(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "clone/objects/pack").glob("*.pack"))


def fetch(source: GitSource, remote: BareRemote, first: int, last: int) -> str:
    """Fetch so many commits one by one, and read each whole, as the pipeline does."""

    async def go() -> str:
        revision = ""
        for n in range(first, last):
            revision = remote.commit(SOME | {f"sites/s{n % 5}.yaml": f"name: Club {n} anew\n"}, f"Change {n}")
            assert await source.fetch() == revision
            read = await source.tree(revision)
            assert all(read.blobs[blob] for blob in read.blobs)
        return revision

    return asyncio.run(go())


def open_packs() -> int:
    links = []
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the handle of the listing itself
            links.append(str(handle.readlink()))
    return sum(link.removesuffix(" (deleted)").endswith(".pack") for link in links)


def test_packs_and_open_files_stay_few_whatever_was_fetched(
    remote: BareRemote, source: GitSource, tmp_path: Path
) -> None:
    first = fetch(source, remote, 0, 1)
    revision = fetch(source, remote, 1, 2 * MAX_PACKS + 10)
    assert len(packs(tmp_path)) <= MAX_PACKS
    assert open_packs() <= MAX_OPEN_PACKS

    anew = GitSource(str(remote.path), "main", tmp_path / "clone")
    assert [entry.path for entry in asyncio.run(anew.tree(revision)).entries] == sorted(SOME)
    assert len(asyncio.run(anew.messages(revision, first))) == 2 * MAX_PACKS + 9


def test_commit_that_is_read_meanwhile_is_read_to_its_end(remote: BareRemote, source: GitSource) -> None:
    first = fetch(source, remote, 0, 1)
    early = asyncio.run(source.tree(first))
    fetch(source, remote, 1, MAX_PACKS + 2)
    assert [early.blobs[entry.blob] for entry in early.entries]


def test_what_a_killed_server_left_half_done_is_done(remote: BareRemote, source: GitSource, tmp_path: Path) -> None:
    fetch(source, remote, 0, MAX_PACKS)
    half = tmp_path / "clone/objects/gathered"
    half.mkdir()
    (half / "pack-half.pack").write_bytes(b"PACK")
    orphan = tmp_path / "clone/objects/pack/pack-without-index.pack"
    orphan.write_bytes(b"PACK")

    fetch(source, remote, MAX_PACKS, MAX_PACKS + 1)

    assert len(packs(tmp_path)) == 1
    assert not half.exists()
    assert not orphan.exists()


def test_packs_that_cannot_be_put_together_stop_nothing(
    remote: BareRemote, source: GitSource, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fetch(source, remote, 0, MAX_PACKS)
    (tmp_path / "clone/objects/gathered").write_bytes(b"a file in the place of the folder")

    with caplog.at_level(logging.WARNING):
        fetch(source, remote, MAX_PACKS, MAX_PACKS + 2)

    assert len(packs(tmp_path)) == MAX_PACKS + 2
    assert "cannot put the packs" in caplog.text
