"""The manifest and what was observed, to what must change. No order here, no patience: that is the plan's."""

from collections.abc import Iterator, Mapping
from datetime import date

from msgspec import Struct

from reconciler_agent.core.attempt import Releases, choose, is_untested
from schemas.manifest import CategoryVideo, ContentFile, ReleaseTarget, SiteManifest
from schemas.names import Digest, at_least
from schemas.status import Difference


class Observed(Struct, frozen=True, kw_only=True):
    """What is on the box now, as far as the manifest is concerned.

    `sound`: digest of every file under `videos/` that the agent installed and that is as it was then. `ledger`: every
    path that it ever installed and has not removed. `referenced`: what configuration.json names, None while that cannot
    be told. `removable`: paths of the ledger whose grace is over. `configuration_lost`: it is not where it belongs.
    `running`: the version that is active, None where no release is. `damaged`: files and links of the active tree that
    are not as listed, `lost` those of them that are not there at all. `trees`: those that lie whole under `releases/`.
    `stopped`: units that do not run; `outdated`: units that may run what is not there any more.
    `updates`: the site's own settings let another release follow the one that runs. `by_hand`: what runs was installed
    by hand; `adopting`: its adoption as a release has begun. `closed`: what the box's services must read and may not.
    """

    sound: Mapping[str, Digest] = {}
    ledger: frozenset[str] = frozenset()
    referenced: frozenset[str] | None = None
    removable: frozenset[str] = frozenset()
    configuration_settled: bool = True
    configuration_lost: bool = False
    configuration_differences: tuple[Difference, ...] = ()
    active: Digest | None = None
    running: str | None = None
    trees: frozenset[Digest] = frozenset()
    damaged: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    updates: bool = True
    by_hand: bool = False
    adopting: bool = False
    closed: tuple[str, ...] = ()


class Changes(Struct, frozen=True, kw_only=True):
    """All that separates the box from what is wanted; empty when nothing does.

    `unneeded_content` waits for its grace, `removable_content` no longer. `activate` is wanted also for the tree that
    is active already, while its attempt has not got as far as the test; `recovers`: it goes on with what was begun, or
    brings back what was in force, or comes to a box on which nothing is. `unmet`: a release that may not follow what
    runs (`requires_from`); `switched_off`: one that the site's own settings keep away. Neither is staged nor activated.
    `adopt`: what was installed by hand is to become a release before another is activated; `adopting`: it has begun.
    `open_up`: what is closed to the box's services. `restore`: what of the active release is not there, `repair`: what
    of it was changed. `restart`: units that run, and run what was replaced.
    """

    fetch: tuple[ContentFile, ...] = ()
    configure: bool = False
    configuration_lost: bool = False
    configuration_differences: tuple[Difference, ...] = ()
    stage: ReleaseTarget | None = None
    activate: ReleaseTarget | None = None
    unmet: ReleaseTarget | None = None
    switched_off: ReleaseTarget | None = None
    back: bool = False
    recovers: bool = False
    adopt: bool = False
    adopting: bool = False
    test: ReleaseTarget | None = None
    open_up: tuple[str, ...] = ()
    restore: tuple[str, ...] = ()
    repair: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    unneeded_content: tuple[str, ...] = ()
    removable_content: tuple[str, ...] = ()
    unneeded_trees: tuple[Digest, ...] = ()


def diff(manifest: SiteManifest, known: Releases, observed: Observed, today: date) -> Changes:
    """What must change for the box to be as `manifest` wants it on the local day `today`."""
    wanted = wanted_content(manifest, today)
    unneeded = unneeded_content(wanted, observed)
    target = choose(known, manifest.release)
    attempt = known.attempt
    testing = attempt is not None and attempt.phase == "testing"
    switching = attempt is not None and attempt.phase == "activating"
    activate = target
    if target is not None and target.tree == observed.active and not switching and not is_untested(known, target):
        activate = None
    unmet = activate if attempt is None and not _may_follow(activate, known, observed.running) else None
    activate = activate if unmet is None else None
    kept_away = (
        not observed.updates and attempt is None and observed.running is not None and not _is_good(activate, known)
    )
    switched_off = activate if kept_away else None
    activate = activate if switched_off is None else None
    good = _is_good(activate, known)
    steady = not testing and not switching
    return Changes(
        fetch=tuple(file for path, file in wanted.items() if observed.sound.get(path) != file.digest),
        configure=not observed.configuration_settled,
        configuration_lost=observed.configuration_lost,
        configuration_differences=observed.configuration_differences,
        stage=activate if activate is not None and activate.tree not in observed.trees else None,
        activate=activate,
        unmet=unmet,
        switched_off=switched_off,
        back=attempt is not None and attempt.back,
        recovers=activate is not None and (switching or good or observed.running is None),
        adopt=observed.adopting or (observed.by_hand and activate is not None),
        adopting=observed.adopting,
        test=attempt.target if attempt is not None and testing and activate is None else None,
        open_up=observed.closed,
        restore=observed.lost if not switching else (),
        repair=tuple(path for path in observed.damaged if path not in observed.lost) if not switching else (),
        start=observed.stopped if steady else (),
        restart=tuple(unit for unit in observed.outdated if unit not in observed.stopped) if steady else (),
        unneeded_content=tuple(path for path in unneeded if path not in observed.removable),
        removable_content=tuple(path for path in unneeded if path in observed.removable),
        unneeded_trees=_unneeded_trees(known, observed, target) if activate is None and attempt is None else (),
    )


def _is_good(target: ReleaseTarget | None, known: Releases) -> bool:
    """Whether this is the release that is in force."""
    return known.good is not None and target is not None and known.good.tree == target.tree


def _may_follow(target: ReleaseTarget | None, known: Releases, running: str | None) -> bool:
    """Whether a release may come after the one that runs or ran last; the last good one may, and a bare box's first."""
    if target is None or target.requires_from is None or _is_good(target, known):
        return True
    before = running if running is not None or known.good is None else known.good.version
    return before is None or at_least(before, target.requires_from)


def wanted_content(manifest: SiteManifest, today: date) -> dict[str, ContentFile]:
    """The files that are to lie under `videos/` by path: those of items that are on or still to come, and of none.

    Files of items to come are fetched ahead, since the box may be offline on their day.
    """
    ended: dict[str, bool] = {}
    for video in _videos(manifest):
        over = video.until is not None and video.until < today
        ended[video.path] = ended.get(video.path, True) and over
    return {file.path: file for file in manifest.content if not ended.get(file.path, False)}


def unneeded_content(wanted: Mapping[str, ContentFile], observed: Observed) -> tuple[str, ...]:
    """What the agent installed, nothing wants any more and no list of the configuration names: its grace may begin."""
    if observed.referenced is None:
        return ()
    return tuple(sorted(observed.ledger - wanted.keys() - observed.referenced))


def _videos(manifest: SiteManifest) -> Iterator[CategoryVideo]:
    for category in manifest.categories:
        yield from category.videos
        for sub in category.subcategories:
            yield from sub.videos
    loops = manifest.loops
    for videos in (loops.sponsors, loops.before, loops.during, loops.after):
        yield from videos


def _unneeded_trees(known: Releases, observed: Observed, target: ReleaseTarget | None) -> tuple[Digest, ...]:
    """Every tree but the active one, the target, the last good one and the one before it."""
    kept = {t.tree for t in (target, known.good, known.previous) if t is not None} | {observed.active}
    return tuple(sorted(observed.trees - kept))
