"""What a control plane of the first fifty sites takes of a machine: the real process, its database included.

Proportional set size of `python -m control_plane` and of every process of the PostgreSQL that it started, once it has
published the fleet, has shown each of its main pages and has come to rest. The floor is that PostgreSQL alone.
"""

import asyncio
import tempfile
import time
from pathlib import Path

import httpx
import psutil
from cryptography.hazmat.primitives import serialization

from control_plane.objects import FolderStore
from schemas.names import digest_of
from tests.benchmarks.fleets import SEED, Fleet
from tests.benchmarks.measure import Row, proportional_set_bytes, row
from tests.support.fleet_generator import private_key
from tests.support.server_process import server_process

SITES = 50
PAGES = ("/", "/sites", "/alerts", "/changes", "/library", "/system")
REST_S = 45.0
"""Longer than the jobs of the first minute take to come round."""


def measure(names: list[str]) -> list[Row]:
    """The one figure of this module."""
    with tempfile.TemporaryDirectory(prefix="neopro-bench-") as name:
        Path(name).chmod(0o755)
        rows = [_measure(Path(name))]
    return [r for r in rows if r.name in names]


def _measure(folder: Path) -> Row:
    with server_process(_settings(folder), NEOPRO_LOG_LEVEL="info") as server:
        with httpx.Client(base_url=server.url, timeout=30) as reader:
            server.wait_for(r"event=published ", 120)
            for page in PAGES:
                reader.get(page).raise_for_status()
        time.sleep(REST_S)
        own = proportional_set_bytes(server.pid)
        database = sum(proportional_set_bytes(p.pid) for p in psutil.Process(server.pid).children(recursive=True))
    note = f"{SITES} sites; {own / 1e6:.0f} MB the server, {database / 1e6:.0f} MB its PostgreSQL, which is the floor"
    return row("control-plane-rest-memory", (own + database) / 1e6, "MB", database / 1e6, note)


def _settings(folder: Path) -> Path:
    """A fleet in a remote, its blobs in the server's folder, and the settings of the server."""
    fleet = Fleet(folder, SITES)
    fleet.commit(fleet.files)
    asyncio.run(_put(fleet, folder))
    key = folder / "manifest.key"
    key.touch(0o600)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    key.write_bytes(private_key(f"manifest-{SEED}").private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    file = folder / "server.toml"
    lines = {"data_dir": folder / "server", "remote": fleet.remote, "manifest_key": key, "listen": "127.0.0.1:0"}
    file.write_text("".join(f'{key} = "{value}"\n' for key, value in lines.items()))
    return file


async def _put(fleet: Fleet, folder: Path) -> None:
    objects = FolderStore(folder / "server" / "objects")
    for data in fleet.blobs:
        staged = folder / "staged"
        staged.write_bytes(data)
        await objects.put(digest_of(data), staged)
