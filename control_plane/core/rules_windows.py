"""Rules of hours: maintenance windows that open, hours of a day that are some."""

from collections.abc import Iterator

from control_plane.core.problems import Finding, KeyPath
from schemas.desired import Maintenance, Window


def of_maintenance(file: str, maintenance: Maintenance, at: KeyPath) -> Iterator[Finding]:
    """Windows that can never open.

    One that lies in an hour that a change of the clock skips opens on every other day; what calendars leave open is
    for plans to show.
    """
    if not maintenance.windows and maintenance.max_deferral is None:
        message = "without a window no update can ever run; write windows: [at_boot], or hours of the week"
        yield Finding(file=file, path=at, code="WindowNeverOpens", message=message)
    for i, window in enumerate(maintenance.windows):
        reason = None if window == "at_boot" else _never_opens(window)
        if reason is not None:
            yield Finding(file=file, path=(*at, "windows", i), code="WindowNeverOpens", message=reason)


def _never_opens(window: Window) -> str | None:
    weekly = (window.days, window.from_, window.to)
    if window.idle is not None:
        return None if weekly == (None, None, None) else "write `idle` and weekly hours as two windows"
    if window.from_ is None or window.to is None:
        return "a window needs `from` and `to`, or `idle`"
    if window.from_ == window.to:
        return "the window opens and closes at the same time; for the whole day write two windows of half a day"
    if window.days == []:
        return "the window is on no day; write days: daily"
    return None


def of_hours(file: str, hours: str, at: KeyPath) -> Iterator[Finding]:
    """Hours such as 08:00-22:00 that are none."""
    first, _, last = hours.partition("-")
    if first == last or max(first, last) > "23:59" or max(first[3:], last[3:]) > "59":
        message = f"`{hours}` are no hours of a day; write them as 08:00-22:00"
        yield Finding(file=file, path=at, code="BadValue", message=message)
