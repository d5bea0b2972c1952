"""Seven months of a control plane: commits, good, wrong and gone; boxes, people, strangers; its database away.

The clock of the server and of its clients is put forward by twelve hours after each turn. What happens between two
counts is the same each time, so that equal moments are compared.
"""

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import psycopg
import zstandard

from control_plane import passwords
from control_plane.store import tokens, users
from control_plane.store.pool import open_connection
from schemas.analytics import Batch, Playback
from schemas.backup import AGE_MAGIC
from schemas.names import SiteId, digest_of
from schemas.status import Boot, Condition, Event, History, RunningRelease, Sample
from tests.soak.asked import Asked, asked_plane
from tests.soak.counting import Figures, descriptors, folder, process
from tests.soak.web import Line, as_json, line, render
from tests.support.published import report
from tests.support.stoppable_postgres import StoppablePostgres
from tests.support.world import SITES, World, as_yaml, make_world

TURN: Final = timedelta(hours=12)
TURNS_A_DAY: Final = 2
COUNT_EVERY: Final = 8
"""Turns between two counts: four days."""
COMMITS: Final = 8
"""A turn."""
POLLS: Final = 26
"""Of each box, a turn; one more is held and broken off."""
KEEP: Final = {
    "keep_events_s": 7 * 86_400,
    "keep_conditions_s": 14 * 86_400,
    "keep_audit_s": 14 * 86_400,
    "keep_metrics_s": 93 * 86_400,
    "keep_playbacks_s": 93 * 86_400,
}
FOLDERS: Final = ("clone.git", "clone.git.home", "documents", "objects", "uploads", "uploads-of-boxes")
PAGES: Final = (
    "/",
    "/sites?q=brest",
    "/map",
    "/reports?by=week",
    "/system",
    "/changes",
    "/alerts",
    "/sites/brest",
    "/library",
)
FILM: Final = b"a film that nobody sees to its end " * 120_000
"""4 MB: more than the kernel takes for a client that does not read."""
PASSWORD: Final = "a tall tale of two boxes"


