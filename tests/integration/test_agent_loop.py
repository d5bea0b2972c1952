"""The agent on a box of files: it converges, heals, goes back, holds, and leaves alone what is not its own."""

import json
import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler_agent.app import open_files
from reconciler_agent.errors import AlreadyRunning, NetworkTrouble
from reconciler_agent.loop import Loop
from reconciler_agent.observe import SystemClock
from reconciler_agent.system_calls import SYSTEM
from schemas.manifest import ListRef, SiteManifest, encode_canonical
from schemas.names import Digest, digest_of
from tests.support import trust_world
from tests.support.agent_world import AgentWorld, application, clip, manifest_of
from tests.support.patience import PATIENCE_S, promised
from tests.support.trust_world import NOW

A, B, C = (clip(letter, letter.encode() * 1000) for letter in "abc")
GRACE_S = 400.0


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    made = AgentWorld(tmp_path)
    for letter in "abc":
        made.central.add(letter.encode() * 1000)
    return made


def snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Everything that a write would change, of everything there."""
    found = {str(p.relative_to(folder)): p.lstat() for p in sorted(folder.rglob("*"))}
    return {path: (s.st_ino, s.st_mtime_ns, s.st_ctime_ns) for path, s in found.items()}


def reasons(world: AgentWorld) -> list[str]:
    return [event.reason for report in world.central.reports for event in report.events]


def test_first_head_makes_the_box_as_desired(world: AgentWorld) -> None:
    release = world.central.add_release("1.0.0", application("1.0.0"))
    world.central.publish(manifest_of([A, B], release, config={"liveScoreEnabled": False}))

    world.converge()

    last = world.central.reports[-1]
    assert world.conditions()["Synced"] == ("True", "Converged")
    assert (last.generation, last.head_generation) == (world.central.generation,) * 2
    assert last.release is not None and (last.release.version, last.release.tree) == ("1.0.0", release.tree)
    assert world.active() == "1.0.0"
    assert (world.root / A[0].path).read_bytes() == b"a" * 1000
    assert (world.root / A[0].path).stat().st_mode & 0o777 == 0o644
    assert world.configuration()["liveScoreEnabled"] is False
    assert world.units.calls == [("restart", "neopro-app"), ("restart", "neopro-admin")]
    assert world.tv.notices == 1


def test_second_round_writes_restarts_and_notifies_nothing(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A, B], world.central.add_release("1.0.0", application("1.0.0"))))
    with world.agent() as agent:
        world.settle(agent)
        before, calls, notices = snapshot(world.folder), list(world.units.calls), world.tv.notices
        world.clock.sleep(600)
        world.settle(agent)

        assert snapshot(world.folder) == before
    assert (world.units.calls, world.tv.notices) == (calls, notices)


def test_agent_started_anew_on_a_converged_box_writes_nothing(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A, B], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    before, calls, notices = snapshot(world.folder), list(world.units.calls), world.tv.notices

    world.converge()

    assert snapshot(world.folder) == before
    assert (world.units.calls, world.tv.notices) == (calls, notices)


def test_hour_without_news_writes_one_checkpoint(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A], world.central.add_release("1.0.0", application("1.0.0"))))
    with world.agent() as agent:
        world.settle(agent)
        box = snapshot(world.root)
        states = [snapshot(world.folder / "state")]
        for _ in range(125):
            world.clock.sleep(60)
            world.settle(agent)
            if snapshot(world.folder / "state") != states[-1]:
                states.append(snapshot(world.folder / "state"))

        assert len(states) == 3
        assert snapshot(world.root) == box


def test_box_that_missed_ten_commits_goes_straight_to_the_newest(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A]))
    world.converge()
    for number in range(9):
        world.central.publish(manifest_of([B], config={"version": str(number)}))
    world.central.publish(manifest_of([C]))
    world.central.fetched.clear()

    world.converge()

    assert world.central.fetched == [C[0].digest]
    assert world.central.reports[-1].generation == world.central.generation


def damage_configuration(world: AgentWorld) -> None:
    path = world.root / "data/configuration.json"
    path.write_text(json.dumps(world.configuration() | {"liveScoreEnabled": True, "categories": []}))


def delete_video(world: AgentWorld) -> None:
    (world.root / A[0].path).unlink()


def overwrite_video(world: AgentWorld) -> None:
    (world.root / A[0].path).write_bytes(b"x" * 1000)


def edit_release_keeping_its_times(world: AgentWorld) -> None:
    path = world.root / "server/app.py"
    found = path.stat()
    path.write_bytes(b"y" * found.st_size)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def delete_release_file(world: AgentWorld) -> None:
    (world.root / "webapp/index.html").unlink()


def change_mode(world: AgentWorld) -> None:
    (world.root / "scripts/tool.sh").chmod(0o600)


def unlink_webapp(world: AgentWorld) -> None:
    (world.root / "webapp").unlink()


def unlink_current(world: AgentWorld) -> None:
    (world.root / "current").unlink()


def stop_service(world: AgentWorld) -> None:
    world.units.running.discard("neopro-app")


DRIFT = [
    damage_configuration,
    delete_video,
    overwrite_video,
    edit_release_keeping_its_times,
    delete_release_file,
    change_mode,
    unlink_webapp,
    unlink_current,
    stop_service,
]


def require_desired(world: AgentWorld) -> None:
    for path, data in application("1.0.0").items():
        assert (world.root / "current" / path).read_bytes() == data
    assert os.access(world.root / "scripts/tool.sh", os.X_OK)
    assert world.active() == "1.0.0"
    assert (world.root / A[0].path).read_bytes() == b"a" * 1000
    assert world.configuration()["liveScoreEnabled"] is False
    assert A[0].path in json.dumps(world.configuration()["categories"])
    assert "neopro-app" in world.units.running


@pytest.mark.parametrize("drift", DRIFT, ids=lambda drift: drift.__name__)
def test_drift_is_healed(world: AgentWorld, drift: Callable[[AgentWorld], None]) -> None:
    release = world.central.add_release("1.0.0", application("1.0.0"))
    world.central.publish(manifest_of([A], release, config={"liveScoreEnabled": False}))
    with world.agent() as agent:
        world.settle(agent)
        drift(world)
        world.clock.sleep(60)
        world.settle(agent)

    require_desired(world)
    assert world.conditions()["Synced"] == ("True", "Converged")


@pytest.mark.parametrize("drift", [damage_configuration, unlink_webapp, unlink_current, stop_service])
def test_drift_is_healed_without_a_control_plane_after_a_restart(
    world: AgentWorld, drift: Callable[[AgentWorld], None]
) -> None:
    release = world.central.add_release("1.0.0", application("1.0.0"))
    world.central.publish(manifest_of([A], release, config={"liveScoreEnabled": False}))
    world.converge()
    world.central.offline = True
    world.clock.sleep(timedelta(days=30).total_seconds())
    drift(world)

    world.converge()

    require_desired(world)


def test_edited_release_file_is_told_as_a_local_override(world: AgentWorld) -> None:
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    edit_release_keeping_its_times(world)
    world.units.calls.clear()

    world.converge()

    assert "LocalOverride" in reasons(world)
    assert world.units.calls == [("restart", "neopro-app"), ("restart", "neopro-admin")]


def test_kill_between_a_repair_and_its_restart_leaves_the_restart_due(world: AgentWorld) -> None:
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    edit_release_keeping_its_times(world)
    restart = world.units.restart

    def die(_unit: str) -> Any:
        raise Killed

    world.units.restart = die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        world.converge()
    assert (world.root / "server/app.py").read_bytes() == application("1.0.0")["server/app.py"]
    world.units.restart = restart  # type: ignore[method-assign]
    world.units.calls.clear()

    world.converge()
    assert world.units.calls == [("restart", "neopro-app"), ("restart", "neopro-admin")]
    world.converge()
    assert len(world.units.calls) == 2


def bad_release_on_a_good_box(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    world.units.sick = lambda: world.active() == "2.0.0"
    world.central.publish(manifest_of([B], world.central.add_release("2.0.0", application("2.0.0"))))
    world.converge()


def test_unhealthy_release_goes_back_alone(world: AgentWorld) -> None:
    bad_release_on_a_good_box(world)

    assert world.active() == "1.0.0"
    assert (world.root / B[0].path).exists()
    assert B[0].path in json.dumps(world.configuration())
    assert world.conditions()["Degraded"] == ("True", "ReleaseUnhealthy")
    assert world.conditions()["ReleaseHealthy"] == ("True", "Healthy")
    assert world.central.reports[-1].generation != world.central.generation
    assert "2.0.0" in next(c.message for c in world.central.reports[-1].conditions if c.type == "Degraded")
    differs = [(d.kind, d.desired, d.observed) for d in world.central.reports[-1].differences]
    assert differs == [("release", "2.0.0", "1.0.0")]


def test_bad_release_is_not_tried_again_until_the_manifest_names_another(world: AgentWorld) -> None:
    bad_release_on_a_good_box(world)
    world.units.calls.clear()
    bad = world.central.add_secret_release("2.0.0", application("2.0.0"))

    world.central.publish(manifest_of([C], bad))
    world.converge()
    assert world.units.calls == []
    assert C[0].path in json.dumps(world.configuration())

    world.central.publish(manifest_of([C], world.central.add_release("2.0.1", application("2.0.1"))))
    world.converge()
    assert world.active() == "2.0.1"
    assert world.conditions()["Degraded"] == ("False", "AsExpected")
    assert world.central.reports[-1].generation == world.central.generation


def test_release_that_fails_without_a_way_back_is_held(world: AgentWorld) -> None:
    world.units.broken = {"neopro-app"}
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))

    world.converge()
    world.units.calls.clear()
    world.converge()

    assert world.conditions()["Degraded"] == ("True", "ReleaseHeld")
    assert world.units.calls == []
    assert world.active() == "1.0.0"


def test_held_box_whose_services_become_well_counts_as_good_without_being_touched(world: AgentWorld) -> None:
    world.units.broken = {"neopro-app"}
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))

    with world.agent() as agent:
        world.settle(agent)
        assert world.conditions()["Degraded"] == ("True", "ReleaseHeld")
        world.units.calls.clear()
        world.units.running = {"neopro-app", "neopro-admin"}
        world.settle(agent)
        assert world.conditions()["Degraded"] == ("True", "ReleaseHeld"), "it must stay well for as long as a test asks"
        world.clock.elapsed_s += 60
        world.settle(agent)

    assert world.conditions()["Degraded"] == ("False", "AsExpected")
    assert world.central.reports[-1].generation == world.central.generation
    assert world.units.calls == []


class Killed(BaseException):
    """Stands for a kill in this process."""


def test_release_during_which_the_box_dies_three_times_is_gone_back_from(world: AgentWorld) -> None:
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    world.central.publish(manifest_of([], world.central.add_release("2.0.0", application("2.0.0"))))
    restart = world.units.restart

    def die(unit: str) -> Any:
        if world.active() == "2.0.0":
            raise Killed
        return restart(unit)

    world.units.restart = die  # type: ignore[method-assign]
    for _ in range(3):
        with pytest.raises(Killed):
            world.converge()
        assert world.active() == "2.0.0"

    world.converge()

    assert world.active() == "1.0.0"
    assert world.conditions()["Degraded"] == ("True", "Interrupted")


def test_release_that_no_list_allows_is_never_activated(world: AgentWorld) -> None:
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    world.central.publish(manifest_of([A], world.central.add_secret_release("6.6.6", application("6.6.6"))))

    world.converge()

    assert world.active() == "1.0.0"
    assert world.conditions()["Degraded"] == ("True", "TrustRefused")
    assert A[0].path in json.dumps(world.configuration())


def test_release_that_may_not_follow_what_runs_waits_for_the_one_between(world: AgentWorld) -> None:
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    third = replace(world.central.add_release("3.0.0", application("3.0.0")), requires_from=">=2.0.0")
    world.central.publish(manifest_of([A], third))
    world.central.fetched.clear()

    world.converge()
    assert (world.active(), world.central.fetched) == ("1.0.0", [A[0].digest])
    assert A[0].path in json.dumps(world.configuration())
    assert world.conditions()["Synced"] == ("False", "RequirementNotMet")
    assert world.central.reports[-1].generation != world.central.generation
    said = next(c.message for c in world.central.reports[-1].conditions if c.type == "Synced")
    assert all(word in said for word in ("3.0.0", ">=2.0.0", "1.0.0"))
    assert [d.desired for d in world.central.reports[-1].differences] == ["3.0.0"]

    world.central.publish(manifest_of([A], world.central.add_release("2.0.0", application("2.0.0"))))
    world.converge()
    world.central.publish(manifest_of([A], third))
    world.converge()
    assert world.active() == "3.0.0"
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_first_release_of_a_box_may_need_another_before_it(world: AgentWorld) -> None:
    first = replace(world.central.add_release("3.0.0", application("3.0.0")), requires_from=">=2.0.0")
    world.central.publish(manifest_of([], first))

    world.converge()

    assert world.active() == "3.0.0"


def test_head_of_an_older_generation_is_refused_and_told(world: AgentWorld) -> None:
    old = world.central.publish(manifest_of([A]))
    world.central.publish(manifest_of([B]))
    world.converge()
    world.central.envelope = old

    world.converge()

    assert world.conditions()["Degraded"] == ("True", "TrustRefused")
    assert B[0].path in json.dumps(world.configuration())
    assert "TrustRefused" in reasons(world)


def test_match_holds_what_is_visible_until_it_is_over(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    world.tv.match = True
    world.central.publish(manifest_of([B], world.central.add_release("2.0.0", application("2.0.0"))))

    world.converge()
    assert (world.root / B[0].path).exists()
    assert (world.active(), world.tv.notices) == ("1.0.0", 1)
    assert {waiting.reason for waiting in world.central.reports[-1].waiting} == {"MatchInProgress"}
    assert world.conditions()["Synced"] == ("False", "MatchInProgress")

    world.tv.match = False
    world.converge()
    assert (world.active(), world.tv.notices) == ("2.0.0", 2)
    assert world.central.reports[-1].generation == world.central.generation


@pytest.mark.parametrize("state", ["suspended", "retired"])
def test_site_that_is_not_active_is_left_as_it_is(world: AgentWorld, state: str) -> None:
    world.central.publish(manifest_of([A], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    before = snapshot(world.root / "videos")
    world.central.publish(manifest_of([]), state=state)
    delete_video(world)
    before.pop(str(Path(A[0].path).relative_to("videos")))

    world.converge()

    assert snapshot(world.root / "videos").keys() == before.keys()
    assert world.active() == "1.0.0"
    assert world.central.reports[-1].head_generation == world.central.generation
    assert world.conditions()["Synced"] == ("False", state.capitalize())


def test_content_that_left_is_removed_after_its_grace_and_the_clubs_never(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A]))
    with world.agent() as agent:
        world.settle(agent)
        world.central.publish(manifest_of([B]))
        world.settle(agent)
        assert (world.root / A[0].path).exists()
        assert world.conditions()["Synced"] == ("True", "Converged")
        world.clock.sleep(GRACE_S)
        world.settle(agent)

    assert not (world.root / A[0].path).exists()
    assert (world.root / B[0].path).exists()
    assert world.club_video.read_bytes() == b"the club's own"


def test_content_that_left_stays_while_the_club_names_it(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A]))
    with world.agent() as agent:
        world.settle(agent)
        configuration = world.configuration()
        configuration["categories"][-1]["videos"] = [{"name": "kept", "path": A[0].path, "type": "video/mp4"}]
        (world.root / "data/configuration.json").write_text(json.dumps(configuration))
        world.central.publish(manifest_of([B]))
        for _ in range(3):
            world.settle(agent)
            world.clock.sleep(GRACE_S)

    assert (world.root / A[0].path).exists()


def test_file_that_the_club_put_in_the_place_of_ours_is_not_removed(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A]))
    with world.agent() as agent:
        world.settle(agent)
        world.central.publish(manifest_of([B]))
        world.settle(agent)
        (world.root / A[0].path).write_bytes(b"the club's")
        world.clock.sleep(GRACE_S)
        world.settle(agent)

    assert (world.root / A[0].path).read_bytes() == b"the club's"


def test_broken_download_goes_on_in_the_next_life(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A]))
    sizes: list[int] = []
    real = world.central.download

    def broken(digest: Digest, size_bytes: int, sink: Any, on_bytes: Any = None) -> None:
        sizes.append(sink.size_bytes)
        if len(sizes) == 1:
            sink.write(b"a" * 700)
            raise NetworkTrouble("cannot reach anybody")
        real(digest, size_bytes, sink, on_bytes)

    world.central.download = broken  # type: ignore[method-assign]
    world.converge()
    assert world.conditions()["Connected"] == ("False", "NetworkTrouble")
    assert world.conditions()["Degraded"] == ("False", "AsExpected")
    world.converge()

    assert sizes == [0, 700]
    assert (world.root / A[0].path).read_bytes() == b"a" * 1000


def test_file_that_moves_to_another_category_is_copied_and_not_fetched(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A]))
    world.converge()
    world.central.fetched.clear()
    moved = A[0].path.replace("ANNONCES", "SPONSORS")
    elsewhere = (replace(A[0], path=moved), replace(A[1], path=moved))
    world.central.publish(manifest_of([elsewhere]))

    world.converge()

    assert (world.root / moved).read_bytes() == b"a" * 1000
    assert world.central.fetched == []


def test_file_that_was_there_unknown_to_the_agent_is_not_fetched(world: AgentWorld) -> None:
    path = world.root / A[0].path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a" * 1000)
    world.central.publish(manifest_of([A]))

    world.converge()

    assert world.central.fetched == []
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_blob_with_other_bytes_is_never_installed(world: AgentWorld) -> None:
    world.central.blobs[A[0].digest] = b"z" * 1000
    world.central.publish(manifest_of([A, B]))

    world.converge()

    assert not (world.root / A[0].path).exists()
    assert (world.root / B[0].path).exists()
    assert world.conditions()["Degraded"] == ("True", "DigestMismatch")
    assert A[0].path not in json.dumps(world.configuration())


def test_link_put_in_the_place_of_the_videos_is_not_followed(world: AgentWorld, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (world.root / "videos").rename(elsewhere)
    (world.root / "videos").symlink_to(elsewhere)
    before = snapshot(elsewhere)
    world.central.publish(manifest_of([A]))

    world.converge()

    assert snapshot(elsewhere) == before
    assert world.conditions()["Degraded"] == ("True", "DiskFault")


def test_full_disk_is_told_and_overcome(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A]))

    def full(_handle: int, _size_bytes: int) -> None:
        raise OSError(28, "No space left on device")

    with world.agent(SYSTEM._replace(allocate=full)) as agent:
        world.settle(agent)
    assert world.conditions()["Degraded"] == ("True", "DiskFull")
    assert not list((world.root / "data/agent/partial").iterdir())
    world.converge()

    assert world.conditions()["Synced"] == ("True", "Converged")


def test_lost_state_is_told_and_nothing_is_fetched_again(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    for name in ("state-a", "state-b"):
        (world.folder / "state" / name).write_bytes(b"")
    world.central.fetched.clear()
    world.units.calls.clear()

    world.converge()

    assert "StateLost" in reasons(world)
    assert (world.central.fetched, world.units.calls) == ([], [])
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_release_shares_files_with_the_one_before(world: AgentWorld) -> None:
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    second = world.central.add_release("2.0.0", application("2.0.0"))
    world.central.publish(manifest_of([], second))
    world.central.fetched.clear()

    world.converge()

    same = {digest for digest, data in world.central.blobs.items() if b"same in every" in data or b"#!/bin/sh" in data}
    assert len(world.central.fetched) == len(application("2.0.0")) - 2
    assert not same & set(world.central.fetched)


def test_only_the_active_and_the_previous_release_are_kept(world: AgentWorld) -> None:
    for version in ("1.0.0", "2.0.0", "3.0.0", "4.0.0"):
        world.central.publish(manifest_of([], world.central.add_release(version, application(version))))
        world.converge()

    kept = sorted(path.name.partition("-")[0] for path in (world.root / "releases").iterdir())
    assert kept == ["3.0.0", "4.0.0"]


def test_screen_that_did_not_hear_is_told_later(world: AgentWorld) -> None:
    world.tv.hears = False
    world.central.publish(manifest_of([A]))
    world.converge()
    assert world.central.reports[-1].waiting[0].reason == "ScreenNotTold"
    assert world.central.reports[-1].generation is None

    world.tv.hears = True
    world.converge()

    assert world.tv.notices == 1
    assert world.central.reports[-1].generation == world.central.generation


def test_events_wait_in_the_outbox_while_offline(world: AgentWorld) -> None:
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    world.central.offline = True
    edit_release_keeping_its_times(world)
    world.converge()
    sent = len(world.central.reports)
    world.central.offline = False
    world.converge()

    numbers = [e.number for report in world.central.reports for e in report.events]
    assert len(world.central.reports) > sent
    assert numbers == sorted(set(numbers))


def test_sequence_rises_within_a_run_and_runs_differ(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A]))
    world.converge()
    world.central.publish(manifest_of([B]))
    world.converge()

    runs: dict[str, list[int]] = {}
    for report in world.central.reports:
        runs.setdefault(report.run_id, []).append(report.sequence)
    assert len(runs) == 2
    assert all(sequences == list(range(1, len(sequences) + 1)) for sequences in runs.values())


def test_second_agent_on_a_box_is_refused(world: AgentWorld) -> None:
    world.central.publish(manifest_of([]))
    with world.agent(), pytest.raises(AlreadyRunning), open_files(world.settings):
        pass


def test_manifest_that_names_no_release_leaves_the_active_one(world: AgentWorld) -> None:
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    world.central.publish(manifest_of([A]))

    world.converge()

    assert world.active() == "1.0.0"
    assert world.central.reports[-1].generation == world.central.generation


def test_campaign_ends_on_its_day_without_a_control_plane(world: AgentWorld) -> None:
    ending = clip("a", b"a" * 1000, until=NOW.date())
    world.central.publish(manifest_of([ending, B]))
    world.converge()
    assert A[0].path in json.dumps(world.configuration())
    world.central.offline = True
    world.clock.sleep(timedelta(days=2).total_seconds())

    world.converge()

    assert A[0].path not in json.dumps(world.configuration())
    assert B[0].path in json.dumps(world.configuration())


def test_root_that_was_rotated_is_followed(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A]))
    world.converge()
    second = trust_world.root(2, manifest=trust_world.role(trust_world.MANIFEST2))
    world.central.roots[2] = trust_world.sign_root(second)
    body = manifest_of([B])
    world.central.publish(body)
    document = {"root_version": 2, "generation": world.central.generation}
    world.central.envelope = resigned(world, body, **document)

    world.converge()

    assert B[0].path in json.dumps(world.configuration())


def resigned(world: AgentWorld, manifest: SiteManifest, **head: Any) -> bytes:
    """The newest head, signed by the new manifest key."""
    newest = max(world.central.lists)
    given = {
        "manifest": world.central.add(encode_canonical(manifest)),
        "release_list": ListRef(version=newest, sha256=digest_of(world.central.lists[newest])),
    }
    return trust_world.head(trust_world.MANIFEST2, **(given | head))


# Living


class Life:
    """An agent that runs in a thread, on the real clock."""

    def __init__(self, world: AgentWorld) -> None:
        world.clock = SystemClock("trusted")  # type: ignore[assignment]
        self.world = world
        self.loop: Loop | None = None
        self.problem: BaseException | None = None
        self.thread = threading.Thread(target=self._live, daemon=True)

    def _live(self) -> None:
        try:
            with self.world.agent() as agent:
                self.loop = agent.loop
                agent.loop.run_forever()
        except BaseException as problem:  # noqa: BLE001 (told by the test)
            self.problem = problem

    def __enter__(self) -> "Life":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.loop is not None:
            self.loop.stop()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()

    def until(self, condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert self.problem is None, self.problem
            assert time.monotonic() < deadline, "it did not come to that"
            time.sleep(0.01)


class HeldPoll:
    """Makes a Central hold its head requests until there is news, as the real one does."""

    def __init__(self, world: AgentWorld) -> None:
        self.news = threading.Event()
        real, central = world.central.head, world.central

        def head(etag: str = "", wait_s: float = 0.0) -> Any:
            answer = real(etag)
            deadline = time.monotonic() + wait_s
            while answer is None and time.monotonic() < deadline:
                self.news.wait(1.0)
                self.news.clear()
                answer = real(etag)
            return answer

        central.head = head  # type: ignore[method-assign]


def reached(world: AgentWorld) -> bool:
    return bool(world.central.reports) and world.central.reports[-1].generation == world.central.generation


def test_running_agent_takes_news_at_once(world: AgentWorld) -> None:
    held = HeldPoll(world)
    world.central.publish(manifest_of([A]), **fresh())
    with Life(world) as life:
        life.until(lambda: reached(world))
        started = time.monotonic()
        world.central.publish(manifest_of([B]), **fresh())
        held.news.set()
        life.until(lambda: reached(world))

    assert time.monotonic() - started < promised(6)
    assert B[0].path in json.dumps(world.configuration())


def test_bug_in_a_round_is_reported_and_the_loop_lives_on(world: AgentWorld) -> None:
    HeldPoll(world)
    world.central.publish(manifest_of([A]), **fresh())
    bugs = 2

    def state() -> Any:
        nonlocal bugs
        bugs -= 1
        if bugs >= 0:
            raise ZeroDivisionError("a bug")
        return None

    world.tv.state = state  # type: ignore[method-assign]
    with Life(world) as life:
        life.until(lambda: world.central.reports and world.conditions()["Degraded"] == ("True", "InternalError"))
        life.until(lambda: reached(world))

    assert world.conditions()["Degraded"] == ("False", "AsExpected")


def test_long_download_gives_way_to_news(world: AgentWorld) -> None:
    held = HeldPoll(world)
    world.central.publish(manifest_of([A, B]), **fresh())
    newer: list[bytes] = []

    def news_comes(_digest: Digest) -> None:
        if not newer:
            newer.append(world.central.publish(manifest_of([C]), **fresh()))
            held.news.set()
            time.sleep(0.5)

    world.central.on_download = news_comes
    with Life(world) as life:
        life.until(lambda: reached(world))

    assert C[0].digest in world.central.fetched
    assert B[0].digest not in world.central.fetched


def fresh() -> dict[str, Any]:
    """Dates and generations that a head has today."""
    now = SystemClock("trusted").now()
    return {"issued_at": now, "expires_at": now + timedelta(days=7)}


def test_no_report_calls_a_release_healthy_while_it_is_on_trial(tmp_path: Path) -> None:
    world = AgentWorld(tmp_path)
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"), settle_s=8)))
    world.converge()

    told = {
        r.sequence: next(c.reason for c in r.conditions if c.type == "ReleaseHealthy") for r in world.central.reports
    }
    passed = next(r.sequence for r in world.central.reports if any(e.reason == "ReleaseHealthy" for e in r.events))
    trial = {reason for sequence, reason in told.items() if sequence < passed}
    assert trial <= {"NoRelease", "Testing"}
    assert "Testing" in trial
