"""The hotspot's profile among NetworkManager's own, and the one before it, until the new one is known to open.

    .neopro-hotspot.before   what was there (nothing: there was none), written before anything is changed
    neopro-hotspot.nmconnection   what NetworkManager reads

Both are for root alone: they hold the passphrase. NetworkManager reads no file whose name begins with a dot.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from reconciler_agent.core.hotspot import NAME
from reconciler_agent.durable import Disk
from reconciler_agent.errors import HotspotNotOpened
from reconciler_agent.system_calls import SYSTEM, Calls

FOLDER: Final = Path("/etc/NetworkManager/system-connections")
FILE: Final = f"{NAME}.nmconnection"
BEFORE: Final = f".{NAME}.before"
PRIVATE: Final = ".neopro-agent"
MAX_BYTES: Final = 64 << 10


class Profiles:
    """The profiles in `folder`."""

    def __init__(self, folder: Path = FOLDER, calls: Calls = SYSTEM) -> None:
        self._folder, self._calls = folder, calls
        self.path = str(folder / FILE)

    def read(self) -> str | None:
        """Our profile as it stands; None where there is none, or no NetworkManager."""
        return self._read(FILE)

    @property
    def is_undecided(self) -> bool:
        """Whether another profile was put in its place and is not known to open."""
        return self._read(BEFORE) is not None

    def tidy(self) -> None:
        """Forget what an earlier run was writing: it may hold a passphrase."""
        if self._folder.is_dir():
            with self._open(write=False) as disk:
                if disk.stat(PRIVATE) is not None:
                    disk.forget()

    def put(self, text: str) -> None:
        """Put a profile in its place, remembering the one before."""
        with self._open() as disk:
            before = disk.read(FILE, MAX_BYTES)
            disk.write_file(BEFORE, before or b"", 0o600)
            disk.write_file(FILE, text.encode(), 0o600)

    def settle(self) -> None:
        """The one that is there stays."""
        with self._open() as disk:
            disk.remove(BEFORE)

    def put_back(self) -> bool:
        """The one before comes back; whether there was one."""
        with self._open() as disk:
            before = disk.read(BEFORE, MAX_BYTES)
            if before:
                disk.write_file(FILE, before, 0o600)
            else:
                disk.remove(FILE)
            disk.remove(BEFORE)
            return bool(before)

    def _read(self, name: str) -> str | None:
        if not self._folder.is_dir():
            return None
        with self._open(write=False) as disk:
            data = disk.read(name, MAX_BYTES)
        return None if data is None else data.decode("utf-8", "replace")

    @contextmanager
    def _open(self, *, write: bool = True) -> Iterator[Disk]:
        if not self._folder.is_dir():
            raise HotspotNotOpened(
                f"cannot open the hotspot: there is no NetworkManager on this box ({self._folder} is missing); install "
                "it, or leave `hotspot` out for this site"
            )
        disk = Disk(self._folder, PRIVATE, secrets.token_hex(16), calls=self._calls)
        try:
            yield disk
            if write:
                disk.forget()
        finally:
            disk.close()
