"""The sites on the map, beside a list that says the same; the address holds the window and the question."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from control_plane.store.views import SiteView, standings
from control_plane.web.map_outlines import NoOutlines, Outlines
from control_plane.web.map_view import Asked, MapView, asked_of, map_view
from control_plane.web.pages.sites import Choice, Query, choices_of, counts_of, matches, query_of
from control_plane.web.present import StandingCount, counted, visible_to
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
    look, words, tenant = await room.lookout.fleet(), visit.words, visit.reader.tenant
    query, asked = replace(query_of(visit.query), sort="", page=1), asked_of(visit.query)

    def make() -> MapPage:
        return map_page(visible_to(look, tenant).sites, query, asked, room.outlines, words)

    key = ("map", tenant, words.language, query.address(), asked)
    return Shown("map.html", room.kept.of(look, key, make))


def map_page(
    views: Sequence[SiteView], query: Query, asked: Asked, outlines: Outlines | NoOutlines, words: Words
) -> MapPage:
    """The map of the sites that the question asks for."""
    wanted = [view for view in views if matches(view, query)] if query.text or query.facets else views
    question = query.address().removeprefix("?")
    here = f"/map?{question}" if question else "/map"
    return MapPage(
        map=map_view(wanted, asked, outlines, words, here=here),
        choices=list(choices_of(counts_of(views), query, words)),
        counts=[count for count in counted(standings(wanted), words) if count.some],
        query=query,
        table=f"/sites?{question}" if question else "/sites",
        empty=not views,
    )
