"""`neopro demo`: a control plane and six boxes on this machine."""

import os
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import Parameter

from cli.demo.places import CHECKOUT, SITES, Places
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output

MAX_PORT: Final = 65_535


def demo(
    *,
    clean: Flag = False,
    off: str | None = None,
    on: str | None = None,
    boxes: Annotated[int, Parameter(show=False)] = len(SITES),
    port: int = 8470,
) -> None:
    """Start a control plane and six boxes on this machine, from nothing to converged, and say what to try.

    Everything is in var/demo of the checkout, or where NEOPRO_DEMO_DIR says. Ctrl-C stops all of it; the next start
    goes on where it was.

    Examples:

    - `neopro demo`
    - `neopro demo --off rennes-fc`
    - `neopro demo --clean`

    Parameters
    ----------
    clean
        Stop the demo that runs, and forget everything about it.
    off
        Switch a box of the demo that runs off, by its site; or `server`, the control plane.
    on
        Switch it on again.
    port
        Where the control plane listens; the next free one if it is taken.
    """
    output = Output()
    places = Places.at(Path(os.environ.get("NEOPRO_DEMO_DIR") or CHECKOUT / "var" / "demo"))
    if clean:
        from cli.demo.lock import stop_and_forget

        output.say("forgotten" if stop_and_forget(places) else "there is nothing to forget")
    elif off and on:
        raise CommandFailed("cannot switch one box off and another on at once: do one after the other")
    elif off or on:
        _switch(places, off or on or "", on is not None, output)
    else:
        from cli.demo.run import Demo

        if not 1 <= boxes <= len(SITES):
            raise CommandFailed(f"cannot start {boxes} boxes: from 1 to {len(SITES)}")
        if not 1 <= port <= MAX_PORT:
            raise CommandFailed(f"cannot listen on port {port}: from 1 to {MAX_PORT}")
        Demo(places, output, boxes, port).run()


def _switch(places: Places, name: str, on: bool, output: Output) -> None:
    """Start or stop every unit of a box, or of the server, as its power switch would."""
    from cli.demo.boxes import units_named
    from cli.demo.supervisor import ask

    units = units_named(name)
    try:
        for unit in units if on else reversed(units):
            answer = ask(places.socket(name), "start" if on else "stop", unit)
            if not answer.ok:
                raise CommandFailed(f"cannot switch {name}: {answer.error}")
    except (OSError, msgspec.DecodeError):
        known = "server, " + ", ".join(SITES)
        raise CommandFailed(f"cannot switch {name}: the demo does not run, or has none ({known})") from None
    output.say(f"{name} is {'on' if on else 'off'}")
