"""A fleet in which every text that a box, a club or an operator can set is a script: committed, told and kept for real.

The commit goes through the pipeline, what boxes tell through the API. `markers` knows what each script was put into.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pygit2

from control_plane.store import enrolments, remotes, tokens
from control_plane.watching import Watch
from schemas import dsse
from schemas.analytics import Batch
from schemas.club import ClubMirror
from schemas.desired import Group, Layer, Location, Operation, Release, Site, Video, VideoSet
from schemas.enrolment import EnrolmentRequest
from schemas.names import Revision, SiteId
from schemas.status import Condition, Event, StatusReport
from tests.support.admins import come_in
from tests.support.hostile import Markers
from tests.support.trust_keys import Changes
from tests.support.world import ServedWorld, World, as_yaml, served_world

SITE, SILENT, PLANNED = "brest", "nantes", "rennes"
OPERATION = "hostile"
FILM = b"a film"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>pwned()</script></svg>"
NEW_BOX = "quimper"


class HostileFleet(NamedTuple):
    """A server and its fleet; `addresses`: for each parameter of a page's path, an example.

    `token`: an operator's, for programs; `cookies`: an admin's, for pages.
    """

    served: ServedWorld
    markers: Markers
    addresses: Mapping[str, str]
    token: str
    cookies: Mapping[str, str]

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.served.url


@contextmanager
def hostile_fleet(folder: Path, database: str) -> Iterator[HostileFleet]:
    """The fleet, served until the context is left."""
    markers = Markers()
    with served_world(folder, database, files=lambda world: _files(world, markers)) as served:
        world = served.world
        world.commit(_operation(markers) | _rolled_out(world), markers.text("Commit.subject"))
        commit = _blame(world, "Ada\" pwned=1 onfocus='pwned()' autofocus x='")
        outcome = served.ingest()
        assert outcome.verdict == "published", outcome.problems
        token = served.run(_furnish(served, markers))
        _tell(served, markers)
        served.run(world.pipeline.roll())
        world.commit({f"sites/{PLANNED}.yaml": _broken(world, markers)}, markers.text("Commit.subject (refused)"))
        assert served.ingest().verdict == "refused"
        served.run(_watch(served, markers))
        examples = {"site": SITE, "group": "hostile", "video": "hostile", "version": "1.0.1", "commit": commit}
        examples |= {"operation": OPERATION, "rollout": "1"}
        yield HostileFleet(served, markers, examples, token, come_in(served))


def _files(world: World, markers: Markers) -> Changes:
    """The first commit: one document of each kind, as hostile as its schema lets it be."""
    fleet = {
        "schema": 1,
        "defaults": {"release": "1.0.0", "video_sets": ["national", "hostile"]},
        "tenants": {"hostile": {"name": markers.text("Fleet.tenants.name")}},
        "rollouts": {"hostile": {"waves": ["100%"]}},
    }
    place = markers.fill(Location, lat=48.4, lon=-4.5)
    film = {"digest": world.upload(FILM), "size_bytes": len(FILM), "thumbnail": world.upload(SVG)}
    group = markers.fill(Group, **_bare(Group), select={"region": place.region}, sites=..., priority=5)
    return {
        **world.first_files(),
        **_release(world, markers),
        "fleet.yaml": as_yaml(fleet),
        "groups/hostile.yaml": _yaml(group),
        "videos/hostile.yaml": _yaml(markers.fill(Video, **film, sponsor="hostile")),
        "video-sets/hostile.yaml": _yaml(markers.fill(VideoSet, videos=["hostile"])),
        **{f"sites/{name}.yaml": _site(world, markers, name, place) for name in (SITE, SILENT)},
        f"sites/{PLANNED}.yaml": world.site_file(PLANNED, identity=False),
    }


def _site(world: World, markers: Markers, name: SiteId, place: Location) -> str:
    identity = dsse.public_line(world.site_key(name).public_key())
    known: dict[str, Any] = {"identity": identity, "timezone": "Europe/Paris", "tenant": "hostile", "state": "active"}
    return _yaml(markers.fill(Site, **_bare(Site), **known, location=place, recipient=..., restore=...))


def _bare(layer: type[Layer]) -> dict[str, Any]:
    """Of a layer only what holds free text: the rest names other documents, or is no text."""
    return {name: ... for name in Layer.__struct_fields__ if name != "config"}


def _release(world: World, markers: Markers) -> Changes:
    files = world.add_release("1.0.1", {"VERSION": b"1.0.1\n"})
    text = files["releases/1.0.1.yaml"]
    assert text is not None
    given = msgspec.yaml.decode(text, type=Release)
    loud = markers.fill(
        Release, version="1.0.1", tree=given.tree, size_bytes=given.size_bytes, requires=..., patches=..., services=...
    )
    return files | {"releases/1.0.1.yaml": _yaml(loud)}


def _operation(markers: Markers) -> Changes:
    target = {"group": "hostile"}
    ends = datetime.now(UTC) + timedelta(days=1)
    asked = markers.fill(Operation, target=target, action="fetch_logs", service=..., since=..., not_after=ends)
    return {f"operations/{OPERATION}.yaml": _yaml(asked)}


def _rolled_out(world: World) -> Changes:
    """Another release for all, in one wave."""
    fleet = world.file("fleet.yaml")
    return {"fleet.yaml": fleet.replace('"release":"1.0.0"', '"release":"1.0.1","rollout":"hostile"')}


def _broken(world: World, markers: Markers) -> str:
    key, value = (msgspec.json.encode(markers.text(f"Site.{what} (refused)")).decode() for what in ("key", "value"))
    return world.site_file(PLANNED, identity=False) + f"{key}: {value}\n"


def _blame(world: World, author: str) -> Revision:
    """The commit at the tip, as if this author had made it; what stands behind `<` is cut from an author's name."""
    repository = pygit2.Repository(str(world.remote))
    tip = repository.references["refs/heads/main"]
    raw: bytes = repository.read(tip.target)[1]
    blamed = re.sub(rb"^author .*? <", b"author " + author.encode() + b" <", raw, count=1, flags=re.MULTILINE)
    made = repository.write(pygit2.enums.ObjectType.COMMIT, blamed)
    tip.set_target(made)
    return str(made)


