"""One line an event on stderr: `at=… level=… event=… key=value …`, for people and for programs.

Events are logged by the standard library (`logger.info("published", extra={"revision": …})`); secrets are never given
to it.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_BARE: Final = re.compile(r"^[\w./:@,+%-]+$")
_QUIET: Final = {"apscheduler": logging.WARNING, "asyncio": logging.WARNING, "psycopg.pool": logging.ERROR}


class OneLine(logging.Formatter):
    """A record as one line; whatever holds a space or a line end is quoted as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        fields |= {key: str(value) for key, value in vars(record).items() if key not in _STANDARD}
        if not record.name.startswith("control_plane"):
            fields["from"] = record.name
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return " ".join(f"{key}={_value(text)}" for key, text in fields.items())


def _value(text: str) -> str:
    # What a terminal would obey (control and bidirectional characters) is written as an escape.
    return text if _BARE.match(text) else json.dumps(text, ensure_ascii=not text.isprintable())


def log_to_stderr(level: str) -> None:
    """Send every logger of this process to stderr, from `level` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name, floor in _QUIET.items():
        logging.getLogger(name).setLevel(max(floor, logging.getLevelName(level.upper())))
