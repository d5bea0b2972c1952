"""What a box fetched for an operation: the end of it to be read, all of it as a file."""

import asyncio
import re
from datetime import datetime
from typing import Final

import zstandard
from msgspec import Struct

from control_plane.errors import NotFound
from control_plane.store import audit, operation_logs, views
from control_plane.store.audit import Entry
from control_plane.store.pool import connection
from control_plane.store.views import SiteView
from control_plane.web.visit import Download, Room, Shown, Visit
from schemas.names import ID_PATTERN

MAX_TEXT_BYTES: Final = 32 << 20
"""As much as the server takes from a box."""
SHOWN_LINES: Final = 2_000
SHOWN_LINE: Final = 2_000
"""Characters of a line."""
_OPERATION: Final = re.compile(ID_PATTERN)
_UNSEEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What a reader would not see, or what turns the direction of text."""


class LogPage(Struct, frozen=True, kw_only=True):
    """A text. `shown` of `lines` lines are in `text`: the last ones."""

    site: str
    name: str
    operation: str
    received_at: datetime
    received: str
    size: str
    lines: str
    cut: str
    text: str


async def show(room: Room, visit: Visit) -> Shown | Download:
    """The text, or with `?download` the file; either is written down."""
    site, operation, now, words = visit.path["site"], visit.path["operation"], room.clock(), visit.words
    async with connection(room.pool) as conn:
        view: SiteView | None = None
        if _OPERATION.fullmatch(site) and _OPERATION.fullmatch(operation):
            view = await views.site(conn, site, now)
        stored = (await operation_logs.logs_of_site(conn, site)).get(operation) if view else None
        packed = await operation_logs.log_of(conn, site, operation) if stored else None
        if packed is not None:
            read = Entry("log_read", visit.reader.name, visit.reader.account, f"{site} {operation}", visit.address)
            await audit.record(conn, read, now)
    if view is None or stored is None or packed is None:
        raise NotFound(f"cannot find a text of {site[:80]} for {operation[:80]}: its box sent none")
    text = await asyncio.to_thread(text_of, packed)
    if "download" in visit.query:
        return Download(f"{operation}-{site}.log", "text/plain", text.encode())
    lines = text.splitlines()
    shown = [_UNSEEN.sub("\ufffd", line[:SHOWN_LINE]) for line in lines[-SHOWN_LINES:]]
    cut = words("log.end", shown=words.number(len(shown)), all=words.number(len(lines)))
    page = LogPage(
        site=view.site,
        name=view.name,
        operation=operation,
        received_at=stored.received_at,
        received=words.instant(stored.received_at),
        size=words.size(len(text.encode())),
        lines=words.number(len(lines)),
        cut=cut if len(shown) < len(lines) else "",
        text="\n".join(shown),
    )
    return Shown("log.html", page, kept=False)


def text_of(packed: bytes) -> str:
    """The text that was kept, bounded; what is no UTF-8 is replaced."""
    reader = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
    return bytes(reader.read(MAX_TEXT_BYTES)).decode("utf-8", "replace")
