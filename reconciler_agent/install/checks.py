"""What must be so before anything is changed on a box, each in one sentence that says what to do."""

import re
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from reconciler_agent.install.target import Target
from reconciler_agent.resources.admin_unit import ADMIN, misled
from reconciler_agent.settings import Settings

OLDEST_PYTHON: Final = (3, 11)
UNIT_FOLDERS: Final = (Path("/etc/systemd/system"), Path("/lib/systemd/system"), Path("/usr/lib/systemd/system"))
_CONNECT_S: Final = 2.0


def problems(target: Target, settings: Settings, program: Path | None) -> Iterator[str]:
    """What keeps the agent from being put on this box. `program`: what the unit is to call, where that lies here."""
    if struct.calcsize("P") * 8 != 64:
        yield "this is a 32-bit system; install the 64-bit Raspberry Pi OS"
    if sys.version_info < OLDEST_PYTHON:
        yield f"Python {sys.version.split()[0]} is too old; it takes {'.'.join(map(str, OLDEST_PYTHON))} or newer"
    if program is not None and not program.is_file():
        yield f"there is no program {program}; install the package neopro-fleet[agent] into this environment"
    if not target.at(settings.root).is_dir():
        yield f"there is no folder {settings.root}; [site] root in site.conf names the one of the box's applications"
    if settings.owner and settings.owner not in _users(target):
        yield f"there is no user {settings.owner!r}; [box] owner in site.conf says whose the box's files are"
    if settings.ca is not None and not target.at(settings.ca).is_file():
        yield f"there is no file {settings.ca}; [central] ca names that of the control plane's certificate authority"
    if settings.admin_url:
        yield from _admin(target, settings.root)


def warnings(settings: Settings) -> Iterator[str]:
    """What is not as on a box that plays, and keeps nobody from anything: the applications may be about to start."""
    for url in (settings.app_url, settings.admin_url, settings.page_url):
        parts = urlsplit(url)
        port = parts.port or 80
        if url and not _listens(parts.hostname or "", port):
            yield f"nobody listens on port {port} ({url}): look at the box's services"


def _users(target: Target) -> set[str]:
    found = target.look(Path("/etc/passwd"))
    return {line.partition(":")[0] for line in found.data.decode("utf-8", "replace").splitlines()}


def _admin(target: Target, root: Path) -> Iterator[str]:
    """The admin page takes the folder of the release for the box's root unless its unit says where that is."""
    text = "\n".join(_unit_files(target, ADMIN))
    if not text:
        yield f"there is no unit {ADMIN}; install the box's applications first, or write `admin_url =` under [box]"
        return
    named = re.findall(r"""^\s*Environment=.*?\bNEOPRO_DIR=([^\s"']+)""", text, re.MULTILINE)
    if wrong := misled(named[-1] if named else None, root):
        yield wrong


def _unit_files(target: Target, unit: str) -> Iterator[str]:
    """The unit that is in force, and what is written over it."""
    for folder in UNIT_FOLDERS:
        if target.at(folder / f"{unit}.service").is_file():
            yield target.at(folder / f"{unit}.service").read_text("utf-8", "replace")
            break
    for more in sorted(target.at(UNIT_FOLDERS[0] / f"{unit}.service.d").glob("*.conf")):
        yield more.read_text("utf-8", "replace")


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), _CONNECT_S).close()
    except OSError:
        return False
    return True
