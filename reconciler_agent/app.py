"""The agent, put together by plain constructor calls: from settings to a loop that can run."""

import json
import os
import pwd
import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from reconciler_agent import (
    age_key,
    analytics,
    belongings,
    gate,
    news,
    operations,
    reporting,
    steps,
)
from reconciler_agent.analytics import Analytics, Spool
from reconciler_agent.beginning import load_state
from reconciler_agent.belongings import Belongings
from reconciler_agent.box_app import BoxApp
from reconciler_agent.client import Client
from reconciler_agent.converge import Convergence
from reconciler_agent.core.trust import is_old, latest_instant
from reconciler_agent.download import Throttle
from reconciler_agent.durable import Disk
from reconciler_agent.errors import AgentError, SettingsInvalid
from reconciler_agent.gate import Gatekeeper
from reconciler_agent.history import History
from reconciler_agent.hotspot import Hotspot, Wifi, box_wifi
from reconciler_agent.journal import Journal
from reconciler_agent.loop import Loop, Parts
from reconciler_agent.metrics import Meter
from reconciler_agent.notify import Notifier
from reconciler_agent.observe import Health, SystemClock
from reconciler_agent.operations import Hands, Operations
from reconciler_agent.poll import Heads, Poller
from reconciler_agent.reporting import Reporter
from reconciler_agent.resources import configuration, configuration_file
from reconciler_agent.resources.access import Access
from reconciler_agent.resources.admin_unit import AdminUnit
from reconciler_agent.resources.content import Content, Source
from reconciler_agent.resources.downloads import Downloads
from reconciler_agent.resources.release import Releases
from reconciler_agent.resources.slots import PRIVATE, Slots, own_slot
from reconciler_agent.roots import make_root, take_lock
from reconciler_agent.self_test import Examined
from reconciler_agent.self_update import Reach, SelfUpdate
from reconciler_agent.services import ServiceManager, SupervisorSocket
from reconciler_agent.settings import SYSTEMD, Settings
from reconciler_agent.site_key import load_key
from reconciler_agent.state import Store
from reconciler_agent.sticks import Sticks, Supplies, mounted, named
from reconciler_agent.system_calls import SYSTEM, Calls, Owner
from reconciler_agent.systemd import Systemd
from reconciler_agent.upkeep import Upkeep
from schemas.status import RunId

BOX_PRIVATE: Final = "data/agent"


class ControlPlane(
    reporting.Desk,
    operations.Desk,
    analytics.Desk,
    belongings.Desk,
    Heads,
    Source,
    news.ControlPlane,
    Protocol,
):
    """Everything that the agent asks of its control plane."""


class Screen(configuration.Screen, steps.Screen, gate.Screen, Protocol):
    """Everything that the agent asks of the box's application."""


class Outside(NamedTuple):
    """What is neither the agent nor a file of the box."""

    control_plane: ControlPlane
    screen: Screen
    services: ServiceManager
    clock: SystemClock
    throttle: Throttle
    journal: Journal
    sticks: Sticks | None = None
    wifi: Wifi | None = None


class Files(NamedTuple):
    """The folders that the agent writes in, locked for this run; `slots` where it was started from the slot `slot`."""

    box: Disk
    state: Disk
    run: RunId
    slots: Disk | None = None
    slot: str = ""


class Agent(NamedTuple):
    """What a command needs of an agent."""

    loop: Loop
    store: Store
    control_plane: ControlPlane
    supplies: Supplies


