"""What happens while the demo runs, one line each: commits that come in, boxes that converge or do not."""

from collections.abc import Collection, Iterator
from typing import Final

from schemas.api import Change, FleetStatus, SiteSummary

MAX_PROBLEMS: Final = 5
_QUIET: Final = frozenset(("Progressing", "Unknown"))


class Watcher:
    """Turns one look at the fleet after the other into the lines that are new; `sites`: those with a box."""

    def __init__(self, sites: Collection[str]) -> None:
        self._sites = sites
        self._shown: dict[str, tuple[str, ...]] = {}
        self._changes: dict[str, str] = {}
        self._first = True

    def converged(self, fleet: FleetStatus) -> bool:
        """Whether every box is where the newest publication wants it."""
        standing = {site.site: site.standing for site in fleet.sites}
        return fleet.commit is not None and all(standing.get(site) == "Synced" for site in self._sites)

    def lines(self, fleet: FleetStatus) -> list[str]:
        """What is new since the last look; at the first one, of all commits the newest alone."""
        if self._first:
            self._first = False
            self._changes = {change.commit: _look(change) for change in fleet.changes[1:]}
        return [*self._change_lines(fleet.changes), *self._site_lines(fleet.sites)]

    def _site_lines(self, sites: list[SiteSummary]) -> Iterator[str]:
        for site in sites:
            if site.site not in self._sites or site.standing in _QUIET:
                continue
            look = (site.standing, site.commit if site.standing == "Synced" else site.message)
            if self._shown.get(site.site) != look:
                self._shown[site.site] = look
                yield _site_line(site)

    def _change_lines(self, changes: list[Change]) -> Iterator[str]:
        for change in reversed(changes):
            if self._changes.get(change.commit) != _look(change):
                self._changes[change.commit] = _look(change)
                yield from _change_lines(change)


def _look(change: Change) -> str:
    return change.verdict + "".join(change.problems)


def short(commit: str) -> str:
    """A commit as people say it."""
    return commit[:7]


def _site_line(site: SiteSummary) -> str:
    if site.standing == "Synced":
        release = f", release {site.release.version}" if site.release else ""
        return f"{site.site} Synced at {short(site.commit)}{release}"
    return f"{site.site} {site.standing}: {site.message or site.reason}"


def _change_lines(change: Change) -> list[str]:
    title = f"commit {short(change.commit)} “{change.subject}”"
    if change.verdict == "published":
        return [f"{title} published: it changes {change.sites} sites"]
    rest = len(change.problems) - MAX_PROBLEMS
    return [
        f"{title} {change.verdict}, nothing changes:",
        *(f"    {problem}" for problem in change.problems[:MAX_PROBLEMS]),
        *([f"    and {rest} more"] if rest > 0 else []),
    ]
