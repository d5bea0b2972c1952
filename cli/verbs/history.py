"""`neopro history`: the commits that changed a site."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cli.checkout import Checkout
from cli.flags import Flag
from cli.output import Output

if TYPE_CHECKING:
    from cli.remote import Target
    from control_plane.core.sites import SiteRecord

SHOWN = 20


def history(
    site: str, /, *, offline: Flag = False, all_: Flag = False, repository: Path | None = None, json: Flag = False
) -> None:
    """List the commits that changed what a site is to be, the newest first, and whether its box has been there.

    Where no control plane can be asked, Git alone tells: the commits that touched the site's file or one of its layers
    and sets, which may have left the site as it was.

    Examples:

    - `neopro history rennes-fc`
    - `neopro history rennes-fc --offline --all`

    Parameters
    ----------
    site
        Its id.
    offline
        Do not ask the control plane, even where one is configured.
    all_
        All of them; without it, the last 20.
    repository
        The checkout; without it, the one around the current folder.
    json
        Print it as JSON.
    """
    from cli.remote import find_target_if_any

    output = Output(json)
    checkout = Checkout.find_if_any(repository)
    target = None if offline else find_target_if_any(os.environ, checkout)
    if target is not None:
        _tell_published(output, target, site, all_)
    else:
        _tell_git(output, checkout or Checkout.find(repository), site, all_)


def _tell_published(output: Output, target: "Target", site: str, everything: bool) -> None:
    from cli.remote import Remote

    with Remote(target) as remote:
        found = remote.history(site)
    shown = found if everything else found[:SHOWN]
    output.data(shown)
    output.table(
        ("COMMIT", "PUBLISHED", "BOX", "AUTHOR", "SUBJECT"),
        [
            (
                one.commit[:7],
                f"{one.published_at:%Y-%m-%d %H:%M}",
                "there" if one.converged else "not yet",
                one.author.partition("<")[0].strip(),
                one.subject,
            )
            for one in shown
        ],
    )
    _tell_rest(output, len(found) - len(shown))


def _tell_git(output: Output, checkout: Checkout, site: str, everything: bool) -> None:
    from cli.fleet_view import read_fleet
    from cli.git_history import changes_of

    record = read_fleet(checkout).site(site)
    found = list(changes_of(checkout, *_files(record, checkout.documents("groups"))))
    shown = found if everything else found[:SHOWN]
    output.data([one._asdict() for one in shown])
    output.table(
        ("COMMIT", "DATE", "AUTHOR", "SUBJECT"), [(one.commit[:7], one.date, one.author, one.subject) for one in shown]
    )
    _tell_rest(output, len(found) - len(shown))
    output.note("by Git alone: commits that touched its file, layers, sets or release; some may have changed nothing")


def _files(record: "SiteRecord", groups: dict[str, str]) -> list[str]:
    """The site's file and what it resolves from, as far as names tell."""
    resolved = record.resolved
    return [
        record.path,
        "fleet.yaml",
        *(groups[name] for _, name in record.groups if name in groups),
        *(f"video-sets/{name}.yaml" for name in resolved.video_sets),
        *([f"releases/{resolved.release}.yaml"] if resolved.release else []),
    ]


def _tell_rest(output: Output, left: int) -> None:
    if left > 0:
        output.say(f"… and {left:,} older (--all)")
