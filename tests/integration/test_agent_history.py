"""What a box measured while nobody listened: kept across power cuts, handed over in order, once, at the right time."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec.structs import replace

from reconciler_agent import state
from reconciler_agent.app import Agent
from reconciler_agent.errors import UploadRefused
from schemas.status import MAX_SAMPLES, StatusReport
from tests.support.agent_world import AgentWorld, manifest_of
from tests.support.trust_world import NOW

PATIENCE_MINUTES = 6
"""An agent that was not heard tries again within five."""


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    made = AgentWorld(tmp_path)
    made.central.publish(manifest_of([]))
    return made


def pass_minutes(world: AgentWorld, agent: Agent, minutes: int) -> None:
    for _ in range(minutes):
        world.clock.sleep(60)
        world.settle(agent)


def kept(world: AgentWorld) -> Path:
    return world.folder / "state" / "history"


def instants(reports: list[StatusReport]) -> list[tuple[str, datetime, bool]]:
    """Of all samples in these reports: the life of the machine, when, and whether that is certain."""
    found = []
    for report in reports:
        for sample in report.history.samples:
            boot = report.history.boots[sample.boot]
            found.append((boot.id, boot.started_at + timedelta(seconds=sample.uptime_s), boot.certain))
    return found


def test_box_online_hands_over_five_minutes_at_a_time_and_writes_none_of_it(world: AgentWorld) -> None:
    with world.agent() as agent:
        world.settle(agent)
        world.central.reports.clear()
        pass_minutes(world, agent, 130)
        assert not kept(world).exists()
    assert [len(r.history.samples) for r in world.central.reports] == [5] * 26
    times = [at for _, at, _ in instants(world.central.reports)]
    assert [b - a for a, b in pairwise(times)] == [timedelta(minutes=1)] * 129
    assert {s.span_s for r in world.central.reports for s in r.history.samples} == {60}


def test_hours_without_a_control_plane_come_in_bounded_batches_in_order_and_once(world: AgentWorld) -> None:
    with world.agent() as agent:
        world.settle(agent)
        world.central.reports.clear()
        world.central.offline = True
        pass_minutes(world, agent, 20 * 60)
        world.central.offline = False
        pass_minutes(world, agent, PATIENCE_MINUTES)
        pass_minutes(world, agent, PATIENCE_MINUTES)
        assert not kept(world).exists(), "what was taken is forgotten on disk too"
    counts = [len(r.history.samples) for r in world.central.reports]
    assert counts[:2] == [MAX_SAMPLES, MAX_SAMPLES]
    assert max(counts) == MAX_SAMPLES
    found = instants(world.central.reports)
    assert found == sorted(set(found))
    assert len(found) >= 20 * 60
    assert found[-1][1] - found[0][1] >= timedelta(hours=20)


def test_power_cut_while_nobody_listens_costs_an_hour_of_it_at_most(world: AgentWorld) -> None:
    with world.agent() as agent:
        world.settle(agent)
        world.central.offline = True
        pass_minutes(world, agent, 5 * 60 + 40)
    world.clock.life = "the next life"
    world.clock.booted_s = world.clock.elapsed_s
    world.central.offline = False
    world.central.reports.clear()

    with world.agent() as agent:
        world.settle(agent)
        found = instants(world.central.reports)
        assert not kept(world).exists()
    assert timedelta(minutes=0) <= world.clock.now() - found[-2][1] <= timedelta(hours=1)
    assert [life for life, _, _ in found] == [*["a life of the machine"] * (len(found) - 1), "the next life"]


def test_answer_that_got_lost_brings_the_same_samples_again_under_the_same_names(world: AgentWorld) -> None:
    with world.agent() as agent:
        world.settle(agent)
        take = world.central.report
        lost: list[StatusReport] = []

        def lose_the_answer(report: StatusReport) -> None:
            lost.append(report)
            world.central.offline = True
            take(report)

        world.central.report = lose_the_answer  # type: ignore[method-assign]
        pass_minutes(world, agent, 5)
        world.central.report, world.central.offline = take, False  # type: ignore[method-assign]
        world.central.reports.clear()
        pass_minutes(world, agent, 6)
    assert lost
    assert instants(lost[:1]) == instants(world.central.reports)[: len(instants(lost[:1]))]


def test_clock_that_is_set_late_dates_the_whole_life_of_the_machine(world: AgentWorld) -> None:
    world.clock.reliable = False
    world.clock.off = timedelta(days=-300)
    world.clock.booted_s = 0.0
    world.central.offline = True
    with world.agent() as agent:
        pass_minutes(world, agent, 30)
        world.clock.reliable, world.clock.off, world.central.offline = True, timedelta(), False
        pass_minutes(world, agent, PATIENCE_MINUTES)
    found = instants(world.central.reports)
    assert {certain for _, _, certain in found} == {True}
    assert found[0][1] == NOW + timedelta(minutes=1)
    assert len(found) >= 30


def test_life_without_any_clock_is_dated_by_what_must_have_passed_and_says_so(world: AgentWorld) -> None:
    with world.agent() as agent:
        world.settle(agent)
        pass_minutes(world, agent, 61)
    saved_at = world.clock.now()
    world.clock.sleep(30 * 86_400)
    world.clock.life, world.clock.booted_s = "in the dark", world.clock.elapsed_s
    world.clock.reliable, world.clock.off, world.central.offline = False, timedelta(days=-400), True
    world.central.reports.clear()
    with world.agent() as agent:
        pass_minutes(world, agent, 30)
        world.central.offline = False
        pass_minutes(world, agent, 10)
    found = [(at, certain) for life, at, certain in instants(world.central.reports) if life == "in the dark"]
    assert found
    assert not any(certain for _, certain in found)
    assert saved_at - timedelta(hours=1) <= found[0][0] <= saved_at + timedelta(hours=1)


def damage_by(data: bytes) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        file.write_bytes(data)

    return damage


def put_a_folder(file: Path) -> None:
    file.unlink()
    (file / "below").mkdir(parents=True)


def cut_in_half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def write_as_another_agent(file: Path) -> None:
    body = b'[{"of": "another form"}]'
    file.write_bytes(state._close(0, body))


DAMAGE = [
    damage_by(b""),
    damage_by(b"\0" * 4096),
    damage_by(b"garbage\n"),
    put_a_folder,
    cut_in_half,
    write_as_another_agent,
]


@pytest.mark.parametrize("damage", DAMAGE, ids=["nothing", "NULs", "garbage", "folder", "half", "another form"])
def test_damaged_history_is_told_and_costs_nothing_else(world: AgentWorld, damage: Callable[[Path], None]) -> None:
    with world.agent() as agent:
        world.settle(agent)
        world.central.offline = True
        pass_minutes(world, agent, 130)
    damage(kept(world))
    world.central.offline = False

    world.converge()

    assert world.conditions()["Synced"] == ("True", "Converged")
    assert "StateDamaged" in [event.reason for event in world.central.reports[-1].events]
    assert not kept(world).exists()


def test_word_of_the_past_that_is_never_taken_does_not_keep_the_present_from_being_told(world: AgentWorld) -> None:
    take = world.central.report

    def refuse_the_past(report: StatusReport) -> None:
        if any(event.reason == "FirstStart" for event in report.events):
            raise UploadRefused("cannot report: the control plane says: no such event")
        take(report)

    world.central.report = refuse_the_past  # type: ignore[method-assign]
    with world.agent() as agent:
        world.settle(agent)
        pass_minutes(world, agent, 12)
    assert world.conditions()["Synced"] == ("True", "Converged")
    said = [event for report in world.central.reports for event in report.events]
    (lost,) = [event for event in said if event.reason == "UploadRefused"]
    assert re.fullmatch(r"The control plane refused what was kept; lost are [1-9]\d* events, .*\.", lost.message)
    assert world.central.reports[-1].history.samples, "what comes after is told as ever"


def test_report_that_is_refused_as_it_is_waits_and_loses_nothing(world: AgentWorld) -> None:
    take, refused = world.central.report, []

    def refuse(report: StatusReport) -> None:
        refused.append(report)
        raise UploadRefused("cannot report: the control plane says: no")

    world.central.report = refuse  # type: ignore[method-assign]
    with world.agent() as agent:
        world.settle(agent)
        pass_minutes(world, agent, 3)
        assert len(refused) < 10
        world.central.report = take  # type: ignore[method-assign]
        world.clock.sleep(3600)
        pass_minutes(world, agent, 2)
    told = {event.reason for report in world.central.reports for event in report.events}
    assert "FirstStart" in told
    assert "UploadRefused" not in told
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_site_that_switched_measuring_off_keeps_none(world: AgentWorld) -> None:
    world.settings = replace(world.settings, telemetry=False)
    with world.agent() as agent:
        world.settle(agent)
        pass_minutes(world, agent, 10)
    assert instants(world.central.reports) == []


def test_what_became_of_the_conditions_is_told_after_a_silence_across_a_restart(world: AgentWorld) -> None:
    world.converge()
    world.central.reports.clear()
    world.central.offline = True
    with world.agent() as agent:
        world.settle(agent)
        pass_minutes(world, agent, 5)
    world.central.offline = False
    world.converge()

    said = [(t.type, t.status, t.reason) for t in world.central.reports[0].transitions]
    assert said == [("Connected", "False", "NetworkTrouble"), ("Connected", "True", "Polling")]
    first, second = world.central.reports[0].transitions
    assert second.at - first.at == timedelta(minutes=5)
    assert world.central.reports[-1].transitions == [] or len(world.central.reports) == 1
