"""`neopro enrol accept`: the keys of a new box into its site's file."""

import os
from collections.abc import Mapping

from cli.checked import land_checked
from cli.checkout import Checkout
from cli.edits import Edit
from cli.errors import CommandFailed
from cli.fleet_view import read_fleet
from cli.landing import WRITTEN, Landing
from cli.output import Output
from control_plane.core.sites import SiteRecord
from schemas.dsse import Refused, load_public
from schemas.enrolment import Enrolment
from schemas.names import SiteId

WHY = {
    "unused": "no box has used its token yet: neopro-agent enrol, on the box",
    "expired": "its token expired before a box used it; make another: neopro enrol token {site}",
    "revoked": "its token was revoked; make another: neopro enrol token {site}",
}


def enrol_accept(*sites: str, landing: Landing = WRITTEN) -> None:
    """Let a new box in: write the keys that it sent with its token into the site's file.

    The box is served as soon as that is pushed and published; until then it asks, and waits. A site that has a box
    already is given to the new one by `neopro site replace`, which ends the old keys and puts the club's backup back.

    Examples:

    - `neopro enrol accept quimper-basket --commit && git push`
    - `neopro enrol accept brest-xv lannion-futsal --dry-run`

    Parameters
    ----------
    sites
        Ids of the sites whose boxes are to be let in.
    """
    from cli.remote import Remote, find_target

    checkout, output = landing.checkout(), Output(landing.json)
    if not sites:
        raise CommandFailed("cannot let a box in: name its site; see: neopro enrol list")
    view = read_fleet(checkout)
    records = {name: view.site(name) for name in sites}
    with Remote(find_target(os.environ, checkout)) as remote:
        sent = {one.site: one for one in remote.enrolments()}
    accepted = [_sent(name, sent, records[name]) for name in sites]
    files = {records[one.site].path: _with_keys(checkout, records[one.site].path, one) for one in accepted}
    for one in accepted:
        output.say(f"{one.site}: {one.identity}{_from(one)}")
    data = {"accepted": accepted}
    land_checked(landing, checkout, files, f"Let the box of {' and '.join(sites)} in", data)


def _sent(site: SiteId, sent: Mapping[SiteId, Enrolment], record: SiteRecord) -> Enrolment:
    """What the box of a site sent; CommandFailed where none did, or where another box has the site."""
    found = sent.get(site)
    if found is None:
        raise CommandFailed(f"cannot let a box of {site} in: it has no token; neopro enrol token {site}", status=1)
    if found.identity is None or found.recipient is None or found.state in WHY:
        raise CommandFailed(f"cannot let a box of {site} in: {WHY[found.state].format(site=site)}", status=1)
    try:
        load_public(found.identity)
    except Refused as problem:
        raise CommandFailed(f"cannot let the box of {site} in: its key: {problem}") from None
    if record.document.identity not in (None, found.identity):
        raise CommandFailed(
            f"cannot let a second box of {site} in; to give the site to it: neopro site replace {site} "
            f"--identity {found.identity} --recipient {found.recipient} --recovery-key FILE"
        )
    return found


def _with_keys(checkout: Checkout, path: str, sent: Enrolment) -> str:
    edit = Edit(checkout.read(path), path)
    edit.set(("identity",), sent.identity)
    edit.set(("recipient",), sent.recipient)
    return edit.text


def _from(one: Enrolment) -> str:
    facts = ", ".join(fact for fact in (one.hostname, one.model) if fact)
    return f" ({facts})" if facts else ""