@contextmanager
def open_agent(settings: Settings, stick: Path | None = None) -> Iterator[Agent]:
    """The agent of the box that `settings` describe, alone on it, with what an earlier run left taken up.

    `stick`: a USB stick that is to be taken, whatever is mounted; None: those that are mounted, without a network.
    AlreadyRunning, SettingsInvalid, DiskFull or DiskFault: it cannot run, and the sentence says why.
    """
    key = load_key(settings.key)
    with ExitStack() as stack:
        files = stack.enter_context(open_files(settings, slot=own_slot()))
        clock = SystemClock(settings.clock)
        throttle = Throttle(clock)
        store = Store(files.state)
        client = Client(
            url=settings.central_url,
            site=settings.site,
            key=key,
            clock=clock,
            ca=settings.ca,
            throttle=throttle,
            floor_at=lambda: None if clock.synchronised() else _latest(store, clock),
        )
        stack.callback(client.close)
        screen = BoxApp(settings.app_url, clock)
        stack.callback(screen.close)
        services = service_manager(settings)
        outside = Outside(
            control_plane=client,
            screen=screen,
            services=services,
            clock=clock,
            throttle=throttle,
            journal=Journal(),
            sticks=_sticks(settings, stick),
            wifi=box_wifi() if settings.services == SYSTEMD else None,  # in the demo the machine's is left alone
        )
        yield assemble(settings, files, store, outside)


def _sticks(settings: Settings, stick: Path | None) -> Sticks:
    if stick is None:
        return Sticks(lambda: mounted(settings.sticks), settings.site)
    folder = named(stick, settings.site)
    return Sticks(lambda: [folder], settings.site, chosen=True)


def service_manager(settings: Settings) -> ServiceManager:
    """The box's own, as site.conf names it."""
    if settings.services == SYSTEMD:
        return Systemd()
    return SupervisorSocket(Path(settings.services.removeprefix("unix:")))


@contextmanager
def open_files(settings: Settings, calls: Calls = SYSTEM, slot: Path | None = None) -> Iterator[Files]:
    """The box's root and the agent's own folders, for this run alone; what earlier runs left half-done is deleted."""
    run = secrets.token_hex(16)
    if not settings.root.is_dir():
        raise SettingsInvalid(f"cannot use {settings.root}: there is no such folder; [site] root names the box's")
    owner = find_owner(settings.owner)
    make_root(settings.state, 0o700, calls)
    with ExitStack() as stack:
        stack.callback(os.close, take_lock(settings.state))
        state = Disk(settings.state, "", run, calls=calls)
        stack.callback(state.close)
        box = Disk(settings.root, BOX_PRIVATE, run, owner=owner, calls=calls)
        stack.callback(box.close)
        if slot is None:
            _take_up(state, box)
            yield Files(box=box, state=state, run=run)
            return
        slots = Disk(slot.parent, PRIVATE, run, calls=calls)
        stack.callback(slots.close)
        _take_up(state, box, slots)
        yield Files(box=box, state=state, run=run, slots=slots, slot=slot.name)


def _take_up(*disks: Disk) -> None:
    """Delete what an earlier run left; if it was cut off, sync what it may not have got to. A fault is met again."""
    left = [disk.recover() for disk in disks]
    if any(left):
        for disk in disks:
            disk.settled = False
            with suppress(AgentError):
                disk.settle()


def assemble(settings: Settings, files: Files, store: Store, outside: Outside) -> Agent:
    """The agent of these parts; the state is loaded, and what an earlier run left undone is known."""
    said = load_state(settings, store)
    clock, desk = outside.clock, outside.control_plane
    sticks = outside.sticks or Sticks(lambda: (), settings.site)
    supplies = Supplies(
        desk, sticks, lambda claimed: is_old(store.state.trust, claimed, clock.now(), clock.synchronised())
    )
    box = _box(settings, files.box, store, outside, supplies)
    doer = steps.Steps(box, store, files.run)
    gates = Gatekeeper(outside.screen, clock, store)
    convergence = Convergence(
        box, store, doer, gates=gates, throttle=outside.throttle, run=files.run, updates=settings.auto_update
    )
    convergence.recover()
    meter = Meter(settings.root, lambda: box.health.restarts, clock.error_s) if settings.telemetry else None
    history = History(store, clock, lambda: _latest(store, clock), meter)
    if not history.load():
        said.append(("warning", "StateDamaged", "What was measured and not handed over yet was damaged and is lost."))
    for event in said:
        doer.say(*event)
    slots = Slots(files.slots, supplies, files.slot) if files.slots is not None else None
    reach = Reach(settings.central_url, str(settings.ca or ""))
    self_update = SelfUpdate(slots, store, doer, clock, reach, allowed=settings.auto_update)
    self_update.recover()
    key = age_key.path_of(settings.key)
    wake = threading.Event()
    parts = Parts(
        store=store,
        convergence=convergence,
        steps=doer,
        news=news.News(supplies, settings.site, clock),
        health=box.health,
        reporter=Reporter(
            desk=desk,
            store=store,
            history=history,
            clock=clock,
            say=doer.say,
            run=files.run,
            report_s=settings.report_s,
        ),
        operations=Operations(_hands(settings, box, gates, outside), store, files.run),
        analytics=Analytics(spool=Spool(box.disk, clock, doer.say), desk=desk, clock=clock, allowed=settings.telemetry),
        belongings=_belongings(settings, box, doer, store, supplies=supplies, outside=outside),
        hotspot=Hotspot(wifi=outside.wifi, store=store, gates=gates, clock=clock, say=doer.say, key=key),
        self_update=self_update,
        history=history,
        upkeep=Upkeep(store, box.releases, history),
        poller=Poller(supplies, wake.set),
        clock=clock,
        notifier=Notifier(),
    )
    return Agent(Loop(parts, settings.heal_s, wake), store, desk, supplies)


