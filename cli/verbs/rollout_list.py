"""`neopro rollout list`: what is rolled out in waves, and how it goes."""

import os
from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from cli.checkout import Checkout
from cli.flags import Flag
from cli.output import Output

COLUMNS: Final = (
    *("ROLLOUT", "WHAT", "POLICY", "STATE", "WAVE", "SITES", "WELL", "FAILED", "PENDING", "WAITING"),
    "HOW IT GOES",
)


def rollout_list(
    *,
    ended: Annotated[int, Parameter(validator=Number(gte=0, lte=1000))] = 0,
    repository: Path | None = None,
    json: Flag = False,
) -> Literal[0, 1]:
    """List the rollouts under way: releases and agents that come to their sites in waves, and how it goes.

    SITES are all of a rollout: WELL run it, on FAILED it failed, PENDING were told and have not said how it goes yet,
    WAITING go on with what they had until their wave comes. Times are in UTC.

    Exit status 1 while one has halted: its other sites do not get it until somebody says so.

    Examples:

    - `neopro rollout list`
    - `neopro rollout list --ended 10 --json`

    Parameters
    ----------
    ended
        And so many of those that ended last.
    repository
        The checkout whose control plane is asked; without it, the one around the current folder.
    json
        Print them as JSON.
    """
    from cli.remote import Remote, find_target
    from cli.rollouts import HALTED, STYLES, rows_of

    output = Output(json)
    with Remote(find_target(os.environ, Checkout.find_if_any(repository))) as remote:
        found = remote.rollouts(ended)
    output.data(found)
    if found:
        output.table(COLUMNS, rows_of(found), STYLES)
    else:
        output.say(
            "nothing is rolled out in waves at the moment" + ("" if ended else "; --ended 10 lists earlier ones")
        )
    return 1 if any(one.phase in HALTED for one in found) else 0
