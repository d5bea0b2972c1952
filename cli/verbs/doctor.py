"""`neopro doctor`: what is wrong with an operator's set-up."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cli import checks
from cli.checkout import Checkout
from cli.checks import Check, Verdict
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output
from cli.trust_folder import newest_root

_MARKS: Final[Mapping[Verdict, tuple[str, str]]] = {"ok": ("✓", "32"), "warning": ("!", "33"), "fault": ("✗", "31")}


def doctor(*, repository: Path | None = None, json: Flag = False) -> int:
    """Look this set-up over: Python, git, the checkout, trust, the release key, the control plane, the token.

    Each line says what was found, and what to do where something is wrong (✗) or will be (!). Nothing is changed.
    Exit status 0: nothing is wrong; 1: something is.

    Examples:

    - `neopro doctor`
    - `neopro doctor --repository ~/fleet --json`

    Parameters
    ----------
    repository
        The checkout; without it, the one around the current folder, if any.
    json
        Print the findings as JSON.
    """
    output = Output(json)
    found: list[Check] = []
    area = ""
    for check in _all(Checkout.find_if_any(repository), datetime.now(UTC)):
        found.append(check)
        if check.area != area:
            area = check.area
            output.say(f"{area}:")
        _say(output, check)
    faults = sum(check.verdict == "fault" for check in found)
    warnings = sum(check.verdict == "warning" for check in found)
    output.data({"faults": faults, "warnings": warnings, "checks": [_public(check) for check in found]})
    output.say(f"{faults or 'nothing'} wrong, {warnings or 'nothing'} to look at")
    return 1 if faults else 0


def _all(checkout: Checkout | None, now: datetime) -> Iterator[Check]:
    yield from checks.machine()
    yield from checks.git(checkout.root if checkout else Path.cwd())
    if checkout is None:
        remedy = "cd into one, name it with --repository, or begin one: neopro init FOLDER"
        yield Check("repository", "warning", "there is no fleet-state repository around this folder", remedy)
    else:
        yield from checks.repository(checkout, now)
        with suppress(CommandFailed):  # the trust root's fault is told above
            yield from checks.release_key(checkout, newest_root(checkout), os.environ)
    from cli.checks_remote import control_plane

    yield from control_plane(checkout, os.environ, now)


def _say(output: Output, check: Check) -> None:
    mark, colour = _MARKS[check.verdict]
    output.mark(mark, colour, check.says)
    if check.remedy and check.verdict != "ok":
        output.say(f"    {check.remedy}")


def _public(check: Check) -> dict[str, str]:
    return {**check._asdict(), "remedy": "" if check.verdict == "ok" else check.remedy}
