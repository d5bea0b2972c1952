"""The agent and the hours: what disturbs the screen waits for its moment, and says for what and until when."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler_agent.app import Agent
from schemas.manifest import ManifestBandwidth, ManifestMaintenance, ManifestWindow, ReleaseTarget
from schemas.status import Waiting
from tests.support.agent_world import AgentWorld, application, clip, manifest_of
from tests.support.trust_world import NOW

A, B = (clip(letter, letter.encode() * 1000) for letter in "ab")
NIGHTLY = ManifestWindow(
    kind="weekly", days=["mon", "tue", "wed", "thu", "fri", "sat", "sun"], from_="03:00", to="05:00"
)
IDLE = ManifestWindow(kind="idle", idle_s=1800)
AT_BOOT = ManifestWindow(kind="at_boot")
NIGHT = (NOW + timedelta(days=1)).replace(hour=2, minute=30)
"""03:30 on the wall of the site, in the night that follows NOW."""
HOUR_S, DAY_S = 3600.0, 86_400.0


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    """A box that runs release 1.0.0 and shows one clip."""
    made = AgentWorld(tmp_path)
    for letter in "ab":
        made.central.add(letter.encode() * 1000)
    made.central.publish(manifest_of([A], made.central.add_release("1.0.0", application("1.0.0"))))
    made.converge()
    made.units.calls.clear()
    return made


def publish(world: AgentWorld, version: str = "2.0.0", clips: Any = (B,), **maintenance: Any) -> ReleaseTarget:
    """The next release and another clip, on a box that is maintained so."""
    target = world.central.add_release(version, application(version))
    world.central.publish(manifest_of(list(clips), target, maintenance=ManifestMaintenance(**maintenance)))
    return target


def waiting(world: AgentWorld) -> dict[str, Waiting]:
    return {waiting.step: waiting for waiting in world.central.reports[-1].waiting}


def pass_rounds(world: AgentWorld, agent: Agent, seconds: float, look_s: float = 60.0) -> None:
    for _ in range(int(seconds // look_s)):
        world.clock.sleep(look_s)
        world.settle(agent)


def test_release_waits_for_its_hours_and_everything_else_goes_on(world: AgentWorld) -> None:
    publish(world, windows=[NIGHTLY])
    with world.agent() as agent:
        world.settle(agent)

        assert (world.active(), world.units.calls) == ("1.0.0", [])
        assert (world.root / B[0].path).exists()
        assert B[0].path in json.dumps(world.configuration())
        held = waiting(world)["ActivateRelease 2.0.0"]
        assert (held.reason, held.until) == ("OutsideWindow", NIGHT.replace(minute=0))
        assert world.conditions()["Synced"] == ("False", "OutsideWindow")
        assert len(list((world.root / "releases").iterdir())) == 2, "it is staged already"
        fetched = len(world.central.fetched)

        world.clock.set_to(NIGHT)
        world.settle(agent)
        assert (world.active(), len(world.central.fetched)) == ("2.0.0", fetched)
        assert world.conditions()["Synced"] == ("True", "Converged")
        assert agent.store.state.wanted == {}


def test_round_that_only_waits_writes_nothing_and_reports_once(world: AgentWorld) -> None:
    publish(world, windows=[NIGHTLY, IDLE, AT_BOOT], max_deferral_s=14 * 86_400)
    world.tv.connections = 2
    with world.agent() as agent:
        world.settle(agent)
        before, reports = agent.store.state.told, len(world.central.reports)
        for _ in range(4):
            world.clock.sleep(60)
            world.settle(agent)

        assert agent.store.state.told == before
        assert len(world.central.reports) == reports


def test_match_in_the_window_holds_the_release_all_the_same(world: AgentWorld) -> None:
    publish(world, windows=[NIGHTLY])
    world.clock.set_to(NIGHT)
    world.tv.match = True

    world.converge()
    assert world.active() == "1.0.0"
    assert {held.reason for held in waiting(world).values()} == {"MatchInProgress"}


def test_fixture_closes_windows_and_holds_what_is_visible(world: AgentWorld) -> None:
    fixture = (NIGHT - timedelta(hours=1), NIGHT + timedelta(minutes=30))
    publish(world, windows=[NIGHTLY], busy=[fixture], busy_until=NIGHT + timedelta(days=300))
    world.clock.set_to(NIGHT)

    world.converge()
    assert world.active() == "1.0.0"
    assert B[0].path not in json.dumps(world.configuration())
    assert (world.root / B[0].path).exists(), "downloads wait for no fixture"
    assert {(held.reason, held.until) for held in waiting(world).values()} == {("FixtureInProgress", fixture[1])}

    world.clock.set_to(fixture[1])
    world.converge()
    assert world.active() == "2.0.0"
    assert B[0].path in json.dumps(world.configuration())


@pytest.mark.parametrize("bind", [False, True])
def test_configuration_waits_for_hours_only_where_it_is_bound_to_them(world: AgentWorld, bind: bool) -> None:
    publish(world, windows=[NIGHTLY], bind_visible=bind)

    world.converge()

    assert (B[0].path in json.dumps(world.configuration())) is not bind
    assert ("WriteConfiguration" in waiting(world)) is bind
    world.clock.set_to(NIGHT)
    world.converge()
    assert B[0].path in json.dumps(world.configuration())


def test_box_that_has_just_been_started_activates_what_is_staged(world: AgentWorld) -> None:
    publish(world, windows=[AT_BOOT])
    world.converge()
    assert (world.active(), waiting(world)["ActivateRelease 2.0.0"].until) == ("1.0.0", None)

    world.clock.booted_s = world.clock.elapsed_s - 40
    world.clock.reliable = False
    world.central.offline = True
    world.converge()

    assert world.active() == "2.0.0"


@pytest.mark.parametrize("remote", [False, True])
def test_start_of_the_box_opens_nothing_once_a_remote_is_there(world: AgentWorld, remote: bool) -> None:
    publish(world, windows=[AT_BOOT])
    world.clock.booted_s = world.clock.elapsed_s - 40
    world.tv.connections = 2 if remote else 1

    world.converge()

    assert world.active() == ("1.0.0" if remote else "2.0.0")


def test_idle_opens_after_it_was_quiet_for_long_enough(world: AgentWorld) -> None:
    publish(world, windows=[IDLE])
    world.tv.connections = 2
    with world.agent() as agent:
        world.settle(agent)
        pass_rounds(world, agent, 2 * HOUR_S)
        assert world.active() == "1.0.0"
        world.tv.connections = 1
        pass_rounds(world, agent, 1500)
        assert world.active() == "1.0.0"
        world.tv.connections = 2
        pass_rounds(world, agent, 60)
        world.tv.connections = 1
        pass_rounds(world, agent, 1800)
        assert world.active() == "1.0.0"
        pass_rounds(world, agent, 60)

    assert world.active() == "2.0.0"


def test_deferral_is_counted_from_the_first_wish_across_restarts_and_never_ends_in_a_match(world: AgentWorld) -> None:
    publish(world, windows=[AT_BOOT], max_deferral_s=3 * 86_400)
    world.converge()
    deadline = waiting(world)["ActivateRelease 2.0.0"].until
    assert deadline is not None and abs(deadline - world.clock.now() - timedelta(days=3)) < timedelta(minutes=5)
    for _ in range(2):
        world.clock.sleep(DAY_S)
        world.converge()
        assert world.active() == "1.0.0"
        assert waiting(world)["ActivateRelease 2.0.0"].until == deadline

    world.clock.sleep(DAY_S + 60)
    world.tv.match = True
    world.converge()
    assert world.active() == "1.0.0"
    world.tv.match = False
    world.converge()
    assert world.active() == "2.0.0"


def test_deferral_ends_on_a_clock_that_nobody_set_by_the_time_that_passed(world: AgentWorld) -> None:
    publish(world, windows=[NIGHTLY], max_deferral_s=2 * 86_400)
    world.clock.reliable = False
    world.clock.off = datetime(1970, 1, 1, tzinfo=UTC) - world.clock.now()
    with world.agent() as agent:
        world.settle(agent)
        held = waiting(world)["ActivateRelease 2.0.0"]
        assert held.reason == "ClockNotReliable"
        assert "hours of the week do not count" in held.message
        pass_rounds(world, agent, 47 * HOUR_S, look_s=HOUR_S)
        assert world.active() == "1.0.0"
        pass_rounds(world, agent, 2 * HOUR_S, look_s=HOUR_S)

    assert world.active() == "2.0.0"


def test_hours_count_on_after_the_clock_lost_its_server(world: AgentWorld) -> None:
    publish(world, windows=[NIGHTLY])
    with world.agent() as agent:
        world.settle(agent)
        world.clock.reliable = False
        world.clock.set_to(NIGHT)
        world.clock.off = timedelta(days=-300)
        world.settle(agent)

    assert world.active() == "2.0.0"


def test_change_that_is_wanted_anew_has_its_whole_patience_again(world: AgentWorld) -> None:
    publish(world, windows=[AT_BOOT], max_deferral_s=3 * 86_400)
    world.converge()
    world.clock.sleep(2 * DAY_S)
    publish(world, "2.1.0", windows=[AT_BOOT], max_deferral_s=3 * 86_400)
    world.converge()
    world.clock.sleep(2 * DAY_S)
    world.converge()
    assert world.active() == "1.0.0"
    world.clock.sleep(DAY_S)
    world.converge()
    assert world.active() == "2.1.0"


def test_way_back_from_a_bad_release_waits_for_no_window(world: AgentWorld) -> None:
    publish(world, windows=[NIGHTLY])
    world.clock.set_to(NIGHT)
    world.units.sick = lambda: world.active() == "2.0.0"
    with world.agent() as agent:
        envelope = world.central.envelope
        agent.loop.reconcile_once(envelope)
        assert world.active() == "2.0.0"
        world.clock.set_to(NIGHT + timedelta(hours=8))
        world.settle(agent)

    assert world.active() == "1.0.0"
    assert world.conditions()["Degraded"] == ("True", "ReleaseUnhealthy")


def test_interrupted_activation_goes_on_outside_of_its_window(world: AgentWorld) -> None:
    publish(world, windows=[NIGHTLY])
    world.clock.set_to(NIGHT)
    restart = world.units.restart

    def die(_unit: str) -> Any:
        raise KeyboardInterrupt

    world.units.restart = die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.converge()
    world.units.restart = restart  # type: ignore[method-assign]
    world.clock.set_to(NIGHT + timedelta(hours=8))

    world.converge()

    assert world.active() == "2.0.0"
    assert world.units.calls == [("restart", "neopro-app"), ("restart", "neopro-admin")]


def lose_a_page(world: AgentWorld) -> None:
    (world.root / "webapp/index.html").unlink()


def lose_the_link(world: AgentWorld) -> None:
    (world.root / "webapp").unlink()


def lose_the_release(world: AgentWorld) -> None:
    (world.root / "current").unlink()


def stop_a_service(world: AgentWorld) -> None:
    world.units.running.discard("neopro-app")


@pytest.mark.parametrize("waits", [False, True], ids=["at rest", "while a release waits"])
@pytest.mark.parametrize("loss", [lose_a_page, lose_the_link, lose_the_release, stop_a_service])
def test_what_is_lost_comes_back_outside_of_windows(
    world: AgentWorld, loss: Callable[[AgentWorld], None], waits: bool
) -> None:
    publish(world, "2.0.0" if waits else "1.0.0", windows=[NIGHTLY])
    world.converge()
    loss(world)

    world.converge()

    version = "2.0.0" if waits and loss is lose_the_release else "1.0.0"  # where nothing plays, nothing is disturbed
    assert (world.root / "webapp/index.html").read_bytes() == application(version)["webapp/index.html"]
    assert (world.active(), "neopro-app" in world.units.running) == (version, True)


def test_file_that_the_club_changed_is_put_right_in_the_window(world: AgentWorld) -> None:
    publish(world, "1.0.0", windows=[NIGHTLY])
    world.converge()
    (world.root / "server/app.py").write_bytes(b"edited")

    world.converge()
    assert (world.root / "server/app.py").read_bytes() == b"edited"
    assert waiting(world)["RepairRelease server/app.py"].reason == "OutsideWindow"
    assert "LocalOverride" in world.central.reports[-1].differences[0].observed
    assert world.units.calls == []

    world.clock.set_to(NIGHT)
    world.converge()
    assert (world.root / "server/app.py").read_bytes() == application("1.0.0")["server/app.py"]
    assert world.units.calls == [("restart", "neopro-app"), ("restart", "neopro-admin")]


def test_first_release_of_a_bare_box_waits_for_no_window(tmp_path: Path) -> None:
    world = AgentWorld(tmp_path)
    publish(world, "1.0.0", clips=(), windows=[NIGHTLY])

    world.converge()

    assert world.active() == "1.0.0"


def test_manifest_without_maintenance_lets_a_waiting_release_go(world: AgentWorld) -> None:
    target = publish(world, windows=[NIGHTLY])
    world.converge()
    assert world.active() == "1.0.0"
    world.central.publish(manifest_of([B], target))

    world.converge()

    assert world.active() == "2.0.0"


def test_downloads_keep_the_limit_of_the_manifest_and_of_the_next_one(tmp_path: Path) -> None:
    world = AgentWorld(tmp_path)
    clips = [clip(letter, letter.encode() * 100_000) for letter in "abcd"]
    for letter in "abcd":
        world.central.add(letter.encode() * 100_000)
    limit = ManifestBandwidth(limit_bytes_s=1000, hours="08:00-22:00")
    with world.agent() as agent:
        world.central.publish(manifest_of(clips[:2], bandwidth=limit))
        started_s = world.clock.elapsed_s
        world.settle(agent)
        assert 199 <= world.clock.elapsed_s - started_s < 205

        world.central.publish(manifest_of(clips[:3], bandwidth=replace(limit, hours="22:00-08:00")))
        started_s = world.clock.elapsed_s
        world.settle(agent)
        assert world.clock.elapsed_s - started_s < 5

        world.central.publish(manifest_of(clips, bandwidth=replace(limit, limit_bytes_s=10_000)))
        started_s = world.clock.elapsed_s
        world.settle(agent)
        assert 9 <= world.clock.elapsed_s - started_s < 15
    assert world.conditions()["Synced"] == ("True", "Converged")
