"""The control plane as a process of its own (`tests.soak.plane`), told what to do and asked what it holds."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

PATIENCE_S = 120.0
AT_REST = 3
"""Tasks that may be there beside those of the beginning: of jobs that run in their own time."""


class Asked:
    """The process; one command at a time."""

    url = ""

    def __init__(self, process: Process) -> None:
        self._process, self._one_at_a_time = process, asyncio.Lock()
        self.tasks_at_rest = 0

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    async def tell(self, command: str) -> Any:
        """What it answers."""
        assert self._process.stdin
        async with self._one_at_a_time:
            self._process.stdin.write(f"{command}\n".encode())
            return await self.hear()

    async def hear(self) -> Any:
        """Its next line."""
        assert self._process.stdout
        said = await asyncio.wait_for(self._process.stdout.readline(), PATIENCE_S)
        assert said, "the control plane has ended"
        return msgspec.json.decode(said)

    async def end(self) -> None:
        """In order."""
        assert self._process.stdin
        self._process.stdin.close()
        await asyncio.wait_for(self._process.wait(), PATIENCE_S)


@asynccontextmanager
async def asked_plane(settings: Path, seed: str = "") -> AsyncIterator[Asked]:
    """One that serves, ended with the context."""
    words = [sys.executable, "-m", "tests.soak.plane", str(settings), *([seed] if seed else [])]
    process = await asyncio.create_subprocess_exec(*words, stdin=PIPE, stdout=PIPE, limit=1 << 24)
    plane = Asked(process)
    try:
        plane.url = (await plane.hear())["url"]
        plane.tasks_at_rest = (await plane.tell("count"))["tasks"] + AT_REST
        yield plane
        await plane.end()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
