"""The control plane, wired: what is opened in which order, and closed in the opposite one."""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from litestar import Litestar
from msgspec import Struct

from control_plane import serving
from control_plane.api.app import lasting, make_api
from control_plane.documents import DocumentCache
from control_plane.errors import DatabaseUnavailable, FleetError, SettingsInvalid
from control_plane.git_source import GitSource
from control_plane.jobs import Jobs, running_jobs
from control_plane.logs import log_to_stderr
from control_plane.monitoring.meters import Meters
from control_plane.notify import Notifier, read_channels
from control_plane.objects import FolderStore, ObjectStore, S3Store
from control_plane.openid import Provider, open_provider
from control_plane.pipeline import Clock, Pipeline
from control_plane.settings import Settings, read_secret
from control_plane.signer import Signer
from control_plane.store.embedded import EmbeddedPostgres, running_conninfo
from control_plane.store.migrate import migrate
from control_plane.store.pool import Pool, connection, open_pool
from control_plane.store.retention import Keep
from control_plane.sweep import Sweeper
from control_plane.watching import Watch

THREADS: Final = 16
_THREADS_PATIENCE_S: Final = 1.0
_STARTING_PATIENCE_S: Final = 1.5

logger = logging.getLogger(__name__)


class Services(Struct, frozen=True, kw_only=True):
    """Everything that the control plane holds while it runs."""

    settings: Settings
    pool: Pool
    git: GitSource
    objects: ObjectStore
    signer: Signer
    pipeline: Pipeline
    clock: Clock
    meters: Meters
    provider: Provider | None


def utc_now() -> datetime:
    """The clock of the real world."""
    return datetime.now(UTC)


@asynccontextmanager
async def open_app(settings: Settings, clock: Clock = utc_now) -> AsyncIterator[Services]:
    """The services, with the database at this program's schema; a FleetError says what cannot be used.

    What needs no database is opened first, so that a wrong key or path leaves nothing half-done. The Git remote is not
    asked: it may be away.
    """
    _make_folder(settings.data_dir)
    signer = Signer.load(_required("manifest_key", settings.manifest_key, "make it with: neopro keys init"))
    git = _git(settings)
    objects = _objects(settings)
    provider = open_provider(settings, clock)
    documents = DocumentCache(settings.data_dir / "documents")
    async with _database(settings) as conninfo, open_pool(conninfo, settings.database_pool) as pool:
        async with connection(pool) as conn:
            for name in await migrate(conn):
                logger.info("migrated", extra={"migration": name})
        pipeline = Pipeline(pool, git, objects, signer, clock, documents=documents)
        with contextlib.closing(documents):
            yield Services(
                settings=settings,
                pool=pool,
                git=git,
                objects=objects,
                signer=signer,
                pipeline=pipeline,
                clock=clock,
                meters=Meters(),
                provider=provider,
            )


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[str]:
    """For a command on the server's machine: as `_database`, but an embedded one that runs already is used as it is."""
    running = None
    if not (settings.database_url or settings.database_url_file):
        with contextlib.suppress(DatabaseUnavailable):
            running = await asyncio.to_thread(running_conninfo, _postgres_folder(settings))
    if running is not None:
        yield running
        return
    async with _database(settings) as conninfo:
        yield conninfo


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[str]:
    """The connection string of the database, which may hold a password; an embedded one is started and stopped."""
    if settings.database_url or settings.database_url_file:
        yield settings.database_url or read_secret(_required("database_url_file", settings.database_url_file))
        return
    embedded = EmbeddedPostgres(_postgres_folder(settings), settings.postgres_binaries)
    starting = asyncio.create_task(embedded.start())
    try:
        yield await asyncio.shield(starting)
    finally:
        # Stopped while it starts: what has not started by then ends with our process, which it follows.
        await asyncio.wait({starting}, timeout=_STARTING_PATIENCE_S)
        if starting.done():
            await embedded.stop()


def make_application(services: Services) -> Litestar:
    """The web application on these services."""
    return make_api(
        settings=services.settings,
        pool=services.pool,
        objects=services.objects,
        clock=services.clock,
        meters=services.meters,
        sweeper=make_sweeper(services),
        provider=services.provider,
    )


def make_sweeper(services: Services) -> Sweeper:
    """Who deletes blobs that nothing names."""
    return Sweeper(services.pool, services.git, services.objects, services.clock)


class Running(Struct, frozen=True, kw_only=True):
    """A control plane that answers at `url`."""

    services: Services
    application: Litestar
    url: str


@asynccontextmanager
async def running_server(
    settings: Settings, clock: Clock = utc_now, *, stop: asyncio.Event | None = None
) -> AsyncIterator[Running]:
    """The whole control plane, answering and at work, until the context is left; `stop` is set when it cannot go on.

    The address is taken first: a server that runs already is found before anything of its data is touched.
    """
    if settings.tls_certificate and settings.tls_key:
        serving.require_certificate(settings.tls_certificate, settings.tls_key)
    with contextlib.closing(serving.bind(*settings.address)) as listener, _alone_in(settings.data_dir):
        async with (
            open_app(settings, clock) as services,
            answering(services, listener, stop or asyncio.Event()) as running,
        ):
            yield running


