"""What the agent last found, in words for the technician who stands in front of the box."""

from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from reconciler_agent.core.trust import accept_manifest, current_head
from reconciler_agent.errors import TrustRefused
from reconciler_agent.state import State
from schemas.manifest import SiteHead
from schemas.names import SiteId, digest_of
from schemas.reasons import REASONS
from schemas.status import Condition, Difference, Waiting

WAITS: Final = "AwaitingAcceptance"


class Description(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of a box; `lines` say the same to a person."""

    site: SiteId
    accepted_generation: int | None = None
    reached_generation: int | None = None
    commit: str | None = None
    release: str | None = None
    failed_release: str | None = None
    files: int = 0
    conditions: list[Condition] = []
    differences: list[Difference] = []
    waiting: list[Waiting] = []
    to_put_back: Literal["configuration", "videos"] | None = None
    """What comes next of what the club had on the box before this one."""
    unsent_events: int = 0
    lines: list[str] = []


def describe(site: SiteId, state: State | None) -> Description:
    """The state in words; None: the agent never ran here."""
    if state is None:
        return Description(site=site, lines=[f"{site}: the agent has not run here yet."])
    head, known, told = current_head(state.trust), state.releases, state.told
    made = Description(
        site=site,
        accepted_generation=head.generation if head is not None else None,
        reached_generation=state.committed,
        commit=head.commit if head is not None else None,
        release=known.good.version if known.good is not None else None,
        failed_release=known.bad.target.version if known.bad is not None else None,
        files=len(state.ledger),
        conditions=told.conditions,
        differences=told.differences,
        waiting=told.waiting,
        to_put_back=_to_put_back(head, state),
        unsent_events=len(state.events),
    )
    return replace(made, lines=_lines(made))


def _to_put_back(head: SiteHead | None, state: State) -> Literal["configuration", "videos"] | None:
    if head is None or state.body is None or digest_of(state.body) != head.manifest:
        return None
    try:
        due = accept_manifest(head, state.body).restore
    except TrustRefused:  # taken by a newer agent than this one; its conditions say more
        return None
    if due in (None, state.videos_back):
        return None
    return "videos" if due == state.restored else "configuration"


def _lines(made: Description) -> list[str]:
    lines = [f"{made.site}: {_verdict(made)}"]
    if made.accepted_generation is None and WAITS in {c.reason for c in made.conditions}:
        lines.append("  Nothing is wrong: the box is new, and waits to be let in.")
    elif made.accepted_generation is None:
        lines.append("  No news was ever accepted: check the network, and the identity in the site's file in Git.")
    else:
        reached = "reached" if made.reached_generation == made.accepted_generation else "not reached yet"
        lines.append(f"  generation {made.accepted_generation} of commit {(made.commit or '')[:12]}, {reached}")
    lines.append(f"  release {made.release or 'none'}, {made.files} files under videos/")
    if made.failed_release:
        lines.append(f"  release {made.failed_release} failed here and is not tried again")
    for c in made.conditions:
        lines.append(f"  {c.type} is {c.status} since {c.since:%Y-%m-%d %H:%M} UTC ({c.reason}){_colon(c.message)}")
    lines += _remedies(made.conditions)
    for d in made.differences[:20]:
        lines.append(f"  differs: {d.kind} {d.what}: {d.observed or 'as it is'}, wanted: {d.desired or 'otherwise'}")
    for w in made.waiting:
        until = f" Until {w.until:%Y-%m-%d %H:%M} UTC at the latest." if w.until is not None else ""
        lines.append(f"  waits: {w.message or w.step}{until}")
    if made.to_put_back:
        what = "configuration" if made.to_put_back == "configuration" else "own videos (some of them)"
        lines.append(f"  waits: the club's {what} from the box before this one; a stick or the network brings it")
    if made.unsent_events:
        lines.append(f"  {made.unsent_events} events wait to be reported")
    return lines


def _colon(message: str) -> str:
    return f": {message}" if message else ""


def _remedies(conditions: list[Condition]) -> list[str]:
    """What to do about each reason that waits for a person, once."""
    reasons = dict.fromkeys(c.reason for c in conditions)
    if WAITS in reasons:
        reasons.pop("NoManifest", None)  # what to do about it is the same
    return [f"  do: {REASONS[r].remedy} ({r})" for r in reasons if r in REASONS and REASONS[r].person]


def _verdict(made: Description) -> str:
    said = {c.type: c for c in made.conditions}
    if "Degraded" in said and said["Degraded"].status == "True":
        return "something is wrong"
    if "Synced" in said and said["Synced"].status == "True":
        return "all is as desired"
    return "not as desired yet"
