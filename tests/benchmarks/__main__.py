"""`python -m tests.benchmarks [NAME…]`: each benchmark in a process of its own; a table, and `bench.json`."""

import importlib
import subprocess
import sys
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from tests.benchmarks.measure import Row

BENCHMARKS = {
    "compile-cold-10k": "compiling",
    "compile-one-change-100k": "one_change",
    "plan-10k": "planning",
    "rollout-look-10k": "rolling",
    "cli-help": "starting",
    "cli-validate-small": "starting",
    "agent-idle-round-cpu": "agent",
    "agent-idle-process": "resting",
    "agent-rest-memory": "resting",
    "agent-day-traffic": "resting",
    "commit-to-converged": "road",
    "download-throughput": "downloading",
    "release-update-bytes": "patching",
    "ingest-reports": "ingesting",
    "poll-unchanged-cpu": "polling",
    "poll-half-load-p99": "polling",
    "poll-held-memory": "polling",
    "control-plane-rest-memory": "small_server",
    "page-overview-10k": "pages",
    "page-sites-10k": "pages",
}
"""Name of a figure -> the module here whose `measure(names)` takes it; figures of a module share one process."""

ROWS = "rows:"


def take(module: str, names: list[str]) -> list[Row]:
    """The rows of one module, measured in a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks", "--in-process", module, *names]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    rows = [line.removeprefix(ROWS) for line in done.stdout.splitlines() if line.startswith(ROWS)]
    if done.returncode or not rows:
        raise SystemExit(f"cannot measure {', '.join(names)}: {module} ended with status {done.returncode}")
    return msgspec.json.decode(rows[-1], type=list[Row])


def show(rows: list[Row]) -> None:
    """The table for people."""
    table = Table("figure", "value", "floor", "ratio", "how", box=None, header_style="bold")
    for r in rows:
        floor = "" if r.floor is None else f"{r.floor:g} {r.unit}"
        peers = "; ".join(f"{name} {value:g}" for name, value in r.peers.items())
        how = f"{r.note}; peers: {peers}" if peers else r.note
        table.add_row(r.name, f"{r.value:g} {r.unit}", floor, "" if r.ratio is None else f"{r.ratio:.2f}", how)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def main(arguments: list[str]) -> int:
    """Measure what was asked for, or everything."""
    if arguments[:1] == ["--in-process"]:
        rows = importlib.import_module(f"tests.benchmarks.{arguments[1]}").measure(arguments[2:])
        print(ROWS + msgspec.json.encode(rows).decode())
        return 0
    unknown = [name for name in arguments if name not in BENCHMARKS]
    if unknown:
        print(f"no such figure: {unknown[0]}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    chosen = arguments or list(BENCHMARKS)
    rows: list[Row] = []
    for module in dict.fromkeys(BENCHMARKS[name] for name in chosen):
        names = [name for name in chosen if BENCHMARKS[name] == module]
        started = time.monotonic()
        print(f"measuring {', '.join(names)} …", file=sys.stderr, flush=True)
        rows += take(module, names)
        print(f"  took {time.monotonic() - started:.0f} s", file=sys.stderr)
    show(rows)
    Path("bench.json").write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
