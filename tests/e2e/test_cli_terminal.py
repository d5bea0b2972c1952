"""Verbs at a real terminal: a bar moves, tables fit, and Ctrl-C leaves the repository as it was."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from threading import Event

import pytest

from cli.output import columns_of
from tests.support.command_line import environment, git
from tests.support.scripted_http import Asked, Say, ScriptedServer
from tests.support.transcripts import ROOT, small

PATIENCE_S = 60.0


class Terminal:
    """A command at a terminal of so many columns; `shown` is what it wrote there."""

    def __init__(self, words: list[str], folder: Path, env: Mapping[str, str], columns: int) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli", *words],
            cwd=folder,
            env={**env, "TERM": "xterm", "PYTHONPATH": str(ROOT)},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.shown = ""

    def until(self, text: str) -> None:
        """Read until it shows this."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            assert self._read(deadline - time.monotonic()), f"it ended without {text!r}: {self.shown}"

    def press_ctrl_c(self) -> None:
        """As a person does: the terminal sends the signal."""
        os.write(self._master, termios.tcgetattr(self._master)[6][termios.VINTR])

    def end(self) -> int:
        """Read to the end; the exit status."""
        while self._read(PATIENCE_S):
            pass
        os.close(self._master)
        return self.process.wait(PATIENCE_S)

    def _read(self, timeout_s: float) -> bool:
        with DefaultSelector() as selector:
            selector.register(self._master, EVENT_READ)
            if not selector.select(timeout_s):
                self.process.send_signal(signal.SIGKILL)
                return False
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # Linux says so when the last process has left the terminal
            return False
        self.shown += data.decode("utf-8", "replace")
        return bool(data)


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    folder = tmp_path / "fleet"
    folder.mkdir()
    small(folder)
    return folder


def test_table_fits_a_narrow_terminal_and_ids_stay_whole(fleet: Path) -> None:
    terminal = Terminal(["site", "list"], fleet, environment(fleet.parent), 60)
    assert terminal.end() == 0
    lines = terminal.shown.replace("\r\n", "\n").splitlines()
    assert max(map(columns_of, lines)) <= 60
    assert [line.split()[0] for line in lines[1:4]] == ["brest-handball", "lyon-handball", "rennes-fc"]


def test_interrupted_upload_showed_a_bar_and_leaves_the_repository_as_it_was(fleet: Path) -> None:
    from cli.demo.clips import Clip, make_clip

    clip = make_clip(Clip("clip.mp4", "Clip", (200, 40, 90), 1.0), fleet.parent)
    held = Event()

    def script(asked: Asked) -> Say:
        """Nothing is there yet; the first part is taken in, and never answered."""
        if asked.path.startswith("/v1/uploads/"):
            digest = asked.path.rpartition("/")[2]
            return Say(200, {}, f'{{"digest":"{digest}","offset_bytes":0,"complete":false}}'.encode())
        return Say(200, {}, b"{}", hold=held)

    before = git(fleet, "status", "--porcelain"), git(fleet, "rev-parse", "HEAD")
    with ScriptedServer(script).serving() as server:
        env = environment(fleet.parent, NEOPRO_URL=server.url, NEOPRO_TOKEN="x")
        words = ["video", "add", str(clip), "--set", "annonces-nationales"]
        terminal = Terminal(words, fleet, env, 80)
        terminal.until("uploading")
        terminal.press_ctrl_c()
        status = terminal.end()
        held.set()
    assert status == 130, terminal.shown
    assert "neopro: interrupted" in terminal.shown
    assert "Traceback" not in terminal.shown
    assert (git(fleet, "status", "--porcelain"), git(fleet, "rev-parse", "HEAD")) == before


def test_colours_are_for_terminals_that_want_them(fleet: Path) -> None:
    env = environment(fleet.parent)
    coloured = Terminal(["doctor"], fleet, env, 100)
    coloured.end()
    assert "\x1b[32m✓\x1b[0m" in coloured.shown
    plain = Terminal(["doctor"], fleet, {**env, "NO_COLOR": "1"}, 100)
    plain.end()
    assert "\x1b[" not in plain.shown
    assert "✓" in plain.shown
