"""The fleet in numbers, from the database that all control planes share."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, get_args

from prometheus_client.core import GaugeMetricFamily

from control_plane import expiring
from control_plane.core.alerts import Expiring
from control_plane.core.rollout import OPEN
from control_plane.monitoring import families
from control_plane.monitoring.families import MAX_GROUPS, OTHER, Family
from control_plane.store import control_planes, databases, enrolments, figures, library, views
from control_plane.store.databases import DatabaseFacts
from control_plane.store.figures import OpenAlerts, OpenRollout, Undelivered
from control_plane.store.lookout import Lookout
from control_plane.store.pool import Pool, connection
from control_plane.store.views import Fleet, SiteView
from schemas.alerts import AlertKind, Severity
from schemas.names import DocumentId
from schemas.reasons import REASONS

NONE: Final = "none"
LATELY: Final = timedelta(minutes=15)
THERE_FOR: Final = timedelta(minutes=1)
"""A control plane that has not said so for longer is gone; each says it every quarter of a minute."""
VERDICTS: Final = ("published", "refused", "held")
Samples = Mapping[tuple[str, ...], float]
"""Values of the labels -> value."""


class Figures(NamedTuple):
    """What a scrape tells of the fleet. `releases`: those in Git."""

    fleet: Fleet
    releases: Collection[DocumentId]
    last_report: datetime | None
    expiring: Sequence[Expiring]
    rollouts: Sequence[OpenRollout]
    alerts: Sequence[OpenAlerts]
    undelivered: Sequence[Undelivered]
    enrolments: int
    login_failures: int
    database: DatabaseFacts
    control_planes: int


async def read(pool: Pool, lookout: Lookout) -> Figures:
    """The fleet as all its watchers see it, the rest as it is now; DatabaseUnavailable."""
    fleet = await lookout.fleet()
    async with connection(pool) as conn:
        return Figures(
            fleet=fleet,
            releases=await library.ids(conn, "releases"),
            last_report=await figures.last_report(conn),
            expiring=await expiring.of_fleet(conn),
            rollouts=await figures.open_rollouts(conn),
            alerts=await figures.open_alerts(conn),
            undelivered=await figures.undelivered(conn),
            enrolments=len(await enrolments.waiting(conn)),
            login_failures=await figures.login_failures(conn, fleet.read_at - LATELY),
            database=await databases.facts(conn),
            control_planes=sum(
                1 for one in await control_planes.known(conn) if fleet.read_at - one.seen_at < THERE_FOR
            ),
        )


def told(found: Figures) -> Iterator[GaugeMetricFamily]:
    """Every metric of the fleet; one without a value has no sample."""
    for family, samples in _samples(found):
        told = GaugeMetricFamily(family.name, family.help, labels=family.labels)
        for labels, value in samples.items():
            told.add_metric(labels, value)
        yield told


def _samples(found: Figures) -> Iterator[tuple[Family, Samples]]:
    yield from _of_sites(found.fleet.sites, found.releases)
    yield from _of_changes(found.fleet)
    yield from _of_rollouts(found.rollouts)
    yield from _of_alerts(found)
    yield families.LAST_REPORT, _at(found.last_report)
    yield families.READ, _at(found.fleet.read_at)
    yield families.EXPIRY, {(one.what.replace(" ", "_"),): one.at.timestamp() for one in found.expiring}
    yield families.ENROLMENTS, {(): found.enrolments}
    yield families.LOGIN_FAILURES, {(): found.login_failures}
    yield families.DATABASE_SIZE, {(): found.database.size_bytes}
    yield families.CONTROL_PLANES, {(): found.control_planes}


def _of_sites(sites: Sequence[SiteView], releases: Collection[str]) -> Iterator[tuple[Family, Samples]]:
    yield families.SITES, {(standing,): count for standing, count in views.standings(sites).items()}
    yield (
        families.SITES_BY_REASON,
        Counter(
            (view.verdict.standing, view.verdict.reason if view.verdict.reason in REASONS else OTHER)
            for view in sites
            if view.verdict.standing != "Synced"
        ),
    )
    members = Counter(group for view in sites for group in view.facts.get("groups", ()))
    largest = {group for group, _ in members.most_common(MAX_GROUPS)}
    yield (
        families.SITES_BY_GROUP,
        Counter(
            (group, view.verdict.standing)
            for view in sites
            for group in view.facts.get("groups", ())
            if group in largest
        ),
    )
    active = [view for view in sites if view.state == "active" and not view.gone]
    yield families.RELEASE_DESIRED, Counter((view.desired_release or NONE,) for view in active)
    yield families.RELEASE_RUNNING, Counter((_running(view, releases),) for view in active)


def _running(view: SiteView, releases: Collection[str]) -> str:
    """By the box's own word, which may be anything: only what Git knows is told."""
    said = views.running_release(view)
    if said is None:
        return NONE
    return said.version if said.version in releases else OTHER


def _of_changes(fleet: Fleet) -> Iterator[tuple[Family, Samples]]:
    published, remote, newest = fleet.published, fleet.remote, fleet.newest
    yield families.PUBLICATION_INFO, {(published.revision,): 1} if published else {}
    yield families.PUBLICATION, _at(published.published_at if published else None)
    change = next((one for one in fleet.changes if published and one.commit == published.revision), None)
    yield families.CHANGE_SITES, {(): change.sites} if change else {}
    yield families.CHANGE_CONVERGED, {(): change.converged} if change else {}
    verdict = newest.verdict if newest else None
    yield families.NEWEST_COMMIT, {(word,): word == verdict for word in VERDICTS}
    yield families.REMOTE_UP, {(): not remote.error} if remote else {}
    yield families.REMOTE_LOOK, _at(remote.looked_at if remote else None)
    yield families.REMOTE_SUCCESS, _at(remote.succeeded_at if remote else None)


def _of_rollouts(rollouts: Sequence[OpenRollout]) -> Iterator[tuple[Family, Samples]]:
    phases = {one.number: one.phase for one in rollouts}
    yield families.ROLLOUTS, {**{(phase,): 0 for phase in OPEN}, **Counter((phase,) for phase in phases.values())}
    yield families.ROLLOUT_SITES, {(one.kind, one.version, one.policy, one.outcome): one.sites for one in rollouts}


def _of_alerts(found: Figures) -> Iterator[tuple[Family, Samples]]:
    kinds, severities = get_args(AlertKind), get_args(Severity)
    yield (
        families.ALERTS,
        {
            **{(kind, severity): 0 for kind in kinds for severity in severities},
            **{(one.kind, one.severity): one.number for one in found.alerts if not one.silenced},
        },
    )
    silenced: Counter[tuple[str, ...]] = Counter({(kind,): 0 for kind in kinds})
    for one in found.alerts:
        silenced[(one.kind,)] += one.number if one.silenced else 0
    yield families.SILENCED, silenced
    yield families.NOTIFICATIONS_WAITING, {(one.channel,): one.waiting for one in found.undelivered}
    yield families.NOTIFICATIONS_FAILING, {(one.channel,): one.failing for one in found.undelivered}


def _at(instant: datetime | None) -> Samples:
    return {(): instant.timestamp()} if instant else {}
