"""`neopro conditions`: which conditions of a site held, from when to when."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from cli.checkout import Checkout
from cli.flags import Flag
from cli.output import Output
from cli.sites_table import age_of

if TYPE_CHECKING:
    from schemas.memory import ConditionSpan


def conditions(
    site: str,
    /,
    *,
    days: Annotated[int, Parameter(validator=Number(gte=1, lte=366 * 20))] = 7,
    repository: Path | None = None,
    json: Flag = False,
) -> None:
    """Show which conditions of a site held, since when and for how long, the newest first.

    `neopro explain REASON` says what a reason means.

    Examples:

    - `neopro conditions rennes-fc`
    - `neopro conditions rennes-fc --days 90 --json`

    Parameters
    ----------
    site
        Its id.
    days
        Of so many days before now.
    repository
        The checkout whose control plane is asked; without it, the one around the current folder.
    json
        Print them as JSON.
    """
    from cli.remote import Remote, find_target

    output = Output(json)
    with Remote(find_target(os.environ, Checkout.find_if_any(repository))) as remote:
        found = remote.conditions(site, 24 * days)
    output.data(found)
    if not found:
        output.say(f"nothing is known of the conditions of {site} in that time")
        return
    now = datetime.now(UTC)
    columns = ("CONDITION", "STATUS", "REASON", "SINCE (UTC)", "FOR", "MESSAGE")
    output.table(columns, [_row(span, now) for span in found])


def _row(span: "ConditionSpan", now: datetime) -> tuple[str, ...]:
    lasted = age_of(((span.until or now) - span.since).total_seconds())
    late, uncertain = " (told late)" if span.late else "", " (at the earliest)" if span.uncertain else ""
    since = f"{span.since:%Y-%m-%d %H:%M}{late}{uncertain}"
    return (span.type, span.status, span.reason, since, lasted if span.until else f"{lasted}, still", span.message)
