"""What a replaced box is to put back, as `neopro site replace` encrypted it to this one."""

import json
from pathlib import Path
from typing import Final

import msgspec

from reconciler_agent import age_key
from reconciler_agent.errors import BackupUnreadable
from schemas.backup import Restore

MAX_BACKUP_BYTES: Final = 8 << 20


def read_restore(key: Path, body: bytes) -> Restore:
    """The content of a blob; `key` is the file of the box's age key. BackupUnreadable when it is none for this box."""
    plain = age_key.decrypt(key, body)
    try:
        return msgspec.json.decode(plain, type=Restore)
    except (msgspec.DecodeError, RecursionError):
        return Restore(configuration=_configuration(plain))


def _configuration(plain: bytes) -> dict[str, object]:
    """The older form: the configuration alone."""
    try:
        found = json.loads(plain)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BackupUnreadable("cannot read the backup: it holds no configuration")
    return found
