"""The audit: who came in or tried to, what became of accounts and tokens, who read the logs of boxes."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from msgspec import Struct

from control_plane.store import audit
from control_plane.store.audit import ACTS, Record
from control_plane.store.pool import connection
from control_plane.web.visit import Room, Shown, Visit

SHOWN: Final = 100
MAX_TEXT: Final = 100


class AuditPage(Struct, frozen=True, kw_only=True):
    """Some entries, the newest first; `older` leads to those before them."""

    records: Sequence[Record]
    acts: Sequence[str]
    act: str
    text: str
    older: str
    newest: str


async def show(room: Room, visit: Visit) -> Shown:
    """The page; the address holds what is asked for."""
    given = visit.query
    act = given.get("act", "") if given.get("act") in ACTS else ""
    text = given.get("q", "")[:MAX_TEXT].replace("\0", "")
    before = given.get("before", "")
    number = int(before) if before.isascii() and before.isdecimal() and len(before) < 16 else None
    async with connection(room.pool) as conn:
        found = await audit.records(conn, before=number, text=text, act=act, limit=SHOWN + 1)
    shown = found[:SHOWN]
    asked = {key: value for key, value in (("q", text), ("act", act)) if value}
    page = AuditPage(
        records=shown,
        acts=ACTS,
        act=act,
        text=text,
        older="?" + urlencode({**asked, "before": shown[-1].id}) if len(found) > SHOWN else "",
        newest="?" + urlencode(asked) if number is not None else "",
    )
    return Shown("audit.html", page)
