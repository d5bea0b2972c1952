"""What a club owns, on its site's page: read-only, in few words; pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from control_plane.web.words import Words
from schemas.api import ClubState
from schemas.club import ClubBlock, ClubCategory, ClubMirror

NAMED: Final = 30
"""Categories, and files, that are named; of the others, how many there are."""


def club_rows(club: ClubMirror, words: Words) -> Iterator[tuple[str, str]]:
    """Each thing that the club has, and what it is."""
    for key, text in (("title", club.title), ("language", club.language), ("timezone", club.timezone)):
        if text:
            yield words(f"club.{key}"), text
    if club.categories:
        yield words("club.categories"), _listed([_category(c, words) for c in club.categories], words)
    for block in club.blocks:
        if block.categories or block.loop:
            yield words.known(f"club.block.{block.id}", block.name or block.id), _block(block, words)
    if club.loop:
        yield words("club.loop"), words.count("club.videos", len(club.loop))
    yield words("club.files"), _files(club, words)


def club_told(state: ClubState, now: datetime, words: Words) -> str:
    """When the box told it."""
    return words("club.told", ago=words.ago(state.received_at, now))


def _category(category: ClubCategory, words: Words) -> str:
    videos = len(category.videos) + sum(len(sub.videos) for sub in category.subcategories)
    return f"{category.name or category.id} ({words.number(videos)})"


def _block(block: ClubBlock, words: Words) -> str:
    shown = words.count("club.shown", len(block.categories))
    return f"{shown} · {words.count('club.videos', len(block.loop))}" if block.loop else shown


def _files(club: ClubMirror, words: Words) -> str:
    whole = f"{words.count('club.count', club.file_count)} · {words.size(club.file_bytes)}"
    names = [f"{one.path.removeprefix('videos/')} ({words.size(one.size_bytes)})" for one in club.files]
    return f"{whole}{words('colon')}{_listed(names, words, club.file_count)}" if names else whole


def _listed(names: list[str], words: Words, total: int | None = None) -> str:
    left = (len(names) if total is None else total) - len(names[:NAMED])
    return ", ".join(names[:NAMED]) + (f" {words('club.more', n=words.number(left))}" if left > 0 else "")
