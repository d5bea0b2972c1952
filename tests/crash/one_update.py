"""`python -m tests.crash.one_update`: one whole update between two marks, and how often it called what, as JSON.

For strace: what it sees between the marks in the folder of the box must be what went through `system_calls.Calls`.
"""

import json
import sys
from collections import Counter
from pathlib import Path

from tests.crash.dying import counting
from tests.crash.lives import Update

BEGIN, END = Path("/mark-begin"), Path("/mark-end")


def main() -> None:
    """Prepare the box, then update it."""
    folder = Path(sys.argv[1])
    scenario = Update(folder)
    names: Counter[str] = Counter()
    work = scenario.work
    work.rename(folder / "first")
    scenario.template.rename(work)
    BEGIN.exists()
    scenario.update(counting(lambda _n, name, _a: names.update([name]), lambda _n: None))
    END.exists()
    print(json.dumps(names))


if __name__ == "__main__":
    main()
