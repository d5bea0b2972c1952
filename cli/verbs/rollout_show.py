"""`neopro rollout show`: a rollout wave by wave, and its sites."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from msgspec.structs import replace

from cli.checkout import Checkout
from cli.flags import Flag
from cli.output import Output

if TYPE_CHECKING:
    from schemas.rollouts import RolloutDetail, RolloutSite


def rollout_show(
    number: Annotated[int, Parameter(validator=Number(gte=1))],
    /,
    *,
    failed: Flag = False,
    repository: Path | None = None,
    json: Flag = False,
) -> None:
    """Show a rollout: how each wave did, which come, and every site with what it had before and how it is now.

    Examples:

    - `neopro rollout show 3`
    - `neopro rollout show 3 --failed`

    Parameters
    ----------
    number
        Its number, as `neopro rollout list` tells it.
    failed
        Only the sites on which it failed.
    repository
        The checkout whose control plane is asked; without it, the one around the current folder.
    json
        Print it as JSON.
    """
    from cli.remote import Remote, find_target
    from cli.rollouts import STYLES

    output = Output(json)
    with Remote(find_target(os.environ, Checkout.find_if_any(repository))) as remote:
        found = remote.rollout(number)
    shown = [one for one in found.members if one.outcome == "failed" or not failed]
    output.data(replace(found, members=shown))
    for line in _facts(found):
        output.say(line)
    output.say()
    output.table(("WAVE", "SHARE", "SITES", "WELL", "FAILED", "PENDING"), list(_waves(found)))
    output.say()
    if shown:
        output.table(("SITE", "BEFORE", "WAVE", "HOW", "SINCE", "WHY"), _sites(shown), STYLES)
    else:
        output.say("it failed on no site" if failed else "no site takes part in it any more")


def _facts(found: "RolloutDetail") -> Iterator[str]:
    from cli.rollouts import HALTED, WORDS, how, moment, what

    yield f"rollout  {found.number}: {what(found)}, by the policy {found.policy}"
    yield f"begun    {moment(found.started_at)}, by commit {found.commit[:12]}"
    if found.phase not in HALTED:
        yield f"state    {WORDS[found.phase]}: {how(found)}"
        return
    agent = " --agent" if found.kind == "agent" else ""
    yield f"state    {WORDS[found.phase]}: {found.why}"
    resume = f"neopro rollout resume {found.version}{agent} --commit"
    yield f"to do    {resume} goes on with it; a revert, or another version, ends it"


def _waves(found: "RolloutDetail") -> Iterator[Sequence[str]]:
    from cli.rollouts import waves

    for wave in waves(found):
        outcomes = (wave.well, wave.failed, wave.pending)
        yield (
            str(wave.number),
            wave.share,
            str(wave.sites),
            *(map(str, outcomes) if sum(outcomes) else ("", "", "not yet")),
        )


def _sites(members: "Sequence[RolloutSite]") -> list[Sequence[str]]:
    return [
        (one.site, one.before or "revoked", str(one.wave or ""), _how(one), _since(one), one.why) for one in members
    ]


def _how(site: "RolloutSite") -> str:
    if site.wave is None:
        return "failed, went back" if site.outcome == "failed" else "waits"
    return "failed, excused" if site.excused else site.outcome


def _since(site: "RolloutSite") -> str:
    from cli.rollouts import moment

    return moment(site.let_in_at) if site.let_in_at else ""
