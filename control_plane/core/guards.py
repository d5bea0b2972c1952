"""Limits of what may happen at once without somebody who said so: `guards` in fleet.yaml, `Allow-Impact` in a commit.

A change is judged by the guards of what is published and by its own, and the stricter of each counts: no commit lifts
the guard that would have held it. ADR 0013 says why.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from control_plane.core.number import Mark
from control_plane.core.render import CompiledSite
from schemas.desired import Guards
from schemas.names import SiteId

TRAILER: Final = "Allow-Impact"
_LINE: Final = re.compile(rf"^{TRAILER}:[ \t]*(.*)$", re.IGNORECASE | re.MULTILINE)
_WORD: Final = re.compile(r"(?<!\S)(sites|removals)=([0-9]{1,9})(?!\S)")


class Impact(Struct, frozen=True, kw_only=True):
    """What a change does to the sites that are there: how many of `total` it touches, and how many it takes away."""

    sites: int
    removals: int
    total: int


class Allowance(Struct, frozen=True, kw_only=True):
    """What trailers allow."""

    sites: int = 0
    removals: int = 0


class Verdict(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What guards say of a change; when it is `held`, `sentence` says why and `trailer` is the line that lets it go."""

    held: bool = False
    sentence: str = ""
    trailer: str = ""
    sites_allowed: int | None = None
    removals_allowed: int | None = None


def allowance_of(messages: Iterable[str]) -> Allowance:
    """The largest of each number in the trailers of these commits' messages.

    A line counts wherever it stands: forges put messages together when they squash. What is not `sites=N` or
    `removals=N` is passed over.
    """
    found = {"sites": 0, "removals": 0}
    for message in messages:
        for line in _LINE.findall(message):
            for key, number in _WORD.findall(line):
                found[key] = max(found[key], int(number))
    return Allowance(**found)


def judge_impact(impact: Impact, guards: Iterable[Guards | None], allowed: Allowance) -> Verdict:
    """Whether the change may go; `guards` are those of what is published and those of the change."""
    known = [guard for guard in guards if guard is not None]
    limits = [_limit(guard, impact.total) for guard in known if guard.max_sites is not None]
    most = min(limits, default=None)
    none_may_go = any(not guard.allow_removals for guard in known)
    over = most is not None and impact.sites > max(most, allowed.sites)
    gone = none_may_go and impact.removals > allowed.removals
    whys = [_too_many(impact, most)] if over and most is not None else []
    whys += [_removed(impact)] if gone else []
    words = [f"sites={impact.sites}"] if over else []
    words += [f"removals={impact.removals}"] if gone else []
    trailer = f"{TRAILER}: {' '.join(words)}" if words else ""
    return Verdict(
        held=bool(words),
        sentence=f"{'; '.join(whys)}; if that is meant, add this line to a commit's message: {trailer}"
        if words
        else "",
        trailer=trailer,
        sites_allowed=None if most is None else max(most, allowed.sites),
        removals_allowed=allowed.removals if none_may_go else None,
    )


def impact_of_marks(marks: Mapping[SiteId, Mark], sites: Mapping[SiteId, CompiledSite]) -> Impact:
    """The impact on what is published as its rows tell it, where the commit itself cannot be compiled any more."""
    there = {site: mark for site, mark in marks.items() if not mark.gone}
    pairs = [(mark, sites.get(site)) for site, mark in there.items()]
    changed = [new for old, new in pairs if new and (old.manifest, old.state, old.identity) != _word(new)]
    gone = [old for old, new in pairs if new is None or (new.state == "retired") > (old.state == "retired")]
    cut_off = [old for old, new in pairs if new and old.identity and not new.identity]
    left = sum(new is None for _, new in pairs)
    return Impact(sites=len(changed) + left, removals=len({id(old) for old in (*gone, *cut_off)}), total=len(there))


def _word(site: CompiledSite) -> tuple[str, str, str | None]:
    return site.manifest, site.state, site.identity


def _limit(guard: Guards, total: int) -> int:
    """Whole sites; one is always allowed, or the guard of a small fleet would hold everything. 0 % holds everything."""
    percent = int((guard.max_sites or "100%").removesuffix("%"))
    return max(1, percent * total // 100) if percent else 0


def _too_many(impact: Impact, most: int | None) -> str:
    return f"it touches {impact.sites} of {impact.total} sites, and guards.max_sites allows {most}"


def _removed(impact: Impact) -> str:
    sites = "1 site" if impact.removals == 1 else f"{impact.removals} sites"
    return f"it takes {sites} away (gone, retired or without identity), and guards.allow_removals is false"
