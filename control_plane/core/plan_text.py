"""A plan as a person reads it in ten seconds: how many sites, when, what is wrong with it, then each thing once.

Lines are plain; names in them come from people and are for the terminal to make harmless (`cli.output.visible`).
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from control_plane.core.plan import Change, Plan
from control_plane.core.plan_cautions import Caution
from control_plane.core.plan_details import KINDS, Effect, details, effects
from control_plane.core.plan_waves import Left, Resumed, Rollout
from control_plane.core.plan_words import count, instant, megabytes, short, span
from schemas.names import SiteId

SHOWN_EFFECTS: Final = 30
SHOWN_SITES: Final = 6
_SOON_S: Final = 60


def plan_lines(plan: Plan, *, everything: bool = False) -> list[str]:
    """The plan in lines; with `everything`, every site that shares a change with its whole change."""
    if plan.is_empty:
        return [f"{plan.base} → {plan.head}: {NOTHING}"]
    lines = [*headline(plan), *_guard(plan), *_cautions(plan.cautions, everything)]
    changes = list(_groups(plan.changes) if everything else _effects(effects(plan)))
    return [*lines, *(["", *changes] if changes else []), *unknown(plan)]


def site_lines(plan: Plan, site: SiteId) -> list[str]:
    """All that happens to one site, which BASE or HEAD has."""
    one = plan.sites.get(site)
    if one is None:
        return [f"no change: {site} stays as it is"]
    change = plan.changes[one.change]
    lines = [f"{site} · {one.name}: {KINDS[change.kind]}", *(f"  {line}" for line in details(change))]
    if one.download_bytes:
        lines.append(f"  to fetch: {megabytes(one.download_bytes)}")
    if one.at is not None:
        lines.append(f"  when: {moment(plan, one.at)}")
    for caution in plan.cautions:
        if site in caution.sites:
            lines.append(f"  ! {detailed(caution.message, caution.sites[site])}")
    others = len(change.sites) - 1
    return lines + ([f"  {count(others, 'other site')} with the same change"] if others else []) + unknown(plan)


NOTHING: Final = "no change, every site stays as it is"


def headline(plan: Plan) -> list[str]:
    """Totals: what happens to how many sites, and when."""
    return [f"{plan.base} → {plan.head}: {touched(plan)}", *(f"  {line}" for line in totals_of(plan))]


def totals_of(plan: Plan) -> list[str]:
    """What is fetched, what restarts, when, and in which waves; nothing that a person named freely."""
    totals, lines = plan.totals, []
    if totals.download_bytes or totals.videos_added or totals.videos_removed:
        lines.append(f"to fetch: {megabytes(totals.download_bytes)} in all{_videos(plan)}")
    if totals.restarts or totals.agents:
        parts = [(totals.restarts, "services restart on"), (totals.agents, "another agent on")]
        lines.append(", ".join(f"{what} {count(number, 'site')}" for number, what in parts if number))
    rollouts = [*map(resumed_line, plan.resumed), *map(rollout_line, plan.rollouts), *map(left_line, plan.left)]
    return [*lines, *timing(plan), *rollouts]


def touched(plan: Plan) -> str:
    """`of 12 sites 11 changed, 1 removed`."""
    totals = plan.totals
    kinds = [(number, word) for kind, word in KINDS.items() if (number := getattr(totals, kind))]
    words = ", ".join(f"{number:,} {word}" for number, word in kinds)
    return f"of {count(plan.impact.total, 'site')} {words or 'none changed'}"


def rollout_line(rollout: Rollout) -> str:
    """How many sites have it when, at the earliest."""
    by, last = f"by the policy {rollout.policy}", span(rollout.last_after_s)
    if rollout.joins:
        sites = f"{count(rollout.sites, 'site')} {_verb('join', rollout.sites)}"
        what = f"{sites} rollout {rollout.joins} of {rollout.what}, {by}"
        if not rollout.waves:
            return f"{what}: it has halted, and goes on when somebody says so (neopro rollout resume)"
        return f"{what}: {'at once' if not rollout.last_after_s else f'the last at the earliest {last} from now'}"
    sites = count(rollout.sites, "site")
    if not rollout.last_after_s:
        return f"{rollout.what} in waves, {by}: all of them at once ({sites})"
    waves = " + ".join(f"{wave:,}" for wave in rollout.waves)
    return (
        f"{rollout.what} in waves, {by}: {waves} of {sites}, each wave when "
        f"the one before has run well for {span(rollout.soak_s)}, the last at the earliest {last} after the first"
    )


def _verb(word: str, number: int) -> str:
    return f"{word}s" if number == 1 else word


def left_line(left: Left) -> str:
    """A rollout under way that sites leave."""
    what = f"rollout {left.number} of {left.what}"
    what = f"{what} ends" if left.ends else f"{count(left.sites, 'site')} {_verb('leave', left.sites)} {what}"
    told = [
        f"{count(left.at_once, 'site')} {_verb('get', left.at_once)} it at once, without waiting for a wave",
        f"{count(left.never, 'site')} never had it",
    ]
    told = [text for text, number in zip(told, (left.at_once, left.never), strict=True) if number]
    return f"{what}: {'; '.join(told)}" if told else what


def resumed_line(resumed: Resumed) -> str:
    """A rollout that goes on."""
    how, sites = "begins anew" if resumed.anew else "goes on", count(resumed.sites, "site")
    return f"rollout {resumed.number} of {resumed.what} {how}: {resumed.waiting:,} of {sites} wait for their wave"


def timing(plan: Plan) -> list[str]:
    """When the first and the last site change."""
    when, words = plan.timing, []
    if when.first_at is not None and when.last_at is not None:
        first, last = moment(plan, when.first_at), moment(plan, when.last_at)
        words.append(first if first == last else f"the first site {first}, the last {last}")
    if when.unforeseen:
        words.append(f"{count(when.unforeseen, 'site')} at the next boot or when the screen is idle")
    hopes = "boxes that are online, and in no match" + ("; waves that all go well" if plan.rollouts else "")
    return [f"when: {'; '.join(words)} ({hopes})"] if words else []


def moment(plan: Plan, at: datetime) -> str:
    """`at once`, or the instant."""
    return "at once" if (at - plan.made_at).total_seconds() < _SOON_S else f"at {instant(at)}"


def detailed(text: str, detail: str) -> str:
    """A sentence, and what is a site's own in it."""
    return f"{text}: {detail}" if detail else text


