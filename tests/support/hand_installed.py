"""A box as technicians install them: the package copied by hand, `npm install` run in it, scripts run as root."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler_agent.resources.trees import CONFIGURATION, LINKS
from schemas.manifest import ReleaseTarget
from tests.support.agent_world import AgentWorld, application, manifest_of

OLD_VERSION = "v1.0.8"
MODULE = "server/node_modules/mime"
BY_HAND: Mapping[str, bytes] = application("1.0.8") | {
    "VERSION": b"v1.0.8\n",
    "release.json": b'{\n  "version": "v1.0.8",\n  "commit": "0d4da8b",\n  "source": "local-build"\n}\n',
    "webapp/version.json": b'{"version": "v1.0.8"}\n',
    "webapp/main-OLD123.js": b"old page\n",
    "webapp/assets/videos/intro.svg": b"<svg/>\n",
    "admin/admin-server.js": b"// admin\n",
    "admin/public/index.html": b"<h1>admin</h1>\n",
    "server/.package.json.last": b"{}\n",
    f"{MODULE}/cli.js": b"#!/usr/bin/env node\n",
    f"{MODULE}/package.json": b'{"name": "mime"}\n',
    "server/node_modules/.package-lock.json": b"{}\n",
}
NEW: Mapping[str, bytes] = application("2.0.0") | {
    "webapp/main-NEW456.js": b"new page\n",
    "admin/admin-server.js": b"// admin\n",
}
"""What its first managed release brings."""
SECRET = b"API_KEY=hush\n"
CLUB_VIDEO = b"an old video of the club's"


def install_by_hand(root: Path, club: dict[str, Any], files: Mapping[str, bytes] = BY_HAND) -> None:
    """Put all of it at the root of a box, with the modes that several tools left; `club`: its configuration."""
    for path, data in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        place.chmod(0o775 if path.startswith("scripts/") or path.endswith("cli.js") else 0o664)
    (root / "server").chmod(0o775)
    commands = root / "server/node_modules/.bin"
    commands.mkdir(parents=True)
    (commands / "mime").symlink_to("../mime/cli.js")
    (root / "server/.env").write_bytes(SECRET)
    (root / "server/.env").chmod(0o600)
    (root / "webapp/videos/MATCH").mkdir(parents=True)
    (root / "webapp/videos/MATCH/old.mp4").write_bytes(CLUB_VIDEO)
    _move_configuration(root, club)
    (root / "thumbnails").mkdir()
    (root / "thumbnails/club.jpg").write_bytes(b"jpg")
    (root / "sync-agent").mkdir()
    (root / "sync-agent/package.json").write_bytes(b"{}")


def _move_configuration(root: Path, club: dict[str, Any]) -> None:
    """The configuration lies where only the applications know it: in the page."""
    (root / "data/configuration.json").unlink()
    place = root / "webapp/configuration.json"
    place.write_text(json.dumps(club, indent=4))
    place.chmod(0o600)


def club_files(root: Path) -> dict[str, Any]:
    """Everything at the root that is not of a release or of the agent, and where the page has its old videos."""
    mine = {"webapp", "server", "admin", "scripts", "VERSION", "release.json", "current", "releases", "data", "videos"}
    found: dict[str, Any] = {}
    for top in sorted(root.iterdir()):
        for path in sorted(top.rglob("*")) if top.is_dir() and top.name not in mine | {"webapp-videos"} else []:
            found[str(path.relative_to(root))] = (path.read_bytes() if path.is_file() else None, os.lstat(path).st_ino)
    return found


def plays(root: Path) -> dict[str, bytes]:
    """What the services of the box would read now but for the configuration, through whatever links there are."""
    found = {}
    for top in LINKS:
        paths = [
            root / top,
            *(Path(above, n) for above, _, names in os.walk(root / top, followlinks=True) for n in names),
        ]
        found |= {str(p.relative_to(root)): p.read_bytes() for p in paths if p.is_file()}
    return {path: data for path, data in found.items() if path != CONFIGURATION}


def offer(world: AgentWorld, version: str = "2.0.0", **health: int) -> ReleaseTarget:
    """Publish a release of this version for such a box."""
    target = world.central.add_release(version, {**NEW, "VERSION": f"{version}\n".encode()}, **health)
    world.central.publish(manifest_of([], target))
    return target


def reasons(world: AgentWorld) -> list[str]:
    """What its events were called, in the order of its reports."""
    return [event.reason for report in world.central.reports for event in report.events]


def trees(world: AgentWorld) -> list[str]:
    """The versions of the releases that it has."""
    return sorted(path.name.rpartition("-")[0] for path in (world.root / "releases").iterdir())
