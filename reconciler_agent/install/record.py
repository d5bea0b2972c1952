"""What the installer replaced: one file, written before anything is changed, removed when all is undone."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from reconciler_agent.errors import SettingsInvalid
from reconciler_agent.install.target import Found, Target

FOLDER: Final = Path("/var/lib/neopro-agent")
PATH: Final = FOLDER / "replaced.json"


class Record(Struct, frozen=True, kw_only=True):
    """What stood at each path before the agent came, in the order in which it is put back.

    `was_active`: the unit of our name ran then.
    """

    was_active: bool
    files: dict[str, Found]


def read_record(target: Target) -> Record | None:
    """What an earlier installation replaced; None when there was none, or it was undone."""
    found = target.look(PATH)
    if found.form == "absent":
        return None
    try:
        return msgspec.json.decode(found.data, type=Record)
    except msgspec.DecodeError as problem:
        raise SettingsInvalid(f"cannot use {PATH}: {problem}; it says what to put back, and was changed") from None


def keep_record(target: Target, paths: Iterable[Path], was_active: bool) -> None:
    """Remember what stands at these paths now."""
    record = Record(was_active=was_active, files={str(path): target.look(path) for path in paths})
    target.put(PATH, msgspec.json.encode(record), 0o600)
