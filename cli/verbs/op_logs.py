"""`neopro op logs`: fetch what the box wrote down."""

from typing import Annotated

from cyclopts import Parameter

from cli.landing import WRITTEN, Landing
from cli.operations import Group, NotAfter, Site, Within, add_operation


def op_logs(
    *,
    since: Annotated[str, Parameter(help="How far back, such as 30m, 2h, 1d.")] = "2h",
    site: Site = None,
    group: Group = None,
    within: Within = "24h",
    not_after: NotAfter = None,
    landing: Landing = WRITTEN,
) -> None:
    """Fetch the logs of a box, or of every box of a group; secrets are redacted on the box.

    It is a document in operations/: each box does it at most once, also across reboots, once the commit is pushed.

    Examples:

    - `neopro op logs --site rennes-fc --since 6h --commit`
    - `neopro op logs --group bretagne`
    """
    add_operation(landing, "fetch_logs", site=site, group=group, within=within, not_after=not_after, since=since)
