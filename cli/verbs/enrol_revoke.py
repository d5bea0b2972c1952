"""`neopro enrol revoke`: end an enrolment token."""

import os

from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output


def enrol_revoke(site: str, /, *, json: Flag = False) -> None:
    """End a site's enrolment token, and forget the box that used it.

    A box that was let in stays: its identity is in Git, and ends there.

    Examples:

    - `neopro enrol revoke quimper-basket`

    Parameters
    ----------
    site
        Its id.
    json
        Print what was done as JSON.
    """
    from cli.remote import Remote, find_target

    output = Output(json)
    with Remote(find_target(os.environ, Checkout.find_if_any(None))) as remote:
        if not remote.revoke_enrolment(site):
            raise CommandFailed(f"cannot revoke a token of {site}: there is none that lives", status=1)
    output.data({"site": site, "revoked": True})
    output.say(f"revoked the token of {site}")
