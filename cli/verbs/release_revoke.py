"""`neopro release revoke`: no box may run a release any more, whoever asks it to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cli.checked import land_checked
from cli.checkout import Checkout
from cli.edits import SCHEMA_LINE, Edit
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.fleet_view import FleetView, read_fleet
from cli.landing import WRITTEN, Landing
from cli.output import Output
from cli.releases import Files, Kind, Shelf, layers_naming, read_shelf, read_signing, sites_on
from cli.words import count

REVOKED: Final = "revoked.yaml"


def release_revoke(
    version: str,
    /,
    *,
    to: str | None = None,
    now: Flag = False,
    key: Path | None = None,
    agent: Flag = False,
    landing: Landing = WRITTEN,
) -> None:
    """Sign a release list without this release: boxes that learn of it never start it again, whoever asks them to.

    A commit in which a layer still names it would be refused whole, so every layer must name another release first:
    --to puts all of them on one in the same change. Its document stays, so that its number is never used again.

    Examples:

    - `neopro release revoke 2.2.0 --to 2.1.3 --now --commit && git push`
    - `neopro release revoke 2.0.9`

    Parameters
    ----------
    version
        Its version.
    to
        The release that layers that name it are to name instead.
    now
        Name it in revoked.yaml, too, which takes effect even where the rest of a later commit is refused.
    key
        The release key; without it, NEOPRO_RELEASE_KEY or `git config neopro.releasekey`.
    agent
        A release of the agent.
    """
    checkout, output = landing.checkout(), Output(landing.json)
    kind: Kind = "agent" if agent else "app"
    if now and agent:
        raise CommandFailed(
            "cannot name an agent in revoked.yaml: it holds releases of the applications; leave --now out"
        )
    view = read_fleet(checkout)
    shelf = read_shelf(checkout, view, kind)
    if version not in shelf.allowed:
        shelf.require(version)
    sites = sites_on(view, kind, version)
    files = _moved(checkout, view, shelf, version, to)
    files |= read_signing(checkout, key).sign(without=[(kind, version)])
    if now:
        files |= _named_revoked(checkout, version)
    if to:
        output.say(f"{count(len(sites), 'site')} on {version}: {', '.join(sites) or 'none'}")
    data = {"version": version, "to": to, "sites": sites}
    land_checked(landing, checkout, files, f"Revoke {'the agent' if agent else 'release'} {version}", data)


def _moved(checkout: Checkout, view: FleetView, shelf: Shelf, version: str, to: str | None) -> Files:
    """The layers that name it, with another release; CommandFailed where there are some, and no other was named."""
    layers: Mapping[str, tuple[str, ...]] = layers_naming(view, shelf.kind, version)
    if layers and to is None:
        raise CommandFailed(
            f"cannot revoke {version}: {', '.join(layers)} {'name' if len(layers) > 1 else 'names'} it, for "
            f"{count(len(sites_on(view, shelf.kind, version)), 'site')}; say --to VERSION to put them on another"
        )
    if to is not None:
        shelf.require(to)
        if to == version or shelf.standing(to) != "allowed":
            raise CommandFailed(
                f"cannot put layers on {to}: it is {'the same' if to == version else shelf.standing(to)}"
            )
    files: Files = {}
    for path, keys in layers.items():
        edit = Edit(checkout.read(path), path)
        edit.set(keys, to)
        files[path] = edit.text
    return files


def _named_revoked(checkout: Checkout, version: str) -> Files:
    text = checkout.read(REVOKED) if checkout.has(REVOKED) else _new_revoked()
    if not text.strip("\n") or text == _new_revoked():
        return {REVOKED: f"{_new_revoked()}releases: [{version}]\n"}
    edit = Edit(text, REVOKED)
    edit.append(("releases",), version)
    return {REVOKED: edit.text}


def _new_revoked() -> str:
    return SCHEMA_LINE.format(kind="revoked").replace("../../", "../") + "\n"
