"""How long an operator waits for `neopro` itself: whole processes, from the console script to the exit status.

Wall time, the median of runs that take turns with the floor, `python -c pass` of the same interpreter, so that both
have the same machine. Byte code is cached, as it is where a package was installed.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.measure import Row, row
from tests.support.command_line import environment
from tests.support.transcripts import small

RUNS = 21
NEOPRO = str(Path(sys.executable).with_name("neopro"))
FLOOR = [sys.executable, "-c", "pass"]
COMMANDS = {"cli-help": [NEOPRO, "--help"], "cli-validate-small": [NEOPRO, "validate"]}


def measure(names: list[str]) -> list[Row]:
    """The figures by these names."""
    with tempfile.TemporaryDirectory(prefix="neopro-bench-") as folder:
        fleet = Path(folder, "fleet")
        fleet.mkdir()
        small(fleet)
        return [_measure(name, COMMANDS[name], fleet) for name in names]


class Taken(NamedTuple):
    """One run: by the clock, and of the processors (its children included)."""

    wall_s: float
    cpu_s: float


def _measure(name: str, command: list[str], fleet: Path) -> Row:
    env = environment(fleet.parent, PYTHONPYCACHEPREFIX=str(fleet.parent / "bytecode"))
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    _run(command, fleet, env)
    pairs = [(_run(command, fleet, env), _run(FLOOR, fleet, env)) for _ in range(RUNS)]
    ours, floor = (statistics.median(one.wall_s for one in taken) for taken in zip(*pairs, strict=True))
    fastest, cpu = min(one.wall_s for one, _ in pairs), statistics.median(one.cpu_s for one, _ in pairs)
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    note = f"fastest {fastest * 1e3:.0f} ms of {RUNS}, CPU {cpu * 1e3:.0f} ms, load {load:.1f} a core"
    return row(name, ours * 1e3, "ms", floor * 1e3, note)


def _run(command: Sequence[str], fleet: Path, env: dict[str, str]) -> Taken:
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=fleet, env=env, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return Taken(wall_s, used.ru_utime + used.ru_stime)