def effect_sites(effect: Effect, most: int = SHOWN_SITES) -> str:
    """The sites of an effect, if they are few enough to be read."""
    return f" · {', '.join(effect.sites)}" if len(effect.sites) <= most else ""


def unknown(plan: Plan) -> list[str]:
    """What could not be known."""
    return ["", *(f"not known: {sentence}" for sentence in plan.unknown)] if plan.unknown else []


def _effects(found: list[Effect]) -> Iterator[str]:
    shown = found[:SHOWN_EFFECTS]
    numbers = [count(len(effect.sites), "site") for effect in shown]
    width = max(map(len, numbers), default=0)
    for number, effect in zip(numbers, shown, strict=True):
        yield f"{number:>{width}}: {effect.text}{effect_sites(effect)}"
    if len(found) > len(shown):
        yield f"… and {len(found) - len(shown):,} more changes like these (--all)"


def _groups(changes: Iterable[Change]) -> Iterator[str]:
    for change in changes:
        fetch = f" · {megabytes(change.download_bytes)} to fetch" if change.download_bytes else ""
        yield f"{count(len(change.sites), 'site')} {KINDS[change.kind]}: {', '.join(change.sites)}{fetch}"
        yield from (f"    {line}" for line in details(change))


def _videos(plan: Plan) -> str:
    signs = [("+", plan.totals.videos_added), ("−", plan.totals.videos_removed)]
    words = [f"{sign}{count(number, 'video')}" for sign, number in signs if number]
    return f" ({', '.join(words)})" if words else ""


def _guard(plan: Plan) -> list[str]:
    return [f"held: {plan.guard.sentence}"] if plan.guard.held else []


def _cautions(cautions: Iterable[Caution], everything: bool) -> Iterator[str]:
    for caution in cautions:
        told = [f"{site} ({detail})" if detail else site for site, detail in caution.sites.items()]
        names = short(told, len(told) if everything else SHOWN_SITES)
        yield f"! {count(len(caution.sites), 'site')}: {caution.message}: {names}"
