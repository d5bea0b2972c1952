"""Steps that can be interrupted anywhere and done again: each knows whether it is done."""

from collections.abc import Callable, Iterable
from typing import NamedTuple


class Step(NamedTuple):
    """`what`: an imperative sentence. `do` may be called again after it was interrupted."""

    what: str
    is_done: Callable[[], bool]
    do: Callable[[], object]


def run_steps(steps: Iterable[Step], say: Callable[[str], None], dry_run: bool) -> int:
    """Do in order what is not done yet; how many that were. `dry_run`: only say it."""
    count = 0
    for step in steps:
        if step.is_done():
            say(f"  as it should be: {step.what}")
            continue
        count += 1
        say(f"  {'would' if dry_run else 'now'}: {step.what}")
        if not dry_run:
            step.do()
    return count
