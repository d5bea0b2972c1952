"""The demo's boxes: each a folder as a club would have it, with its own content, a key made on it, and its services."""

import json
import shutil
import socket
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from cli.demo.children import python
from cli.demo.clips import Clip, make_clip
from cli.demo.places import CLUB, SITES, Box, Places
from cli.demo.supervisor import BoxUnits, UnitFile
from cli.errors import CommandFailed
from schemas.names import PublicKeyLine

FIRST_PORT: Final = 8480
RANGES: Final = 200
PORTS_A_RANGE: Final = 16
AGENT_UNIT: Final = "neopro-sync-agent"
SERVER: Final = "server"
SERVER_UNIT: Final = "neopro-server"
_CONFIGURATIONS: Final = ("in-use.json", "in-use.json", "fresh.json", "bare.json", "in-use.json", "fresh.json")
_CLUB_CLIPS: Final = (
    Clip("club-boucle.mp4", "Boucle partenaires", (90, 90, 100), 6.0),
    Clip("club-focus.mp4", "Focus partenaires", (60, 60, 80), 4.0),
    Clip("club-octobre-rose.mp4", "Octobre rose", (200, 80, 140), 4.0),
)
_CLUB_FILES: Final = {
    "videos/BOUCLE_PARTENAIRES/BOUCLE_PARTENAIRES_H264.mp4": "club-boucle.mp4",
    "videos/FOCUS_PARTENAIRE/BOUCLE_PARTENAIRES_H265.mp4": "club-focus.mp4",
    "videos/INFOS_CLUB/OCTOBRE_ROSE.mp4": "club-octobre-rose.mp4",
}
_SITE_CONF: Final = """\
# Written by `neopro demo` at every start.
[site]
id = {site}
root = {root}
state = {state}
key = {settings}/site.key
trust = {settings}/root.json

[box]
app_url = http://127.0.0.1:{app}
admin_url = http://127.0.0.1:{admin}
page_url =
services = unix:{socket}
owner =
clock = trusted

[central]
url = {url}

[agent]
report_s = 30
heal_s = 10
"""


class Ports(NamedTuple):
    """Where a box's two applications listen."""

    app: int
    admin: int


def make_club_clips(places: Places) -> None:
    """The clubs' own videos, shared by all boxes."""
    for clip in _CLUB_CLIPS:
        make_clip(clip, places.clips)


def furnish(box: Box, site: str, name: str, trust_root: bytes, clips: Path) -> None:
    """Make a box as it stands in a club before it first hears of the fleet: the club's content and configuration."""
    for folder in (box.root / "data", box.root / "videos", box.state, box.settings):
        folder.mkdir(parents=True, exist_ok=True)
    box.state.chmod(0o700)
    (box.settings / "root.json").write_bytes(trust_root)
    configuration = club_configuration(site, name)
    text = json.dumps(configuration, indent=2, ensure_ascii=False)
    (box.root / "data" / "configuration.json").write_text(text, encoding="utf-8")
    for path, clip in _CLUB_FILES.items():
        if path in text:
            (box.root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(clips / clip, box.root / path)


def club_configuration(site: str, name: str) -> dict[str, Any]:
    """A configuration as real boxes have it, in the club's name."""
    template = _CONFIGURATIONS[SITES.index(site) % len(_CONFIGURATIONS)]
    document: dict[str, Any] = json.loads((CLUB / template).read_text("utf-8"))
    document["remote"]["title"] = f"Télécommande Néopro - {name}"
    for part, values in {
        "auth": {"clubName": name, "password": f"demo-{site}"},
        "sync": {"siteName": site, "clubName": name},
    }.items():
        if part in document:
            document[part] |= values
    return document


def write_conf(places: Places, site: str, ports: Ports, url: str) -> None:
    """The agent's settings, as ports and address are in this run."""
    box = places.box(site)
    text = _SITE_CONF.format(
        site=site,
        root=box.root,
        state=box.state,
        settings=box.settings,
        app=ports.app,
        admin=ports.admin,
        socket=places.socket(site),
        url=url,
    )
    box.conf.write_text(text, encoding="utf-8")


_IDENTITY: Final = "identity: "


def make_identity(places: Places, site: str) -> PublicKeyLine:
    """The public key of a box, which makes the private one where it has none; CommandFailed if it cannot."""
    command = [*python("reconciler_agent"), "--conf", str(places.box(site).conf), "identity"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    first = done.stdout.partition("\n")[0]
    if done.returncode != 0 or not first.startswith(_IDENTITY):
        raise CommandFailed(f"cannot make the key of {site}: {(done.stderr or done.stdout).strip()[-300:]}")
    return first.removeprefix(_IDENTITY)


def units_of(places: Places, site: str, ports: Ports) -> BoxUnits:
    """The services of a box: two applications of its release, and the agent."""
    box = places.box(site)

    def application(name: str, folder: str, port: int) -> UnitFile:
        # As on a real box, the program is reached through the link that a release is switched by.
        program = str(box.root / folder / "app.py")
        return UnitFile(
            name=name,
            command=[sys.executable, "-B", program],
            cwd=str(box.root),
            env={"PORT": str(port), "NEOPRO_DIR": str(box.root)},
            needs=program,
            log=str(places.logs / f"{site}.{name}.log"),
        )

    agent = UnitFile(
        name=AGENT_UNIT,
        command=[*python("reconciler_agent"), "--conf", str(box.conf), "run"],
        cwd=str(box.folder),
        env={},
        log=str(places.logs / f"{site}.{AGENT_UNIT}.log"),
        at_boot=False,
    )
    units = [application("neopro-app", "server", ports.app), application("neopro-admin", "admin", ports.admin), agent]
    return BoxUnits(socket=str(places.socket(site)), units=units)


def server_units(places: Places) -> BoxUnits:
    """The control plane, as a unit of its own."""
    unit = UnitFile(
        name=SERVER_UNIT,
        command=[*python("cli"), "serve", "--config", str(places.server_settings)],
        cwd=str(places.root),
        env={},
        log=str(places.logs / "server.log"),
        stop_within_s=4.0,
    )
    return BoxUnits(socket=str(places.socket(SERVER)), units=[unit])


def free_ports(start: int) -> Iterator[int]:
    """Ports of the loopback address from `start` on that nobody listens on now."""
    for port in range(start, 65_536):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port


def choose_ports(folder: Path, sites: Sequence[str]) -> Mapping[str, Ports]:
    """Two ports a box, the same ones at every start of the demo in `folder` unless somebody has taken them.

    Demos of several folders begin at ports of their own: two that start at once must not find the same ones free.
    """
    place = zlib.crc32(str(folder).encode()) % RANGES
    free = free_ports(FIRST_PORT + place * PORTS_A_RANGE)
    return {site: Ports(next(free), next(free)) for site in sites}


def units_named(name: str) -> list[str]:
    """The units of a site's box, or of the control plane, in the order in which they are started."""
    return [SERVER_UNIT] if name == SERVER else ["neopro-app", "neopro-admin", AGENT_UNIT]