@asynccontextmanager
async def answering(
    services: Services, listener: socket.socket, stop: asyncio.Event, *, jobs: bool = True
) -> AsyncIterator[Running]:
    """These services on this socket, which is closed in the end; without `jobs` the caller runs the pipeline."""
    url = _url(services.settings, listener)
    application = make_application(services)
    task = asyncio.create_task(_answer(application, services.settings, listener, stop))
    task.add_done_callback(lambda _: stop.set())
    at_work = running_jobs(make_jobs(services), poll_s=services.settings.poll_s) if jobs else contextlib.nullcontext()
    try:
        async with at_work:
            yield Running(services=services, application=application, url=url)
    finally:
        stop.set()
        await task


async def _answer(application: Litestar, settings: Settings, listener: socket.socket, stop: asyncio.Event) -> None:
    trusted = settings.trusted_networks
    await serving.serve(
        serving.Forwarded(application, trusted) if trusted else application,
        application.lifespan(),
        listener,
        stop,
        certificate=settings.tls_certificate,
        key=settings.tls_key,
    )


def make_jobs(services: Services) -> Jobs:
    """What is done now and then."""
    return Jobs(
        services.pipeline,
        Watch(services.pool, services.clock, services.settings.tls_certificate),
        _notifier(services),
        pool=services.pool,
        clock=services.clock,
        keep=_keep(services.settings),
        meters=services.meters,
    )


def _keep(settings: Settings) -> Keep:
    return Keep(
        events=timedelta(seconds=settings.keep_events_s),
        conditions=timedelta(seconds=settings.keep_conditions_s),
        metrics=timedelta(seconds=settings.keep_metrics_s),
        playbacks=timedelta(seconds=settings.keep_playbacks_s),
        audit=timedelta(seconds=settings.keep_audit_s),
        sessions=lasting(settings),
    )


def _notifier(services: Services) -> Notifier:
    settings = services.settings
    channels = read_channels(settings.notifications) if settings.notifications else []
    for channel in channels:
        services.meters.expect_channel(channel.name)
    return Notifier(channels, services.pool, services.clock, settings.public_url, services.meters.notifications)


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, or until the web server fails."""
    loop, task, stop = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    async with running_server(settings, stop=stop) as running:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        logger.info("serving", extra={"url": running.url})
        await stop.wait()
        logger.info("stopping")


def main(settings: Settings) -> int:
    """`neopro serve`: the exit status is 0 after a signal, 2 when it could not start or go on."""
    log_to_stderr(settings.log_level)
    status = 0
    try:
        with asyncio.Runner() as runner:
            runner.get_loop().set_default_executor(_Threads(THREADS, thread_name_prefix=_Threads.NAME))
            runner.run(run(settings))
    except FleetError as problem:
        print(problem, file=sys.stderr)
        status = 2
    except asyncio.CancelledError:
        logger.info("stopped before it served")
    _leave_threads(status)
    return status


def load_and_run(path: Path | None, env: Mapping[str, str]) -> int:
    """Read the settings, then `main`."""
    try:
        settings = Settings.load(path, env)
    except SettingsInvalid as problem:
        print(problem, file=sys.stderr)
        return 2
    return main(settings)


class _Threads(ThreadPoolExecutor):
    """Threads that nobody waits for at the end: one of them may sit for a minute on a remote that does not answer."""

    NAME: Final = "neopro"

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Let the idle ones end."""
        super().shutdown(wait=False, cancel_futures=True)


def _leave_threads(status: int) -> None:
    """Give them a second; Python itself would wait for ever, so then the process ends here. All else is closed."""
    deadline = time.monotonic() + _THREADS_PATIENCE_S
    for thread in threading.enumerate():
        if thread.name.startswith(_Threads.NAME):
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                sys.stderr.flush()
                os._exit(status)


def _postgres_folder(settings: Settings) -> Path:
    return settings.data_dir / "postgres"


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keeps a second server out of the clone and the uploads; the lock goes with the process, however it ends."""
    _make_folder(folder)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise SettingsInvalid(
                f"cannot use data_dir {folder}: process {file.read().strip()} serves from it; "
                "stop that one, or set another data_dir"
            ) from None
        file.truncate(0)
        print(os.getpid(), file=file, flush=True)
        yield


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise SettingsInvalid(f"cannot make data_dir {folder}: {problem.strerror}; set data_dir") from None


def _required(key: str, path: Path | None, advice: str = "") -> Path:
    if path is None:
        raise SettingsInvalid(f"cannot start: {key} is not set{'; ' + advice if advice else ''}")
    return path


def _git(settings: Settings) -> GitSource:
    if not settings.remote:
        raise SettingsInvalid("cannot start: remote is not set; it is the Git repository that holds the desired state")
    return GitSource(
        settings.remote,
        settings.ref,
        settings.data_dir / "clone.git",
        ca_file=settings.git_ca_file,
        ssh_key=settings.git_ssh_key,
        known_hosts=settings.git_known_hosts,
        username=settings.git_username,
        password_file=settings.git_password_file,
    )


def _objects(settings: Settings) -> ObjectStore:
    if settings.objects == "folder":
        return FolderStore(settings.data_dir / "objects")
    return S3Store(
        endpoint=settings.s3_endpoint,
        bucket=settings.objects.removeprefix("s3://"),
        access_key=read_secret(_required("s3_access_key_file", settings.s3_access_key_file)),
        secret_key=read_secret(_required("s3_secret_key_file", settings.s3_secret_key_file)),
        secure=settings.s3_secure,
        region=settings.s3_region,
        presign=settings.s3_presign,
        ca_file=settings.s3_ca_file,
    )


def _url(settings: Settings, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
