"""The sites on the map, beside a list that says the same; the address holds the window and the question."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from control_plane.store.views import standings
from control_plane.web.directory import Directory, Query, directory_of, query_of
from control_plane.web.map_outlines import NoOutlines, Outlines
from control_plane.web.map_view import Asked, MapView, asked_of, map_view
from control_plane.web.pages.sites import Choice, choices_of
from control_plane.web.present import StandingCount, counted
from control_plane.web.visit import Room, Shown, Visit
from control_plane.web.words import Words


class MapPage(Struct, frozen=True, kw_only=True):
    """The map; `table` asks the same of the table of sites."""

    map: MapView
    choices: Sequence[Choice]
    counts: Sequence[StandingCount]
    query: Query
    table: str
    empty: bool


async def show(room: Room, visit: Visit) -> Shown:
    """The page."""
    fleet, directory = await directory_of(room, visit)
    words, query, asked = visit.words, replace(query_of(visit.query), sort="", page=1), asked_of(visit.query)
    key = ("map", visit.reader.tenant, words.language, query.address(), asked)
    page = room.kept.of(fleet, key, lambda: map_page(directory, query, asked, room.outlines, words))
    return Shown("map.html", page)


def map_page(
    directory: Directory, query: Query, asked: Asked, outlines: Outlines | NoOutlines, words: Words
) -> MapPage:
    """The map of the sites that the question asks for."""
    wanted = directory.select(query)
    question = query.address().removeprefix("?")
    here = f"/map?{question}" if question else "/map"
    return MapPage(
        map=map_view(wanted, asked, outlines, words, here=here),
        choices=list(choices_of(directory, query, words)),
        counts=[count for count in counted(standings(wanted), words) if count.some],
        query=query,
        table=f"/sites?{question}" if question else "/sites",
        empty=not len(directory),
    )
