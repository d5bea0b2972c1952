"""Uploads in pieces: one writer a blob, however the pieces come."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.api.ranges import Piece
from control_plane.api.spool import Spool
from control_plane.objects import FolderStore

pytestmark = pytest.mark.anyio


async def test_piece_that_comes_as_another_ends_waits_for_the_one_before_it(tmp_path: Path) -> None:
    data = b"x" * 100
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    spool = Spool(tmp_path / "uploads", FolderStore(tmp_path / "objects"))
    writers, most = 0, 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal writers, most
        writers += 1
        most = max(most, writers)
        for byte in data[:50]:
            await asyncio.sleep(0)
            yield bytes([byte])
        writers -= 1

    async def send(times: int) -> None:
        for _ in range(times):
            await spool.append(digest, Piece(0, 50, 100), chunks())

    # The second piece of the first sender comes in the very step in which its first one ends, while others wait.
    await asyncio.gather(send(3), send(1), send(1))

    assert most == 1
    assert (await spool.state(digest)).offset_bytes == 50
