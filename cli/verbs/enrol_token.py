"""`neopro enrol token`: a one-time token, by which a new box sends its keys."""

import os
from typing import TYPE_CHECKING

from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.fleet_view import read_fleet
from cli.output import Output
from cli.trust_folder import newest_root
from schemas.enrolment import EnrolmentToken, pin

if TYPE_CHECKING:
    from cli.remote import Remote

MAX_DAYS = 90


def enrol_token(*sites: str, days: int = 7, json: Flag = False) -> None:
    """Make a one-time token for the new box of a site; it is shown this once.

    The technician calls `neopro-agent enrol` with it on the box, which then sends its keys; nothing is served to the
    box before `neopro enrol accept` has brought them into Git. The token also pins the newest trust root of this
    checkout: the box takes no other one to begin with. A token that was made for the site before ends.

    Examples:

    - `neopro enrol token quimper-basket`
    - `neopro enrol token brest-xv lannion-futsal --days 30`

    Parameters
    ----------
    sites
        Ids of sites: a token for each.
    days
        How long it can be used.
    json
        Print them as JSON.
    """
    from cli.remote import Remote, find_target

    if not sites:
        raise CommandFailed("cannot make a token: name a site")
    if not 1 <= days <= MAX_DAYS:
        raise CommandFailed(f"cannot make a token for {days} days: from 1 to {MAX_DAYS}")
    checkout, output = Checkout.find(None), Output(json)
    view = read_fleet(checkout)
    records = [view.site(name) for name in sites]
    version = newest_root(checkout).version
    root = (checkout.root / f"trust/root-{version}.json").read_bytes()
    target = find_target(os.environ, checkout)
    with Remote(target) as remote:
        _require_same_root(remote, version, root)
        made = [remote.make_enrolment(name, days) for name in sites]
    texts = [EnrolmentToken(new.site, new.secret, version, pin(root)).text for new in made]
    told = [
        {"site": new.site, "token": text, "expires_at": new.expires_at} for new, text in zip(made, texts, strict=True)
    ]
    output.data(told)
    for new, text, record in zip(made, texts, records, strict=True):
        output.say(text)
        output.note(f"until {new.expires_at:%Y-%m-%d}, on the box: neopro-agent enrol {target.url} TOKEN")
        if record.document.identity:
            output.note(f"{new.site} has a box already: neopro site replace gives it to the new one")


def _require_same_root(remote: "Remote", version: int, root: bytes) -> None:
    """CommandFailed where the control plane would give a new box another trust root than the token pins."""
    served = remote.trust_root(version)
    if served is None:
        raise CommandFailed(
            f"cannot make a token: the control plane has no trust root {version} yet; push it, then try again"
        )
    if served != root:
        raise CommandFailed(
            f"cannot make a token: the control plane serves another trust root {version} than this checkout has; "
            "find out which is right before any box is set up"
        )
