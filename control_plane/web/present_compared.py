"""What is desired of a box, what it says that it is, and what its club owns beside that; pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

from msgspec import Struct

from control_plane.store.views import SiteView
from control_plane.web.present import short
from control_plane.web.present_content import Content
from control_plane.web.present_rollouts import Beside
from control_plane.web.words import Words
from schemas.club import ClubMirror
from schemas.manifest import ManifestMaintenance, ManifestWindow, SiteManifest
from schemas.rollouts import RolloutKind
from schemas.status import StatusReport

NAMED: Final = 6
"""Names that a cell gives; of the others, how many there are."""
_WEEK: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Compared(Struct, frozen=True, kw_only=True):
    """One aspect: desired, observed, and the club's own. `code`: the first two are to be set as code.

    `beside`: what is said beside what is desired.
    """

    label: str
    desired: str = ""
    observed: str = ""
    club: str = ""
    same: bool = True
    code: bool = False
    beside: Beside | None = None


def compared(
    view: SiteView,
    manifest: SiteManifest | None,
    content: Content | None,
    club: ClubMirror | None,
    words: Words,
    *,
    besides: Mapping[RolloutKind, Beside],
) -> list[Compared]:
    """Every aspect of which there is something to say. `besides`: of the rollouts that the site is part of."""
    rows = [*_of_report(view, manifest, besides, words), *_of_content(view, content, club, words)]
    rows += [*_of_settings(view, manifest, club, words), *_of_rules(view, manifest, words), *_clock(view, words)]
    return [row for row in rows if row.desired or row.observed or row.club]


def _of_report(
    view: SiteView, manifest: SiteManifest | None, besides: Mapping[RolloutKind, Beside], words: Words
) -> Iterator[Compared]:
    said = view.report
    running = said.release if said else None
    by_hand = running is not None and running.tree is None
    version = running.version if running else "—"
    yield Compared(
        label=words("column.release"),
        desired=view.desired_release or words("unmanaged"),
        observed=f"{version} ({words('by.hand')})" if by_hand else version,
        same=view.desired_release is None or (running is not None and running.version == view.desired_release),
        beside=besides.get("release"),
    )
    agent = manifest.agent.version if manifest and manifest.agent else None
    yield Compared(
        label=words("site.agent"),
        desired=agent or words("unmanaged"),
        observed=said.agent_version if said else "—",
        same=agent is None or (said is not None and said.agent_version == agent),
        beside=besides.get("agent"),
    )
    yield Compared(
        label=words("site.generation"),
        desired=str(view.generation),
        observed=_generation(said, words),
        same=said is not None and said.generation == view.generation,
        code=True,
    )
    yield Compared(label=words("column.commit"), desired=short(view.commit), code=True)
    yield Compared(label=words("site.manifest"), desired=view.manifest[7:19] + "…", code=True)


def _generation(said: StatusReport | None, words: Words) -> str:
    if said is None:
        return "—"
    if said.head_generation and said.head_generation != said.generation:
        accepted = words("site.accepted", generation=said.head_generation)
        return f"{said.generation or '—'} ({accepted})"
    return str(said.generation or "—")


def _of_content(view: SiteView, content: Content | None, club: ClubMirror | None, words: Words) -> Iterator[Compared]:
    if content is not None:
        count, size = words.count("club.videos", content.files), words.size(content.size_bytes)
        yield Compared(
            label=words("compared.videos"),
            desired=f"{count} · {size}" if content.files else "—",
            observed=_differing(view, ("content",), words),
            club=f"{words.count('club.count', club.file_count)} · {words.size(club.file_bytes)}" if club else "",
            same=not content.missing,
        )


def _of_settings(
    view: SiteView, manifest: SiteManifest | None, club: ClubMirror | None, words: Words
) -> Iterator[Compared]:
    if manifest is None:
        return
    yield Compared(
        label=words("club.categories"),
        desired=_listed([one.name for one in manifest.categories], words),
        club=_listed([one.name or one.id for one in club.categories], words) if club else "",
    )
    loop = len(manifest.loops.sponsors)
    yield Compared(
        label=words("club.loop"),
        desired=words.count("club.videos", loop) if loop else "",
        club=words.count("club.videos", len(club.loop)) if club and club.loop else "",
    )
    differing = _differing(view, ("configuration",), words)
    yield Compared(
        label=words("compared.settings"),
        desired=_listed(sorted(manifest.config), words),
        observed=differing,
        club=" · ".join(text for text in (club.title, club.language) if text) if club else "",
        same=not any(one.kind == "configuration" for one in (view.report.differences if view.report else ())),
    )
    zone = (club.timezone or "") if club else ""
    yield Compared(label=words("club.timezone"), desired=manifest.timezone, club=zone)


def _differing(view: SiteView, kinds: Sequence[str], words: Words) -> str:
    """How much of it differs, by the last report; a dash where the box has not spoken of what is wanted now."""
    said = view.report
    if said is None or max(said.generation or 0, said.head_generation or 0) < view.generation:
        return "—"
    count = sum(one.kind in kinds for one in said.differences)
    return words.count("compared.differ", count) if count else words("compared.same")


def _of_rules(view: SiteView, manifest: SiteManifest | None, words: Words) -> Iterator[Compared]:
    if manifest is None:
        return
    hotspot = manifest.hotspot
    yield Compared(
        label=words("kind.hotspot"),
        desired=hotspot.ssid if hotspot else "",
        observed=_differing(view, ("hotspot",), words) if hotspot else "",
        same=not any(one.kind == "hotspot" for one in (view.report.differences if view.report else ())),
    )
    if manifest.maintenance is not None:
        yield Compared(label=words("compared.windows"), desired=_windows(manifest.maintenance, words))
    if manifest.bandwidth is not None:
        limit = words("compared.rate", size=words.size(manifest.bandwidth.limit_bytes_s))
        hours = f" · {manifest.bandwidth.hours}" if manifest.bandwidth.hours else ""
        yield Compared(label=words("compared.bandwidth"), desired=limit + hours)
    if (backup := manifest.backup) is not None:
        kinds = [words(f"compared.backup.{kind}") for kind in ("configuration", "videos") if getattr(backup, kind)]
        yield Compared(label=words("compared.backup"), desired=", ".join(kinds))
    if manifest.connectivity != "always":
        yield Compared(label=words("filter.connectivity"), desired=words(f"connectivity.{manifest.connectivity}"))


def _windows(maintenance: ManifestMaintenance, words: Words) -> str:
    said = [_window(window, words) for window in maintenance.windows]
    if maintenance.max_deferral_s is not None:
        said.append(words("compared.deferral", span=words.span(timedelta(seconds=maintenance.max_deferral_s))))
    if maintenance.busy:
        said.append(words.count("compared.busy", len(maintenance.busy)))
    return " · ".join(said) or words("compared.never")


def _window(window: ManifestWindow, words: Words) -> str:
    if window.kind == "at_boot":
        return words("compared.at_boot")
    if window.kind == "idle":
        return words("compared.idle", span=words.span(timedelta(seconds=window.idle_s or 0)))
    daily = set(window.days) == set(_WEEK) or not window.days
    days = words("day.daily") if daily else ", ".join(words(f"day.{day}") for day in _WEEK if day in window.days)
    return f"{days} {window.from_ or '00:00'}–{window.to or '24:00'}"


def _clock(view: SiteView, words: Words) -> Iterator[Compared]:
    if view.report is not None:
        said = words("site.clock.ok" if view.report.clock_synchronised else "site.clock.off")
        yield Compared(label=words("site.clock"), observed=said, same=view.report.clock_synchronised)


def _listed(names: Iterable[str], words: Words) -> str:
    every = list(names)
    left = len(every) - NAMED
    return ", ".join(every[:NAMED]) + (f" {words('club.more', n=words.number(left))}" if left > 0 else "")
