"""An operator at a desk: reads the API and the page as others do, commits and reverts in a clone."""

import html
import re
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec

from control_plane.store.tokens import add_token
from schemas.api import Change, FleetStatus, SiteSummary
from schemas.memory import ConditionSpan, MetricsPoint
from schemas.names import Revision, SiteId
from tests.support.command_line import git
from tests.support.patience import wait_for
from tests.support.world import ServedWorld

T = TypeVar("T")


class Operator:
    """Reads with a personal token of its own; its clone lies in `folder`."""

    def __init__(self, served: ServedWorld, folder: Path) -> None:
        self._served, self._clone = served, folder / "clone"
        self._token = served.run(self._new_token())

    async def _new_token(self) -> str:
        now = self._served.world.clock()
        async with self._served.world.connection() as conn:
            return await add_token(conn, "ada", ["read"], now=now, expires_at=now + timedelta(days=1))

    def changes(self) -> list[Change]:
        """`/v1/changes`."""
        return self._get("/v1/changes", list[Change])

    def progress(self, revision: Revision) -> tuple[int, int, list[SiteId]]:
        """Of this commit: how many sites are there, of how many, and which are not."""
        change = next(change for change in self.changes() if change.commit == revision)
        return change.converged, change.sites, change.missing

    def waits_for(self, revision: Revision) -> None:
        """Until every site that the commit changed is there."""
        wait_for(lambda: not self.progress(revision)[2], f"{revision} is everywhere")

    def seconds_to_last_report(self, revision: Revision) -> float:
        """From the publication of this commit to the newest report of any box, by the server's clock."""
        published_at = next(change.published_at for change in self.changes() if change.commit == revision)
        last_at = [site.last_report_at for site in self._get("/v1/fleet", FleetStatus).sites if site.last_report_at]
        assert published_at
        return (max(last_at) - published_at).total_seconds()

    def site(self, site: SiteId) -> SiteSummary:
        """How a site stands."""
        return next(one for one in self._get("/v1/fleet", FleetStatus).sites if one.site == site)

    def figures(self, site: SiteId) -> list[MetricsPoint]:
        """What its box measured in the last hour, by the minute."""
        return self._get(f"/v1/sites/{site}/metrics?hours=1&points=60", list[MetricsPoint])

    def conditions(self, site: SiteId) -> list[ConditionSpan]:
        """Which conditions held in the last week, the newest first."""
        return self._get(f"/v1/sites/{site}/conditions", list[ConditionSpan])

    def page(self, path: str = "/") -> str:
        """The words on a page, as a reader without JavaScript sees them."""
        answer = httpx.get(self._served.url + path, trust_env=False, timeout=30)
        assert answer.status_code == 200, answer.text
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())

    def reads(self, *words: str, path: str = "/") -> None:
        """Wait until the page says all of this; it may be a moment behind the API."""
        wait_for(lambda: all(one in self.page(path) for one in words), f"{words} on {path}: {self.page(path)}")

    def revert(self) -> Revision:
        """`git revert` of the tip, in a clone, and the push; the new commit, which nothing has looked at yet."""
        if not self._clone.exists():
            git(self._clone.parent, "clone", "-q", str(self._served.world.remote), str(self._clone))
        git(self._clone, "pull", "-q", "--ff-only")
        git(self._clone, "revert", "--no-edit", "HEAD")
        git(self._clone, "push", "-q", "origin", "HEAD:main")
        return git(self._clone, "rev-parse", "HEAD")

    def _get(self, path: str, kind: type[T]) -> T:
        headers = {"Authorization": f"Bearer {self._token}"}
        answer = httpx.get(self._served.url + path, headers=headers, trust_env=False, timeout=30)
        assert answer.status_code == 200, answer.text
        found: T = msgspec.json.decode(answer.content, type=kind)
        return found
