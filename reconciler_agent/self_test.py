"""The acceptance checks of a box, as a technician would go through them: each with what is wrong, if anything is."""

import json
import os
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from msgspec import Struct

from reconciler_agent.durable import RESERVE_SHARE
from reconciler_agent.errors import AgentError
from reconciler_agent.observe import Health, SystemClock
from reconciler_agent.services import ServiceManager
from schemas.manifest import ReleaseTarget

MEGABYTE: Final = 1_000_000


class Check(Struct, frozen=True, kw_only=True):
    """One check; `problem` is empty where all is well, `found` what was seen."""

    name: str
    found: str = ""
    problem: str = ""


class Examined(NamedTuple):
    """What is looked at. `link` asks the control plane for anything, and raises what keeps it from answering."""

    services: ServiceManager
    health: Health
    clock: SystemClock
    root: str
    configuration: Callable[[], bytes]
    link: Callable[[], object]


def examine(box: Examined, release: ReleaseTarget | None) -> list[Check]:
    """Every check, in order; `release` is the one that should run."""
    return [*_units(box, release), *_answers(box, release), _configuration(box), _disk(box), _clock(box), _link(box)]


def write(checks: list[Check]) -> str:
    """The checks as lines of text."""
    return "".join(
        f"{'FAIL' if check.problem else 'ok  '} {check.name}: {check.problem or check.found}\n" for check in checks
    )


def _units(box: Examined, release: ReleaseTarget | None) -> Iterator[Check]:
    if release is None:
        yield Check(name="release", problem="no release of ours was ever found to be good here")
        return
    yield Check(name="release", found=release.version)
    for unit in release.services:
        try:
            state = box.services.state(unit)
        except AgentError as problem:
            yield Check(name=f"unit {unit}", problem=str(problem))
            continue
        problem_ = "" if state.active else "it does not run"
        yield Check(name=f"unit {unit}", found=f"runs, restarted {state.restarts} times by itself", problem=problem_)


def _answers(box: Examined, release: ReleaseTarget | None) -> Iterator[Check]:
    for name, problem in box.health.answers().items():
        yield Check(name=name, found="answers as it should", problem=problem)
    for check in release.health.checks if release is not None else []:
        yield Check(name=check.http, found=f"contains {check.expect!r}", problem=box.health.own(check))


def _configuration(box: Examined) -> Check:
    try:
        value = json.loads(box.configuration())
    except (AgentError, ValueError, RecursionError) as problem:
        return Check(name="configuration", problem=f"it cannot be read: {problem}")
    well = isinstance(value, dict)
    return Check(name="configuration", found="is there and parses", problem="" if well else "it is no object")


def _disk(box: Examined) -> Check:
    found = os.statvfs(box.root)
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    said = f"{free // MEGABYTE} MB of {total // MEGABYTE} MB are free"
    return Check(name="disk", found=said, problem=said if free < total * RESERVE_SHARE else "")


def _clock(box: Examined) -> Check:
    if box.clock.synchronised():
        return Check(name="clock", found="is synchronised")
    return Check(name="clock", problem=f"it follows no time server; it says {box.clock.now():%Y-%m-%dT%H:%MZ}")


def _link(box: Examined) -> Check:
    try:
        box.link()
    except AgentError as problem:
        return Check(name="link", problem=str(problem))
    return Check(name="link", found="the control plane answers")
