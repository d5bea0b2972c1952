"""News for pages that are open: server-sent events, fed by what the database tells every control plane."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from litestar import Request, get
from litestar.exceptions import ServiceUnavailableException
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from control_plane.api.heads import Heads
from control_plane.web.visit import open_to

Asked = Request[Any, Any, Any]
MAX_STREAMS: Final = 500
"""Pages that are told at once; the others ask every two seconds."""
KEEP_ALIVE_S: Final = 15.0
"""Proxies end what is silent for a minute."""
PAUSE_S: Final = 2.0
"""Between two events: what comes meanwhile is one."""
LASTS_S: Final = 900.0
"""A stream ends then, and the browser asks anew: whoever may not read any more is let in no longer."""


class Live:
    """The route of streams. An event says that something changed, and never what: the page asks for what it shows."""

    def __init__(self, heads: Heads) -> None:
        self._heads = heads
        self._open = 0

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handler, bound to this object."""
        return [get("/live", include_in_schema=False, **open_to("readers"))(self.live)]

    async def live(self) -> Stream:
        """`news` whenever something was published, reported or alerted of; 503 when too many are open."""
        if self._open >= MAX_STREAMS:
            raise ServiceUnavailableException(f"cannot tell more than {MAX_STREAMS} pages of news at once; ask later")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}
        return Stream(self._events(), media_type="text/event-stream", headers=headers)

    async def _events(self) -> AsyncIterator[str]:
        ends_at = asyncio.get_running_loop().time() + LASTS_S
        seen, self._open = self._heads.news, self._open + 1
        try:
            yield f"retry: {int(PAUSE_S * 1000)}\n\n"
            while not self._heads.closing and asyncio.get_running_loop().time() < ends_at:
                news = await self._heads.wait_news(seen, KEEP_ALIVE_S)
                if news == seen:
                    yield ": nothing new\n\n"
                    continue
                seen = news
                yield f"id: {news}\nevent: news\ndata: {news}\n\n"
                await asyncio.sleep(PAUSE_S)
        finally:
            self._open -= 1
