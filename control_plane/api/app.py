"""The web application: every route of boxes, operators and people, wired by plain constructor calls."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from litestar import Litestar, Request
from litestar.handlers import HTTPRouteHandler

from control_plane import expiring
from control_plane.api import problems
from control_plane.api.access import Access
from control_plane.api.alerts import Alerting
from control_plane.api.analytics import Analytics
from control_plane.api.backups import Backups
from control_plane.api.blobs import Blobs
from control_plane.api.boxes import Boxes
from control_plane.api.clubs import Clubs
from control_plane.api.description import Description
from control_plane.api.enrolments import Enrolments
from control_plane.api.gc import Gc
from control_plane.api.grants import Grants
from control_plane.api.heads import Heads
from control_plane.api.inbox import Inbox
from control_plane.api.live import Live
from control_plane.api.logs import Logs
from control_plane.api.memories import Memories
from control_plane.api.operations import Operations
from control_plane.api.operators import Operators
from control_plane.api.perimeter import Perimeter
from control_plane.api.pulse import Pulse, Tally
from control_plane.api.refusals import Refusals
from control_plane.api.rollouts import Rollouts
from control_plane.api.scrapes import Scrapes
from control_plane.api.spool import Spool, forgetting
from control_plane.api.timing import Timing
from control_plane.api.video_backups import VideoBackups
from control_plane.monitoring.meters import Meters
from control_plane.objects import ObjectStore
from control_plane.openid import Provider
from control_plane.settings import Settings
from control_plane.store import sweeps
from control_plane.store.lookout import Lookout
from control_plane.store.pool import Pool, connection
from control_plane.store.sessions import Lasting
from control_plane.sweep import Sweeper
from control_plane.web.account import Account
from control_plane.web.entrance import Entrance
from control_plane.web.frame import Frame
from control_plane.web.kept import Kept
from control_plane.web.login import Login
from control_plane.web.login import Provider as WayIn
from control_plane.web.map_outlines import read_outlines
from control_plane.web.openid import BEGIN, FAREWELL, OpenId
from control_plane.web.pages import PAGES
from control_plane.web.routes import Routes
from control_plane.web.visit import Room
from schemas.names import Digest

MAX_BODY_BYTES = 64 * 1024
"""Of a request whose route sets no limit of its own."""


def make_api(
    *,
    settings: Settings,
    pool: Pool,
    objects: ObjectStore,
    clock: Callable[[], datetime],
    meters: Meters,
    sweeper: Sweeper | None = None,
    provider: Provider | None = None,
) -> Litestar:
    """The application. Within its lifespan it follows the database; leaving it ends every long poll at once.

    Without a `sweeper` nobody can ask for a sweep, without a `provider` people log in with passwords alone.
    """
    lookout = Lookout(pool, clock)
    heads = Heads(lambda: str(pool.conninfo), lookout)
    access = Access(heads, pool, clock, meters.signature_checks)
    entrance, pulse, timing = Entrance(pool, clock, lasting(settings)), Pulse(pool, clock), Timing(meters)
    perimeter, frame = Perimeter(settings, access, entrance, pool), Frame([page for page in PAGES if page.nav])
    uploads = _uploads(
        settings=settings, access=access, objects=objects, pool=pool, clock=clock, tally=pulse.tally, meters=meters
    )
    boxes = Boxes(
        heads=heads,
        access=access,
        inbox=Inbox(pool, meters),
        pool=pool,
        clock=clock,
        tally=pulse.tally,
        refusals=Refusals(pool, clock, meters.reports["refused"]),
    )
    scrapes = Scrapes(settings=settings, heads=heads, pool=pool, objects=objects, lookout=lookout, meters=meters)
    calls = [
        *(*boxes.routes(), *uploads.routes, *scrapes.routes()),
        *Operations(heads=heads, pool=pool, objects=objects).routes(),
        *_of_records(access, pool, lookout, clock),
        *(Gc(sweeper).routes() if sweeper is not None else ()),
    ]
    room = _room(settings, pool, lookout, objects, clock)
    pages = [*Routes(room, frame).routes(), *_ways_in(provider, entrance, frame), *Account(entrance, frame).routes()]

    @asynccontextmanager
    async def following(app: Litestar) -> AsyncIterator[None]:
        app.state.heads, app.state.pulse, app.state.uploads = heads, pulse, uploads
        async with heads.following(), pulse.beating(), forgetting(uploads.forget_old):
            yield

    async def enter(request: Request[Any, Any, Any]) -> None:
        timing.begin(request.scope)
        await perimeter.let_in(request)

    return Litestar(
        route_handlers=[*calls, *Description(calls).routes(), *Live(heads, lookout).routes(), *pages],
        before_request=enter,
        before_send=[timing.note],
        exception_handlers=problems.handlers(frame.problem),
        lifespan=[following],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=MAX_BODY_BYTES,
    )


def _room(
    settings: Settings, pool: Pool, lookout: Lookout, objects: ObjectStore, clock: Callable[[], datetime]
) -> Room:
    own = expiring.certificate(settings.tls_certificate) if settings.tls_certificate else None
    return Room(pool, lookout, objects, clock, read_outlines(settings.outlines), Kept(), own)


class _Uploads(NamedTuple):
    """The routes of what is handed over in pieces, and what forgets pieces that nobody went on with."""

    routes: Sequence[HTTPRouteHandler]
    forget_old: Callable[[], None]


def _uploads(
    *,
    settings: Settings,
    access: Access,
    objects: ObjectStore,
    pool: Pool,
    clock: Callable[[], datetime],
    tally: Tally,
    meters: Meters,
) -> _Uploads:
    async def claim(digest: Digest) -> None:
        async with connection(pool) as conn:
            await sweeps.ask(conn, digest, clock())

    spool = Spool(settings.data_dir / "uploads", objects, claim)
    grants = Grants(pool, objects)
    blobs = Blobs(access=access, grants=grants, spool=spool, objects=objects, pool=pool, tally=tally, meters=meters)
    backups = Backups(access=access, spool=spool, objects=objects, pool=pool, clock=clock)
    folder = settings.data_dir / "uploads-of-boxes"
    videos = VideoBackups(access=access, folder=folder, objects=objects, claim=claim, pool=pool, clock=clock)

    def forget_old() -> None:
        spool.forget_old()
        videos.forget_old()

    return _Uploads([*blobs.routes(), *backups.routes(), *videos.routes()], forget_old)


def _ways_in(provider: Provider | None, entrance: Entrance, frame: Frame) -> list[HTTPRouteHandler]:
    """A password; and the OpenID provider, where there is one."""
    if provider is None:
        return [*Login(entrance, frame).routes()]
    ways = [WayIn(BEGIN, provider.label, FAREWELL)]
    return [*Login(entrance, frame, ways).routes(), *OpenId(provider, entrance, frame).routes()]


def lasting(settings: Settings) -> Lasting:
    """How long sessions last."""
    return Lasting(timedelta(seconds=settings.session_idle_s), timedelta(seconds=settings.session_longest_s))


def _of_records(access: Access, pool: Pool, lookout: Lookout, clock: Callable[[], datetime]) -> list[HTTPRouteHandler]:
    """The routes of what is kept of boxes: they need the database alone, and who is asking."""
    return [
        *Logs(access, pool, clock).routes(),
        *Analytics(access, pool, clock).routes(),
        *Alerting(pool, lookout, clock).routes(),
        *Enrolments(pool, clock).routes(),
        *Clubs(access, pool, clock).routes(),
        *Memories(pool, clock).routes(),
        *Rollouts(pool, clock).routes(),
        *Operators(access, pool, lookout, clock).routes(),
    ]
