"""`neopro report`: how it went, by week or month."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number

from cli.checkout import Checkout
from cli.flags import Flag
from cli.output import Output
from cli.sites_table import age_of
from schemas.memory import Period

if TYPE_CHECKING:
    from schemas.memory import Availability, Deployments, Trouble

HOURS: Final = {"week": 7 * 24, "month": 31 * 24}


def report(
    *,
    by: Period = "week",
    count: Annotated[int, Parameter(validator=Number(gte=0, lte=60))] = 4,
    site: str | None = None,
    repository: Path | None = None,
    json: Flag = False,
) -> None:
    """Show how it went: how much of the time boxes were heard, what became of changes, which troubles were frequent.

    A change counts once for each site that it changed: REACHED by the box, FAILING while the box says that something
    failed, OVERTAKEN by the next one before it was reached, or WAITING. SUCCESS is the share of what was decided, TIME
    the median from its publication to the report that it is reached.

    Examples:

    - `neopro report`
    - `neopro report --by month --count 12 --site rennes-fc`

    Parameters
    ----------
    by
        Weeks from Monday, or months; UTC.
    count
        So many, and the present one.
    site
        Of this site alone; without it, of all.
    repository
        The checkout whose control plane is asked; without it, the one around the current folder.
    json
        Print it as JSON.
    """
    from cli.remote import Remote, find_target

    output = Output(json)
    with Remote(find_target(os.environ, Checkout.find_if_any(repository))) as remote:
        if site is not None:
            remote.site(site)
        heard = remote.availability(by, count, site)
        deployed = remote.deployments(by, count, site)
        troubles = remote.troubles(HOURS[by] * (count + 1)) if site is None else []
    output.data({"availability": heard, "deployments": deployed, "troubles": troubles})
    columns = (by.upper(), "HEARD", "CHANGES", "REACHED", "FAILING", "OVERTAKEN", "WAITING", "SUCCESS", "TIME")
    output.table(columns, _periods(heard, deployed))
    if troubles:
        output.say()
        output.table(("TROUBLE", "SEVERITY", "EVENTS", "SITES", "LAST (UTC)"), [_trouble(one) for one in troubles])


def _periods(heard: Sequence["Availability"], deployed: Sequence["Deployments"]) -> list[tuple[str, ...]]:
    """Both have a line for each week or month, the oldest first."""
    return [
        (
            f"{there.begins}",
            _share(there.heard),
            *(str(number) for number in (came.published, came.reached, came.failing, came.overtaken, came.waiting)),
            _share(came.success),
            age_of(came.median_s) if came.median_s is not None else "-",
        )
        for there, came in zip(heard, deployed, strict=True)
    ]


def _share(share: float | None) -> str:
    """Rounded down: 100 % is all of it."""
    return "-" if share is None else f"{int(share * 1000) / 10:g} %"


def _trouble(one: "Trouble") -> tuple[str, ...]:
    return one.reason, one.severity, f"{one.events:,}", f"{one.sites:,}", f"{one.last_at:%Y-%m-%d %H:%M}"
