"""`neopro-agent doctor`: everything that can keep this box from its work, looked at once, with what to do about it."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final

from reconciler_agent import self_test
from reconciler_agent.age_key import load as load_age_key
from reconciler_agent.age_key import path_of
from reconciler_agent.app import service_manager
from reconciler_agent.beginning import BUILT_AT
from reconciler_agent.client import Client
from reconciler_agent.core.trust import first_state, latest_instant
from reconciler_agent.durable import Disk
from reconciler_agent.errors import AgentError
from reconciler_agent.install.checks import warnings
from reconciler_agent.install.unit import UNIT
from reconciler_agent.observe import Health, SystemClock
from reconciler_agent.resources.admin_unit import ADMIN, VARIABLE, misled
from reconciler_agent.resources.configuration_file import MAX_BYTES, PATH
from reconciler_agent.services import ServiceManager
from reconciler_agent.settings import Settings, load_settings
from reconciler_agent.site_key import load_key
from reconciler_agent.technician.findings import Check
from reconciler_agent.technician.network import Way, walk
from reconciler_agent.technician.sight import Sight, look_at

REMEDIES: Final = {
    "release": "nothing, if the box is new or was installed by hand; else neopro-agent status tells what it waits for",
    "unit": "`journalctl -u {0}` says why it ended; the agent starts it again",
    "configuration": "the agent brings the last good one back within a minute; if not, look into data/agent/",
    "disk": "take away what nobody needs under videos/, or put in a larger card: downloads keep a tenth free",
    "clock": "does the network let NTP (port 123) out? `timedatectl` tells; windows by the clock wait meanwhile",
    "page": "`systemctl status nginx`; its root is to be the box's webapp folder",
    "neopro-app": "`journalctl -u neopro-app` says why it does not answer",
    "neopro-admin": "`journalctl -u neopro-admin` says why it does not answer",
}


def diagnose(conf: Path) -> list[Check]:
    """Every check of the box that `conf` describes; settings that cannot be used are a finding, too."""
    try:
        with look_at(load_settings(conf)) as sight:
            return examine(sight)
    except AgentError as problem:
        return [Check(name="settings", problem=str(problem), remedy="nothing else can be looked at before that")]


def examine(sight: Sight) -> list[Check]:
    """Every check, in the order in which a person would look; nothing is changed."""
    settings = sight.settings
    clock = SystemClock(settings.clock)
    services = service_manager(settings)
    health = Health(
        services,
        app_url=settings.app_url,
        admin_url=settings.admin_url,
        page_url=settings.page_url,
        configuration=lambda: _configuration(sight.box),
    )
    with closing(health):
        return [
            Check(name="settings", found=f"this box is {settings.site}, its control plane {settings.central_url}"),
            *_keys(settings),
            _trust(sight),
            _state(sight),
            *_machine(sight, services, health, clock),
            *_ports(settings),
            *_admin_root(settings, services),
            _agent(services),
            *_way(sight, clock),
        ]


def _keys(settings: Settings) -> Iterator[Check]:
    loads: tuple[tuple[str, Path, Callable[[Path], object]], ...] = (
        ("key", settings.key, load_key),
        ("age key", path_of(settings.key), load_age_key),
    )
    for name, path, load in loads:
        try:
            load(path)
        except AgentError as problem:
            lost = "enrol it anew: neopro-agent enrol; its new public key must enter Git"
            remedy = lost if not path.exists() else ""
            yield Check(name=name, problem=str(problem), remedy=remedy)
        else:
            yield Check(name=name, found=f"{path} is there, for its owner alone")


def _trust(sight: Sight) -> Check:
    path = sight.settings.trust
    try:
        first_state(path.read_bytes(), BUILT_AT)
    except OSError as problem:
        remedy = "neopro-agent enrol brings it, or copy trust/root-1.json of the fleet there"
        return Check(name="trust root", problem=f"cannot read {path}: {problem.strerror}", remedy=remedy)
    except AgentError as problem:
        return Check(name="trust root", problem=str(problem), remedy="copy trust/root-1.json of the fleet there")
    return Check(name="trust root", found=f"{path} is sound")


def _state(sight: Sight) -> Check:
    if sight.store is None:
        remedy = f"`systemctl status {UNIT}`; if there is no such unit: neopro-agent install"
        return Check(name="state", problem="the agent has not run here yet", remedy=remedy)
    if sight.state is None or sight.damaged:
        lost = "one copy is damaged, its twin is used" if sight.state is not None else "no copy of it is whole"
        remedy = "the agent makes it anew by itself; if it comes again, the card is failing: replace it"
        return Check(name="state", problem=f"{sight.settings.state}: {lost}", remedy=remedy)
    generation = f"generation {sight.head.generation}" if sight.head is not None else "no news accepted yet"
    return Check(name="state", found=f"it can be read: {generation}")


def _machine(sight: Sight, services: ServiceManager, health: Health, clock: SystemClock) -> Iterator[Check]:
    """The acceptance checks that the operation `self_test` makes too, but for the link."""
    good = sight.state.releases.good if sight.state is not None else None
    examined = self_test.Examined(
        services=services,
        health=health,
        clock=clock,
        root=str(sight.settings.root),
        configuration=lambda: _configuration(sight.box),
        link=lambda: None,
    )
    if sight.box is None:
        remedy = "[site] root in site.conf names the folder of the box's applications"
        yield Check(name="root", problem=f"there is no folder {sight.settings.root}", remedy=remedy)
        return
    for check in self_test.examine(examined, good):
        if check.name != "link":
            kind, _, rest = check.name.partition(" ")
            remedy = REMEDIES.get(kind, "").format(rest) if check.problem else ""
            yield Check(name=check.name, found=check.found, problem=check.problem, remedy=remedy)


def _ports(settings: Settings) -> Iterator[Check]:
    found = list(warnings(settings))
    for warning in found:
        yield Check(name="port", problem=warning, remedy="start the service that should listen there")
    if not found:
        yield Check(name="ports", found="somebody listens on each port of the box's services")


def _admin_root(settings: Settings, services: ServiceManager) -> Iterator[Check]:
    if not settings.admin_url:
        return
    try:
        given = services.environment(ADMIN)
    except AgentError as problem:
        yield Check(name=VARIABLE, problem=str(problem), remedy=f"install {ADMIN}, or write `admin_url =` under [box]")
        return
    if given is None:
        return
    wrong = misled(given.get(VARIABLE), settings.root)
    remedy = f"then `systemctl restart {ADMIN}`" if wrong else ""
    yield Check(name=VARIABLE, found=f"{ADMIN} works on {settings.root}", problem=wrong, remedy=remedy)


def _agent(services: ServiceManager) -> Check:
    remedy = f"sudo systemctl start {UNIT}; `journalctl -u {UNIT}` says why it ended"
    try:
        state = services.state(UNIT)
    except AgentError as problem:
        return Check(name="agent", problem=str(problem), remedy="neopro-agent install puts it there")
    if not state.active:
        return Check(name="agent", problem=f"{UNIT} does not run", remedy=remedy)
    return Check(name="agent", found=f"{UNIT} runs, restarted {state.restarts} times by itself")


def _way(sight: Sight, clock: SystemClock) -> Iterator[Check]:
    def floor_at() -> datetime | None:
        if clock.synchronised():
            return None
        return latest_instant(sight.state.trust, clock.now(), False) if sight.state is not None else BUILT_AT

    settings = sight.settings
    try:
        key = load_key(settings.key)
        client = Client(
            url=settings.central_url, site=settings.site, key=key, clock=clock, ca=settings.ca, floor_at=floor_at
        )
    except AgentError as problem:
        yield Check(name="link", problem=str(problem), remedy="first put right what stands above")
        return
    with client:
        yield from walk(Way(settings, clock, floor_at), client)


def _configuration(box: Disk | None) -> bytes:
    return (box.read(PATH, MAX_BYTES) if box is not None else None) or b""
