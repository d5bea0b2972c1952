"""Releases: what each brings, where it is wanted and runs, and where it failed and why."""

from collections.abc import Sequence

from control_plane.core.versions import order
from control_plane.errors import NotFound
from control_plane.store import library, release_runs, rollouts
from control_plane.store.pool import connection
from control_plane.store.release_runs import Failure
from control_plane.store.views import Fleet, SiteView, running_release, standings
from control_plane.web.present import standing_bar
from control_plane.web.present_rollouts import rollout_facts
from control_plane.web.table import Cell, Facts, ListPage, Table, heads, sites_table
from control_plane.web.visit import Room, Shown, Visit
from control_plane.web.words import Words
from schemas.desired import AgentRelease, Release
from schemas.names import Version


async def show(room: Room, visit: Visit) -> Shown:
    """Releases of the applications and of the agent, the newest first."""
    async with connection(room.pool) as conn:
        releases = await library.documents_of(conn, "releases", Release)
        agents = await library.documents_of(conn, "agents", AgentRelease)
    fleet, words = await room.lookout.fleet(), visit.words
    tables = [
        Table(
            key="releases",
            title=words("nav.releases"),
            heads=heads(
                words("release.version"),
                words("release.size") + ">",
                words("release.runs"),
                words("release.failed") + ">",
            ),
            rows=[_row(version, releases[version], fleet, words) for version in newest_first(releases)],
            none=words("releases.none"),
        ),
        Table(
            key="agents",
            title=words("releases.agents"),
            heads=heads(words("release.version"), words("release.size") + ">", words("release.runs") + ">"),
            rows=[_agent_row(version, agents[version], fleet, words) for version in newest_first(agents)],
            none=words("releases.none"),
        ),
    ]
    return Shown("list.html", ListPage(title=words("nav.releases"), tables=tables))


async def show_one(room: Room, visit: Visit) -> Shown:
    """One release of the applications."""
    version, words = visit.path["version"], visit.words
    async with connection(room.pool) as conn:
        release = await library.document_of(conn, "releases", version, Release)
        before = await release_runs.failures_of(conn, version)
        opened = [one for one in await rollouts.count_opened(conn) if one.rollout.version == version]
        policies = await library.policies(conn) if opened else {}
    if release is None:
        raise NotFound(f"cannot find release {version[:80]}: the published commit has none of that version")
    fleet = await room.lookout.fleet()
    failed = failures(version, fleet)
    facts = [
        *rollout_facts([one for one in opened if one.rollout.kind == "release"], policies, room.clock(), words),
        (words("release.size"), Cell(text=words.size(release.size_bytes))),
        (words("release.services"), Cell(text=", ".join(release.services))),
        (words("release.patches"), Cell(text=", ".join(patch.from_ for patch in release.patches) or "—")),
        (words("release.tree"), Cell(text=release.tree, code=True)),
    ]
    wanting = [view for view in fleet.sites if view.desired_release == version or _runs(view, version)]
    page = ListPage(
        title=version,
        parents=[("/releases", words("nav.releases"))],
        facts=[Facts(key="facts", title=words("release.facts"), facts=facts)],
        text=release.changelog,
        tables=[
            sites_table(
                failed,
                fleet.read_at,
                words,
                key="failed",
                title=words("release.failed"),
                none=words("release.failed.none"),
            ),
            *([_before(before, fleet, words)] if before else []),
            sites_table(
                wanting, fleet.read_at, words, key="wanting", title=words("release.sites"), none=words("group.empty")
            ),
        ],
    )
    return Shown("list.html", page)


def _before(failures: Sequence[Failure], fleet: Fleet, words: Words) -> Table:
    """Where it failed before, and why; some of these boxes may run it since."""
    names = {view.site: view.name for view in fleet.sites}
    rows = [
        [
            Cell(text=names.get(one.site, one.site), link=f"/sites/{one.site}"),
            Cell(text=words.instant(one.at), at=one.at),
            Cell(text=one.message, lang="en"),
        ]
        for one in failures
    ]
    return Table(
        key="before",
        title=words("release.before"),
        heads=heads(words("column.site"), words("operation.when"), words("timeline.why")),
        rows=rows,
        none=words("release.failed.none"),
    )


def newest_first(versions: Sequence[Version] | dict[Version, Release] | dict[Version, AgentRelease]) -> list[Version]:
    """Versions by their numbers."""
    return sorted(versions, key=order, reverse=True)


def failures(version: Version, fleet: Fleet) -> list[SiteView]:
    """The sites that want the release and say that it failed there."""
    return [view for view in fleet.sites if view.desired_release == version and _gave_up(view)]


def _gave_up(view: SiteView) -> bool:
    said = view.report
    if said is None or _runs(view, view.desired_release or ""):
        return False
    return any(one.type == "Degraded" and one.status == "True" for one in said.conditions)


def _runs(view: SiteView, version: Version) -> bool:
    running = running_release(view)
    return running is not None and running.version == version


def _row(version: Version, release: Release, fleet: Fleet, words: Words) -> list[Cell]:
    wanting = [view for view in fleet.sites if view.desired_release == version]
    running = sum(_runs(view, version) for view in fleet.sites)
    failed = failures(version, fleet)
    note = words("release.wanted", n=words.number(len(wanting)))
    return [
        Cell(text=version, link=f"/releases/{version}", note=release.changelog.strip().partition("\n")[0][:120]),
        Cell(text=words.size(release.size_bytes)),
        Cell(text=words.number(running), note=note, bar=standing_bar(standings(wanting), len(wanting), words)),
        Cell(text=words.number(len(failed)) if failed else "—", tone="bad" if failed else ""),
    ]


def _agent_row(version: Version, release: AgentRelease, fleet: Fleet, words: Words) -> list[Cell]:
    running = sum(view.report is not None and view.report.agent_version == version for view in fleet.sites)
    note = release.changelog.strip().partition("\n")[0][:120]
    return [Cell(text=version, note=note), Cell(text=words.size(release.size_bytes)), Cell(text=words.number(running))]
