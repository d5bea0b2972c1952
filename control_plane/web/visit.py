"""What a page is made from and what it is: the words that the routes and the pages share."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from control_plane.core.people import Audience, Reader
from control_plane.objects import ObjectStore
from control_plane.store.lookout import Lookout
from control_plane.store.pool import Pool
from control_plane.web.words import Words


class Room(NamedTuple):
    """What pages read from."""

    pool: Pool
    lookout: Lookout
    objects: ObjectStore
    clock: Callable[[], datetime]


class Visit(NamedTuple):
    """One request: who asks, in which language, and for what. `query` has the last value of each key."""

    reader: Reader
    words: Words
    query: Mapping[str, str]
    path: Mapping[str, str]


class Shown(NamedTuple):
    """A template and what it shows."""

    template: str
    page: object


class Download(NamedTuple):
    """A file in the place of a page; `inline`: a part of pages, and not to be kept as a file."""

    name: str
    media_type: str
    body: bytes
    inline: bool = False


class Page(NamedTuple):
    """A route of people. `nav`: its place in the menu, by a key of the catalog; '' where it has none."""

    path: str
    audience: Audience
    show: Callable[[Room, Visit], Awaitable[Shown | Download]]
    nav: str = ""
