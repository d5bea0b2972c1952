"""`make test-soak`: weeks and months of both programs, counted; the tables as they stand in docs/measured.md.

    python -m tests.soak [--jobs CORES] [--suite NAME]… [--days N] [--keep FOLDER]

Exit status 0: nothing grows but what may, and every seeded leak was seen; 1: something does, and is named.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.soak.counting import Verdict
from tests.soak.suites import SUITES, Counted, Suite

MEMORY: Final = Path("/dev/shm")


def live(suite: Suite, days: int | None) -> Counted:
    """Live through it in a folder of its own; what ended it before its end is a fault of it."""
    began_s = time.monotonic()

    def say(words: str) -> None:
        minutes = (time.monotonic() - began_s) / 60
        print(f"{suite.name}: {minutes:.1f} min: {words}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="neopro-soak-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        try:
            return suite.live(Path(name), say, suite.days if days is None else days)
        except Exception as problem:  # noqa: BLE001  (whatever it is, it is counted)
            return Counted(suite.name, "cut short", faults=[f"{type(problem).__name__}: {problem}"[:2000]])


def table(counted: Counted) -> str:
    """In Markdown: every figure that may be above, or is."""
    if counted.rows:
        return _lines(("program", "leak", "seen in"), counted.rows)
    told = [one for one in counted.verdicts if one.second or one.last]
    return _lines(("figure", "second quarter", "last quarter", "may be above by", ""), map(_row, told))


def _row(one: Verdict) -> tuple[object, ...]:
    allowed = one.allowance.why if one.allowance.noted else f"{one.allowed:,.0f}"
    return one.name, f"{one.second:,.1f}".removesuffix(".0"), f"{one.last:,.1f}".removesuffix(".0"), allowed, one.word


def _lines(head: tuple[object, ...], rows: object) -> str:
    lines = [head, ("---",) * len(head), *rows]  # type: ignore[misc]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--suite", action="append", choices=[suite.name for suite in SUITES])
    parser.add_argument("--days", type=int, help="of each life; fewer than 32 (56 alone) are no life to judge")
    parser.add_argument("--keep", type=Path, help="where to write what was counted at each moment, as JSON")
    asked = parser.parse_args()
    suites = [suite for suite in SUITES if not asked.suite or suite.name in asked.suite]
    began_s = time.monotonic()
    found = []
    with ProcessPoolExecutor(asked.jobs) as pool:
        for ended in as_completed([pool.submit(live, suite, asked.days) for suite in suites]):
            found.append(counted := ended.result())
            print(f"\n**{counted.name}**\n\n{table(counted)}\n", flush=True)
            if asked.keep:
                (asked.keep / f"{counted.name}.json").write_text(json.dumps(counted.life, indent=1))
            for fault in counted.faults:
                print(f"FAILED: {counted.name}: {fault}")
    print(f"{datetime.now(UTC):%Y-%m-%d}, {platform.release()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.0f}:")
    for counted in found:
        print(counted)
    print(f"{(time.monotonic() - began_s) / 60:.0f} minutes")
    return 1 if any(counted.failures for counted in found) else 0


if __name__ == "__main__":
    sys.exit(main())
