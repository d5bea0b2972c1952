"""`neopro-agent` and its commands. Exit status 0 converged (or done), 1 not converged, 2 cannot run."""

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconciler_agent.errors import AgentError
from reconciler_agent.settings import Settings, load_settings

if TYPE_CHECKING:
    from reconciler_agent.state import State

CONVERGED: Final = 0
NOT_CONVERGED: Final = 1
CANNOT_RUN: Final = 2
DEFAULT_CONF: Final = Path("/etc/neopro/site.conf")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    chosen = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        if chosen.command in ("install", "uninstall"):
            return change_machine(chosen)
        settings = load_settings(chosen.conf)
        if chosen.command == "identity":
            return identity(settings)
        if chosen.command == "status":
            return status(settings, chosen.json)
        return run(settings) if chosen.command == "run" else once(settings)
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
    commands.add_parser("run", help="converge until stopped: what the service runs")
    commands.add_parser("once", help="take news, converge, report, and end")
    shown = commands.add_parser("status", help="what the agent last found, for a technician at the box")
    shown.add_argument("--json", action="store_true", help="the same for programs")
    commands.add_parser("identity", help="make the box's keys if there are none; print the lines for its file in Git")
    put = commands.add_parser("install", help="put the agent on this box, in the place of the one that was there")
    put.add_argument(
        "--trust", type=Path, metavar="FILE", help="the fleet's first trust root, trust/root-1.json in Git"
    )
    put.add_argument("--site", help="the id of this box in Git, where site.conf does not say it (or says an old one)")
    put.add_argument("--central", metavar="URL", help="where the control plane is, likewise")
    put.add_argument(
        "--ca", type=Path, metavar="FILE", help="the control plane's own certificate authority, if it has one"
    )
    undo = commands.add_parser("uninstall", help="put back what install replaced")
    for command in (put, undo):
        command.add_argument("--dry-run", action="store_true", help="say every step and change nothing")
        command.add_argument(
            "--root", type=Path, default=Path("/"), metavar="DIR", help="the root of an image, where nothing runs"
        )
    return parser


def change_machine(chosen: argparse.Namespace) -> int:
    """Put the agent on the box, or take it off."""
    from reconciler_agent.install import command
    from reconciler_agent.install.installer import Wish

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
    wish = Wish(conf=chosen.conf, program=command.program(), trust=chosen.trust, given=given)
    command.install(wish, chosen.root, chosen.dry_run)
    return CONVERGED


def run(settings: Settings) -> int:
    """Converge until SIGTERM or SIGINT."""
    from reconciler_agent.app import open_agent

    _on_end(lambda: sys.exit(CONVERGED))  # while it starts there is nothing yet to bring to an end
    with open_agent(settings) as agent:
        _on_end(agent.loop.stop)
        agent.loop.run_forever()
    return CONVERGED


def _on_end(act: Callable[[], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: act())


def once(settings: Settings) -> int:
    """Ask for news once, and do what can be done without waiting for anybody."""
    from reconciler_agent.app import open_agent

    with open_agent(settings) as agent:
        envelope, trouble = None, None
        try:
            answer = agent.control_plane.head()
            envelope = answer.envelope if answer is not None else None
        except AgentError as problem:
            trouble = problem
        found = agent.loop.settle(envelope, trouble)
        synced = next(c for c in agent.store.state.told.conditions if c.type == "Synced")
        print(f"{synced.reason}: {synced.message}")
        return CONVERGED if synced.status == "True" and not found.failures else NOT_CONVERGED


def identity(settings: Settings) -> int:
    """Print the public lines of the box's keys: what it signs with, and what is encrypted to it."""
    from reconciler_agent.age_key import make_recipient, path_of
    from reconciler_agent.app import make_identity

    print(f"identity: {make_identity(settings.key)}")
    print(f"recipient: {make_recipient(path_of(settings.key))}")
    return CONVERGED


def status(settings: Settings, as_json: bool) -> int:
    """Say what the agent last found."""
    import msgspec

    from reconciler_agent.app import read_state
    from reconciler_agent.technician import describe

    state = read_state(settings)
    said = describe(settings.site, state)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(said), indent=2).decode())
    else:
        print("\n".join(said.lines))
    return _status_of(state)


def _status_of(state: "State | None") -> int:
    conditions = {c.type: c.status for c in state.told.conditions} if state is not None else {}
    well = conditions.get("Synced") == "True" and conditions.get("Degraded") != "True"
    return CONVERGED if well else NOT_CONVERGED


if __name__ == "__main__":
    sys.exit(main())
