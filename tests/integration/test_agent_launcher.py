"""The launcher with real processes: which slot it starts, what it makes of one that fails, and of its disk."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from reconciler_agent import launcher
from tests.support.patience import PATIENCE_S, wait_for
from tests.support.slots import OTHER_MACHINE, launcher_in, make_slot, point, put_trial, trial_of

SAY = "import sys, pathlib\nprint(pathlib.Path(__file__).parent.name, *sys.argv[1:])\n"
CRASH = SAY + "sys.stdout.flush()\nraise SystemError('broken at import')\n"
PROVE = SAY + (
    "slots = pathlib.Path(__file__).parent.parent\n"
    "(slots / 'good').unlink()\n(slots / 'good').symlink_to(pathlib.Path(__file__).parent.name)\n"
    "(slots / 'trial.json').unlink()\n"
)


class Box:
    """A launcher, and slots beside it."""

    def __init__(self, folder: Path) -> None:
        self.command = launcher_in(folder)
        self.slots = folder / "slots"
        self.old = make_slot(self.slots, "1.0.0", SAY)
        point(self.slots, "good", self.old)

    def start(self, *words: str) -> list[str]:
        """One start by the service manager: the slot that came up, and what it was called with."""
        done = subprocess.run(
            [*self.command, *(words or ("--conf", "x", "run"))],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        return done.stdout.split()

    def trial(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.slots / "trial.json").read_text())
        return found


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_good_slot_is_started_with_the_words_that_were_given(box: Box) -> None:
    assert box.start() == [box.old, "--conf", "x", "run"]
    assert box.start("status", "--json") == [box.old, "status", "--json"]


@pytest.mark.parametrize("start", [CRASH, SAY, "x = (", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
def test_new_slot_that_ends_three_times_gives_way_to_the_good_one(box: Box, start: str) -> None:
    new = make_slot(box.slots, "2.0.0", start)
    put_trial(box.slots, new)
    lives = [box.start()[:1] for _ in range(3)]
    assert all(life in ([], [new]) for life in lives)
    assert (box.trial()["lives"], box.trial()["failed"]) == (3, "")

    assert box.start()[0] == box.old
    assert box.trial()["failed"].startswith("it ended 3 times")
    assert box.start()[0] == box.old, "and it is not tried again"


def test_new_slot_that_proves_itself_is_started_from_then_on(box: Box) -> None:
    new = make_slot(box.slots, "2.0.0", PROVE)
    put_trial(box.slots, new)

    assert box.start()[0] == new
    (box.slots / new / "start.py").write_text(SAY)  # what proved itself is not whole any more
    assert box.start()[0] == box.old
    (box.slots / new / "start.py").write_text(PROVE)
    assert box.start("status")[0] == new


def test_commands_of_a_person_run_in_the_good_slot_and_count_for_no_trial(box: Box) -> None:
    put_trial(box.slots, make_slot(box.slots, "2.0.0", CRASH))

    assert [box.start("status")[0] for _ in range(5)] == [box.old] * 5
    assert box.trial()["lives"] == 0


@pytest.mark.parametrize(
    ("boot", "stood", "lives"),
    [("", False, 1), ("this", False, 2), ("this", True, 2), ("before", False, 2), ("before", True, 1)],
)
def test_life_counts_unless_the_machine_ended_it_after_it_had_stood(boot: str, stood: bool, lives: int) -> None:
    before = trial_of("2.0.0-00000000", lives=1 if boot else 0, boot=boot, stood=stood)

    begun = launcher.begin(before, "this", True)

    assert (begun["lives"], begun["boot"], begun["stood"], begun["failed"]) == (lives, "this", False, "")


def test_machine_switched_off_for_weeks_every_evening_condemns_no_slot() -> None:
    trial = trial_of("2.0.0-00000000")
    for day in range(50):
        trial = {**launcher.begin(trial, f"day {day}", True), "stood": True}
    assert (trial["lives"], trial["failed"]) == (1, "")


def test_slot_whose_files_are_not_as_listed_is_never_put_to_the_trial(box: Box) -> None:
    new = make_slot(box.slots, "2.0.0", SAY)
    (box.slots / new / "any/part.py").write_text("PART = 2\n")
    put_trial(box.slots, new)

    assert box.start()[0] == box.old
    assert "not those of its listing" in box.trial()["failed"]


def test_parts_for_another_machine_need_not_be_there(box: Box) -> None:
    new = make_slot(box.slots, "2.0.0", SAY, **{f"{OTHER_MACHINE}/part.so": b"elf"})
    (box.slots / new / OTHER_MACHINE / "part.so").unlink()
    put_trial(box.slots, new)

    assert box.start()[0] == new


def damage_start(slots: Path, name: str) -> None:
    (slots / name / "start.py").write_bytes(b"")


def damage_listing(slots: Path, name: str) -> None:
    (slots / f"{name}.json").write_bytes(bytes(100))


def damage_link(slots: Path, _name: str) -> None:
    (slots / "good").unlink()
    (slots / "good").write_text("")


def damage_all(slots: Path, name: str) -> None:
    (slots / name).rename(slots / "gone")


@pytest.mark.parametrize("damage", [damage_start, damage_listing, damage_link, damage_all])
def test_damaged_good_slot_gives_way_to_a_whole_one(box: Box, damage: Callable[[Path, str], None]) -> None:
    previous = make_slot(box.slots, "0.9.0", SAY)
    point(box.slots, "previous", previous)
    damage(box.slots, box.old)

    assert box.start()[0] == previous


@pytest.mark.parametrize("damage", [damage_listing, damage_link])
def test_only_slot_is_started_even_damaged(box: Box, damage: Callable[[Path, str], None]) -> None:
    damage(box.slots, box.old)
    assert box.start()[0] == box.old


def test_box_without_any_slot_says_what_to_do(box: Box) -> None:
    damage_all(box.slots, box.old)
    done = subprocess.run([*box.command, "run"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("cannot start the agent: no slot in ")


@pytest.mark.parametrize("text", ["", "\0" * 200, "{", "[]", '{"slot": 1}', '{"slot": "../../bin", "lives": 0}'])
def test_broken_trial_is_none(box: Box, text: str) -> None:
    (box.slots / "trial.json").write_text(text)
    assert box.start()[0] == box.old


def test_trial_that_cannot_be_written_down_is_not_begun(box: Box) -> None:
    put_trial(box.slots, make_slot(box.slots, "2.0.0", SAY))
    (box.slots / "trial.json.new").mkdir()

    assert box.start()[0] == box.old
    assert box.trial()["lives"] == 0


# The guard


@contextmanager
def control_plane(answer: bytes, status: int = 200) -> Iterator[str]:
    """A server that gives this answer to who asks for the first trust root."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/v1/trust/1" else 404)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def agent_that_hangs() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        yield process
        process.kill()


