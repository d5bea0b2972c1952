"""`neopro set remove`: videos out of a set."""

from difflib import get_close_matches
from typing import Annotated

from cyclopts import Parameter

from cli.checked import land_checked
from cli.edits import Edit
from cli.errors import CommandFailed
from cli.landing import WRITTEN, Landing
from cli.video_sets import entry_of, take_videos


def set_remove(
    set_: Annotated[str, Parameter(name="SET")],
    /,
    *videos: str,
    landing: Landing = WRITTEN,
) -> None:
    """Take videos out of a set; they stay in the library.

    Boxes stop to play them when the commit reaches them, and delete the files a while later.

    Examples:

    - `neopro set remove annonces-nationales noel`
    - `neopro set remove annonces-nationales noel --commit && git push`

    Parameters
    ----------
    set_
        The set: the name of a file in video-sets/.
    videos
        Videos of the set, by their ids.
    """
    checkout = landing.checkout()
    path = checkout.path_of("video-sets", set_)
    text = checkout.read(path)
    if not videos:
        raise CommandFailed(f"cannot take nothing out of {set_}: name at least one of its videos")
    items = Edit(text, path).get(("videos",)) or []
    for video in videos:
        if entry_of(items, video) is None:
            known = [item if isinstance(item, str) else str(item.get("video")) for item in items]
            near = get_close_matches(video, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known) or 'none'}"
            raise CommandFailed(f"cannot take {video} out of {set_}: it is not in it; {hint}")
    what = ", ".join(videos) if len(videos) < 4 else f"{len(videos)} videos"
    files = {path: take_videos(text, path, videos)}
    land_checked(landing, checkout, files, f"Take {what} out of {set_}", {"set": set_, "videos": list(videos)})
