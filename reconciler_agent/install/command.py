"""`neopro-agent install` and `uninstall`, as a technician calls them."""

import os
import sys
from pathlib import Path

from reconciler_agent.age_key import make_recipient, path_of
from reconciler_agent.errors import SettingsInvalid
from reconciler_agent.install.checks import warnings
from reconciler_agent.install.installer import Wish, plan_install, plan_uninstall
from reconciler_agent.install.steps import run_steps
from reconciler_agent.install.target import Target
from reconciler_agent.site_key import make_identity
from reconciler_agent.systemd import Systemd

MACHINE = Path("/")


def install(wish: Wish, root: Path, dry_run: bool) -> None:
    """Put the agent on the machine whose files begin at `root`."""
    target, units = _machine(root, dry_run)
    steps, settings = plan_install(wish, target, units)
    print(f"Installing the agent for {settings.site}:")
    count = run_steps(steps, print, dry_run)
    for warning in warnings(settings) if units is not None else ():
        print(f"  note: {warning}")
    if dry_run:
        print("Nothing was changed.")
    else:
        print("Done." if count else "Nothing was left to do.")
        print(f"identity: {make_identity(target.at(settings.key))}")
        print(f"recipient: {make_recipient(path_of(target.at(settings.key)))}")


def uninstall(root: Path, dry_run: bool) -> None:
    """Put back what `install` replaced."""
    target, units = _machine(root, dry_run)
    steps = plan_uninstall(target, units)
    if not steps:
        print("There is nothing to put back: the agent was not installed here, or it was undone.")
        return
    print("Putting back what the agent replaced:")
    run_steps(steps, print, dry_run)
    print("Nothing was changed." if dry_run else "Done. The box's key and what the agent knew stay where they are.")


def program() -> Path:
    """The command that this process was started from, as the unit is to call it."""
    return Path(sys.executable).parent / "neopro-agent"


def _machine(root: Path, dry_run: bool) -> tuple[Target, Systemd | None]:
    if root != MACHINE:
        if not root.is_dir():
            raise SettingsInvalid(f"cannot use {root}: there is no such folder; --root names the root of an image")
        return Target(root.resolve()), None
    if os.geteuid() != 0 and not dry_run:
        raise SettingsInvalid("cannot change this machine: that takes root; call it with sudo")
    return Target(), Systemd()
