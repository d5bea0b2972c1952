"""What a page is made from and what it is: the words that the routes and the pages share."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from litestar.connection import ASGIConnection

from control_plane.core.alerts import Expiring
from control_plane.core.people import Audience, Reader
from control_plane.objects import ObjectStore
from control_plane.store.lookout import Lookout
from control_plane.store.pool import Pool
from control_plane.web.kept import Kept
from control_plane.web.map_outlines import NoOutlines, Outlines
from control_plane.web.words import Words


class Room(NamedTuple):
    """What pages read from. `certificate`: when the one that this server answers with expires, if it does so itself."""

    pool: Pool
    lookout: Lookout
    objects: ObjectStore
    clock: Callable[[], datetime]
    outlines: Outlines | NoOutlines
    kept: Kept
    certificate: Expiring | None = None


class Visit(NamedTuple):
    """One request: who asks, in which language, for what, and from where. `query` has the last value of each key."""

    reader: Reader
    words: Words
    query: Mapping[str, str]
    path: Mapping[str, str]
    address: str = ""


class Shown(NamedTuple):
    """A template and what it shows. `kept`: browsers may keep it and ask whether it changed."""

    template: str
    page: object
    kept: bool = True


class Download(NamedTuple):
    """A file in the place of a page; `inline`: a part of pages, and not to be kept as a file."""

    name: str
    media_type: str
    body: bytes
    inline: bool = False


OPEN_TO: Final = "open_to"
_TAGS: Final[Mapping[Audience, str]] = {"everyone": "everyone", "boxes": "box"}


def open_to(*audiences: Audience) -> dict[str, Any]:
    """Whom a route is for, as Litestar's handlers take it; one that does not say so is for nobody."""
    tags = dict.fromkeys(_TAGS.get(audience, "operator") for audience in audiences)
    return {"opt": {OPEN_TO: audiences}, "tags": [*tags]}


def reader_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Reader:
    """Who was let in; of a route for everyone nobody asks."""
    reader: Reader = connection.state.reader
    return reader


class Page(NamedTuple):
    """A route of people. `nav`: its place in the menu, by a key of the catalog; '' where it has none."""

    path: str
    audience: Audience
    show: Callable[[Room, Visit], Awaitable[Shown | Download]]
    nav: str = ""
