"""`make fuzz`: a million hostile inputs, none of which may crash, hang or be answered with nothing.

    python -m tests.fuzz [--inputs 1000000] [--first 0] [--seed 1] [--workers CORES]
    python -m tests.fuzz --seed 1 --only NUMBER        shows one input and what is wrong with it

The same seed and number give the same input. Exit status 0: no failure; 1: some, each with how to see it again.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from functools import partial

from tests.fuzz.inputs import make_input
from tests.fuzz.invariants import check, look_at
from tests.fuzz.run import Outcome, Run


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", type=int)
    given = parser.parse_args()
    if given.only is not None:
        return _show(given.seed, given.only)
    last = given.first + given.inputs
    run = Run(
        partial(look_at, given.seed), given.first, last, workers=given.workers, told=_progress(given.seed, given.inputs)
    )
    outcome = run.go()
    print(outcome)
    return 1 if outcome.failures else 0


def _progress(seed: int, total: int) -> Callable[[Outcome], None]:
    """Tells failures as they come, and how far it is: every ten seconds on a terminal, else every tenth of the way."""
    began_s = last_s = time.monotonic()
    told_failures = told_slow = tenths = 0

    def told(outcome: Outcome) -> None:
        nonlocal last_s, tenths, told_failures, told_slow
        for failure in outcome.failures[told_failures:]:
            print(f"input {failure.number}: {failure.what.strip()}\n    {_again(seed, failure.number)}", flush=True)
        for number in outcome.slow[told_slow:]:
            print(f"input {number} is slow\n    {_again(seed, number)}", flush=True)
        told_failures, told_slow = len(outcome.failures), len(outcome.slow)
        now_s = time.monotonic()
        if now_s - last_s > 10 if sys.stderr.isatty() else outcome.inputs * 10 // total > tenths:
            last_s, tenths = now_s, outcome.inputs * 10 // total
            print(f"{outcome}, {outcome.inputs / (now_s - began_s):,.0f} a second", file=sys.stderr, flush=True)

    return told


def _again(seed: int, number: int) -> str:
    return f"see it: python -m tests.fuzz --seed {seed} --only {number}"


def _show(seed: int, number: int) -> int:
    given = make_input(seed, number)
    print(given.kind)
    for path, data in given.files.items():
        if given.before.get(path) != data:
            print(f"--- {path}\n{data!r}")
    for path in given.before.keys() - given.files.keys():
        print(f"--- {path} is gone")
    before_s = time.process_time()
    try:
        check(given)
    finally:
        print(f"{time.process_time() - before_s:.3f} s")
    print("nothing is wrong with it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
