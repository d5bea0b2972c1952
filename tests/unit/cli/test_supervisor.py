"""The demo's service manager, with real processes."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from cli.demo.children import python, start, stop_all
from cli.demo.supervisor import Answer, BoxUnits, UnitFile, ask
from tests.support.patience import promised, wait_for

PROGRAM = """
import os, pathlib, signal, sys, time
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
if "stubborn" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "brief" in sys.argv: sys.exit(3)
time.sleep(600)
"""


class Running:
    """A supervisor with one box, whose units write their process ids into files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "box.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def unit(self, name: str, *words: str, needs: str = "/", at_boot: bool = True) -> UnitFile:
        return UnitFile(
            name=name,
            command=[sys.executable, "-S", "-c", PROGRAM, str(self.folder / f"{name}.pid"), *words],
            cwd=str(self.folder),
            env={},
            log=str(self.folder / f"{name}.log"),
            needs=needs,
            at_boot=at_boot,
            stop_within_s=0.3,
        )

    def start(self, *units: UnitFile) -> None:
        config = self.folder / "units.json"
        config.write_bytes(msgspec.json.encode([BoxUnits(socket=str(self.socket), units=list(units))]))
        command = python("cli.demo.supervisor", str(config))
        self.process = start(command, self.folder / "supervisor.log", os.environ, Path.cwd())
        wait_for(self.answers, "the supervisor answers")

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(ask(self.socket, "state", "none").error)
        return False

    def state(self, unit: str = "app") -> Answer:
        return ask(self.socket, "state", unit)

    def pid(self, unit: str = "app") -> int:
        """The process of a unit; waits until it has written its id."""
        file = self.folder / f"{unit}.pid"
        wait_for(lambda: file.exists() and file.read_text() != "", f"{unit} runs")
        return int(file.read_text())


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    box = Running(tmp_path)
    yield box
    if box.process:
        stop_all([box.process], 5)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_unit_is_started_at_boot_and_its_state_is_told(running: Running) -> None:
    running.start(running.unit("app"))
    assert running.pid()
    assert running.state() == Answer(ok=True, active=True, restarts=0)


def test_unit_whose_program_is_missing_waits_for_a_start(running: Running) -> None:
    running.start(running.unit("app", needs=str(running.folder / "current")))
    assert running.state() == Answer(ok=True, active=False, restarts=0)
    assert ask(running.socket, "start", "app") == Answer(ok=True, active=True, restarts=0)


def test_box_of_the_demo_says_that_it_cannot_be_started_anew(running: Running) -> None:
    running.start(running.unit("app"))
    answer = ask(running.socket, "reboot", "the box")
    assert (answer.ok, "no machine of its own" in (answer.error or "")) == (False, True)


def test_unit_that_ends_is_started_again_and_counted(running: Running) -> None:
    running.start(running.unit("app"))
    first = running.pid()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: running.state().restarts == 1, "it was started again")
    wait_for(lambda: running.pid() != first, "it is another process")
    assert running.state().active


def test_crash_loop_shows_in_the_count_and_ends_with_a_stop(running: Running) -> None:
    running.start(running.unit("app", "brief"))
    wait_for(lambda: (running.state().restarts or 0) >= 2, "it was started twice more")
    assert ask(running.socket, "stop", "app").active is False
    assert running.state() == Answer(ok=True, active=False, restarts=running.state().restarts)


def test_restart_is_another_process_and_counts_from_zero(running: Running) -> None:
    running.start(running.unit("app"))
    first = running.pid()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: running.state().restarts == 1, "it was started again")
    (running.folder / "app.pid").unlink()
    assert ask(running.socket, "restart", "app") == Answer(ok=True, active=True, restarts=0)
    assert running.pid() != first


def test_start_of_a_running_unit_changes_nothing(running: Running) -> None:
    running.start(running.unit("app"))
    first = running.pid()
    assert ask(running.socket, "start", "app").active
    assert running.pid() == first


def test_unit_that_ignores_the_request_to_end_is_killed(running: Running) -> None:
    running.start(running.unit("app", "stubborn"))
    pid = running.pid()
    assert ask(running.socket, "stop", "app").active is False
    assert is_gone(pid)


def test_program_that_cannot_be_started_is_inactive_and_tried_again(running: Running) -> None:
    unit = msgspec.structs.replace(running.unit("app"), command=["/does/not/exist"])
    running.start(unit)
    assert running.state().active is False
    wait_for(lambda: (running.state().restarts or 0) >= 1, "it was tried again")


@pytest.mark.parametrize("line", [b"", b"garbage\n", b'{"verb":"explode","unit":"app"}\n', b'{"verb":"stop"}\n'])
def test_request_that_cannot_be_read_is_answered_with_an_error(running: Running, line: bytes) -> None:
    import socket

    running.start(running.unit("app"))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(running.socket))
        connection.sendall(line)
        connection.shutdown(socket.SHUT_WR)
        answer = msgspec.json.decode(connection.makefile("rb").read(), type=Answer)
    assert not answer.ok
    assert answer.error
    assert running.state().active


def test_unknown_unit_is_an_error(running: Running) -> None:
    running.start(running.unit("app"))
    answer = ask(running.socket, "restart", "nginx")
    assert answer == Answer(ok=False, error="cannot restart nginx: there is no such unit")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_units_end_with_the_supervisor_however_it_ends(running: Running, number: signal.Signals) -> None:
    running.start(running.unit("app"), running.unit("admin", "stubborn"))
    pids = [running.pid("app"), running.pid("admin")]
    assert running.process
    running.process.send_signal(number)
    running.process.wait(promised(5))
    wait_for(lambda: all(map(is_gone, pids)), "its children are gone")


def test_supervisor_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """Also when that one is killed and can do nothing any more."""
    box = Running(tmp_path)
    config = tmp_path / "units.json"
    config.write_bytes(msgspec.json.encode([BoxUnits(socket=str(box.socket), units=[box.unit("app")])]))
    starter = (
        "import os, pathlib, sys, time\n"
        "from cli.demo.children import python, start\n"
        f"child = start(python('cli.demo.supervisor', {str(config)!r}), pathlib.Path({str(tmp_path / 'log')!r}),"
        " os.environ, pathlib.Path.cwd())\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    supervisor = int(parent.stdout.readline())
    wait_for(box.answers, "the supervisor answers")
    unit = box.pid()
    parent.kill()
    parent.wait()
    wait_for(lambda: is_gone(supervisor) and is_gone(unit), "both are gone")
