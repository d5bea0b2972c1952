"""`neopro video list`: the library, and where each video is placed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.fleet_view import read_fleet
from cli.output import Output
from cli.video_library import Placed, read_library
from cli.words import count, duration, size
from schemas.desired import Video


def video_list(
    *,
    unused: Flag = False,
    set_: Annotated[str | None, Parameter(name="--set")] = None,
    repository: Path | None = None,
    json: Flag = False,
) -> int:
    """List the videos of the library: size, duration, and the sets that name them, with their days.

    Exit status 1: no video fits.

    Examples:

    - `neopro video list --set annonces-nationales`
    - `neopro video list --unused --json`

    Parameters
    ----------
    unused
        Only those that no set names.
    set_
        Only those of this set, in its order.
    repository
        The checkout; without it, the one around the current folder.
    json
        Print the videos as JSON.
    """
    if unused and set_:
        raise CommandFailed("cannot list both: what is unused is in no set; leave --set or --unused out")
    output = Output(json)
    view = read_fleet(Checkout.find(repository))
    library = read_library(view)
    names: Sequence[str] = list(library.videos)
    if set_:
        library.video_set(set_)
        names = [name for name in names if any(place.set == set_ for place in library.places.get(name, ()))]
    if unused:
        names = [name for name in names if name not in library.places]
    rows = [(name, library.videos[name], library.places.get(name, [])) for name in names]
    output.data({"videos": [_data(*row) for row in rows], "unread": view.unread})
    if rows:
        output.table(["VIDEO", "NAME", "SIZE", "LASTS", "SETS"], [_cells(*row) for row in rows])
    total = sum({video.digest: video.size_bytes for _, video, _ in rows}.values())
    output.say(f"{len(rows)} of {count(len(library.videos), 'video')}, {size(total)}")
    if view.unread:
        output.note(f"{len(view.unread)} files could not be read, {view.unread[0]} first; neopro validate says why")
    return 0 if rows else 1


def _data(name: str, video: Video, places: Sequence[Placed]) -> dict[str, object]:
    return {
        "video": name,
        "name": video.name,
        "digest": video.digest,
        "size_bytes": video.size_bytes,
        "duration_s": video.media.duration_s if video.media else None,
        "sponsor": video.sponsor,
        "sets": [place.data for place in places],
    }


def _cells(name: str, video: Video, places: Sequence[Placed]) -> list[str]:
    lasts = duration(video.media.duration_s) if video.media and video.media.duration_s else "-"
    return [name, video.name, size(video.size_bytes), lasts, ", ".join(map(str, places)) or "-"]
