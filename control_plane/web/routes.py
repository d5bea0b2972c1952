"""The routes of people: each lets in whom its page is for, and answers with the page."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from control_plane.core.people import Reader, may_see
from control_plane.errors import Forbidden, NotFound
from control_plane.web.frame import Frame
from control_plane.web.pages import PAGES
from control_plane.web.visit import Download, Page, Room, Visit

Asked = Request[Any, Any, Any]
Admit = Callable[[Asked], Awaitable[Reader]]


class Routes:
    """The handlers. `admit` says who reads or raises NotAuthenticated, Forbidden."""

    def __init__(self, room: Room, admit: Admit) -> None:
        self._room, self._admit = room, admit
        self.frame = Frame([page for page in PAGES if page.nav])

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        return [
            *(get(page.path, include_in_schema=False)(self._handler(page)) for page in PAGES),
            get("/static/{name:str}", include_in_schema=False)(self.static),
        ]

    async def static(self, request: Asked, name: FromPath[str]) -> Response[bytes]:
        """The page's style, script and icon; anyone may have them."""
        return self.frame.asset(name, request.query_params.get("v"))

    def _handler(self, page: Page) -> Callable[[Asked], Awaitable[Response[bytes]]]:
        async def answer(request: Asked) -> Response[bytes]:
            reader = await self._admit(request)
            if not may_see(reader, page.audience):
                raise Forbidden("cannot show this page: it is not for this account")
            words = self.frame.words(request)
            if any("\0" in value for value in request.path_params.values()):
                raise NotFound("cannot find this page: no name holds a NUL")
            visit = Visit(reader, words, dict(request.query_params), dict(request.path_params))
            found = await page.show(self._room, visit)
            if isinstance(found, Download):
                return self.frame.download(found)
            return self.frame.page(request, words, reader, found)

        return answer
