"""What the people who run the server ask: does it live, is it ready, what does it count."""

from collections.abc import Sequence
from typing import Any, Final

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from control_plane.api.heads import Heads
from control_plane.api.perimeter import Perimeter
from control_plane.errors import FleetError
from control_plane.objects import ObjectStore
from control_plane.store import publications, remotes, views
from control_plane.store.lookout import Lookout
from control_plane.store.pool import Pool, connection

Asked = Request[Any, Any, Any]
READY: Final = "ok"


class Operations:
    """The routes of operations."""

    def __init__(
        self,
        *,
        heads: Heads,
        pool: Pool,
        objects: ObjectStore,
        lookout: Lookout,
        perimeter: Perimeter,
        metrics: CollectorRegistry,
    ) -> None:
        self._heads, self._pool, self._objects = heads, pool, objects
        self._lookout, self._perimeter, self._metrics = lookout, perimeter, metrics
        self._gauges = _Gauges(metrics)

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        return [
            get("/healthz", operation_id="getHealth", tags=["operations"])(self.health),
            get("/readyz", operation_id="getReadiness", tags=["operations"])(self.readiness),
            get("/metrics", operation_id="getMetrics", tags=["operations"])(self.exposition),
        ]

    async def health(self) -> dict[str, str]:
        """The process lives; nothing else is asked."""
        return {"status": READY}

    async def readiness(self) -> Response[dict[str, str]]:
        """200 when boxes can be served, else 503; each part is `ok` or says in one sentence what it lacks.

        A Git remote that is away is told but takes nothing from the boxes: it does not make the server unready.
        """
        parts = {"database": READY, "objects": READY, "publication": READY, "remote": READY}
        try:
            async with connection(self._pool) as conn:
                if await publications.current(conn) is None:
                    parts["publication"] = "nothing was published yet"
                look = await remotes.last_look(conn)
                parts["remote"] = _remote_in_words(look)
            if not self._heads.listening:
                parts["database"] = "publications are not being listened for"
        except FleetError:
            parts |= {"database": "it cannot be used", "publication": "unknown", "remote": "unknown"}
        try:
            await self._objects.check()
        except FleetError:
            parts["objects"] = "the object store cannot be used"
        ready = all(parts[part] == READY for part in ("database", "objects", "publication"))
        return Response(parts, status_code=200 if ready else 503, headers={"Cache-Control": "no-store"})

    async def exposition(self, request: Asked) -> Response[bytes]:
        """Counters and gauges as Prometheus reads them; from loopback, or with a personal token."""
        await self._perimeter.admit_reader(request)
        self._gauges.show(await self._lookout.fleet(), self._heads)
        return Response(generate_latest(self._metrics), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _remote_in_words(look: remotes.RemoteLook | None) -> str:
    if look is None:
        return "it was not looked at yet"
    return "it cannot be reached or was refused; see the status page" if look.error else READY


class _Gauges:
    """What is measured when it is asked for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._sites = Gauge("neopro_sites", "Sites by how they stand", ["standing"], registry=registry)
        self._published_age = Gauge(
            "neopro_publication_age_seconds", "Seconds since the last publication; NaN before it", registry=registry
        )
        self._remote_error = Gauge(
            "neopro_remote_error", "1 while the Git remote cannot be used, else 0", registry=registry
        )
        self._looked_age = Gauge(
            "neopro_remote_look_age_seconds", "Seconds since the remote was last looked at", registry=registry
        )
        self._waiting = Gauge("neopro_long_polls", "Long polls that are open", registry=registry)
        self._listening = Gauge("neopro_listening", "1 while publications are listened for", registry=registry)

    def show(self, fleet: views.Fleet, heads: Heads) -> None:
        """Set every gauge from one look."""
        for standing, count in views.standings(fleet.sites).items():
            self._sites.labels(standing).set(count)
        published, remote = fleet.published, fleet.remote
        nan = float("nan")
        self._published_age.set((fleet.read_at - published.published_at).total_seconds() if published else nan)
        self._looked_age.set((fleet.read_at - remote.looked_at).total_seconds() if remote else nan)
        self._remote_error.set(bool(remote and remote.error))
        self._waiting.set(heads.waiting)
        self._listening.set(heads.listening)
