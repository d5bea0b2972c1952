"""`neopro video add`: files into the library, their bytes to the control plane, their names into a set."""

import os
import re
import unicodedata
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from cyclopts import Parameter

from cli.checkout import Checkout
from cli.documents import video_text
from cli.edits import append_item
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.media import facts
from cli.output import Output
from cli.package import file_digest
from cli.remote import Blob, Remote, find_target
from schemas.desired import Video


class Wishes(NamedTuple):
    """What the operator says of the videos."""

    set: str | None = None
    name: str | None = None
    sponsor: str | None = None
    category: str | None = None
    from_: date | None = None
    until: date | None = None
    replace: bool = False


class Added(NamedTuple):
    """A video on its way into the library."""

    id: str
    path: Path
    video: Video


def video_add(
    *files: Path,
    set_: Annotated[str | None, Parameter(name="--set")] = None,
    name: str | None = None,
    sponsor: str | None = None,
    category: str | None = None,
    from_: Annotated[date | None, Parameter(name="--from")] = None,
    until: date | None = None,
    replace: Flag = False,
    repository: Path | None = None,
    json: Flag = False,
) -> None:
    """Add videos to the library: upload the files, write videos/ID.yaml, and put them into a video set.

    A file that the control plane has already is not sent again; an interrupted upload goes on where it was. Nothing is
    written before everything is uploaded. Commit and push when you like what `git diff` shows.

    Examples:

    - `neopro video add noel.mp4 --set annonces-nationales --sponsor decathlon`
    - `neopro video add *.mp4 --set tournoi --from 2026-12-01 --until 2026-12-31`

    Parameters
    ----------
    files
        MP4 files with H.264 or H.265, as boxes can play them.
    set_
        The video set that they go into: the name of a file in video-sets/.
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
    repository
        The checkout; without it, the one around the current folder.
    json
        Print what was added as JSON.
    """
    output = Output(json)
    checkout = Checkout.find(repository)
    wishes = Wishes(set_, name, sponsor, category, from_, until, replace)
    added = [look_at(path, wishes) for path in files]
    documents = plan_documents(checkout, added, wishes)
    with Remote(find_target(os.environ, checkout)) as remote:
        total = sum(item.video.size_bytes for item in added)
        with output.progress("uploading", total) as advance:
            sent = remote.upload_all([_blob(item) for item in added], advance)
    checkout.write(documents)
    output.data(
        {
            "videos": [
                {"id": item.id, "digest": item.video.digest, "file": f"videos/{item.id}.yaml"} for item in added
            ],
            "uploaded_bytes": sent,
        }
    )
    for path in documents:
        output.say(f"wrote {path}")
    output.say(f"uploaded {sent:,} of {total:,} bytes; commit and push to publish".replace(",", " "))


def look_at(path: Path, wishes: Wishes) -> Added:
    """The document of a file, or CommandFailed with why a box cannot play it or what is wrong with the wishes."""
    media = facts(path)
    stem = slug(path.stem)
    if not stem:
        raise CommandFailed(f"cannot add {path}: its name has no letter or digit to make an id from; rename it")
    video = Video(
        name=wishes.name or path.stem.replace("_", " ").replace("-", " ").strip().capitalize(),
        digest=file_digest(path),
        size_bytes=path.stat().st_size,
        media=media,
        sponsor=wishes.sponsor,
        analytics_category=wishes.category,
    )
    try:
        return Added(stem, path, msgspec.convert(msgspec.to_builtins(video), Video))
    except msgspec.ValidationError as problem:
        raise CommandFailed(f"cannot add {path}: {problem}") from None


def plan_documents(checkout: Checkout, added: Sequence[Added], wishes: Wishes) -> dict[str, str]:
    """Every file that changes, with its new text; CommandFailed before anything is uploaded."""
    if not added:
        raise CommandFailed("cannot add videos: name at least one file")
    if wishes.name and len(added) > 1:
        raise CommandFailed("cannot give several videos one --name; add them one by one")
    if wishes.from_ and wishes.until and wishes.until < wishes.from_:
        raise CommandFailed(f"cannot play until {wishes.until}: that is before {wishes.from_}")
    if (wishes.from_ or wishes.until) and not wishes.set:
        raise CommandFailed("cannot keep --from or --until without --set: days belong to a video's place in a set")
    documents: dict[str, str] = {}
    for item in added:
        path = f"videos/{item.id}.yaml"
        if path in documents:
            raise CommandFailed(f"cannot add {item.path}: another of the files has the same id {item.id}")
        documents[path] = _video_document(checkout, item, wishes.replace)
    if wishes.set:
        documents |= _set_document(checkout, added, wishes)
    return documents


def slug(text: str) -> str:
    """An id out of a name: small letters without accents, digits and hyphens; at most 63 of them."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].strip("-")


def _video_document(checkout: Checkout, item: Added, replace: bool) -> str:
    path = f"videos/{item.id}.yaml"
    if checkout.has(path):
        before = checkout.read(path)
        if item.video.digest in before:
            return before
        if not replace:
            raise CommandFailed(
                f"cannot add {item.path}: the library has another video {item.id}; rename the file, or say --replace"
            )
    return video_text(item.video)


def _set_document(checkout: Checkout, added: Sequence[Added], wishes: Wishes) -> dict[str, str]:
    path = f"video-sets/{wishes.set}.yaml"
    if not checkout.has(path):
        known = ", ".join(checkout.ids("video-sets")) or "none yet"
        raise CommandFailed(f"cannot find the video set {wishes.set}; there are: {known}")
    text = checkout.read(path)
    for item in added:
        text = append_item(text, "videos", _entry(item.id, wishes), path)
    return {path: text}


def _entry(video: str, wishes: Wishes) -> object:
    if not wishes.from_ and not wishes.until:
        return video
    days = {"from": wishes.from_, "until": wishes.until}
    return {"video": video, **{key: day for key, day in days.items() if day}}


def _blob(item: Added) -> Blob:
    return Blob(item.video.digest, item.video.size_bytes, item.path)
