"""Time zones by name, from the pinned `tzdata` package: the same on every machine, whatever its own database says."""

from functools import cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

from control_plane.core.timezones import TIMEZONES

UTC_NAME: Final = "Etc/UTC"


@cache
def zone_named(name: str) -> ZoneInfo:
    """The zone of this name, which must be one of TIMEZONES; KeyError otherwise.

    `ZoneInfo(name)` would look into the machine's database first, and give other bytes where that is older.
    """
    if name not in TIMEZONES:
        raise KeyError(name)
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)
