"""`neopro plan`: what a change will do, before it is made."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output

if TYPE_CHECKING:
    from cli.planning import Compiled, Ends
    from cli.remote import Remote
    from control_plane.core.plan import Plan
    from schemas.api import Observations


def plan(
    range_: str | None = None,
    /,
    *,
    site: str | None = None,
    all_: Flag = False,
    markdown: Flag = False,
    offline: Flag = False,
    repository: Path | None = None,
    json: Flag = False,
) -> int:
    """Show what a change will do to every site before it is published: by the function that the server runs.

    RANGE is BASE..HEAD, BASE...HEAD (from where the two parted), or BASE alone, which compares with the files as they
    lie on disk. Without a base it is what is published, or, where no control plane can be asked, what the upstream
    branch has. With access to the control plane (as for `neopro status`) it uses what boxes last reported; without, it
    says what it could not know.

    Exit status 0: no change; 1: there are changes; 2: HEAD has errors, a guard of fleet.yaml holds the change (the
    line to add to a commit's message is shown: Allow-Impact: …), or it could not be planned.

    Examples:

    - `neopro plan`
    - `neopro plan origin/main..HEAD --site rennes-fc`
    - `neopro plan HEAD~1 --all`
    - `neopro plan origin/main...HEAD --markdown > comment.md`

    Parameters
    ----------
    range_
        What to compare; without it, what is published with the files on disk.
    site
        Only this site, with everything that happens to it.
    all_
        Everything: change by change, with every site.
    markdown
        Print it as a comment for a pull request, at most 65,536 characters long.
    offline
        Do not ask the control plane, even where one is configured.
    repository
        The checkout; without it, the one around the current folder.
    json
        Print it as JSON.
    """
    from cli.commits import Commits
    from cli.planning import compile_ends, find_ends

    if markdown and json:
        raise CommandFailed("cannot print both: choose --markdown or --json")
    if markdown and site:
        raise CommandFailed("cannot make a comment of one site: leave --markdown or --site out")
    checkout = Checkout.find(repository)
    commits = Commits(checkout)
    with _Boxes(checkout, offline) as boxes:
        ends = find_ends(commits, range_, boxes.told)
        compiled = compile_ends(checkout, commits, ends)
        if compiled.head.has_errors:
            return _refuse(compiled, ends, Output(json))
        made = _plan(ends, compiled, boxes)
    known = made.sites.keys() | compiled.head.sites.keys()
    if site is not None and site not in known:
        raise CommandFailed(f"cannot show {site}: neither end has such a site; neopro site list tells the ids")
    _show(made, Output(json), site=site, everything=all_, markdown=markdown)
    if made.guard.held:
        if json or markdown:
            Output(json).note(f"neopro: held by a guard: {made.guard.sentence}")
        return 2
    return 0 if made.is_empty else 1


class _Boxes:
    """What the control plane knows, where it can be asked."""

    def __init__(self, checkout: Checkout, offline: bool) -> None:
        self._checkout, self._offline = checkout, offline
        self._remote: Remote | None = None
        self.told: Observations | None = None

    def __enter__(self) -> "_Boxes":
        from cli.remote import Remote, find_target_if_any

        target = None if self._offline else find_target_if_any(os.environ, self._checkout)
        if target is not None:
            self._remote = Remote(target)
            self.told = self._remote.observations()
        return self

    def __exit__(self, *_: object) -> None:
        if self._remote:
            self._remote.close()

    @property
    def remote(self) -> "Remote | None":
        return self._remote


def _plan(ends: "Ends", compiled: "Compiled", boxes: _Boxes) -> "Plan":
    from cli.planning import observe
    from control_plane.core.plan import plan as make_plan

    observed = None
    if boxes.told and boxes.remote:
        observed = observe(boxes.told, ends, compiled, boxes.remote)
    now = datetime.now(UTC)
    return make_plan(compiled.base, compiled.head, observed, now, names=ends.names, messages=compiled.messages)


def _refuse(compiled: "Compiled", ends: "Ends", output: Output) -> int:
    """Print what is wrong with HEAD, as `neopro validate` does."""
    problems = compiled.head.problems
    errors = sum(problem.severity == "error" for problem in problems)
    output.data({"errors": errors, "warnings": len(problems) - errors, "problems": problems})
    for problem in problems:
        output.say(str(problem))
    raise CommandFailed(f"cannot plan {ends.names[1]}: it has errors ({errors}) and would be refused whole")


def _show(made: "Plan", output: Output, *, site: str | None, everything: bool, markdown: bool) -> None:
    from control_plane.core.plan_markdown import plan_markdown
    from control_plane.core.plan_text import plan_lines, site_lines

    if output.json:
        output.data(_of_site(made, site) if site else made)
    elif markdown:
        output.say(plan_markdown(made).rstrip("\n"))
    else:
        lines = site_lines(made, site) if site else plan_lines(made, everything=everything)
        output.say("\n".join(lines))


def _of_site(made: "Plan", site: str) -> dict[str, object]:
    """What --json prints of one site."""
    one = made.sites.get(site)
    return {
        "base": made.base,
        "head": made.head,
        "made_at": made.made_at,
        "site": site,
        "plan": one,
        "change": made.changes[one.change] if one else None,
        "cautions": {caution.code: caution.sites[site] for caution in made.cautions if site in caution.sites},
        "unknown": made.unknown,
    }
