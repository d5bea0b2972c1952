"""`neopro op restart`: a service of the box starts anew."""

from typing import Annotated

from cyclopts import Parameter

from cli.landing import WRITTEN, Landing
from cli.operations import Group, NotAfter, Site, Within, add_operation
from schemas.desired import Service


def op_restart(
    *,
    service: Annotated[Service, Parameter(help="Which service.")],
    site: Site = None,
    group: Group = None,
    within: Within = "24h",
    not_after: NotAfter = None,
    landing: Landing = WRITTEN,
) -> None:
    """Restart one service of a box, or of every box of a group, in a maintenance window.

    It is a document in operations/: each box does it at most once, also across reboots, once the commit is pushed.

    Examples:

    - `neopro op restart --service neopro-app --site rennes-fc --commit`
    - `neopro op restart --service neopro-kiosk --group bretagne --within 2h`
    """
    add_operation(
        landing, "restart_service", site=site, group=group, within=within, not_after=not_after, service=service
    )
