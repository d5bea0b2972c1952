"""`neopro video add`: files into the library, their bytes to the control plane, their names into a set."""

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
from cyclopts import Parameter

from cli.checked import check_change
from cli.checkout import Checkout
from cli.documents import video_text
from cli.edits import Edit
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.landing import WRITTEN, Landing, land
from cli.media import look_at
from cli.output import Output
from cli.video_sets import Days, put_videos
from cli.words import slug
from schemas.desired import Video
from schemas.names import digest_of

if TYPE_CHECKING:
    from cli.transfers import Blob


class Wishes(NamedTuple):
    """What the operator says of the videos."""

    set: str | None = None
    name: str | None = None
    sponsor: str | None = None
    category: str | None = None
    days: Days = Days()
    replace: bool = False


class Added(NamedTuple):
    """A video on its way into the library."""

    id: str
    path: Path
    video: Video
    thumbnail: bytes | None


def video_add(
    *files: Path,
    set_: Annotated[str | None, Parameter(name="--set")] = None,
    name: str | None = None,
    sponsor: str | None = None,
    category: str | None = None,
    from_: Annotated[date | None, Parameter(name="--from")] = None,
    until: date | None = None,
    replace: Flag = False,
    landing: Landing = WRITTEN,
) -> None:
    """Add videos to the library: upload the files, write videos/ID.yaml, and put them into a video set.

    Boxes play MP4 with H.264 (8 bit, 4:2:0, up to 1920x1080) or H.265 (up to 3840x2160); what they cannot play is
    refused, with the command that converts it. A file that the control plane has already is not sent again; an
    interrupted upload goes on where it was. Nothing is written before everything is uploaded.

    Examples:

    - `neopro video add noel.mp4 --set annonces-nationales --sponsor decathlon --commit`
    - `neopro video add *.mp4 --set tournoi --from 2026-12-01 --until 2026-12-31 --branch tournoi`

    Parameters
    ----------
    files
        The files.
    set_
        The video set that they go into: the name of a file in video-sets/ (neopro set add makes one).
    name
        The name that people see; without it, made from the file's name. For one file only.
    sponsor
        Whose video it is, for the proof of play.
    category
        The analytics category.
    from_
        First local day on which it is played.
    until
        Last local day on which it is played.
    replace
        Let a new file take the place of a video of the same id.
    """
    checkout = landing.checkout()
    output = Output(landing.json)
    wishes = Wishes(set_, name, sponsor, category, Days(from_, until), replace)
    _require_sound(checkout, files, wishes)
    added = [examine(path, wishes) for path in files]
    if any(item.thumbnail is None for item in added):
        output.note("PyAV is not installed: whether boxes can play it was not checked, and there is no thumbnail")
    documents = plan_documents(checkout, added, wishes)
    check_change(checkout, documents, _subject(added, wishes), output)
    sent = None if landing.dry_run else _upload(checkout, output, _blobs(added, documents))
    data = {
        "videos": [{"id": item.id, "digest": item.video.digest, "file": f"videos/{item.id}.yaml"} for item in added],
        "uploaded_bytes": sent,
    }
    land(landing, checkout, documents, _subject(added, wishes), data)


def examine(path: Path, wishes: Wishes) -> Added:
    """The document of a file, or CommandFailed with why a box cannot play it or what is wrong with the wishes."""
    from cli.package import file_digest

    look = look_at(path)
    stem = slug(path.stem)
    if not stem:
        raise CommandFailed(f"cannot add {path}: its name has no letter or digit to make an id from; rename it")
    video = Video(
        name=wishes.name or path.stem.replace("_", " ").replace("-", " ").strip().capitalize(),
        digest=file_digest(path),
        size_bytes=path.stat().st_size,
        media=look.media if look else None,
        sponsor=wishes.sponsor,
        analytics_category=wishes.category,
        thumbnail=digest_of(look.thumbnail) if look else None,
    )
    try:
        checked = msgspec.convert(msgspec.to_builtins(video), Video)
    except msgspec.ValidationError as problem:
        raise CommandFailed(f"cannot add {path}: {problem}") from None
    return Added(stem, path, checked, look.thumbnail if look else None)


