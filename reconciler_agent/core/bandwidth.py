"""How fast downloads may go now: the limit holds within its hours, as the wall clock of the site shows them.

Outside of the hours downloads are free; without hours the limit always holds. It also holds while the box does not know
the hour: a line that its club needs is not taken on a guess.
"""

from datetime import datetime, tzinfo

from schemas.manifest import ManifestBandwidth


def allowed_bytes_s(bandwidth: ManifestBandwidth | None, zone: tzinfo | None, at: datetime | None) -> int | None:
    """Bytes a second; None: as fast as they come. `zone`, `at`: None when the box does not know them."""
    if bandwidth is None:
        return None
    if bandwidth.hours is None or zone is None or at is None:
        return bandwidth.limit_bytes_s
    return bandwidth.limit_bytes_s if _is_within(bandwidth.hours, f"{at.astimezone(zone):%H:%M}") else None


def _is_within(hours: str, clock: str) -> bool:
    """Whether `08:00-22:00` holds this time of day; hours that end before they begin go on past midnight."""
    first, _, last = hours.partition("-")
    return first <= clock < last if first < last else clock >= first or clock < last
