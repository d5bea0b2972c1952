"""configuration.json between the agent and another process that saves as the box's applications do: nothing is lost.

The other process reads, adds a category and writes, without a lock, in one of the ways that the applications have. A
third one reads all the time: whenever the writer is not in the middle of a write, what it reads is whole.
"""

import json
import multiprocessing
import os
import random
import time
from collections.abc import Callable
from ctypes import c_bool, c_long
from pathlib import Path
from typing import Any, Final

import pytest

from reconciler_agent.durable import Disk
from reconciler_agent.errors import AgentError
from reconciler_agent.resources import configuration_file
from reconciler_agent.resources.configuration import Configuration
from tests.support.box_configurations import TODAY, category, manifest, paths_of, sample, video
from tests.support.hurried_clock import HurriedClock
from tests.support.patience import PATIENCE_S, promised

PROCESSES: Final = multiprocessing.get_context("fork")
NIKE: Final = video("nike")
HURRY: Final = 20.0
SAVES: Final = 150
SAMPLE: Final = 12
SEED: Final = 20261126
Save = Callable[[Path, str, float], None]


def in_place(path: Path, text: str, _slow_s: float) -> None:
    """One write into the file as it is."""
    with path.open("r+") as file:
        file.write(text)
        file.truncate()


def in_place_slowly(path: Path, text: str, slow_s: float) -> None:
    """In three writes, the file being too short meanwhile."""
    with path.open("r+") as file:
        file.truncate(0)
        for part in (text[:100], text[100 : len(text) // 2], text[len(text) // 2 :]):
            file.write(part)
            file.flush()
            time.sleep(slow_s)


def truncating(path: Path, text: str, slow_s: float) -> None:
    """As `fs.writeFile` does: emptied when it is opened, then written."""
    with path.open("w") as file:
        time.sleep(slow_s)
        file.write(text)


def renaming(path: Path, text: str, _slow_s: float) -> None:
    """Beside it, then over it."""
    other = path.with_name("configuration.json.tmp")
    other.write_text(text)
    other.replace(path)


def removing(path: Path, text: str, slow_s: float) -> None:
    """Away with it, and another after a while."""
    path.unlink()
    time.sleep(slow_s)
    path.write_text(text)


WAYS: Final[tuple[Save, ...]] = (in_place, in_place_slowly, truncating, renaming, removing)


class Shared:
    """What the processes tell each other."""

    def __init__(self) -> None:
        self.writes: Any = PROCESSES.Value(c_long, 0)
        """Odd while the club's process is in the middle of a write."""
        self.over: Any = PROCESSES.Value(c_bool, False)
        self.reads: Any = PROCESSES.Value(c_long, 0)
        self.broken: Any = PROCESSES.Value(c_long, 0)
        self.rounds: Any = PROCESSES.Value(c_long, 0)

    @property
    def counted(self) -> str:
        """In words."""
        read = f"{self.reads.value} reads, {self.broken.value} broken"
        return f"{read}; the agent wrote {self.rounds.value} times"


def save_all(path: Path, saves: int, way: Save, hurry: float, shared: Shared) -> None:
    """The club: `saves` times, at irregular times, and sometimes twice at once."""
    chance = random.Random(SEED)
    for number in range(saves):
        value = read_patiently(path)
        value["categories"].append({"id": f"club-{number}", "name": f"Club {number}", "videos": []})
        shared.writes.value += 1
        way(path, json.dumps(value, indent=chance.choice((2, 4))), 0.02)
        shared.writes.value += 1
        time.sleep(chance.choice((0.0, 0.1, 0.5, 1.5, 2.5)) / hurry)


def read_patiently(path: Path) -> Any:
    """As the applications do: again while it does not parse."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return json.loads(path.read_bytes())
        except (ValueError, FileNotFoundError):
            assert time.monotonic() < deadline_s, "the file stays unreadable"
            time.sleep(0.001)


def read_all_the_time(path: Path, shared: Shared) -> None:
    """The screen: whatever it reads while nobody else writes must be whole."""
    while not shared.over.value:
        before = shared.writes.value
        try:
            whole = isinstance(json.loads(path.read_bytes()), dict)
        except (ValueError, FileNotFoundError):
            whole = False
        if before % 2 == 0 and shared.writes.value == before:
            shared.reads.value += 1
            shared.broken.value += not whole


def converge_all_the_time(root: Path, hurry: float, shared: Shared) -> None:
    """The agent: another version in every round, written when it may be."""
    disk = Disk(root, "data/agent", os.urandom(4).hex())
    disk.recover()
    agent = Configuration(disk, Screen(), HurriedClock(hurry))
    agent.recover()
    last = False
    while True:
        wanted = manifest(category(NIKE), config={"version": f"1.{shared.rounds.value}"})
        try:
            if agent.apply(wanted, TODAY, paths_of(wanted)).changed:
                shared.rounds.value += 1
        except AgentError:
            continue
        if last:
            return
        last = shared.over.value


def rename_all_the_time(root: Path, hurry: float, shared: Shared) -> None:
    """An agent that would only read, change and rename: what must not be done, and must be noticed."""
    path = root / configuration_file.PATH
    while not shared.over.value:
        value = read_patiently(path)
        others = [c for c in value["categories"] if c["id"] != "annonces_neopro"]
        value["categories"] = [{"id": "annonces_neopro", "name": str(shared.rounds.value)}, *others]
        time.sleep(0.1 / hurry)
        renaming(path, json.dumps(value), 0)
        shared.rounds.value += 1


Agents = Callable[[Path, float, Shared], None]


class Screen:
    """Whoever is told hears it."""

    def notify(self) -> bool:
        return True


def try_way(
    root: Path, saves: int, way: Save, hurry: float, agents: Agents = converge_all_the_time
) -> tuple[list[int], Shared]:
    """The saves that were lost, and what was counted."""
    (root / "data").mkdir(parents=True)
    (root / "webapp").mkdir()
    path = root / "data/configuration.json"
    path.write_text(json.dumps(sample("club-handball"), indent=4))
    shared = Shared()
    club = PROCESSES.Process(target=save_all, args=(path, saves, way, hurry, shared))
    screen = PROCESSES.Process(target=read_all_the_time, args=(path, shared), daemon=True)
    agent = PROCESSES.Process(target=agents, args=(root, hurry, shared), daemon=True)
    for process in (agent, screen, club):
        process.start()
    club.join()
    shared.over.value = True
    agent.join(promised(PATIENCE_S))
    screen.join(PATIENCE_S)
    assert (club.exitcode, screen.exitcode, agent.exitcode) == (0, 0, 0), "a process did not end well"
    kept = {c["id"] for c in json.loads(path.read_bytes())["categories"]}
    assert "annonces_neopro" in kept, "the fleet's own category is not there"
    return [number for number in range(saves) if f"club-{number}" not in kept], shared


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_save_of_another_process_is_kept_and_no_reader_meets_half_a_file(
    tmp_path: Path, way: Save, long: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    saves = SAVES if long else SAMPLE
    lost, shared = try_way(tmp_path, saves, way, HURRY)
    with capsys.disabled():
        print(f"\n{way.__name__}: {saves} saves, {len(lost)} lost; {shared.counted}")
    assert shared.rounds.value > 1, "the agent never wrote in between"
    assert (lost, shared.broken.value) == ([], 0)
    assert not (tmp_path / configuration_file.PATH).is_symlink()


def test_agent_that_only_reads_changes_and_renames_loses_saves(tmp_path: Path) -> None:
    lost, _ = try_way(tmp_path, 3 * SAMPLE, in_place, HURRY, rename_all_the_time)
    assert lost, "the suite would not notice"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_save_is_kept_at_the_pace_of_a_real_box(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost, shared = try_way(tmp_path, SAVES, truncating, 1.0)
    with capsys.disabled():
        print(f"\nat a real pace: {SAVES} saves, {len(lost)} lost; {shared.counted}")
    assert (lost, shared.broken.value) == ([], 0)