def _box(settings: Settings, disk: Disk, store: Store, outside: Outside, supplies: Supplies) -> steps.Box:
    """What convergence changes, and looks at."""
    content = Content(disk, supplies)
    return steps.Box(
        disk=disk,
        content=content,
        downloads=Downloads(content, settings.downloads),
        configuration=configuration.Configuration(disk, outside.screen, outside.clock),
        releases=Releases(disk, store, supplies),
        access=Access(disk),
        admin=AdminUnit(outside.services, settings.root, present=bool(settings.admin_url)),
        services=outside.services,
        health=Health(
            outside.services,
            app_url=settings.app_url,
            admin_url=settings.admin_url,
            page_url=settings.page_url,
            configuration=lambda: _configuration_bytes(disk),
        ),
        screen=outside.screen,
        clock=outside.clock,
    )


def _belongings(
    settings: Settings, box: steps.Box, doer: steps.Steps, store: Store, *, supplies: Supplies, outside: Outside
) -> Belongings:
    """What is the club's: shown to the team where it may be, and kept safe."""
    return Belongings(
        disk=box.disk,
        configuration=box.configuration,
        desk=outside.control_plane,
        supplies=supplies,
        store=store,
        clock=outside.clock,
        throttle=outside.throttle,
        say=doer.say,
        key=age_key.path_of(settings.key),
        telemetry=settings.telemetry,
    )


def _hands(settings: Settings, box: steps.Box, gates: Gatekeeper, outside: Outside) -> Hands:
    """What operations are done with."""
    examined = Examined(
        services=outside.services,
        health=box.health,
        clock=outside.clock,
        root=str(settings.root),
        configuration=lambda: _configuration_bytes(box.disk),
        link=outside.control_plane.head,
    )
    return Hands(
        allowed=settings.remote_commands,
        services=outside.services,
        journal=outside.journal,
        examined=examined,
        desk=outside.control_plane,
        gates=gates,
        clock=outside.clock,
        read_configuration=lambda: _json(_configuration_bytes(box.disk)),
    )


def find_owner(name: str) -> Owner | None:
    """Whom the box's files belong to; None when nothing is to be changed, or cannot be (the agent is not root)."""
    if not name or os.geteuid() != 0:
        return None
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise SettingsInvalid(
            f"cannot use [box] owner: there is no user {name!r} here; leave it empty or name one"
        ) from None
    return Owner(user.pw_uid, user.pw_gid)


def _latest(store: Store, clock: SystemClock) -> datetime:
    return latest_instant(store.state.trust, clock.now(), False)


def _configuration_bytes(disk: Disk) -> bytes:
    return disk.read(configuration_file.PATH, configuration_file.MAX_BYTES) or b""


def _json(data: bytes) -> object:
    """The value of these bytes; None while they do not parse."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
