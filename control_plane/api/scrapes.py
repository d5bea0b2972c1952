"""`/metrics`: what Prometheus asks for. Its names, labels and meanings are in `control_plane.monitoring.families`."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from control_plane import expiring
from control_plane.api.heads import Heads
from control_plane.errors import DatabaseUnavailable, FleetError
from control_plane.monitoring import families, fleet
from control_plane.monitoring.families import Family
from control_plane.monitoring.meters import Meters
from control_plane.objects import ObjectStore
from control_plane.settings import Settings
from control_plane.store.lookout import Lookout
from control_plane.store.pool import Pool
from control_plane.web.visit import open_to

Asked = Request[Any, Any, Any]
PATIENCE_S: Final = 3.0
"""For the object store; Prometheus itself waits for ten."""


class Scrapes:
    """The route of metrics."""

    def __init__(
        self,
        *,
        settings: Settings,
        heads: Heads,
        pool: Pool,
        objects: ObjectStore,
        lookout: Lookout,
        meters: Meters,
    ) -> None:
        self._pool, self._objects = pool, objects
        self._certificate = expiring.certificate(settings.tls_certificate) if settings.tls_certificate else None
        self._lookout, self._meters = lookout, meters
        self._asking: asyncio.Task[None] | None = None
        meters.long_polls.set_function(lambda: heads.waiting)
        meters.listening.set_function(lambda: heads.listening)

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handler, bound to this object."""
        return [get("/metrics", operation_id="getMetrics", **open_to("neighbours", "team"))(self.exposition)]

    async def exposition(self, request: Asked) -> Response[bytes]:
        """Counters and gauges as Prometheus reads them; from loopback, or with a personal token.

        Without a database what this process counts is told all the same, and nothing of the fleet.
        """
        found = [*await self._of_fleet(), *await self._of_objects(), *_of_pool(self._pool)]
        if self._certificate is not None:
            found.append(_gauge(families.CERTIFICATE, self._certificate.at.timestamp()))
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        body = encode(_Together([*self._meters.registry.collect(), *found]))
        return Response(body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    async def _of_fleet(self) -> list[Metric]:
        try:
            found = await fleet.read(self._pool, self._lookout)
        except DatabaseUnavailable:
            return [_gauge(families.DATABASE_UP, 0)]
        return [_gauge(families.DATABASE_UP, 1), *fleet.told(found)]

    async def _of_objects(self) -> list[Metric]:
        """A store that does not answer is not asked by each scrape anew: its threads would run out."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._objects.check(), name="object store")
        await asyncio.wait({self._asking}, timeout=PATIENCE_S)
        answered = self._asking.done()
        failure = self._asking.exception() if answered else None
        if failure is not None and not isinstance(failure, FleetError):
            raise failure
        return [_gauge(families.OBJECTS_UP, answered and failure is None)]


class _Together:
    """What is to be told, as prometheus_client takes it."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _of_pool(pool: Pool) -> Iterator[Metric]:
    said = pool.get_stats()
    idle, every = said.get("pool_available", 0), said.get("pool_size", 0)
    states = GaugeMetricFamily(families.POOL.name, families.POOL.help, labels=families.POOL.labels)
    states.add_metric(["in_use"], every - idle)
    states.add_metric(["idle"], idle)
    yield states
    yield _gauge(families.POOL_MAX, said.get("pool_max", 0))
    yield _gauge(families.POOL_WAITING, said.get("requests_waiting", 0))
    for family, value in (
        (families.POOL_LOANS, said.get("requests_num", 0)),
        (families.POOL_ERRORS, said.get("requests_errors", 0)),
        (families.POOL_WAIT, said.get("requests_wait_ms", 0) / 1000),
    ):
        yield CounterMetricFamily(family.name, family.help, value=value)


def _gauge(family: Family, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(family.name, family.help, value=float(value))