def plan_documents(checkout: Checkout, added: Sequence[Added], wishes: Wishes) -> dict[str, str]:
    """Every file that may change, with its text; CommandFailed before anything is uploaded."""
    documents: dict[str, str] = {}
    for item in added:
        path, text = _video_document(checkout, item, wishes)
        if path in documents:
            raise CommandFailed(f"cannot add {item.path}: another of the files has the same id {item.id}")
        documents[path] = text
    if wishes.set:
        path = checkout.path_of("video-sets", wishes.set)
        documents[path] = put_videos(checkout.read(path), path, [item.id for item in added], wishes.days)
    return documents


def _require_sound(checkout: Checkout, files: Sequence[Path], wishes: Wishes) -> None:
    """What can be said before a file is read."""
    if not files:
        raise CommandFailed("cannot add videos: name at least one file")
    if wishes.name and len(files) > 1:
        raise CommandFailed("cannot give several videos one --name; add them one by one")
    wishes.days.require_order()
    if wishes.days != Days() and not wishes.set:
        raise CommandFailed("cannot keep --from or --until without --set: days belong to a video's place in a set")
    if wishes.set:
        checkout.path_of("video-sets", wishes.set)


def _video_document(checkout: Checkout, item: Added, wishes: Wishes) -> tuple[str, str]:
    path = checkout.documents("videos").get(item.id)
    if path is None:
        return f"videos/{item.id}.yaml", video_text(item.video)
    edit = Edit(checkout.read(path), path)
    same = edit.get(("digest",)) == item.video.digest
    if not same and not wishes.replace:
        raise CommandFailed(
            f"cannot add {item.path}: the library has another video {item.id}; rename the file, or say --replace"
        )
    _describe(edit, item, wishes, same)
    return path, edit.text


def _describe(edit: Edit, item: Added, wishes: Wishes, same: bool) -> None:
    """Bring a document up to date: what people said of the video before stays, unless they say otherwise now."""
    video = item.video
    edit.set(("digest",), video.digest)
    edit.set(("size_bytes",), video.size_bytes)
    said = {"name": wishes.name, "sponsor": wishes.sponsor, "analytics_category": wishes.category}
    for key, value in said.items():
        if value:
            edit.set((key,), value)
    if video.media is not None:
        for key, value in msgspec.to_builtins(video.media).items():
            edit.set(("media", key), value)
    elif not same:
        edit.delete(("media",))
    if not same:
        edit.delete(("thumbnail",))
    # Another version of the encoder writes other bytes: what is there is as good.
    if video.thumbnail and not edit.get(("thumbnail",)):
        edit.set(("thumbnail",), video.thumbnail)


def _blobs(added: Sequence[Added], documents: dict[str, str]) -> "list[Blob]":
    from cli.transfers import Blob

    texts = "".join(documents.values())
    files = [Blob(item.video.digest, item.video.size_bytes, item.path) for item in added]
    pictures = [
        Blob(item.video.thumbnail, len(item.thumbnail), item.thumbnail)
        for item in added
        if item.thumbnail is not None and item.video.thumbnail and item.video.thumbnail in texts
    ]
    return [*pictures, *files]


def _upload(checkout: Checkout, output: Output, blobs: "list[Blob]") -> int:
    """Send what the control plane lacks; how many bytes that was."""
    from cli.remote import Remote, find_target

    total = sum(blob.size_bytes for blob in blobs)
    with Remote(find_target(os.environ, checkout)) as remote, output.progress("uploading", total) as advance:
        sent = remote.upload_all(blobs, advance)
    output.say(f"uploaded {sent:,} of {total:,} bytes".replace(",", " "))
    return sent


def _subject(added: Sequence[Added], wishes: Wishes) -> str:
    what = f"the video {added[0].id}" if len(added) == 1 else f"{len(added)} videos"
    return f"Add {what}" + (f" to {wishes.set}" if wishes.set else "")
