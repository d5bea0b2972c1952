"""What a club owns on its box, as the box tells it: named key by key, so that nothing else ever leaves a box.

Never: passwords, keys, accounts, Wi-Fi, or a key that nobody thought of. The texts are the club's: data, to be shown.
"""

from collections.abc import Collection
from typing import Annotated, Final

from msgspec import Meta, Struct

from schemas.names import whole

MAX_MIRROR_BYTES: Final = 4 << 20
"""Of a mirror as JSON; what the limits below let through stays under it."""
MAX_CATEGORIES: Final = 200
"""Categories and subcategories together."""
MAX_ENTRIES: Final = 1000
"""Videos as they stand in categories and loops, and categories as they stand in time blocks, together."""
MAX_BLOCKS: Final = 20
MAX_FILES: Final = 1000
MAX_WORDS: Final = 120
MAX_PATH: Final = 400

Words = Annotated[str, Meta(max_length=MAX_WORDS, pattern=whole(r"[^\x00]*"))]
ClubPath = Annotated[str, Meta(max_length=MAX_PATH, pattern=whole(r"[^\x00]*"))]


def id_beside(wanted: str, taken: Collection[object]) -> str:
    """What a club's category is called whose id the fleet wants: `<id>_club`, or the first `<id>_club_N` not taken."""
    new, number = f"{wanted}_club", 2
    while new in taken:
        new, number = f"{wanted}_club_{number}", number + 1
    return new


class ClubVideo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A video as a category or a loop shows it; `path` as the club's configuration writes it."""

    name: Words = ""
    path: ClubPath = ""


class ClubSubCategory(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A second level of the remote control."""

    id: Words = ""
    name: Words = ""
    videos: Annotated[list[ClubVideo], Meta(max_length=MAX_ENTRIES)] = []


class ClubCategory(ClubSubCategory, frozen=True, kw_only=True, omit_defaults=True):
    """A category of the club's own."""

    subcategories: Annotated[list[ClubSubCategory], Meta(max_length=MAX_CATEGORIES)] = []


class ClubBlock(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the club shows in a time block: ids of its own categories, and its videos of that block's loop."""

    id: Words = ""
    name: Words = ""
    categories: Annotated[list[Words], Meta(max_length=MAX_ENTRIES)] = []
    loop: Annotated[list[ClubVideo], Meta(max_length=MAX_ENTRIES)] = []


class ClubFile(Struct, frozen=True, kw_only=True):
    """A file under `videos/` that the fleet did not put there."""

    path: ClubPath
    size_bytes: Annotated[int, Meta(ge=0, lt=2**62)]


class ClubMirror(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that a club owns and a fleet may see. `loop`: the club's videos of the default loop.

    `file_count` and `file_bytes` count every file, `files` the largest that fit; `omitted`: how many things of the
    configuration did not.
    """

    title: Words | None = None
    language: Words | None = None
    timezone: Words | None = None
    categories: Annotated[list[ClubCategory], Meta(max_length=MAX_CATEGORIES)] = []
    blocks: Annotated[list[ClubBlock], Meta(max_length=MAX_BLOCKS)] = []
    loop: Annotated[list[ClubVideo], Meta(max_length=MAX_ENTRIES)] = []
    files: Annotated[list[ClubFile], Meta(max_length=MAX_FILES)] = []
    file_count: Annotated[int, Meta(ge=0, lt=2**62)] = 0
    file_bytes: Annotated[int, Meta(ge=0, lt=2**62)] = 0
    omitted: Annotated[int, Meta(ge=0, lt=2**62)] = 0
