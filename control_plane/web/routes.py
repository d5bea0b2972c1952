"""The routes of people's pages: each says whom its page is for, and answers with the page."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from control_plane.errors import NotFound
from control_plane.web.entrance import address_of
from control_plane.web.frame import Frame
from control_plane.web.pages import PAGES
from control_plane.web.visit import Download, Page, Room, Visit, open_to, reader_of

Asked = Request[Any, Any, Any]


class Routes:
    """The handlers of the pages that only show."""

    def __init__(self, room: Room, frame: Frame) -> None:
        self._room, self._frame = room, frame

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        return [
            *(get(page.path, include_in_schema=False, **open_to(page.audience))(self._handler(page)) for page in PAGES),
            get("/static/{name:str}", include_in_schema=False, **open_to("everyone"))(self.static),
        ]

    async def static(self, request: Asked, name: FromPath[str]) -> Response[bytes]:
        """The page's style, script and icon; anyone may have them."""
        return self._frame.asset(name, request.query_params.get("v"))

    def _handler(self, page: Page) -> Callable[[Asked], Awaitable[Response[bytes]]]:
        async def answer(request: Asked) -> Response[bytes]:
            reader, words = reader_of(request), self._frame.words(request)
            if any("\0" in value for value in request.path_params.values()):
                raise NotFound("cannot find this page: no name holds a NUL")
            visit = Visit(reader, words, dict(request.query_params), dict(request.path_params), address_of(request))
            found = await page.show(self._room, visit)
            if isinstance(found, Download):
                return self._frame.download(found)
            return self._frame.page(request, words, reader, found)

        return answer
