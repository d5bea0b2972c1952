"""Every command of the pages about everyday jobs runs as it stands there."""

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.api import open_api
from tests.support.command_line import environment, git
from tests.support.published import Box, Wanted
from tests.support.transcripts import PERSON, ROOT, SMALL, command_folder

pytestmark = pytest.mark.anyio
PAGES = sorted((ROOT / "docs" / "jobs").glob("*.md"))
MINE = [page for page in PAGES if page.stem in {"new-club", "replaced-card", "operations", "taking-back", "moving-in"}]
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def a_fleet(folder: Path) -> Path:
    """A clone of a fleet with a place to push to."""
    fleet = Path(shutil.copytree(SMALL, folder / "fleet"))
    git(folder, "init", "-q", "--bare", "-b", "main", "origin.git")
    git(fleet, "init", "-q", "-b", "main")
    git(fleet, "add", "-A")
    git(fleet, "commit", "-qm", "Begin")
    git(fleet, "remote", "add", "origin", str(folder / "origin.git"))
    git(fleet, "push", "-qu", "origin", "main")
    shutil.copytree(ROOT / "tests" / "golden" / "export", fleet / "export")
    return fleet


@pytest.mark.parametrize("page", MINE, ids=lambda page: page.stem)
async def test_commands_of_a_page_run_one_after_the_other(page: Path, tmp_path: Path, database: str) -> None:
    blocks = _BLOCK.findall(page.read_text("utf-8"))
    assert blocks
    fleet = a_fleet(tmp_path)
    async with open_api(tmp_path / "server", database) as api, api.serve() as url:
        await api.publish({"rennes-fc": Wanted(Box("rennes-fc").identity)})
        token = (await api.operator("read", "write"))["Authorization"].removeprefix("Bearer ")
        env = environment(tmp_path, PYTHONPATH=str(ROOT), NEOPRO_URL=url, NEOPRO_TOKEN=token, **PERSON)
        env["PATH"] = f"{command_folder(tmp_path)}{os.pathsep}{env['PATH']}"
        for block in blocks:
            done = await asyncio.to_thread(
                subprocess.run,
                ["bash", "-euc", block],
                cwd=fleet,
                env=env,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                check=False,
            )
            assert done.returncode == 0, block + done.stdout + done.stderr
