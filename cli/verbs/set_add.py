"""`neopro set add`: videos into a set, which is made when it is not there."""

from datetime import date
from typing import Annotated, Any, Final, Literal

import msgspec
from cyclopts import Parameter

from cli.checked import land_checked
from cli.checkout import Checkout
from cli.documents import video_set_text
from cli.errors import CommandFailed
from cli.flags import Several
from cli.landing import WRITTEN, Landing
from cli.video_sets import Days, put_videos
from schemas.desired import Block, VideoSet

_OF_IDS: Final = "ids have letters without accents, digits and hyphens, and the set's own only small letters"


def set_add(
    set_: Annotated[str, Parameter(name="SET")],
    /,
    *videos: str,
    from_: Annotated[date | None, Parameter(name="--from")] = None,
    until: date | None = None,
    name: str | None = None,
    category_id: str | None = None,
    category_name: str | None = None,
    subcategory_id: str | None = None,
    subcategory_name: str | None = None,
    block: Several[Block] = None,
    loop: Literal["sponsors", "before", "during", "after"] | None = None,
    landing: Landing = WRITTEN,
) -> None:
    """Put videos into a set; with --name and --category-id, make the set.

    The videos must be in the library (neopro video add). Days that are given replace those that a video has in the set.
    A set is played where a layer names it under `video_sets`.

    Examples:

    - `neopro set add annonces-nationales noel --from 2026-12-01 --until 2026-12-31`
    - `neopro set add tournoi --name "Tournoi de Noël" --category-id tournoi --category-name TOURNOI --loop sponsors`

    Parameters
    ----------
    set_
        The set: the name of a file in video-sets/.
    videos
        Videos of the library, by their ids.
    from_
        First local day on which they are played.
    until
        Last local day on which they are played.
    name
        The name of a new set, for people.
    category_id
        The category of the remote control under which a new set is shown.
    category_name
        The name of that category; without it, the set's name in capitals.
    subcategory_id
        A second level within the category.
    subcategory_name
        Its name; without it, the set's name.
    block
        A time block of the remote control that shows the category; can be given several times.
    loop
        The loop that plays the videos by itself, too.
    """
    checkout = landing.checkout()
    for video in videos:
        checkout.path_of("videos", video)
    wishes = {
        "name": name,
        "category": _named(category_id, category_name or (name or "").upper()),
        "subcategory": _named(subcategory_id, subcategory_name or name),
        "blocks": block,
        "loop": loop,
    }
    given = {key: value for key, value in wishes.items() if value}
    made = _is_new(checkout, set_, given)
    path, text = _new_set(set_, given) if made else _known_set(checkout, set_)
    if not videos and not made:
        raise CommandFailed(f"cannot add to {set_}: name at least one video of the library; see: neopro video list")
    text = put_videos(text, path, videos, Days(from_, until))
    what = ", ".join(videos) if len(videos) < 4 else f"{len(videos)} videos"
    subject = f"Make the video set {set_}" + (f" with {what}" if videos else "") if made else f"Add {what} to {set_}"
    land_checked(landing, checkout, {path: text}, subject, {"set": set_, "videos": list(videos)})


def _named(identity: str | None, name: str | None) -> dict[str, str | None] | None:
    return {"id": identity, "name": name} if identity else None


def _is_new(checkout: Checkout, name: str, given: dict[str, Any]) -> bool:
    there = name in checkout.documents("video-sets")
    if there and given:
        said = ", ".join(sorted(given))
        raise CommandFailed(
            f"cannot set {said} of {name}: video-sets/ has it already; edit its file, or leave these options out"
        )
    if not there and not given:
        checkout.path_of("video-sets", name)  # says which set may be meant
    return not there


def _known_set(checkout: Checkout, name: str) -> tuple[str, str]:
    path = checkout.path_of("video-sets", name)
    return path, checkout.read(path)


def _new_set(name: str, given: dict[str, Any]) -> tuple[str, str]:
    from schemas.names import DocumentId

    if "name" not in given or "category" not in given:
        raise CommandFailed(f"cannot make the set {name}: say --name and --category-id")
    try:
        checked = msgspec.convert(given, VideoSet)
        msgspec.convert(name, DocumentId)
    except msgspec.ValidationError as problem:
        why = _OF_IDS if "regex" in str(problem) else problem
        raise CommandFailed(f"cannot make the set {name!r}: {why}") from None
    return f"video-sets/{name}.yaml", video_set_text(checked)
