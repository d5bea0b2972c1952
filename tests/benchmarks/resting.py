"""One box that has nothing to do: what a run of the agent takes, what the agent takes at rest, and what a day costs.

`agent-idle-process`: `neopro-agent once` as a whole process, its poll, its looks at the services and its report
included, beside a Python process that stats and compares the same files (the floor) and the peers that are installed,
in turns. `agent-rest-memory`: proportional set size as it is on a box, where nobody else runs Python, after a life in
which everything was downloaded.
"""

import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.day import agent_day_traffic
from tests.benchmarks.measure import Row, row
from tests.benchmarks.one_box import OneBox, environment, memory_of, one_box
from tests.benchmarks.peers import installed_peers
from tests.support.patience import wait_for

TURNS = 9
PATIENCE_S = 20.0
"""So long all turns of one may take; but each has one."""
ROUNDS = 30


def measure(names: list[str]) -> list[Row]:
    """The figures that are asked for, on one box."""
    figures = {
        "agent-idle-process": agent_idle_process,
        "agent-rest-memory": agent_rest_memory,
        "agent-day-traffic": agent_day_traffic,
    }
    with tempfile.TemporaryDirectory(prefix="neopro-bench-") as name, one_box(Path(name)) as at:
        return [figures[name](at) for name in figures if name in names]


def wall_s(action: Callable[[], object]) -> float:
    """Seconds on the clock."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


# A whole process


def agent_idle_process(at: OneBox) -> Row:
    """Medians, in turns: ours, the floor, each peer."""
    floor = stat_and_compare(at)
    peers = installed_peers(at.box.folder / "peers", at.box.root)
    actions = {"ours": at.once, "floor": floor, **peers}
    first_s = {name: wall_s(action) for name, action in actions.items()}
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(TURNS):
        for name, action in actions.items():
            if turn == 0 or (turn + 1) * first_s[name] <= PATIENCE_S:
                taken[name].append(wall_s(action))
    medians = {name: statistics.median(found) for name, found in taken.items()}
    found = row(
        "agent-idle-process", medians["ours"], "s", medians["floor"], "`neopro-agent once`; floor: Python, stat"
    )
    return found.with_peers({name: medians[name] for name in peers})


def stat_and_compare(at: OneBox) -> Callable[[], object]:
    """A process that stats every file of ours and compares what it finds with a list."""
    tree = at.box.root / (at.box.root / "current").readlink()
    paths = [
        p for p in (*(at.box.root / "videos").rglob("*.mp4"), *tree.rglob("*")) if p.is_file() and not p.is_symlink()
    ]
    known = {str(p): [(s := p.stat()).st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns] for p in paths}
    listed = at.box.folder / "listed.json"
    listed.write_text(json.dumps(known))
    code = (
        "import json, os, sys\n"
        "for path, was in json.load(open(sys.argv[1])).items():\n"
        "    s = os.lstat(path)\n"
        "    if [s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns] != was: sys.exit(path)\n"
    )
    return lambda: subprocess.run([sys.executable, "-I", "-c", code, str(listed)], check=True)


# At rest


def agent_rest_memory(at: OneBox) -> Row:
    """Of an agent that brought everything to a bare box, and then had nothing to do for a while."""
    shutil.rmtree(at.box.root / "videos")
    at.box.write(heal_s="0.2")
    with subprocess.Popen(at.command("run"), stderr=subprocess.DEVNULL, env=environment()) as agent:
        wait_for(lambda: at.box.run("status").returncode == 0, "the box to be as desired")
        seen = at.box.services.looks
        wait_for(lambda: at.box.services.looks >= seen + ROUNDS, f"{ROUNDS} rounds")
        found = memory_of(agent.pid)
        agent.send_signal(signal.SIGTERM)
    floor = bare_imports_bytes()
    note = (
        f"resident {found.resident / 2**20:.1f}, PSS beside this program {found.proportional / 2**20:.1f};"
        " floor: its libraries imported"
    )
    return row("agent-rest-memory", found.alone / 2**20, "MiB PSS, alone", floor / 2**20, note)


def bare_imports_bytes() -> int:
    """The same of a process that imported what the agent stands on."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('click', 'rich', 'pygments')))\n"
        "import httpx, msgspec, psutil\n"
        "from cryptography.hazmat.primitives.asymmetric import ed25519\n"
        "ed25519.Ed25519PrivateKey.generate()\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdin
        process.stdout.readline()
        found = memory_of(process.pid).alone
        process.stdin.close()
    return found
