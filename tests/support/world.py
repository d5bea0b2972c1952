"""A small control plane to test on: a real Git remote with a valid fleet, keys, blobs, database and open services.

    async with open_world(tmp_path, database) as world:
        await world.ingest()
        world.commit({"sites/ajaccio.yaml": world.site_file("ajaccio", name="AC Ajaccio")}, "Add Ajaccio")
        outcome = await world.ingest()
        async with world.serve() as url:
            …

Tests of synchronous programs take `served_world`, which runs all of it in a thread.
"""

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pygit2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from litestar import Litestar

from control_plane import serving
from control_plane.app import Services, answering, open_app
from control_plane.objects import FolderStore, ObjectStore
from control_plane.pipeline import Outcome, Pipeline
from control_plane.settings import Settings
from control_plane.signer import write_private_key
from control_plane.store import publications
from control_plane.store.pool import Connection, connection
from schemas import dsse, site_token
from schemas.manifest import FileTree, TreeFile, encode_canonical
from schemas.names import Digest, Revision, SiteId, digest_of
from schemas.trust import AllowedRelease
from tests.support.trust_keys import Changes, ShiftedClock, TrustKeys

T = TypeVar("T")
SITES = ("brest", "nantes", "rennes")
AUTHOR = pygit2.Signature("Ada Operator", "ada@example.org", 1_767_225_600, 60)


