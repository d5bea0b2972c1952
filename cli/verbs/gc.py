"""`neopro gc`: the control plane deletes files that nothing needs any more."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output
from cli.words import count, size
from schemas.api import SweepReport

Days = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=3650))]


def gc(*, dry_run: Flag = False, grace_days: Days = 30, repository: Path | None = None, json: Flag = False) -> None:
    """Delete the files that nothing alive names: no manifest of a site, no document, no allowed release, no backup.

    What sites were to have within the grace stays, so that a revert finds it; what was uploaded within the grace stays,
    too. It is safe at any time: a commit that would need what is being deleted is refused until it is uploaded again.

    Examples:

    - `neopro gc --dry-run`
    - `neopro gc --grace-days 90`

    Parameters
    ----------
    dry_run
        Only say what would be deleted.
    grace_days
        Days for which everything is kept, whoever names it; 1 to 3650.
    repository
        The checkout that names the control plane; without it, the one around the current folder.
    json
        Print the reports as JSON.
    """
    from cli.remote import Remote, find_target

    output = Output(json)
    with Remote(find_target(os.environ, _checkout(repository))) as remote:
        reports = [remote.sweep(dry_run=dry_run, grace_days=grace_days)]
        while reports[-1].more and reports[-1].swept and not dry_run:
            output.say(_deleted(reports[-1]))
            reports.append(remote.sweep(dry_run=False, grace_days=grace_days))
    output.data({"sweeps": reports})
    last = reports[-1]
    for blob in last.examples if dry_run else ():
        output.say(f"{blob.digest}  {size(blob.size_bytes):>7}  {blob.modified_at:%Y-%m-%d}")
    if dry_run and last.swept > len(last.examples):
        output.say(f"… and {last.swept - len(last.examples)} more")
    output.say(_deleted(last))
    young = f"{last.fresh} younger than {count(grace_days, 'day')}"
    output.say(f"{count(last.blobs, 'file')} looked at: {last.alive} needed, {young}")


def _deleted(report: SweepReport) -> str:
    doing = "would delete" if report.dry_run else "deleted"
    return f"{doing} {count(report.swept, 'file')}, {size(report.swept_bytes)}" + (", and more" if report.more else "")


def _checkout(repository: Path | None) -> Checkout | None:
    """Any folder will do, where the environment names the control plane."""
    try:
        return Checkout.find(repository)
    except CommandFailed:
        if repository is not None:
            raise
        return None