class FleetLife:
    """The fleet, its server and its database; `turn` is half a day, `count` what is held then."""

    def __init__(self, folder: Path, world: World, database: StoppablePostgres, plane: Asked, told: "Told") -> None:
        self._folder, self._world, self._database, self._plane, self.told = folder, world, database, plane, told
        self._numbers = itertools.count(1)
        self._turns = 0
        self._cookie = ""
        self._token = ""
        self._etags: dict[SiteId, str] = {}
        self.done = dict.fromkeys(("commits", "polls", "reports", "broken off", "pages", "refused", "logins"), 0)

    @property
    def now(self) -> datetime:
        """By everybody's clock."""
        return self._world.clock()

    async def begin(self) -> None:
        """The first commit, an operator with a password and a token."""
        assert await self._plane.tell("ingest") in ("published", "unchanged")
        conn = await open_connection(self._database.conninfo)
        async with conn:
            number = await users.add_user(
                conn, "ada", "operator", None, password=passwords.hashed(PASSWORD), ends_at=None, now=self.now
            )
            assert number is not None
            self._token = await tokens.add_token(
                conn, "desk", ["read", "write"], now=self.now, expires_at=self.now + timedelta(days=999), owner=number
            )

    async def turn(self) -> None:
        """Twelve hours."""
        self._turns += 1
        for _ in range(COMMITS):
            await self._commit()
        with line(self._plane.url) as web:
            await asyncio.gather(*(self._box(site) for site in SITES))
            await self._people(web)
            await self._strangers(web)
        if self._turns % (2 * TURNS_A_DAY) == 0:
            await self._troubles()
            await self._worry()
        await self._plane.tell("jobs")
        if self._turns % COUNT_EVERY == 0:
            await self._plane.tell("sweep")
        self._age_uploads()
        self._world.clock.offset += TURN
        await self._plane.tell(f"clock {self._world.clock.offset.total_seconds()}")

    def _age_uploads(self) -> None:
        """Files age by the machine's own clock, which nobody puts forward."""
        for name in ("uploads", "uploads-of-boxes"):
            for file in (self._world.folder / "server" / name).rglob("*"):
                if file.is_file():
                    was = file.stat().st_mtime - TURN.total_seconds()
                    os.utime(file, (was, was))

    # Operators

    async def _commit(self) -> None:
        number = next(self._numbers)
        site = SITES[number % len(SITES)]
        changes: dict[str, str | None] = {
            f"sites/{site}.yaml": self._world.site_file(site, config={"volume": number % 100})
        }
        if number % 60 == 0:
            changes |= self._other_video(number)
        if number % 40 == 0:
            changes["sites/visitor.yaml"] = self._world.site_file("visitor", name=f"Visitor {number}")
        if number % 40 == 20 and number > 40:
            changes |= {"sites/visitor.yaml": None}
        if number % 300 == 0:
            changes |= self._other_release(number // 300)
        if number % 25 == 0:
            self._world.commit({"sites/brest.yaml": "name: [open"}, "Make a mistake")
            assert await self._plane.tell("ingest") == "refused"
            changes["sites/brest.yaml"] = self._world.site_file("brest", name=f"brest {number}")
        self._world.commit(changes, f"Change {number}")
        assert (found := await self._plane.tell("ingest")) == "published", found
        self.done["commits"] += 1

    def _other_video(self, number: int) -> dict[str, str | None]:
        """Another film in the set, in the place of the one before."""
        before = f"videos/clip-{number - 60}.yaml"
        gone: dict[str, str | None] = {before: None} if number > 60 else {}
        made = self._world.add_video(f"clip-{number}", f"clip {number}".encode() * 200)
        return gone | made | national_set(f"clip-{number}")

    def _other_release(self, number: int) -> dict[str, str | None]:
        """A release that nobody wants yet, in the place of the one before."""
        before, version = f"1.{number - 1}.0", f"1.{number}.0"
        gone = self._world.keys.allowed.pop(before, None) if number > 1 else None
        made = self._world.add_release(version, {"VERSION": version.encode(), "server/app.py": b"x"})
        return made | ({f"releases/{before}.yaml": None} if gone else {})

    async def _troubles(self) -> None:
        """History rewritten, the remote away, the database away: each for a moment."""
        tip = str(self._world._repository.references["refs/heads/main"].target)
        aside = self._world.commit({"sites/nantes.yaml": self._world.site_file("nantes", name="Aside")}, "Aside")
        assert await self._plane.tell("ingest") == "published"
        self._world.rewind(tip)
        assert await self._plane.tell("ingest") == "NotFastForward"
        self._world.rewind(aside)
        away = self._world.remote.rename(self._world.remote.with_name("away.git"))
        assert await self._plane.tell("ingest") == "RemoteUnreachable"
        away.rename(self._world.remote)
        if self._turns % (8 * TURNS_A_DAY) == 0:
            await asyncio.to_thread(self._database.stop)
            assert await self._plane.tell("ingest") == "DatabaseUnavailable"
            await asyncio.to_thread(self._database.start)
        async with asyncio.timeout(60):
            while await self._plane.tell("ingest") not in ("unchanged", "published"):
                await asyncio.sleep(0.1)

    async def _worry(self) -> None:
        """A commit that stays wrong for a while: somebody is told of it, and that it is mended."""
        self._world.commit({"sites/brest.yaml": "name: [open"}, "Make a mistake and go home")
        assert await self._plane.tell("ingest") == "refused"
        await self._plane.tell("jobs")
        await self._mend()

    async def _mend(self) -> None:
        self._world.commit({"sites/brest.yaml": self._world.site_file("brest")}, "Mend it")
        assert await self._plane.tell("ingest") == "published"

    async def _people(self, web: Line) -> None:
        if self._turns % TURNS_A_DAY == 1:
            await self._log_in(web, "wrong")
            await self._log_in(web, PASSWORD)
        headers = {"Cookie": self._cookie, "Accept": "text/html"}
        for page in PAGES:
            answer = await web.ask("GET", page, headers)
            assert answer.status == 200, (page, answer)
            self.done["pages"] += 1
        for page in ("/", f"/sites?q={self._turns}", f"/reports?by=month&count={self._turns % 50}"):
            await web.leave(render("GET", page, headers), 0.005)
        for _ in range(3):
            assert await web.glimpse(render("GET", "/live", headers)) == 200
            self.done["broken off"] += 1
        bearer = {"Authorization": f"Bearer {self._token}"}
        for path in ("/v1/fleet", "/v1/changes", "/metrics"):
            answer = await web.ask("GET", path, bearer)
            assert answer.status == 200, (path, answer)
        film = f"half a film {self._turns}".encode() * 999
        put = {**bearer, "Content-Type": "application/octet-stream"}
        await web.leave(
            render("PUT", f"/v1/blobs/sha256:{sha256(film).hexdigest()}", put, film[:5000], len(film)), 0.01
        )

    async def _log_in(self, web: Line, password: str) -> None:
        form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://127.0.0.1"}
        body = urlencode({"name": "ada", "password": password}).encode()
        answer = await web.ask("POST", "/login", form | {"X-Forwarded-For": self._address()}, body)
        self.done["logins"] += 1
        if answer.cookies:
            self._cookie = answer.cookies[-1]

    def _address(self) -> str:
        number = self._turns
        return f"198.{18 + number // 65_536 % 2}.{number // 256 % 256}.{number % 256}"

    # Boxes

    async def _box(self, site: SiteId) -> None:
        with line(self._plane.url) as web:
            headers = self._world.headers(site)
            path = f"/v1/sites/{site}"
            for _ in range(POLLS):
                tag = {"If-None-Match": self._etags[site]} if site in self._etags else {}
                answer = await web.ask("GET", f"{path}/head", self._world.headers(site) | tag)
                assert answer.status in (200, 304), answer
                self._etags[site] = answer.headers["etag"]
                self.done["polls"] += 1
            held = headers | {"If-None-Match": self._etags[site], "Prefer": "wait=50"}
            await web.leave(render("GET", f"{path}/head", held), 0.01)
            assert await web.glimpse(render("GET", f"/v1/blobs/{digest_of(FILM)}", headers)) == 200
            self.done["broken off"] += 2
            await self._report(web, site)
            await self._rest(web, site)

    async def _report(self, web: Line, site: SiteId) -> None:
        """Once with news, once again, once without; and one that is cut off in the middle."""
        number, uptime_s = self._turns, self._turns * TURN.total_seconds()
        well = number % 8 != 0
        said = Condition(
            type="Synced", status="True" if well else "False", reason="Synced" if well else "Late", since=self.now
        )
        samples = [
            Sample(boot=0, uptime_s=uptime_s - 600 * back, span_s=600, cpu_percent=5.0, memory_percent=40.0)
            for back in range(72, 0, -1)
        ]
        made = report(
            1,
            sequence=number,
            run_id=sha256(site.encode()).hexdigest()[:32],
            at=self.now,
            conditions=[said],
            release=RunningRelease(version="1.0.0"),
            history=History(
                boots=[Boot(id=f"{sha256(site.encode()).hexdigest()[:32]}", started_at=self._began)],
                samples=samples,
            ),
            events=[Event(number=number, at=self.now, reason="Converged", message="It is there.")],
        )
        headers = self._world.headers(site) | {"Content-Type": "application/json"}
        path, body = f"/v1/sites/{site}/status", as_json(made)
        for one in (body, body):
            answer = await web.ask("POST", path, headers, one)
            assert answer.status == 204, answer
            self.done["reports"] += 1
        await web.leave(render("POST", path, headers, body[:300], len(body)), 0.005)
        answer = await web.ask("POST", path, headers, b'{"run_id": "no"}')
        assert answer.status == 400, answer
        self.done["refused"] += 1

    @property
    def _began(self) -> datetime:
        return self.now - self._turns * TURN

    async def _rest(self, web: Line, site: SiteId) -> None:
        """What was played, a log, a backup, and a video of the club's that is never sent to its end."""
        headers = self._world.headers(site)
        played = [
            Playback(played_at=self.now - timedelta(minutes=number), video_filename="but.mp4", session_id="s")
            for number in range(10)
        ]
        batch = zstandard.compress(as_json(Batch(kind="event", playbacks=played)))
        packed = headers | {"Content-Type": "application/json", "Content-Encoding": "zstd"}
        answer = await web.ask("POST", f"/v1/sites/{site}/analytics", packed, batch)
        assert answer.status == 204, answer
        text = headers | {"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "zstd"}
        log = zstandard.compress(f"lines {self._turns}".encode())
        await web.ask("POST", f"/v1/sites/{site}/logs/{self._turns}-logs", text, log)
        plain = headers | {"Content-Type": "application/octet-stream"}
        film = AGE_MAGIC + f"{site} {self._turns}".encode() * 500
        name = f"sha256:{sha256(film).hexdigest()}"
        piece = plain | {"Content-Range": f"bytes 0-{len(film) - 1}/{len(film)}"}
        path = f"/v1/sites/{site}/backup/videos/{name}"
        await web.leave(render("PUT", path, piece, film[:2000], len(film)), 0.005)
        if self._turns % TURNS_A_DAY == 0:
            answer = await web.ask("PUT", f"/v1/sites/{site}/backup", plain, AGE_MAGIC + f"{self._turns}".encode() * 99)
            assert answer.status == 204, answer

    # Strangers

    async def _strangers(self, web: Line) -> None:
        """Each under an address and names of its own, which nobody may make the server keep."""
        for number in range(6):
            key = f"{self._turns}-{number}"
            near = {"X-Forwarded-For": f"203.0.{self._turns % 256}.{number}"}
            bearer = near | {"Authorization": f"Bearer {key}.{key}.{key}"}
            for method, path in (
                ("GET", f"/v1/sites/{key}/head"),
                ("GET", f"/v1/blobs/sha256:{sha256(key.encode()).hexdigest()}"),
                ("GET", f"/sites/{key}"),
                ("GET", f"/{key}"),
                (f"X{key}", "/"),
                ("GET", f"/v1/trust/{self._turns * 10 + number}"),
                ("GET", f"/library/{key}?{key}={key}"),
            ):
                answer = await web.ask(method, path, bearer)
                assert 400 <= answer.status < 500, (method, path, answer)
                self.done["refused"] += 1
            posted = near | {"Content-Type": "application/json"}
            answer = await web.ask("POST", "/v1/enrolments", posted, json.dumps({"token": key}).encode())
            assert 400 <= answer.status < 500, answer

    # Counting

    async def count(self) -> Figures:
        """Everything that is held, when nothing is under way any more."""
        data = self._world.folder / "server"
        pid = self._plane.pid
        async with asyncio.timeout(90):
            while (found := await self._plane.tell("count"))["tasks"] > self._plane.tasks_at_rest:
                await asyncio.sleep(0.2)
        folders = {name: data / name for name in FOLDERS}
        figures: dict[str, float] = {**found, **descriptors(pid, folders | {"data": data}), **process(pid)}
        for name, path in folders.items():
            figures |= folder(name, path)
        return figures | await asyncio.to_thread(self._tables)

    def _tables(self) -> dict[str, float]:
        """Rows of each table (partitions with their parent), connections, and the size of all of it."""
        with psycopg.connect(self._database.conninfo, autocommit=True) as conn:
            conn.execute("analyze")
            rows = conn.execute(
                "select c.relname, c.relkind from pg_class c join pg_namespace n on n.oid = c.relnamespace"
                " where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition"
            ).fetchall()
            found = {
                f"rows: {name}": conn.execute(
                    psycopg.sql.SQL("select count(*) from {}").format(psycopg.sql.Identifier(name))
                ).fetchone()[0]  # type: ignore[index]
                for name, _ in rows
            }
            parts = conn.execute("select count(*) from pg_class where relispartition and relkind = 'r'").fetchone()
            own = conn.execute(
                "select count(*) from pg_stat_activity where application_name = 'neopro-fleet' or query like 'listen%'"
            ).fetchone()
            assert parts and own
            return found | {"partitions": parts[0], "connections to PostgreSQL": own[0]}


def national_set(*more: str) -> dict[str, str | None]:
    """The set of films that every site shows: the long one, and others."""
    national = {
        "name": "National",
        "category": {"id": "annonces", "name": "ANNONCES"},
        "blocks": ["before", "after"],
        "loop": "sponsors",
        "videos": ["clip-a", "clip-b", "film", *more],
    }
    return {"video-sets/national.yaml": as_yaml(national)}


class Told:
    """Where people are told of alerts: it takes every second message, and hangs up on the others."""

    def __init__(self) -> None:
        self.messages = 0

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One message."""
        await reader.read(1 << 16)
        self.messages += 1
        if self.messages % 2 == 0:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()


@asynccontextmanager
async def fleet_life(at: Path, database: StoppablePostgres, seed: str = "") -> AsyncIterator[FleetLife]:
    """A fleet whose first commit is published, and its server."""
    world, told = make_world(at), Told()
    world.commit(world.first_files() | world.add_video("film", FILM) | national_set(), "Start the fleet")
    (at / "database").write_text(database.conninfo)
    async with await asyncio.start_server(told.hear, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        (at / "channels.toml").write_text(f'[[channel]]\nname = "desk"\nurl = "json://127.0.0.1:{port}/"\n')
        settings = world.settings_file(
            database_url_file=at / "database",
            notifications=at / "channels.toml",
            poll_s=3600,
            trusted_proxy=["127.0.0.1/32"],
            log_level="warning",
            **KEEP,
        )
        async with asked_plane(settings, seed) as plane:
            life = FleetLife(at, world, database, plane, told)
            await life.begin()
            yield life
