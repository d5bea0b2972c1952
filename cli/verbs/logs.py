"""`neopro logs`: what an operation fetched."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output
from cli.sites_table import age_of
from cli.words import size

if TYPE_CHECKING:
    from cli.remote import Remote


def logs(
    operation: str,
    /,
    *,
    site: str | None = None,
    repository: Path | None = None,
    json: Flag = False,
) -> int:
    """Print the logs that an operation fetched, or list which sites sent some.

    `neopro op logs` and `neopro op self-test` make such an operation. Characters that could steer the terminal are
    written out. Exit status 1: no site, or not this one, has sent anything (yet).

    Examples:

    - `neopro logs fetch-logs-rennes-fc`
    - `neopro logs fetch-logs-rennes-fc --site rennes-fc | less`

    Parameters
    ----------
    operation
        Its id: the name of its file in operations/.
    site
        Whose log to print; needed where several sites sent one.
    repository
        The checkout whose settings to use; without it, the one around the current folder, if any.
    json
        Print it as JSON: the list, or with --site the text.
    """
    from cli.remote import Remote, find_target

    output = Output(json)
    with Remote(find_target(os.environ, Checkout.find_if_any(repository))) as remote:
        if site is None:
            return _list(output, remote, operation)
        return _print(output, remote, operation, site)


def _list(output: Output, remote: "Remote", operation: str) -> int:
    found = remote.logs(operation)
    if not found:
        raise CommandFailed(f"cannot find logs of {operation}: no site has sent any (yet)", status=1)
    if len(found) == 1 and not output.json:
        return _print(output, remote, operation, found[0].site)
    output.data(found)
    now = datetime.now(UTC)
    rows = [
        (log.site, f"{age_of((now - log.received_at).total_seconds())} ago", size(log.stored_bytes)) for log in found
    ]
    output.table(("SITE", "RECEIVED", "COMPRESSED"), rows)
    output.say(f"to read one: neopro logs {operation} --site {found[0].site}")
    return 0


def _print(output: Output, remote: "Remote", operation: str, site: str) -> int:
    text = remote.log(site, operation)
    if text is None:
        raise CommandFailed(f"cannot find a log of {site} for {operation}: its box has sent none (yet)", status=1)
    readable = text.decode("utf-8", "backslashreplace")
    output.data({"site": site, "operation": operation, "text": readable})
    output.say(readable.rstrip("\n").expandtabs().replace("\r\n", "\n"))
    return 0