class World:
    """What `open_world` yields; everything in it may be used and changed."""

    def __init__(self, folder: Path, clock: ShiftedClock) -> None:
        self.folder, self.clock = folder, clock
        self.remote = folder / "fleet.git"
        self.keys = TrustKeys(clock)
        self.manifest_key_file = folder / "manifest.key"
        self.services: Services | None = None
        self.store: ObjectStore = FolderStore(folder / "server" / "objects")
        self.site_keys: dict[SiteId, Ed25519PrivateKey] = {}
        self._application: Litestar | None = None
        self._repository = pygit2.init_repository(str(self.remote), bare=True, initial_head="main")

    # -- the desired state ---------------------------------------------------------------------------------------

    def commit(
        self,
        changes: Mapping[str, str | None],
        message: str = "Change the fleet",
        author: pygit2.Signature = AUTHOR,
    ) -> Revision:
        """A commit on the remote's `main` with these files written or taken away."""
        head = self._repository.references.get("refs/heads/main")
        parent = head.peel(pygit2.Commit) if head else None
        index = pygit2.Index()
        if parent:
            index.read_tree(parent.tree)
        for path, text in changes.items():
            if text is None:
                index.remove(path)
            else:
                blob = self._repository.create_blob(text.encode())
                index.add(pygit2.IndexEntry(path, blob, pygit2.enums.FileMode.BLOB))
        tree = index.write_tree(self._repository)
        parents = [parent.id] if parent else []
        made = self._repository.create_commit("refs/heads/main", author, author, message, tree, parents)
        return str(made)

    def adopt(self, objects: Path) -> Revision:
        """Take over `main` of another repository, as a push does; its commits may be signed."""
        remote = self._repository.remotes.create_anonymous(str(objects))
        remote.fetch(["+refs/heads/main:refs/heads/main"])
        return str(self._repository.references["refs/heads/main"].target)

    def rewind(self, revision: Revision) -> None:
        """Point `main` somewhere else, as a forced push does."""
        self._repository.references.create("refs/heads/main", pygit2.Oid(hex=revision), force=True)

    def file(self, path: str) -> str:
        """The text of a file at the tip of `main`."""
        tree = self._repository.references["refs/heads/main"].peel(pygit2.Commit).tree
        blob = tree / path
        assert isinstance(blob, pygit2.Blob)
        return blob.data.decode()

    def site_key(self, site: SiteId) -> Ed25519PrivateKey:
        """The key of the site's box; its public line is what `site_file` writes."""
        return self.site_keys.setdefault(site, Ed25519PrivateKey.generate())

    def site_file(self, site: SiteId, *, identity: bool = True, **keys: Any) -> str:
        """`sites/ID.yaml`; `keys` are any of the document's (values as JSON, which is YAML)."""
        document: dict[str, Any] = {
            "name": site.title(),
            "club": f"Club {site.title()}",
            "location": {"city": site.title(), "region": "Bretagne"},
            "sports": ["football"],
        }
        if identity:
            document["identity"] = dsse.public_line(self.site_key(site).public_key())
        return as_yaml(document | keys)

    def video_files(self, video: str, data: bytes, **keys: Any) -> Changes:
        """`videos/ID.yaml` of these bytes, which are not uploaded."""
        document = {"name": video.title(), "digest": digest_of(data), "size_bytes": len(data)}
        return {f"videos/{video}.yaml": as_yaml(document | keys)}

    def add_video(self, video: str, data: bytes, **keys: Any) -> Changes:
        """Upload the bytes; the change to commit (a set that names the video is another)."""
        self.upload(data)
        return self.video_files(video, data, **keys)

    def release_files(self, version: str, files: Mapping[str, bytes], **keys: Any) -> Changes:
        """`releases/VERSION.yaml` and the next release list that allows it; nothing is uploaded."""
        tree = file_tree(files)
        listing = encode_canonical(tree)
        self.keys.allowed[version] = AllowedRelease(kind="app", version=version, tree=digest_of(listing))
        document = {
            "version": version,
            "tree": digest_of(listing),
            "size_bytes": sum(map(len, files.values())),
            "changelog": f"Release {version}",
        }
        return {f"releases/{version}.yaml": as_yaml(document | keys)} | self.keys.next_list()

    def add_release(self, version: str, files: Mapping[str, bytes], **keys: Any) -> Changes:
        """Upload a release's files and listing, allow it; the change to commit."""
        for data in (*files.values(), encode_canonical(file_tree(files))):
            self.upload(data)
        return self.release_files(version, files, **keys)

    def upload(self, data: bytes) -> Digest:
        """Put bytes into the object store."""
        digest = digest_of(data)
        staged = self.folder / "upload"
        staged.write_bytes(data)
        run_apart(self.objects.put(digest, staged))
        return digest

    def first_files(self) -> Changes:
        """A valid fleet: three sites, a group by region, a set of two videos, release 1.0.0, root and release list."""
        fleet = {"schema": 1, "defaults": {"release": "1.0.0", "video_sets": ["national"]}}
        region = {"name": "Bretagne", "type": "geography", "select": {"region": "Bretagne"}, "priority": 100}
        national = {
            "name": "National",
            "category": {"id": "annonces", "name": "ANNONCES"},
            "blocks": ["before", "after"],
            "loop": "sponsors",
            "videos": ["clip-a", "clip-b"],
        }
        return {
            "fleet.yaml": as_yaml(fleet),
            "groups/bretagne.yaml": as_yaml(region),
            "video-sets/national.yaml": as_yaml(national),
            **{f"sites/{site}.yaml": self.site_file(site) for site in SITES},
            **self.add_video("clip-a", b"first clip" * 100),
            **self.add_video("clip-b", b"second clip" * 100),
            **self.add_release("1.0.0", {"VERSION": b"1.0.0\n", "server/app.py": b"print('one')\n"}),
            **self.keys.next_root(),
        }

    # -- the control plane ---------------------------------------------------------------------------------------

    @property
    def opened(self) -> Services:
        """The services of `open_world`; a world that was only made has none."""
        assert self.services is not None, "open the world first: async with open_world(…)"
        return self.services

    @property
    def settings(self) -> Settings:
        return self.opened.settings

    @property
    def pipeline(self) -> Pipeline:
        return self.opened.pipeline

    @property
    def objects(self) -> ObjectStore:
        return self.services.objects if self.services else self.store

    def usual_settings(self) -> dict[str, Any]:
        """The settings of a server on this world, but for the database."""
        return {
            "data_dir": self.folder / "server",
            "remote": str(self.remote),
            "manifest_key": self.manifest_key_file,
            "listen": "127.0.0.1:0",
            "poll_s": 1,
        }

    def settings_file(self, **settings: Any) -> Path:
        """`server.toml` with the usual settings and these over them (None takes one away)."""
        given = {k: v for k, v in (self.usual_settings() | settings).items() if v is not None}
        file = self.folder / "server.toml"
        plain = {k: str(v) if isinstance(v, Path) else v for k, v in given.items()}
        file.write_text("".join(f"{k} = {msgspec.json.encode(v).decode()}\n" for k, v in plain.items()))
        return file

    async def ingest(self) -> Outcome:
        """Look at the remote, as the job does."""
        return await self.pipeline.ingest()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection to the database."""
        async with connection(self.opened.pool) as conn:
            yield conn

    @asynccontextmanager
    async def serve(self, *, jobs: bool = False) -> AsyncIterator[str]:
        """The web server at its address (a free port of loopback), in this event loop; `jobs`: it polls the remote."""
        with closing(serving.bind(*self.settings.address)) as listener:
            async with answering(self.opened, listener, asyncio.Event(), jobs=jobs) as running:
                await self._served(running.application)
                self._application = running.application
                try:
                    yield running.url
                finally:
                    self._application = None

    async def ingest_and_serve(self) -> Outcome:
        """Look at the remote, and wait until the web server serves what is published then."""
        outcome = await self.ingest()
        assert self._application is not None
        await self._served(self._application)
        return outcome

    async def _served(self, application: Litestar) -> None:
        async with self.connection() as conn:
            published = await publications.current(conn)
        serial = published.serial if published else 0
        async with asyncio.timeout(30):
            while not (heads := application.state.get("heads")) or not heads.loaded or heads.serial < serial:
                await asyncio.sleep(0.005)

    def token(self, site: SiteId) -> str:
        """A fresh token of the site's box."""
        return site_token.make(site, self.site_key(site), self.clock())

    def headers(self, site: SiteId) -> dict[str, str]:
        """The headers by which the site's box proves who it is."""
        return {"Authorization": f"Bearer {self.token(site)}"}


