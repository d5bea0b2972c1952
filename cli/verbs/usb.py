"""`neopro usb`: a USB stick for boxes without a network."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output
from cli.words import count, size

if TYPE_CHECKING:
    from cli.stick import Stick, Written


def usb(
    folder: Path,
    /,
    *sites: str,
    without_club_videos: Flag = False,
    prune: Flag = False,
    check: Flag = False,
    json: Flag = False,
) -> int:
    """Write a USB stick for boxes without a network: their news, and every file that these lead to.

    The box takes it by `neopro-agent once --from FOLDER`, or by itself when it is mounted under /media or /mnt and
    there is no network, and verifies all of it as if it came over the network. What is on the stick already is not
    fetched again, and an interrupted call is taken up by the next. Any number of sites share a stick. Heads are good
    for a week: be there by then. Nothing comes back by the stick: a box without a network reports nothing.

    Where a box was replaced (`neopro site replace`), the stick has what the club had set up, and its own videos where
    they were kept, encrypted to the new box: whoever finds the stick cannot read them, nor can you.

    Examples:

    - `neopro usb /media/marie/STICK quimper-basket brest-xv`
    - `neopro usb /media/marie/STICK --prune`
    - `neopro usb /media/marie/STICK --check`

    Parameters
    ----------
    folder
        Where the stick is mounted.
    sites
        Ids of sites; without any, those that the stick is for already.
    without_club_videos
        Leave out the club's own videos, some GB, for a box that has put them back or is to fetch them some day.
    prune
        Delete what the sites on the stick do not need any more.
    check
        Fetch nothing: read every byte, say what is missing, and delete what is damaged.
    json
        Print what was done as JSON.
    """
    from cli import stick as sticks
    from cli.remote import Remote, find_target

    output, stick = Output(json), sticks.Stick(folder)
    names = list(sites) or stick.sites()
    if not names:
        raise CommandFailed(f"cannot tell which sites {folder} is for: name them")
    if check:
        return _check(output, stick)
    with Remote(find_target(os.environ, Checkout.find_if_any(None))) as remote:
        written = [sticks.write(stick, remote, site, output, club_videos=not without_club_videos) for site in names]
    freed = sticks.prune(stick) if prune else 0
    output.data({"sites": [_data(one) for one in written], "freed_bytes": freed})
    for one in written:
        until = f"{one.head.expires_at:%Y-%m-%d}"
        brought = f"{count(one.files, 'file')}, {size(one.size_bytes)}"
        videos = f", {count(one.club_videos, 'video')} of the club's to be put back" if one.club_videos else ""
        output.say(f"{one.site}: {brought} brought{videos}; be there by {until}")
    if prune:
        output.say(f"{size(freed)} were not needed any more")
    output.say("unmount the stick before you pull it")
    return 0


def _check(output: Output, stick: "Stick") -> int:
    """Say what is wrong, and make way for what is damaged."""
    from cli.stick import check, drop_damaged

    damaged = drop_damaged(stick)
    problems = [*(f"{digest} was damaged and is deleted" for digest in damaged), *check(stick)]
    output.data({"sites": stick.sites(), "problems": problems})
    for problem in problems:
        output.say(problem)
    output.say("neopro usb brings it again" if problems else f"good for {', '.join(stick.sites())}")
    return 1 if problems else 0


def _data(one: "Written") -> dict[str, Any]:
    return {
        "site": one.site,
        "files": one.files,
        "size_bytes": one.size_bytes,
        "club_videos": one.club_videos,
        "expires_at": one.head.expires_at,
    }
