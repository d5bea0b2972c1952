"""News for pages that are open: server-sent events, fed by what the database tells every control plane."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any, Final

from litestar import Request, get
from litestar.exceptions import ServiceUnavailableException
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from control_plane.api.heads import Heads
from control_plane.store.lookout import Lookout
from control_plane.web.present import visible_to
from control_plane.web.visit import open_to, reader_of
from schemas.names import SiteId

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

    def __init__(self, heads: Heads, lookout: Lookout) -> None:
        self._heads, self._lookout = heads, lookout
        self._open = 0

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handler, bound to this object."""
        return [get("/live", include_in_schema=False, **open_to("readers"))(self.live)]

    async def live(self, request: Asked) -> Stream:
        """`news` whenever something was published, reported or alerted of; 503 when too many are open."""
        if self._open >= MAX_STREAMS:
            raise ServiceUnavailableException(f"cannot tell more than {MAX_STREAMS} pages of news at once; ask later")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}
        tenant = reader_of(request).tenant
        own = None if tenant is None else {view.site for view in visible_to(await self._lookout.fleet(), tenant).sites}
        return Stream(self._events(own), media_type="text/event-stream", headers=headers)

    async def _events(self, own: Collection[SiteId] | None) -> AsyncIterator[str]:
        """Until it has lasted long enough. `own`: of these sites alone; what happens to others is not to be noticed."""
        now = asyncio.get_running_loop().time
        ends_at, silent_until = now() + LASTS_S, now() + KEEP_ALIVE_S
        seen, told = self._heads.news_of(own), 0
        self._open += 1
        try:
            yield f"retry: {int(PAUSE_S * 1000)}\n\n"
            while not self._heads.closing and now() < ends_at:
                if (news := self._heads.news_of(own)) != seen:
                    seen, told = news, told + 1
                    yield f"id: {told}\nevent: news\ndata: {told}\n\n"
                elif now() >= silent_until:
                    yield ": nothing new\n\n"
                else:
                    await self._heads.wait_news(self._heads.news, silent_until - now())
                    # Others' news come as fast as they like: a look at one's own every now and then is enough.
                    await asyncio.sleep(0 if own is None else PAUSE_S / 2)
                    continue
                silent_until = now() + KEEP_ALIVE_S
                await asyncio.sleep(PAUSE_S)
        finally:
            self._open -= 1
