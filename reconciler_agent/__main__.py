"""`neopro-agent` and its commands. Exit status 0 converged (or done), 1 not converged, 2 cannot run."""

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconciler_agent.errors import AgentError
from reconciler_agent.settings import load_settings

if TYPE_CHECKING:
    from reconciler_agent.loop import Loop
    from reconciler_agent.state import State

CONVERGED: Final = 0
NOT_CONVERGED: Final = 1
CANNOT_RUN: Final = 2
LAST_S: Final = 5.0
"""What a request may still take when the agent was told to end; systemd kills it after 90 seconds."""
DEFAULT_CONF: Final = Path("/etc/neopro/site.conf")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    chosen = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        done: int = chosen.do(chosen)
        return done
    except AgentError as problem:
        print(f"neopro-agent: {problem}", file=sys.stderr)
        return CANNOT_RUN
    except KeyboardInterrupt:
        return NOT_CONVERGED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="neopro-agent",
        description="Makes this box as its fleet-state repository wants it.",
        epilog="Exit status: 0 the box is as desired; 1 it is not (yet); 2 the agent cannot run and says why.",
    )
    parser.add_argument("--conf", type=Path, default=DEFAULT_CONF, help="the box's settings (default: %(default)s)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, do, words in COMMANDS:
        commands.add_parser(name, help=words).set_defaults(do=do)
    _describe_options(commands.choices)
    return parser


def _describe_options(of: Mapping[str, argparse.ArgumentParser]) -> None:
    """What each command takes beside --conf."""
    for command in (of["status"], of["verify"], of["why"], of["doctor"]):
        command.add_argument("--json", action="store_true", help="the same for programs")
    of["why"].add_argument(
        "thing",
        metavar="THING",
        help="release, a file, the id of a video or a category, or a key of the configuration",
    )
    of["once"].add_argument(
        "--from", type=Path, dest="stick", metavar="FOLDER", help="take what `neopro usb` wrote on the stick there"
    )
    of["enrol"].add_argument("url", metavar="URL", help="where the control plane is")
    of["enrol"].add_argument(
        "token", metavar="TOKEN", help="what `neopro enrol token SITE` printed; - reads it from standard input"
    )
    of["install"].add_argument(
        "--trust", type=Path, metavar="FILE", help="the fleet's first trust root, trust/root-1.json in Git"
    )
    of["install"].add_argument(
        "--site", help="the id of this box in Git, where site.conf does not say it (or says an old one)"
    )
    of["install"].add_argument("--central", metavar="URL", help="where the control plane is, likewise")
    for command in (of["enrol"], of["install"]):
        command.add_argument(
            "--ca", type=Path, metavar="FILE", help="the control plane's own certificate authority, if it has one"
        )
    for command in (of["install"], of["uninstall"]):
        command.add_argument("--dry-run", action="store_true", help="say every step and change nothing")
    for command in (of["enrol"], of["install"], of["uninstall"]):
        command.add_argument(
            "--root", type=Path, default=Path("/"), metavar="DIR", help="the root of an image, where nothing runs"
        )


def enrol(chosen: argparse.Namespace) -> int:
    """Make a new box's keys and ask for it to be let in."""
    from reconciler_agent.install.enrol import Enrolment, enrol
    from reconciler_agent.install.target import Target

    text = sys.stdin.readline() if chosen.token == "-" else chosen.token  # noqa: S105 (a hyphen)
    asked = Enrolment(conf=chosen.conf, url=chosen.url, token=text, ca=chosen.ca)
    enrol(asked, Target(chosen.root.resolve()), print)
    return CONVERGED


def change_machine(chosen: argparse.Namespace) -> int:
    """Put the agent on the box, or take it off."""
    from reconciler_agent.install import command
    from reconciler_agent.install.installer import Wish
    from reconciler_agent.install.software import find_bundle

    if chosen.command == "uninstall":
        command.uninstall(chosen.root, chosen.dry_run)
        return CONVERGED
    central = {
        name: value
        for name, value in (("url", chosen.central), ("ca", chosen.ca and str(chosen.ca.absolute())))
        if value
    }
    site = {"id": chosen.site} if chosen.site else {}
    given = {name: keys for name, keys in (("site", site), ("central", central)) if keys}
    bundle = find_bundle()
    wish = Wish(conf=chosen.conf, program=command.program(), trust=chosen.trust, given=given, bundle=bundle)
    command.install(wish, chosen.root, chosen.dry_run)
    return CONVERGED


def run(chosen: argparse.Namespace) -> int:
    """Converge until SIGTERM or SIGINT."""
    from reconciler_agent.app import open_agent

    settings = load_settings(chosen.conf)
    _on_end(lambda: sys.exit(CONVERGED))  # while it starts there is nothing yet to bring to an end
    with open_agent(settings) as agent:
        _on_end(lambda: end(agent.loop))
        agent.loop.run_forever()
    return CONVERGED


def end(loop: "Loop") -> None:
    """Let the step that is under way be the last, and no request keep it up."""
    from reconciler_agent import deadline

    deadline.hurry(LAST_S)
    loop.stop()


def _on_end(act: Callable[[], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: act())


def once(chosen: argparse.Namespace) -> int:
    """Ask for news once, and do what can be done without waiting for anybody."""
    from reconciler_agent.app import open_agent

    with open_agent(load_settings(chosen.conf), chosen.stick) as agent:
        envelope: bytes | None = None
        trouble: AgentError | None = None
        try:
            answer = agent.supplies.head()
            envelope, trouble = answer.envelope if answer is not None else None, agent.supplies.trouble
        except AgentError as problem:
            trouble = problem
        found = agent.loop.settle(envelope, trouble)
        synced = next(c for c in agent.store.state.told.conditions if c.type == "Synced")
        print(f"{synced.reason}: {synced.message}")
        return CONVERGED if synced.status == "True" and not found.failures else NOT_CONVERGED


def identity(chosen: argparse.Namespace) -> int:
    """Print the public lines of the box's keys: what it signs with, and what is encrypted to it."""
    from reconciler_agent.age_key import make_recipient, path_of
    from reconciler_agent.site_key import make_identity

    settings = load_settings(chosen.conf)
    print(f"identity: {make_identity(settings.key)}")
    print(f"recipient: {make_recipient(path_of(settings.key))}")
    return CONVERGED


def status(chosen: argparse.Namespace) -> int:
    """Say what the agent last found."""
    from reconciler_agent.beginning import read_state
    from reconciler_agent.technician.status import describe

    settings = load_settings(chosen.conf)
    state = read_state(settings)
    said = describe(settings.site, state)
    _tell(chosen, said, said.lines)
    return _status_of(state)


def _status_of(state: "State | None") -> int:
    conditions = {c.type: c.status for c in state.told.conditions} if state is not None else {}
    well = conditions.get("Synced") == "True" and conditions.get("Degraded") != "True"
    return CONVERGED if well else NOT_CONVERGED


def verify(chosen: argparse.Namespace) -> int:
    """Check by digest all that the agent installed."""
    from reconciler_agent.technician.sight import look_at
    from reconciler_agent.technician.verify import verify as check

    with look_at(load_settings(chosen.conf)) as sight:
        said = check(sight)
    _tell(chosen, said, said.lines)
    return NOT_CONVERGED if said.findings else CONVERGED


def why(chosen: argparse.Namespace) -> int:
    """Say why something is on the box as it is."""
    from reconciler_agent.technician.sight import look_at
    from reconciler_agent.technician.why import why as explain

    with look_at(load_settings(chosen.conf)) as sight:
        said = explain(sight, chosen.thing)
    _tell(chosen, said, said.lines)
    return NOT_CONVERGED if said.owner == "nobody" else CONVERGED


def doctor(chosen: argparse.Namespace) -> int:
    """Look for everything that can keep the box from its work."""
    from reconciler_agent.technician.doctor import diagnose

    checks = diagnose(chosen.conf)
    _tell(chosen, checks, [line for check in checks for line in check.lines])
    return NOT_CONVERGED if any(check.problem for check in checks) else CONVERGED


def _tell(chosen: argparse.Namespace, said: object, lines: Sequence[str]) -> None:
    """The answer for programs, or for a person."""
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(said), indent=2).decode() if chosen.json else "\n".join(lines))


COMMANDS: Final[tuple[tuple[str, Callable[[argparse.Namespace], int], str], ...]] = (
    ("run", run, "converge until stopped: what the service runs"),
    ("once", once, "take news, converge, report, and end"),
    ("status", status, "what the agent last found, for a technician at the box"),
    ("why", why, "whose a file, a release or a key of the configuration is, and why it is as it is"),
    ("verify", verify, "check by digest everything that the agent installed; changes nothing"),
    ("doctor", doctor, "look for what keeps this box from its work: keys, clock, disk, services, the way to the fleet"),
    ("enrol", enrol, "make the keys of a new box, and ask the fleet to let it in"),
    ("identity", identity, "make the box's keys if there are none; print the lines for its file in Git"),
    ("install", change_machine, "put the agent on this box, in the place of the one that was there"),
    ("uninstall", change_machine, "put back what install replaced"),
)


if __name__ == "__main__":
    sys.exit(main())