def guarded(box: Box, process: subprocess.Popen[bytes], **trial: Any) -> threading.Thread:
    put_trial(box.slots, make_slot(box.slots, "2.0.0"), **trial)
    agent = os.pidfd_open(process.pid)
    watching = threading.Thread(target=launcher.guard, args=(box.slots, box.trial(), agent, 0.01), daemon=True)
    watching.start()
    return watching


def test_agent_that_reports_nothing_while_the_network_is_up_is_ended(box: Box) -> None:
    with control_plane(b'{"payloadType": "x"}') as url, agent_that_hangs() as process:
        guarded(box, process, url=url, within_s=0)
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
    assert "though the control plane answered" in box.trial()["failed"]
    assert box.start()[0] == box.old


@pytest.mark.parametrize(
    ("answer", "status"), [(b"<html>log in</html>", 200), (b'{"payloadType": "x"}', 503), (b"[]", 200)]
)
def test_what_is_not_the_control_plane_counts_as_no_network(answer: bytes, status: int) -> None:
    with control_plane(answer, status) as url:
        assert not launcher.is_reachable(url, "")
    assert not launcher.is_reachable(url, "")


def test_guard_goes_with_the_agent_and_with_the_trial(box: Box) -> None:
    with agent_that_hangs() as process:
        watching = guarded(box, process, url="http://127.0.0.1:9", within_s=0)
        point(box.slots, "good", box.trial()["slot"])
        wait_for(lambda: not watching.is_alive(), "it goes when the slot is good")
        assert process.poll() is None
    with agent_that_hangs() as process:
        point(box.slots, "good", box.old)
        watching = guarded(box, process, url="http://127.0.0.1:9", within_s=0)
        assert watching.is_alive()
        process.kill()
        wait_for(lambda: not watching.is_alive(), "it goes when the agent ended")
    assert box.trial()["failed"] == ""


def test_guard_of_a_real_start_is_no_child_and_ends_with_its_agent(box: Box) -> None:
    put_trial(box.slots, make_slot(box.slots, "2.0.0", "import signal; print('up', flush=True); signal.pause()"))
    with subprocess.Popen([*box.command, "run"], stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        in_session = lambda: [p for p in Path("/proc").glob("[0-9]*/stat") if session_of(p) == process.pid]  # noqa: E731
        assert (children, len(in_session())) == ("", 2)
        process.kill()
        process.wait()
        wait_for(lambda: not in_session(), "the guard is gone")


def session_of(path: Path) -> int:
    try:
        fields = path.read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[3])
