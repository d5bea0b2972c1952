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
from tests.support.rolling_fleet import fail_first, take_turn
from tests.support.served_fleet import served_fleet
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


def test_commands_of_the_page_about_waves_do_what_it_says(tmp_path: Path, database: str) -> None:
    """The server's jobs run after each command; the first box fails before its page asks on which ones it did."""
    page, fleet = (ROOT / "docs" / "jobs" / "roll-out.md").read_text("utf-8"), tmp_path / "fleet"
    told: list[tuple[str, str]] = []
    with served_fleet(fleet, database) as given:
        env = environment(tmp_path, PYTHONPATH=str(ROOT), **PERSON) | dict(given.env)
        env["PATH"] = f"{command_folder(tmp_path)}{os.pathsep}{env['PATH']}"
        for line in "".join(_BLOCK.findall(page)).splitlines():
            if line.endswith("--failed"):
                fail_first(given.served)
            done = subprocess.run(
                ["bash", "-uc", line], cwd=fleet, env=env, capture_output=True, text=True, check=False
            )
            answers_no = line.startswith(("neopro plan", "neopro rollout list"))
            assert done.returncode in ((0, 1) if answers_no else (0,)), line + done.stdout + done.stderr
            told.append((line, done.stdout))
            take_turn(given.served)
    first, later = (text for line, text in told if line == "neopro plan")
    assert "release 2.2.0 in waves, by the policy standard: 1 + 1 + 1 of 3 sites" in first
    assert "in waves" not in later
    answers = dict(told)
    assert "rolling  1 of 4  3" in answers["neopro rollout list"]
    assert "Release 2.2.0 failed: it does not answer" in answers["neopro rollout show 1 --failed"]
    assert "rollout 1 of release 2.2.0 ends" in answers["neopro plan origin/main.."]
    assert "superseded" in answers["neopro rollout list --ended 5"]
