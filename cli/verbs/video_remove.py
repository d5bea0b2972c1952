"""`neopro video remove`: videos out of the library."""

from cli.checked import land_checked
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.landing import WRITTEN, Landing
from cli.video_sets import sets_with, take_videos


def video_remove(*videos: str, from_sets: Flag = False, landing: Landing = WRITTEN) -> None:
    """Take videos out of the library: delete videos/ID.yaml.

    A video that a set names stays, unless --from-sets takes it out of the sets, too. Boxes delete the file a while
    after they stopped to play it; the control plane keeps it until nothing that can be rolled back to needs it (see
    neopro gc).

    Examples:

    - `neopro video remove noel-2025`
    - `neopro video remove noel-2025 nouvel-an --from-sets --commit`

    Parameters
    ----------
    videos
        Videos of the library, by their ids.
    from_sets
        Take them out of the sets that name them.
    """
    checkout = landing.checkout()
    if not videos:
        raise CommandFailed("cannot remove videos: name at least one; see: neopro video list --unused")
    files: dict[str, str | bytes | None] = {checkout.path_of("videos", video): None for video in videos}
    sets: dict[str, str] = {}
    for video in videos:
        naming = sets_with(checkout, video)
        if naming and not from_sets:
            raise CommandFailed(
                f"cannot remove {video}: {', '.join(naming)} {'name' if len(naming) > 1 else 'names'} it; "
                "say --from-sets to take it out of there, too"
            )
        for path in naming.values():
            sets[path] = take_videos(sets.get(path) or checkout.read(path), path, [video])
    what = ", ".join(videos) if len(videos) < 4 else f"{len(videos)} videos"
    land_checked(landing, checkout, {**files, **sets}, f"Remove {what}", {"videos": list(videos)})
