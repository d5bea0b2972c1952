"""What of a configuration is the club's: for its backup; and that, put back into the configuration of a new box."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from reconciler_agent.core.changes import by_label
from reconciler_agent.core.merge import merge
from schemas.manifest import SiteManifest

Json = Any
Item = dict[str, Any]

NOT_THE_CLUBS: Final = frozenset({"liveScoreEnabled", "scoreOverlay", "version", "sync"})
"""Central keys, and what belongs to one card alone: the account of the agent that was there before."""
_NOTHING: Final = SiteManifest(schema=1, poll_interval_s=60, timezone="UTC")


def club_part(configuration: Mapping[str, Json]) -> Item:
    """The configuration as a fleet that wants nothing would leave it; ConfigurationUnreadable as `merge`."""
    kept = merge(configuration, _NOTHING, date.min, frozenset()).configuration
    absent = {"auth"} - configuration.keys()
    return {key: value for key, value in kept.items() if key not in NOT_THE_CLUBS | absent}


def put_back(local: Mapping[str, Json], club: Mapping[str, Json]) -> Item:
    """`local` with what `club` holds; doing it again changes nothing.

    Where both say something the backup wins: the new box came with a template. Items of lists are united by their id,
    video or path, those of the backup first, so that what the club did on the new box stays.
    """
    ours = {key: value for key, value in club.items() if key not in NOT_THE_CLUBS}
    return {**local, **{key: _both(local.get(key), value) for key, value in ours.items()}}


def _both(local: Json, kept: Json) -> Json:
    if isinstance(local, dict) and isinstance(kept, dict):
        return {**local, **{key: _both(local.get(key), value) for key, value in kept.items()}}
    if isinstance(local, list) and isinstance(kept, list):
        there, back = by_label(local), by_label(kept)
        united = [_both(there.get(label), item) if _holds_items(item) else item for label, item in back.items()]
        return united + [item for label, item in there.items() if label not in back]
    return kept


def _holds_items(item: Json) -> bool:
    """Whether it is a category or a block, and not an entry, which is taken whole."""
    return isinstance(item, dict) and any(isinstance(value, list) for value in item.values())
