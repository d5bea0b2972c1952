"""`neopro alerts`: what worries somebody."""

import os
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from cli.checkout import Checkout
from cli.flags import Flag
from cli.output import Output


def alerts(
    *,
    past_hours: Annotated[int, Parameter(validator=Number(gte=0, lte=24 * 366))] = 0,
    silenced: Flag = False,
    repository: Path | None = None,
    json: Flag = False,
) -> Literal[0, 1]:
    """List what worries somebody, the gravest first, and what to do.

    Exit status 1 while something does; what is told for information (new sites, releases, boxes that wait) does not.

    Examples:

    - `neopro alerts`
    - `neopro alerts --past-hours 48 --json`

    Parameters
    ----------
    past_hours
        And those that cleared within so many hours.
    silenced
        Also those that are silenced in Git.
    repository
        The checkout whose control plane is asked; without it, the one around the current folder.
    json
        Print them as JSON.
    """
    from cli.remote import Remote, find_target

    output = Output(json)
    with Remote(find_target(os.environ, Checkout.find_if_any(repository))) as remote:
        found = [one for one in remote.alerts(past_hours) if silenced or not one.silenced]
    output.data(found)
    if not found:
        output.say("nothing worries anybody")
    else:
        rows = [(one.severity, f"{one.fired_at:%Y-%m-%d %H:%M}", one.kind, one.sentence, one.remedy) for one in found]
        output.table(("SEVERITY", "SINCE", "ALERT", "WHAT", "WHAT TO DO"), rows)
    return 1 if any(one.cleared_at is None and one.severity != "info" for one in found) else 0
