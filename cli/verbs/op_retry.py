"""`neopro op retry`: try again what a box gave up."""

from cli.landing import WRITTEN, Landing
from cli.operations import Group, NotAfter, Site, Within, add_operation


def op_retry(
    *,
    site: Site = None,
    group: Group = None,
    within: Within = "24h",
    not_after: NotAfter = None,
    landing: Landing = WRITTEN,
) -> None:
    """Let a box try again what it gave up, such as a release that it rolled back.

    It is a document in operations/: each box does it at most once, also across reboots, once the commit is pushed.

    Examples:

    - `neopro op retry --site rennes-fc --commit`
    - `neopro op retry --group beta --not-after 2027-01-31T06:00:00+01:00`
    """
    add_operation(landing, "retry", site=site, group=group, within=within, not_after=not_after)
