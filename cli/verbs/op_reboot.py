"""`neopro op reboot`: boxes start anew."""

from cli.landing import WRITTEN, Landing
from cli.operations import Group, NotAfter, Site, Within, add_operation


def op_reboot(
    *,
    site: Site = None,
    group: Group = None,
    within: Within = "24h",
    not_after: NotAfter = None,
    landing: Landing = WRITTEN,
) -> None:
    """Reboot a box, or every box of a group, in a maintenance window.

    It is a document in operations/: each box does it at most once, also across reboots, once the commit is pushed.

    Examples:

    - `neopro op reboot --site rennes-fc --commit`
    - `neopro op reboot --group bretagne --within 7d`
    """
    add_operation(landing, "reboot", site=site, group=group, within=within, not_after=not_after)
