"""`neopro-agent` as a process whose clock is wrong (libfaketime), on a machine that follows no time server.

The control plane is a real one, on its own right clock: tokens are made by its date, and nothing expires on the box.
"""

import ctypes
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.live_box import LiveBox, application, release_changes
from tests.support.patience import wait_for
from tests.support.world import ServedWorld, served_world

libfaketime = pytest.importorskip("libfaketime", reason="libfaketime is built for x86-64 Linux alone")

UNSYNCHRONISED: Final = 5
SAMPLE: Final = 2
SEED: Final = 20261126
STARTS: Final = ("@1970-01-02 00:00:00", "@2038-01-20 00:00:00", "-3650d", "+3650d", "-365d", "+365d", "-2d", "+8d")
JUMPS: Final = ("-365d", "+3650d", "@1971-06-01 00:00:00", "+0")

pytestmark = pytest.mark.skipif(
    ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)) != UNSYNCHRONISED,
    reason="the kernel's clock is synchronised here, and cannot be made to say that it is not",
)


@pytest.fixture
def served(tmp_path: Path, database: str) -> Iterator[ServedWorld]:
    with served_world(tmp_path / "world", database) as world:
        world.publish(release_changes(world.world, "1.1.0", application("1.1.0")), "Release 1.1.0")
        yield world


def provision(box: LiveBox, served: ServedWorld) -> None:
    """A box whose clock is believed when the kernel says so."""
    box.provision(served.world, served.url)
    box.conf.write_text(box.conf.read_text().replace("clock = trusted", "clock = auto"))


def fake(monkeypatch: pytest.MonkeyPatch, **time: str) -> None:
    """The time of the processes that are started from now on; the monotonic clock and the files' times are real."""
    library = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"
    given = {"LD_PRELOAD": str(library), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1", **time}
    for name, value in given.items():
        monkeypatch.setenv(name, value)


def test_agent_that_starts_at_any_time_converges_and_reports(
    served: ServedWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    starts = STARTS if long else random.Random(SEED).sample(STARTS, SAMPLE)
    failures = []
    for place, start in enumerate(starts):
        with LiveBox(tmp_path / str(place)).switched_on() as box, monkeypatch.context() as patch:
            provision(box, served)
            fake(patch, FAKETIME=start)
            ended = box.run("once")
            again = box.run("once")
            said = box.run("status")
        well = (ended.returncode, again.returncode, said.returncode) == (0, 0, 0) and box.active() == "1.1.0"
        if not well or "refuse" in ended.stderr + said.stdout or len(list((box.root / "videos").rglob("*.mp4"))) != 2:
            failures.append(f"{start}: {ended.returncode} {ended.stdout} {ended.stderr} {said.stdout}")
    with capsys.disabled():
        print(f"\nstarts at a wrong time: {len(starts)} tried of {len(STARTS)}, {len(failures)} failures")
    assert not failures, "\n".join(failures)


def test_clock_that_jumps_under_a_running_agent_holds_up_no_news(
    served: ServedWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    fake(monkeypatch, FAKETIME_TIMESTAMP_FILE=str(clock), FAKETIME_NO_CACHE="1")
    with LiveBox(tmp_path / "box").switched_on() as box:
        provision(box, served)
        with box.agent():
            wait_for(lambda: (box.root / "VERSION").exists(), "the first release")
            for number, jump in enumerate(JUMPS):
                clock.with_suffix(".new").write_text(jump)
                clock.with_suffix(".new").replace(clock)
                box.pass_rounds(2)
                told = {"sites/brest.yaml": served.world.site_file("brest", config={"volume": number})}
                served.publish(told, f"Volume {number}")
                wait_for(lambda number=number: box.configuration().get("volume") == number, f"{jump}: the news")
        log = (box.folder / "agent.log").read_text()
    assert "Traceback" not in log
    assert "refuse" not in log and "expired" not in log
    assert [unit for _, unit in box.services.calls].count("neopro-app") == 1, "its services were left alone"
    with capsys.disabled():
        print(f"\njumps under a running agent: {len(JUMPS)} tried, 0 failures")
