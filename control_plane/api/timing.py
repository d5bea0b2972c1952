"""Requests counted and timed, by the template of their route: no path of a site becomes a label."""

import time
from typing import Final, cast

from litestar.types import HTTPScope, Message, Scope
from prometheus_client import Counter, Histogram

from control_plane.monitoring.meters import Meters

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED: Final = "unmatched"
BEGAN: Final = "neopro_began"
HELD_S: Final = "neopro_held_s"
"""In a request's state: when it began, and for how long it was held on purpose."""


class Timing:
    """To look a meter up by its labels costs more than to count: it is done once."""

    def __init__(self, meters: Meters) -> None:
        self._requests, self._durations = meters.requests, meters.request_duration
        self._meters: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def begin(self, scope: Scope) -> None:
        """A request that has a route is about to be handled."""
        scope["state"][BEGAN] = time.perf_counter()

    async def note(self, message: Message, scope: Scope) -> None:
        """Something is sent: the beginning of an answer is what counts."""
        if message["type"] == "http.response.start":
            self._count(message["status"], cast(HTTPScope, scope))

    def _count(self, code: int, scope: HTTPScope) -> None:
        state = scope["state"]
        began = state.get(BEGAN)
        if began is None:
            method = str(scope["method"])
            self._requests.labels(method if method in METHODS else "other", UNMATCHED, code).inc()
            return
        counter, histogram = self._of(scope["method"], scope["path_template"], code)
        counter.inc()
        histogram.observe(time.perf_counter() - began - state.get(HELD_S, 0.0))

    def _of(self, method: str, route: str, code: int) -> tuple[Counter, Histogram]:
        key = (method, route, code)
        known = self._meters.get(key)
        if known is None:
            known = self._requests.labels(*key), self._durations.labels(method, route)
            self._meters[key] = known
        return known
