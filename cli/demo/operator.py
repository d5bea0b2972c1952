"""The demo's operator: a personal token, made on the server's machine as `neopro token add` does."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cli.database import with_database
from control_plane.store.pool import Connection
from control_plane.store.tokens import add_token

LIFETIME: Final = timedelta(days=3650)


def make_token(settings: Path, file: Path) -> None:
    """Make a token that may read and write, and keep it in `file` (0600)."""
    now = datetime.now(UTC)

    async def add(conn: Connection) -> str:
        return await add_token(conn, "demo", ["read", "write"], now=now, expires_at=now + LIFETIME)

    # Nothing of the environment: NEOPRO_* would go over the settings that the demo wrote.
    text = asyncio.run(with_database(settings, add, {}))
    file.touch(mode=0o600)
    file.write_text(text + "\n", encoding="utf-8")
