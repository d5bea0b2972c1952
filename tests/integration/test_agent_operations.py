"""Operations on a box of files: once, in their time, with a result that is reported, and texts that arrive."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler_agent.errors import ServiceFailed
from reconciler_agent.journal import READABLE
from schemas.manifest import ManifestMaintenance, ManifestOperation, ManifestWindow
from schemas.status import Event, Metrics
from tests.support.agent_world import AgentWorld, application, clip, manifest_of
from tests.support.cut_off import Killed
from tests.support.trust_world import DAY, NOW

A = clip("a", b"a" * 1000)
AT_BOOT = ManifestWindow(kind="at_boot")
JOURNAL = """#!/bin/sh
echo "$@" > {folder}/arguments
env > {folder}/environment
echo "2026-11-23T12:00:00+00:00 neopro-app[4]: login with {password}, token=abcdefgh"
echo "2026-11-23T12:00:01+00:00 neopro-app[4]: a goal"
"""


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    """A box that runs a release, with a journal."""
    made = AgentWorld(tmp_path)
    made.central.add(b"a" * 1000)
    journal(made, JOURNAL.format(folder=tmp_path, password=made.club["auth"]["password"]))
    ask(made)
    made.converge()
    made.units.calls.clear()
    return made


def journal(world: AgentWorld, script: str) -> None:
    path = world.folder / "journalctl"
    path.write_text(script)
    path.chmod(0o755)


def operation(name: str, action: Any, **more: Any) -> ManifestOperation:
    return ManifestOperation(**({"id": name, "action": action, "not_after": NOW + DAY} | more))


def ask(world: AgentWorld, *operations: ManifestOperation, version: str = "1.0.0", **manifest: Any) -> None:
    target = next((r for r in world.central.allowed if r.version == version), None)
    release = world.central.add_release(version, application(version)) if target is None else world.targets[version]
    world.targets[version] = release
    world.central.publish(manifest_of([A], release, operations=list(operations), **manifest))


def results(world: AgentWorld) -> list[str]:
    events: dict[int, Event] = {e.number: e for report in world.central.reports for e in report.events}
    return [f"{e.reason}: {e.message}" for e in events.values() if e.reason.startswith("Operation")]


def test_restart_is_done_once_and_told_once(world: AgentWorld) -> None:
    ask(world, operation("restart", "restart_service", service="neopro-kiosk"))
    for _ in range(3):
        world.converge()

    assert world.units.calls == [("restart", "neopro-kiosk")]
    assert results(world) == ["OperationSucceeded: Operation restart (restart_service): neopro-kiosk was started anew."]
    assert world.conditions()["Synced"] == ("True", "Converged")
    assert world.central.reports[-1].generation == world.central.generation


def test_operation_that_is_named_by_a_later_generation_too_is_not_done_again(world: AgentWorld) -> None:
    restart = operation("restart", "restart_service", service="neopro-kiosk")
    ask(world, restart)
    world.converge()
    ask(world)
    world.converge()
    ask(world, restart)
    world.converge()

    assert world.units.calls == [("restart", "neopro-kiosk")]


def test_restart_that_fails_is_told_and_not_tried_again(world: AgentWorld) -> None:
    world.units.broken = {"neopro-kiosk"}
    ask(world, operation("restart", "restart_service", service="neopro-kiosk"))
    world.converge()
    world.units.broken = set()
    world.converge()

    assert world.units.calls == [("restart", "neopro-kiosk")]
    assert results(world)[0].startswith("OperationFailed: Operation restart (restart_service): cannot restart")


def test_power_cut_in_an_operation_ends_it(world: AgentWorld) -> None:
    def die() -> None:
        raise Killed

    ask(world, operation("boot", "reboot"))
    world.units.on_reboot = die
    with pytest.raises(Killed):
        world.converge()
    world.units.on_reboot = lambda: None

    world.converge()
    assert world.units.calls == [("reboot", "the box")]
    assert "not tried again" in results(world)[0]


def test_reboot_is_proved_by_the_next_life_of_the_machine(world: AgentWorld) -> None:
    ask(world, operation("boot", "reboot"), operation("test", "self_test"))
    world.converge()
    assert results(world) == []
    world.clock.life = "another life"
    world.converge()
    world.converge()

    assert world.units.calls == [("reboot", "the box")]
    assert results(world)[0] == "OperationSucceeded: Operation boot (reboot): the box was started anew."
    assert len(results(world)) == 2, "what waited for the start is done after it"


def test_box_that_does_not_go_down_is_told(world: AgentWorld) -> None:
    ask(world, operation("boot", "reboot"))
    with world.agent() as agent:
        world.settle(agent)
        world.clock.sleep(299)
        world.settle(agent)
        assert results(world) == []
        world.clock.sleep(2)
        world.settle(agent)

    assert results(world) == ["OperationFailed: Operation boot (reboot): nothing came of it within 300 s."]
    assert world.units.calls == [("reboot", "the box")]


def test_agent_that_is_to_start_anew_waits_for_no_window(world: AgentWorld) -> None:
    restart = operation("agent", "restart_service", service="neopro-sync-agent")
    ask(world, restart, maintenance=ManifestMaintenance(windows=[AT_BOOT]))
    world.converge()
    world.converge()

    assert world.units.calls == [("restart", "neopro-sync-agent")]
    assert results(world) == ["OperationSucceeded: Operation agent (restart_service): the agent was started anew."]


@pytest.mark.parametrize("action", ["reboot", "restart_service"])
def test_what_disturbs_waits_for_a_window_and_says_so(world: AgentWorld, action: str) -> None:
    asked = operation("now", action, service="neopro-app" if action == "restart_service" else None)
    ask(world, asked, maintenance=ManifestMaintenance(windows=[AT_BOOT]))

    world.converge()

    held = world.central.reports[-1].waiting
    assert [(w.step, w.reason) for w in held] == [("Operation now", "OutsideWindow")]
    assert world.conditions()["Synced"] == ("True", "Converged"), "an operation is no drift"
    assert world.central.reports[-1].generation == world.central.generation
    assert world.units.calls == []
    world.clock.booted_s = world.clock.elapsed_s - 30
    world.converge()
    assert len(world.units.calls) == 1


def test_what_disturbs_waits_for_the_end_of_a_match(world: AgentWorld) -> None:
    world.tv.match = True
    ask(world, operation("boot", "reboot"))
    world.converge()
    assert world.units.calls == []
    assert world.central.reports[-1].waiting[0].reason == "MatchInProgress"
    world.tv.match = False
    world.converge()
    assert world.units.calls == [("reboot", "the box")]


def test_operation_whose_time_ends_while_it_waits_expires(world: AgentWorld) -> None:
    ask(world, operation("boot", "reboot"), maintenance=ManifestMaintenance(windows=[AT_BOOT]))
    world.converge()
    world.clock.sleep(timedelta(days=2).total_seconds())
    world.clock.booted_s = world.clock.elapsed_s - 30
    world.converge()
    world.converge()

    assert world.units.calls == []
    assert results(world) == ["OperationExpired: Operation boot (reboot): its time was over before it could begin."]
    assert world.central.reports[-1].waiting == []


@pytest.mark.parametrize("reliable", [True, False])
def test_box_that_lost_its_state_does_nothing_that_has_expired(world: AgentWorld, reliable: bool) -> None:
    old = operation("old", "reboot", not_after=NOW - DAY)
    ask(world, old, operation("older", "restart_service", service="neopro-app", not_after=NOW - 30 * DAY))
    for name in ("state-a", "state-b"):
        (world.folder / "state" / name).write_bytes(b"")
    world.clock.reliable = reliable
    world.clock.off = timedelta() if reliable else timedelta(days=-20_000)

    world.converge()

    assert world.units.calls == []
    assert results(world) == []


def test_logs_are_fetched_redacted_and_handed_over(world: AgentWorld) -> None:
    ask(world, operation("logs", "fetch_logs", since_s=600))
    world.converge()
    world.converge()

    text = world.central.logs["logs"]
    assert "a goal" in text
    assert world.club["auth"]["password"] not in text
    assert "abcdefgh" not in text
    arguments = (world.folder / "arguments").read_text().split()
    assert "--since=-600s" in arguments
    assert [a for a in arguments if a.startswith("--unit")] == [f"--unit={unit}.service" for unit in READABLE]
    assert set((world.folder / "environment").read_text().split()) <= {
        "PWD=" + str(Path.cwd()),
        "SHLVL=1",
        "_=/usr/bin/env",
    }
    assert results(world) == [
        f"OperationSucceeded: Operation logs (fetch_logs): 2 lines of {', '.join(READABLE)} were fetched."
    ]
    assert list((world.folder / "state/texts").iterdir()) == []


def test_logs_wait_on_the_disk_while_the_box_is_offline(world: AgentWorld) -> None:
    ask(world, operation("a", "fetch_logs", service="neopro-app"), operation("b", "fetch_logs", service="nginx"))
    envelope = world.central.envelope
    with world.agent() as agent:
        real, world.central.log = world.central.log, offline  # type: ignore[method-assign]
        agent.loop.settle(envelope)
    assert [w.reason for w in world.central.reports[-1].waiting] == ["Sending"]
    (world.folder / "journalctl").write_text("#!/bin/sh\nexit 1\n")
    world.central.log = real  # type: ignore[method-assign]

    world.converge()
    world.converge()

    assert list(world.central.logs) == ["a"]
    assert [line.split(":")[0] for line in results(world)] == ["OperationSucceeded", "OperationFailed"]
    assert "ended with 1" in results(world)[1]


def offline(_operation: str, _packed: bytes) -> None:
    from reconciler_agent.errors import NetworkTrouble

    raise NetworkTrouble("cannot reach the control plane: no route")


def break_nothing(_world: AgentWorld) -> None:
    """All is well."""


def break_a_service(world: AgentWorld) -> None:
    world.units.state = lambda unit: (_ for _ in ()).throw(ServiceFailed(f"cannot look at {unit}: no answer"))  # type: ignore[method-assign]


def break_the_clock(world: AgentWorld) -> None:
    world.clock.reliable = False


@pytest.mark.parametrize(
    ("harm", "failed"),
    [(break_nothing, []), (break_a_service, ["unit neopro-app", "unit neopro-admin"]), (break_the_clock, ["clock"])],
)
def test_self_test_tells_what_is_wrong(
    world: AgentWorld, harm: Callable[[AgentWorld], None], failed: list[str]
) -> None:
    ask(world, operation("test", "self_test"))
    with world.agent() as agent:
        harm(world)
        world.settle(agent)
        world.settle(agent)

    lines = world.central.logs["test"].splitlines()
    assert [line[5:].partition(": ")[0] for line in lines if line.startswith("FAIL")] == failed
    assert {line[5:].partition(": ")[0] for line in lines} >= {"release", "configuration", "disk", "clock", "link"}
    verdict = "OperationFailed" if failed else "OperationSucceeded"
    assert results(world)[0].startswith(f"{verdict}: Operation test (self_test): ")
    assert all(name in results(world)[0] for name in failed)


def test_retry_lets_a_release_that_failed_be_tried_again(world: AgentWorld) -> None:
    world.units.sick = lambda: world.active() == "2.0.0"
    ask(world, version="2.0.0")
    world.converge()
    assert world.conditions()["Degraded"] == ("True", "ReleaseUnhealthy")
    world.converge()
    assert world.active() == "1.0.0"
    world.units.sick = lambda: False

    ask(world, operation("again", "retry"), version="2.0.0")
    world.converge()

    assert world.active() == "2.0.0"
    assert world.conditions()["Degraded"] == ("False", "AsExpected")
    assert results(world) == ["OperationSucceeded: Operation again (retry): release 2.0.0 may be tried again."]


def test_retry_of_nothing_does_nothing(world: AgentWorld) -> None:
    ask(world, operation("again", "retry"))
    world.converge()
    assert results(world) == ["OperationSucceeded: Operation again (retry): nothing had been given up."]
    assert world.units.calls == []


def test_rounds_after_an_operation_write_nothing(world: AgentWorld) -> None:
    ask(
        world,
        operation("logs", "fetch_logs"),
        operation("boot", "reboot"),
        maintenance=ManifestMaintenance(windows=[AT_BOOT]),
    )
    with world.agent() as agent:
        world.settle(agent)
        world.settle(agent)
        before = {path: path.lstat().st_ctime_ns for path in world.folder.rglob("*")}
        for _ in range(3):
            world.clock.sleep(60)
            world.settle(agent)
        assert {path: path.lstat().st_ctime_ns for path in world.folder.rglob("*")} == before


def test_suspended_site_runs_no_operation(world: AgentWorld) -> None:
    ask(world, operation("boot", "reboot"))
    body = world.central.envelope
    assert body is not None
    manifest = manifest_of([A], world.targets["1.0.0"], operations=[operation("boot", "reboot")])
    world.central.publish(manifest, state="suspended")

    world.converge()

    assert world.units.calls == []


def test_box_that_has_remote_commands_switched_off_does_none_and_says_so(world: AgentWorld) -> None:
    world.settings = replace(world.settings, remote_commands=False)
    ask(world, operation("boot", "reboot"), operation("logs", "fetch_logs"))

    world.converge()

    assert (world.units.calls, world.central.logs) == ([], {})
    assert [w.reason for w in world.central.reports[-1].waiting] == ["SwitchedOff"] * 2
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_site_that_has_updates_switched_off_keeps_its_release_and_says_so(world: AgentWorld) -> None:
    ask(world)
    world.converge()
    world.settings = replace(world.settings, auto_update=False)
    fetched = len(world.central.fetched)
    ask(world, version="2.0.0")

    world.converge()

    assert (world.active(), len(world.central.fetched)) == ("1.0.0", fetched)
    assert [(w.step, w.reason) for w in world.central.reports[-1].waiting] == [("Release 2.0.0", "SwitchedOff")]
    world.settings = replace(world.settings, auto_update=True)
    world.converge()
    assert world.active() == "2.0.0"


def test_site_that_has_updates_switched_off_still_heals_the_release_that_it_has(world: AgentWorld) -> None:
    ask(world)
    world.converge()
    world.settings = replace(world.settings, auto_update=False)
    (world.root / "current").unlink()

    world.converge()

    assert world.active() == "1.0.0"


def test_site_that_has_telemetry_switched_off_reports_no_measurement(world: AgentWorld) -> None:
    world.settings = replace(world.settings, telemetry=False)
    ask(world)

    world.converge()

    assert world.central.reports[-1].metrics == Metrics()
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_retry_waits_until_the_way_back_is_over(world: AgentWorld) -> None:
    world.units.sick = lambda: world.active() == "2.0.0"
    ask(world, operation("again", "retry"), version="2.0.0")
    with world.agent() as agent:
        agent.loop.reconcile_once(world.central.envelope)
        assert agent.store.state.operations["again"].phase == "waiting"
        for _ in range(60):  # a long pause between two looks would be the agent's own, and be held against no release
            world.clock.sleep(1)
            agent.loop.reconcile_once(world.central.envelope)
            if (under_way := agent.store.state.releases.attempt) is not None and under_way.back:
                break
        assert agent.store.state.operations["again"].phase == "waiting"
        world.units.sick = lambda: False
        world.settle(agent)

    assert world.active() == "2.0.0"
    assert results(world) == ["OperationSucceeded: Operation again (retry): release 2.0.0 may be tried again."]
