"""Requests counted and timed, by the template of their route: no path of a site becomes a label."""

import time
from typing import Any, Final, cast

from litestar import Request
from litestar.types import HTTPScope, Message, Scope

from control_plane.monitoring.meters import Meters

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED: Final = "unmatched"
BEGAN: Final = "neopro_began"
HELD_S: Final = "neopro_held_s"
"""In a request's state: when it began, and for how long it was held on purpose."""


class Timing:
    """Two hooks of the application."""

    def __init__(self, meters: Meters) -> None:
        self._requests, self._durations = meters.requests, meters.request_duration

    async def begin(self, request: Request[Any, Any, Any]) -> None:
        """A request that has a route is about to be handled."""
        request.scope["state"][BEGAN] = time.perf_counter()

    async def note(self, message: Message, scope: Scope) -> None:
        """Something is sent: the beginning of an answer is what counts."""
        if message["type"] == "http.response.start":
            self._count(message["status"], cast(HTTPScope, scope))

    def _count(self, code: int, scope: HTTPScope) -> None:
        state, method = scope["state"], str(scope["method"])
        began = state.get(BEGAN)
        if began is None:
            method = method if method in METHODS else "other"
            self._requests.labels(method, UNMATCHED, code).inc()
            return
        route = scope["path_template"]
        self._requests.labels(method, route, code).inc()
        self._durations.labels(method, route).observe(time.perf_counter() - began - state.get(HELD_S, 0.0))
