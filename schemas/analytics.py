"""What was played on a screen and when, as the box's application counts it and sponsors pay for it."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from schemas.manifest import Instant
from schemas.names import whole

MAX_BATCH: Final = 500
MAX_BATCH_BYTES: Final = 4 << 20
"""Of a batch as JSON; the server refuses more (413), the agent makes none."""
Text = Annotated[str, Meta(max_length=255, pattern=whole(r"[^\x00]*"))]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Kind = Literal["event", "impression"]


class Playback(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event or impression; the same when kind, `played_at`, file, session and `duration_played` (s) are.

    `event_type`, `period` and `audience_estimate` are of impressions alone. The ids are those of the fleet's files.
    """

    played_at: Instant
    video_filename: Text
    session_id: Text | None = None
    duration_played: Seconds | None = None
    video_duration: Seconds | None = None
    category: Text | None = None
    completed: bool | None = None
    trigger_type: Text | None = None
    event_type: Text | None = None
    period: Text | None = None
    audience_estimate: Annotated[int, Meta(ge=0, lt=2**31)] | None = None
    video_id: Text | None = None
    sponsor_id: Text | None = None


class Batch(Struct, frozen=True, kw_only=True):
    """At most 500 of one kind; sending it again does no harm."""

    kind: Kind
    playbacks: Annotated[list[Playback], Meta(min_length=1, max_length=MAX_BATCH)]
