"""A fleet's memory, made by PostgreSQL itself: what so many sites measured and said in so many days.

Every box runs and is heard all the time, but for that of every tenth site: it is heard on Saturdays only, and tells all
else late. Every commit reaches every site but these. All figures can be worked out by hand (see the tests).
"""

import re
from datetime import datetime
from pathlib import Path

from control_plane.store import partitions
from control_plane.store.pool import Connection

COMMITS = 20
"""Evenly spread over the time; each changed every site."""
STATEMENTS = Path(__file__).with_name("memory.sql")


async def remember(conn: Connection, sites: int, days: int, now: datetime, *, minutes_of: int = 0) -> None:
    """Fill an empty database; `minutes_of`: how many of the sites also have minutes, of this day and the one before."""
    await partitions.make(conn, now)
    given = {
        "sites": sites,
        "days": days,
        "commits": COMMITS,
        "minutes_of": minutes_of,
        "now": now,
        "today": now.replace(hour=0, minute=0, second=0, microsecond=0),
    }
    text = re.sub(r"^--.*\n", "", STATEMENTS.read_text("utf-8"), flags=re.MULTILINE)
    async with conn.transaction():
        for statement in text.split(";\n\n"):
            await conn.execute(statement.encode(), given)
    await conn.execute("vacuum (analyze)")


def site_of(number: int) -> str:
    """Sites are numbered from 1; every tenth is the rare one."""
    return f"club-{number:05d}"
