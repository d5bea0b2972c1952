"""A plan as a comment in a pull request: what a person reads at once, details to unfold, never more than forges take.

Whatever people named stands in code spans, so that it neither formats, nor links, nor calls anybody.
"""

import re
from typing import Final

from control_plane.core.plan import Change, Plan
from control_plane.core.plan_details import KINDS, Effect, details, effects
from control_plane.core.plan_text import NOTHING, SHOWN_SITES, effect_sites, totals_of, touched
from control_plane.core.plan_words import count, megabytes, short

MAX_CHARACTERS: Final = 65_536
"""What GitHub, GitLab and Gitea all take in one comment."""
MAX_CELL: Final = 300
SHOWN_EFFECTS: Final = 50
SHOWN_CAUTIONS: Final = 20
_MARKER: Final = "<!-- neopro plan -->"
_RUNS: Final = re.compile(r"`+")
_CLOSING: Final = "\n</details>\n"


def plan_markdown(plan: Plan) -> str:
    """The comment; its first line is always the same, so that a check can find the one that it wrote before."""
    title = f"{_MARKER}\n### Plan: {code(plan.base)} → {code(plan.head)}\n"
    if plan.is_empty:
        return f"{title}\n{NOTHING.capitalize()}.\n"
    found = effects(plan)
    parts = [title, f"**{touched(plan).capitalize()}**\n", *(f"- {line}" for line in totals_of(plan))]
    if plan.guard.held:
        parts.append(_guard(plan))
    parts += [_cautions(plan), _table(found[:SHOWN_EFFECTS], len(found)), _unknown(plan)]
    text = "\n".join(part for part in parts if part)
    return text + _unfold(plan, MAX_CHARACTERS - len(text))


def code(text: str, *, in_table: bool = False) -> str:
    """`text` as a code span, whatever is in it; cut to MAX_CELL characters, what cannot be seen written out."""
    shown = text if text.isprintable() else "".join(c if c.isprintable() else _written_out(c) for c in text)
    shown = shown if len(shown) <= MAX_CELL else shown[: MAX_CELL - 1] + "…"
    shown = shown.replace("|", "\\|") if in_table else shown
    fence = "`" * (1 + max(map(len, _RUNS.findall(shown)), default=0))
    blank = " " if shown[:1] in ("`", " ") or shown[-1:] in ("`", " ") else ""
    return f"{fence}{blank}{shown}{blank}{fence}" if shown else ""


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _guard(plan: Plan) -> str:
    why = plan.guard.sentence.partition("; if that is meant")[0]
    return (
        f"\n**Held by a guard**: {why}. If that is meant, add this line to a commit's message:\n\n"
        f"```\n{plan.guard.trailer}\n```"
    )


def _cautions(plan: Plan) -> str:
    lines = []
    for caution in plan.cautions[:SHOWN_CAUTIONS]:
        told = [f"{site} ({detail})" if detail else site for site, detail in caution.sites.items()]
        lines.append(f"- {count(len(told), 'site')}: {caution.message}: {code(short(told, SHOWN_SITES))}")
    return "\n**Look at this first**\n\n" + "\n".join(lines) if lines else ""


def _table(found: list[Effect], total: int) -> str:
    if not found:
        return ""
    told = [(len(effect.sites), code(effect.text + effect_sites(effect), in_table=True)) for effect in found]
    rows = [f"| {number:,} | {text} |" for number, text in told]
    more = f"\n\n… and {total - len(found):,} more changes like these" if total > len(found) else ""
    return "\n| sites | what |\n|--:|:--|\n" + "\n".join(rows) + more


def _unknown(plan: Plan) -> str:
    return "\n" + "\n".join(f"- not known: {sentence}" for sentence in plan.unknown) if plan.unknown else ""


def _unfold(plan: Plan, room: int) -> str:
    """The changes with all that is in them, as many as there is room for."""
    if not plan.changes:
        return "\n"
    opening = f"\n\n<details><summary>{count(len(plan.sites), 'site')}, change by change</summary>\n"
    ending = "\n\n… more than a comment takes: `neopro plan --all` shows the rest\n" + _CLOSING
    text = opening
    for change in plan.changes:
        block = _change(change)
        if len(text) + len(block) + len(ending) > room:
            return text + ending if len(text) + len(ending) <= room else ""
        text += block
    return text + _CLOSING


def _change(change: Change) -> str:
    fetch = f", {megabytes(change.download_bytes)} to fetch" if change.download_bytes else ""
    title = f"\n**{count(len(change.sites), 'site')} {KINDS[change.kind]}**{fetch}: {_names(change.sites)}\n\n"
    return title + "\n".join(f"- {code(line)}" for line in details(change)) + "\n"


def _names(sites: list[str]) -> str:
    return code(short(sites, 12))