@asynccontextmanager
async def open_world(
    folder: Path,
    database: str,
    *,
    first: bool = True,
    files: Callable[[World], Changes] = World.first_files,
    **settings: Any,
) -> AsyncIterator[World]:
    """A world in `folder` on the database with this connection string; `settings` go over the usual ones.

    With `first`, the first commit, of `files`, is made and the blobs are uploaded; nothing was ingested yet.
    """
    world = make_world(folder)
    usual = world.usual_settings() | {"database_url": database}
    async with open_app(Settings(**usual | settings), world.clock) as services:
        world.services = services
        if first:
            world.commit(files(world), "Start the fleet")
        yield world


def make_world(folder: Path) -> World:
    """A world without a control plane: an empty remote, keys, and a folder of objects for a server to come."""
    world = World(folder, ShiftedClock())
    world.keys.manifest = write_private_key(world.manifest_key_file)
    return world


@asynccontextmanager
async def reopened(world: World, **settings: Any) -> AsyncIterator[World]:
    """The same world with a control plane that was started anew: nothing in its memory; `settings` as changed."""
    before = world.opened
    changed = msgspec.structs.replace(before.settings, **settings)
    async with open_app(changed, world.clock) as services:
        world.services = services
        try:
            yield world
        finally:
            world.services = before


class ServedWorld:
    """A world that is served from a thread, for synchronous programs: `url`, and the world's coroutines by `run`."""

    def __init__(self, world: World, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.world, self.url, self._loop = world, url, loop

    def run(self, coroutine: Coroutine[Any, Any, T], timeout_s: float = 30) -> T:
        """Run it where the world lives."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout_s)

    def ingest(self) -> Outcome:
        """Look at the remote; boxes are told of what was published when this returns."""
        return self.run(self.world.ingest_and_serve())

    def publish(self, changes: Mapping[str, str | None], message: str = "Change the fleet") -> Revision:
        """Commit and ingest; the commit must be good."""
        revision = self.world.commit(changes, message)
        outcome = self.ingest()
        assert outcome.verdict == "published", outcome.problems
        return revision

    @contextmanager
    def within(self, context: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """An asynchronous context, entered and left where the world lives, by one task."""
        ready: concurrent.futures.Future[T] = concurrent.futures.Future()
        done = asyncio.Event()

        async def hold() -> None:
            async with context as entered:
                ready.set_result(entered)
                await done.wait()

        holding = asyncio.run_coroutine_threadsafe(hold(), self._loop)
        both: list[concurrent.futures.Future[Any]] = [ready, holding]
        concurrent.futures.wait(both, 60, return_when=concurrent.futures.FIRST_COMPLETED)
        if not ready.done():
            holding.result(0)
        try:
            yield ready.result(0)
        finally:
            self._loop.call_soon_threadsafe(done.set)
            holding.result(60)


@contextmanager
def served_world(folder: Path, database: str, *, jobs: bool = False, **settings: Any) -> Iterator[ServedWorld]:
    """A world with its first commit published, answering at `url`, until the context is left."""
    ready: concurrent.futures.Future[tuple[ServedWorld, asyncio.Event]] = concurrent.futures.Future()

    async def live() -> None:
        async with open_world(folder, database, **settings) as world:
            outcome = await world.ingest()
            assert outcome.verdict == "published", outcome.problems
            async with world.serve(jobs=jobs) as url:
                done = asyncio.Event()
                ready.set_result((ServedWorld(world, url, asyncio.get_running_loop()), done))
                await done.wait()

    def thread() -> None:
        try:
            asyncio.run(live())
        except BaseException as problem:
            if not ready.done():
                ready.set_exception(problem)
            raise

    runner = threading.Thread(target=thread, name="world", daemon=True)
    runner.start()
    served, done = ready.result(60)
    try:
        yield served
    finally:
        served.run(_set(done))
        runner.join(20)


async def _set(event: asyncio.Event) -> None:
    event.set()


def as_yaml(document: Mapping[str, Any]) -> str:
    """Block style at the top, so that a Problem's line tells the key; JSON below, which is YAML."""
    return "".join(f"{key}: {msgspec.json.encode(value).decode()}\n" for key, value in document.items())


def file_tree(files: Mapping[str, bytes]) -> FileTree:
    """The listing of these files; `scripts/…` are executable."""
    return FileTree(
        schema=1,
        files=[
            TreeFile(
                path=path,
                mode="0755" if path.startswith("scripts/") else "0644",
                size_bytes=len(files[path]),
                digest=digest_of(files[path]),
            )
            for path in sorted(files, key=str.encode)
        ],
    )


def run_apart(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that is bound to no loop, from synchronous code inside or outside one."""
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, coroutine).result()
