"""`neopro enrol list`: which boxes wait to be let in."""

import os

from cli.checkout import Checkout
from cli.flags import Flag
from cli.output import Output
from schemas.enrolment import Enrolment

WORDS = {
    "unused": "no box has used it",
    "pending": "a box waits",
    "accepted": "let in",
    "expired": "expired unused",
    "revoked": "revoked",
}


def enrol_list(*, all_: Flag = False, json: Flag = False) -> None:
    """List the sites with an enrolment token: whether a box has used it, and which key it sent.

    Compare the key with what the box itself shows (`neopro-agent identity`) where you want to be sure whose box it is.

    Parameters
    ----------
    all_
        Also those that are let in, expired or revoked.
    json
        Print them as JSON.
    """
    from cli.remote import Remote, find_target

    output = Output(json)
    with Remote(find_target(os.environ, Checkout.find_if_any(None))) as remote:
        found = [one for one in remote.enrolments() if all_ or one.state in ("unused", "pending")]
    output.data(found)
    if not found:
        output.say("no box waits, and no token is to be used")
        return
    rows = [
        (one.site, WORDS[one.state], f"{one.expires_at:%Y-%m-%d}", one.identity or "", _from(one), one.made_by)
        for one in found
    ]
    output.table(("SITE", "STATE", "UNTIL", "KEY", "FROM", "MADE BY"), rows)


def _from(one: Enrolment) -> str:
    return ", ".join(fact for fact in (one.hostname, one.model) if fact)