def _yaml(document: Any) -> str:
    plain = msgspec.to_builtins(document)
    return as_yaml({key: value for key, value in plain.items() if value is not None})


def _tell(served: ServedWorld, markers: Markers) -> None:
    """What a box tells through the API: its report, its club, what was played, a log; and a new box."""
    with httpx.Client(base_url=served.url, headers=served.world.headers(SITE), trust_env=False) as box:
        said = {"run_id": "0" * 32, "sequence": 1, "generation": ..., "head_generation": ...}
        events = [markers.fill(Event, number=1), markers.fill(Event, number=2, reason="OperationFailed")]
        events += [markers.fill(Event, number=3, reason="OperationFailed", message=_result(markers))]
        conditions = [
            markers.fill(Condition, type=kind, status=status)
            for kind, status in (("Synced", "False"), ("Degraded", "True"), ("ReleaseHealthy", "False"))
        ]
        report = markers.fill(StatusReport, **said, conditions=conditions, events=events)
        told = {
            f"/v1/sites/{SITE}/status": report,
            f"/v1/sites/{SITE}/analytics": markers.fill(Batch),
            f"/v1/sites/{SITE}/club": markers.fill(ClubMirror),
        }
        for path, document in told.items():
            method = "PUT" if path.endswith("club") else "POST"
            answer = box.request(method, path, content=msgspec.json.encode(document))
            assert answer.is_success, (path, answer.text)
        log = markers.text("log").encode()
        assert box.post(f"/v1/sites/{SITE}/logs/{OPERATION}", content=log).is_success


def _result(markers: Markers) -> str:
    """How an operation ended, its name a script without a space."""
    return f"Operation {markers.text('Event.message (operation)').replace(' ', '/')} (fetch_logs) failed"


async def _furnish(served: ServedWorld, markers: Markers) -> str:
    """An operator and an enrolled box with hostile names; the operator's token."""
    now = served.world.clock()
    ends = now + timedelta(days=1)
    async with served.world.connection() as conn:
        secret = await enrolments.add(conn, NEW_BOX, markers.text("Enrolment.made_by"), now=now, expires_at=ends)
        token = await enrolments.find(conn, secret)
        assert token is not None
        asked = markers.fill(EnrolmentRequest, secret=secret, site=NEW_BOX)
        assert await enrolments.use(conn, token, asked, now)
        return await tokens.add_token(conn, markers.text("Token.name"), ["read", "write"], now=now, expires_at=ends)


async def _watch(served: ServedWorld, markers: Markers) -> None:
    """The remote fails, and alerts fire."""
    world = served.world
    async with world.connection() as conn:
        await remotes.record_look(conn, world.clock() - timedelta(hours=2), None, markers.text("remote error"))
    step = await Watch(world.opened.pool, world.clock, listens_since=world.clock() - timedelta(days=1)).look()
    assert step.news
