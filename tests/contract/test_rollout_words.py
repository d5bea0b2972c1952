"""A rollout is halted by what boxes say: the agent's own words, read by the server."""

from datetime import UTC, datetime

import pytest

from control_plane.core.rollout_outcome import Heard, outcome_of
from reconciler_agent.core.attempt import BadRelease, Releases
from reconciler_agent.core.report import Failure, Round, Told, tell
from schemas.manifest import ReleaseHealth, ReleaseTarget, SiteManifest
from schemas.status import Condition

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
HEALTH = ReleaseHealth(within_s=60, settle_s=10)


def target(version: str) -> ReleaseTarget:
    tree = "sha256:" + version.replace(".", "") * 16
    return ReleaseTarget(version=version, tree=tree[:71].ljust(71, "0"), size_bytes=1, services=[], health=HEALTH)


GOOD, WANTED = target("1.0.0"), target("2.0.0")
MANIFEST = SiteManifest(schema=1, poll_interval_s=60, timezone="Europe/Paris", release=WANTED)


def said(releases: Releases, **fields: object) -> list[Condition]:
    found = Round(state="active", manifest=MANIFEST, releases=releases, active="releases/1.0.0", **fields)  # type: ignore[arg-type]
    return tell(found, Told(), NOW).conditions


def outcome(conditions: list[Condition], running: str) -> str:
    heard = Heard(received_at=NOW, silent=False, running=running, conditions=conditions)
    return outcome_of("release", "2.0.0", NOW, heard)[0]


BAD = BadRelease(target=WANTED, reason="ReleaseUnhealthy", message="no answer", at=NOW)


@pytest.mark.parametrize(
    "releases",
    [Releases(good=GOOD, bad=BAD), Releases(bad=BAD), Releases(bad=BAD, held=True)],
    ids=["went back", "no way back known", "held"],
)
def test_box_on_which_the_release_failed_says_so_to_the_rollout(releases: Releases) -> None:
    assert outcome(said(releases), "1.0.0") == "failed"


def test_box_that_goes_on_with_the_release_before_is_pending() -> None:
    assert outcome(said(Releases(good=GOOD)), "1.0.0") == "pending"


def test_box_that_runs_it_well_is_well() -> None:
    assert outcome(said(Releases(good=WANTED)), "2.0.0") == "well"


def test_box_that_runs_it_and_finds_it_unhealthy_has_failed() -> None:
    assert outcome(said(Releases(good=WANTED), unhealthy=["neopro-app does not answer"]), "2.0.0") == "failed"


def test_box_whose_disk_is_full_has_not_failed() -> None:
    full = Failure(reason="DiskFull", message="cannot stage release 2.0.0: no room")
    assert outcome(said(Releases(good=GOOD), failures=[full]), "1.0.0") == "pending"
