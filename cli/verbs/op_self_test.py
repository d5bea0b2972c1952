"""`neopro op self-test`: the box looks itself over."""

from cli.landing import WRITTEN, Landing
from cli.operations import Group, NotAfter, Site, Within, add_operation


def op_self_test(
    *,
    site: Site = None,
    group: Group = None,
    within: Within = "24h",
    not_after: NotAfter = None,
    landing: Landing = WRITTEN,
) -> None:
    """Let a box look itself over: disk, services, screen, network, clock.

    It is a document in operations/: each box does it at most once, also across reboots, once the commit is pushed.

    Examples:

    - `neopro op self-test --site rennes-fc --commit`
    - `neopro op self-test --group bretagne --json`
    """
    add_operation(landing, "self_test", site=site, group=group, within=within, not_after=not_after)
