"""A believable fleet of some forty sites with three weeks behind it, to look at: every standing, alerts, long names.

Committed in the past through the pipeline, with the clock set back; what boxes told since then is kept as if it had
come in time. The box of REPORTING reports through the API as often as one likes.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import msgspec
import pygit2
import zstandard
from msgspec.structs import replace

from cli.demo.clips import clip_of, make_clip
from cli.media import look_at
from control_plane.core.rollout import Member
from control_plane.store import activity, clubs, operation_logs, partitions, publications, reports, rollouts
from control_plane.store.activity import Counted
from control_plane.store.pool import Connection
from control_plane.watching import Watch
from schemas.club import ClubCategory
from schemas.desired import Video
from schemas.names import Revision, SiteId
from schemas.status import RunningRelease, StatusReport
from tests.support.admins import come_in
from tests.support.published import report
from tests.support.served_fleet import CLUB
from tests.support.trust_keys import Changes
from tests.support.watched_places import Place, places
from tests.support.watched_reports import SILENT, failed_release, healthy, said_of, silence_of
from tests.support.world import ServedWorld, World, as_yaml, served_world

SAMPLE: Final = Path(__file__).resolve().parents[2] / "fleet-state"
PLACES: Final = places()
REPORTING: Final = "brest-handball"
BUSY: Final = ("Vannes", "Lorient", "Toulouse", "Angers", "Lyon")
OPERATION: Final = "logs-bretagne"
FIRST, SECOND, THIRD, FOURTH = timedelta(days=21), timedelta(days=9), timedelta(minutes=50), timedelta(minutes=40)
"""How long ago the commits were made."""
POLICIES: Final = {
    "pilot": {"waves": ["100%"], "soak": "1m"},
    "standard": {
        "waves": ["10%", "25%", "50%", "75%", "100%"],
        "soak": "5m",
        "max_failures": 0,
        "on_failure": "hold",
    },
    "careful": {"waves": ["50%", "100%"], "soak": "2h"},
}
_CLUB: Final = replace(CLUB, categories=[CLUB.categories[0], ClubCategory(id="match", name="Match SM1")])
_MEMORY: Final = Path(__file__).with_name("watched_memory.sql")
_PEOPLE: Final = (("Ada Martin", "ada@neopro.example"), ("Yann Le Goff", "yann@neopro.example"))


class WatchedFleet(NamedTuple):
    """The fleet's server; `addresses`: for each parameter of a page's path, an example; `cookies`: an admin's."""

    served: ServedWorld
    addresses: Mapping[str, str]
    generation: int
    cookies: Mapping[str, str]

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.served.url

    def release(self, version: str) -> RunningRelease:
        """A release as a box that has it says so."""
        return _release(self.served.world, version)

    def tell(self, sequence: int, **said: Any) -> None:
        """A report of the box of REPORTING, through the API."""
        world = self.served.world
        known = said_of("Brest", self.generation, world.clock(), _release(world, "2.2.0"))
        body = report(**known | {"at": world.clock(), "sequence": sequence, "run_id": "f" * 32} | said)
        url = f"{self.url}/v1/sites/{REPORTING}/status"
        answer = httpx.post(
            url, content=msgspec.json.encode(body), headers=world.headers(REPORTING), trust_env=False, timeout=30
        )
        answer.raise_for_status()


@contextmanager
def watched_fleet(folder: Path, database: str) -> Iterator[WatchedFleet]:
    """The fleet, served until the context is left."""
    with served_world(folder, database, files=_first) as served:
        world = served.world
        served.run(_reported(served, 1, FIRST - timedelta(minutes=3), ("Reims",)))
        _commit(served, SECOND, _second(world), "Release 2.2.0 to Bretagne, and the partners of its harbours", 1)
        served.run(_reported(served, 2, SECOND - timedelta(minutes=2), ("Reims", "Vannes")))
        served.run(_roll(served, SECOND - timedelta(minutes=4), SECOND - timedelta(minutes=6)))
        world.clock.offset = -THIRD
        commit = _commit(served, THIRD, _third(world), "Show the partners of the season in every club until June", 0)
        served.run(_reported(served, 3, THIRD - timedelta(minutes=1), (*BUSY, *SILENT)))
        _commit(served, FOURTH, _fourth(world), "Release 2.2.0 to the rest of France, in waves", 1)
        rollout = served.run(_halted(served))
        world.clock.offset = timedelta()
        served.run(world.pipeline.renew())
        generation = served.run(_now(served))
        served.run(Watch(world.opened.pool, world.clock, listens_since=world.clock() - FIRST).look())
        examples = {
            "rollout": rollout,
            "site": "vannes-rugby",
            "group": "bretagne",
            "video": "eau-vive",
            "version": "2.2.0",
        }
        yield WatchedFleet(served, {**examples, "commit": commit, "operation": OPERATION}, generation, come_in(served))


def _commit(served: ServedWorld, ago: timedelta, changes: Changes, message: str, who: int) -> Revision:
    world = served.world
    world.clock.offset = -ago
    author = pygit2.Signature(*_PEOPLE[who], int(world.clock().timestamp()), 60)
    revision = world.commit(changes, message, author)
    outcome = served.ingest()
    assert outcome.verdict == "published", outcome.problems
    return revision


def _first(world: World) -> Changes:
    """The fleet as it began."""
    world.clock.offset = -FIRST
    fleet = {
        "schema": 1,
        "defaults": {"release": "2.1.3", "video_sets": ["annonces-nationales"]},
        "tenants": {"ligue-bretagne": {"name": "Ligue de Bretagne"}},
        "rollouts": POLICIES,
    }
    sample = {
        f"{folder}/{path.name}": path.read_text("utf-8")
        for folder in ("groups", "video-sets")
        for path in (SAMPLE / folder).glob("*.yaml")
    }
    premium = sample["groups/premium.yaml"]
    sample["groups/premium.yaml"] = premium.replace("rennes-fc", "rennes-football").replace("lyon-h", "dijon-h")
    sample["groups/beta.yaml"] = sample["groups/beta.yaml"].replace("release: 2.2.0", "release: 2.1.3")
    return {
        **sample,
        **_library(world),
        **world.add_release("2.1.3", {"VERSION": b"2.1.3\n"}, changelog="The remote control starts twice as fast."),
        **{f"sites/{place.site}.yaml": _site(world, place) for place in PLACES},
        "fleet.yaml": as_yaml(fleet),
        **world.keys.next_root(),
    }


def _site(world: World, place: Place) -> str:
    return world.site_file(place.site, identity=place.has_box, **place.document)


def _library(world: World) -> Changes:
    """The videos of the sample, as real as it takes to have a thumbnail."""
    found: Changes = {}
    for path in sorted((SAMPLE / "videos").glob("*.yaml")):
        video = msgspec.yaml.decode(path.read_bytes(), type=Video)
        clip = make_clip(clip_of(path.stem, video.name)._replace(duration_s=0.2), world.folder / "clips")
        look = look_at(clip)
        assert look is not None
        keys = {"thumbnail": world.upload(look.thumbnail), "media": msgspec.to_builtins(look.media)}
        found |= world.add_video(path.stem, clip.read_bytes(), name=video.name, **keys)
    return found


def _second(world: World) -> Changes:
    """Another release for a region."""
    group = world.file("groups/bretagne.yaml").replace("# release: 2.2.0", "release: 2.2.0\nrollout: pilot")
    files = {"VERSION": b"2.2.0\n"}
    beta = world.file("groups/beta.yaml").replace("release: 2.1.3", "release: 2.2.0\nrollout: pilot")
    changelog = "The live score is shown over the clip.\nThe score can be reset from the remote control."
    groups = {"groups/bretagne.yaml": group, "groups/beta.yaml": beta}
    return {**groups, **world.add_release("2.2.0", files, changelog=changelog)}


def _third(world: World) -> Changes:
    """Something for everybody, and an operation."""
    day = (world.clock() + timedelta(days=10)).date().isoformat()
    national = world.file("video-sets/annonces-nationales.yaml").replace("2027-06-30", day)
    operation = {
        "target": {"group": "bretagne"},
        "action": "fetch_logs",
        "since": "2h",
        "not_after": (world.clock() + timedelta(days=2)).isoformat(),
    }
    return {
        "video-sets/annonces-nationales.yaml": national + "  - voile-et-vent\n",
        f"operations/{OPERATION}.yaml": as_yaml(operation),
    }


def _fourth(world: World) -> Changes:
    """The newest release for everybody else, the clubs with the large contract by another policy."""
    fleet = world.file("fleet.yaml").replace('"release":"2.1.3"', '"release":"2.2.0","rollout":"standard"')
    premium = world.file("groups/premium.yaml") + "rollout: careful\n"
    return {"fleet.yaml": fleet, "groups/premium.yaml": premium}


async def _roll(served: ServedWorld, *agos: timedelta) -> None:
    """Let the server look at its rollouts so long ago."""
    for ago in agos:
        served.world.clock.offset = -ago
        await served.world.pipeline.roll()


async def _halted(served: ServedWorld) -> str:
    """Its first wave does well; of the second one box fails, and one says nothing. Its number."""
    minute, world = timedelta(minutes=1), served.world
    await _told_of_release(world, FOURTH - minute, "standard", 0)
    await _told_of_release(world, FOURTH - minute, "careful", 0)
    await _roll(served, FOURTH - 2 * minute, FOURTH - 8 * minute)
    await _told_of_release(world, FOURTH - 10 * minute, "standard", 1, {0: "failed", 1: "pending"})
    await _roll(served, FOURTH - 11 * minute)
    async with world.connection() as conn:
        opened = await rollouts.opened(conn)
    [halted] = [one for one in opened if one.phase == "halted"]
    assert {one.policy: one.phase for one in opened} == {"standard": "halted", "careful": "rolling"}, opened
    return str(halted.number)


async def _told_of_release(
    world: World, ago: timedelta, policy: str, wave: int, outcomes: Mapping[int, str] = {}
) -> None:
    """The boxes of a wave said so long ago that they run it, but the `outcomes` of these, by their order."""
    at = _ago(world, ago)
    async with world.connection() as conn:
        [rollout] = [one for one in await rollouts.opened(conn) if one.policy == policy]
        heads = await _heads(conn)
        members = sorted(rollout.members, key=lambda site: rollout.members[site].position)
        own = [site for site in members if rollout.members[site].wave == wave]
        told = []
        for place, site in enumerate(own):
            if (outcome := outcomes.get(place, "well")) != "pending":
                known = said_of("", heads[site], at, _release(world, "2.1.3" if outcome == "failed" else "2.2.0"))
                said = known | (failed_release(at) if outcome == "failed" else {})
                told.append(reports.Received(site, _report(at, said | {"sequence": 4}), at))
        await reports.record(conn, told)


async def _let_in(conn: Connection) -> Mapping[SiteId, Member]:
    """The sites that open rollouts have reached."""
    return {site: member for one in await rollouts.opened(conn) for site, member in one.let_in.items()}


def _day(now: datetime) -> Iterator[Counted]:
    """What boxes sent in the last day: a report every five minutes, and a film in the evening."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    for ago in range(24):
        at = hour - timedelta(hours=ago)
        fetched = 28_000_000 * (1 + ago % 5) if 17 <= at.hour <= 21 or ago == 0 else 0
        for place in PLACES[:32]:
            yield Counted(at=at, site=place.site, reports=12, downloads=int(fetched > 0), download_bytes=fetched)


def _release(world: World, version: str) -> RunningRelease:
    return RunningRelease(version=version, tree=world.keys.allowed[version].tree)


async def _reported(served: ServedWorld, sequence: int, ago: timedelta, but: Collection[str]) -> None:
    """The boxes, but those of these towns, said so long ago that they were as desired."""
    world = served.world
    at = _ago(world, ago)
    async with world.connection() as conn:
        await partitions.make(conn, at)
        heads = await _heads(conn)
        told = []
        for place in PLACES:
            if place.has_box and place.town not in but:
                release = _release(world, _version(place, ago))
                conditions = healthy(at)
                said = report(heads[place.site], sequence=sequence, at=at, release=release, conditions=conditions)
                told.append(reports.Received(place.site, said, at + _delay(place)))
        await reports.record(conn, told)


async def _now(served: ServedWorld) -> int:
    """What boxes said last, what they measured, what clubs own; the generation of REPORTING."""
    world, now = served.world, served.world.clock()
    async with world.connection() as conn:
        await partitions.make(conn, now)
        heads = await _heads(conn)
        let_in = await _let_in(conn)
        told = [_last(world, place, heads[place.site], now, let_in) for place in PLACES if place.has_box]
        await reports.record(conn, [one for one in told if one is not None])
        await conn.execute("delete from silences")
        await _remember(conn, now)
        await activity.add(conn, list(_day(now)))
        await clubs.keep(conn, REPORTING, _CLUB, now - timedelta(minutes=12))
        await clubs.keep(conn, "vannes-rugby", _CLUB, now - timedelta(hours=5))
        text = zstandard.compress(b"neopro-app: started\n")
        for site in (REPORTING, "vannes-rugby"):
            await operation_logs.keep(conn, site, OPERATION, text, now - timedelta(minutes=30))
    return heads[REPORTING]


def _last(
    world: World, place: Place, generation: int, now: datetime, let_in: Mapping[SiteId, Member]
) -> reports.Received | None:
    silence, member = silence_of(place.town), let_in.get(place.site)
    if silence is None or (member is not None and member.outcome == "pending"):
        return None
    at = now - silence
    version = "2.2.0" if member is not None and member.outcome == "well" else _version(place, silence)
    said = said_of(place.town, generation, at, _release(world, version))
    if member is not None and member.outcome == "failed":
        said |= failed_release(at)
    return reports.Received(place.site, _report(at, said), at)


def _report(at: datetime, said: Mapping[str, Any]) -> StatusReport:
    return report(**{"at": at, "sequence": 9, **said})


def _version(place: Place, ago: timedelta) -> str:
    """What its box ran so long ago: the newest from SECOND on in Bretagne, but where it was taken back."""
    has_newest = place.document["location"]["region"] == "Bretagne" and place.town != "Vannes"
    return "2.2.0" if has_newest and ago < SECOND else "2.1.3"


async def _heads(conn: Connection) -> dict[SiteId, int]:
    return {row.site: row.generation for row in await publications.all_heads(conn)}


async def _remember(conn: Connection, now: datetime) -> None:
    """What boxes measured in the last 90 days."""
    sites = [place.site for place in PLACES if place.has_box]
    for statement in _MEMORY.read_text("utf-8").split(";\n\n"):
        await conn.execute(statement.encode(), {"now": now, "sites": sites})


def _ago(world: World, ago: timedelta) -> datetime:
    return world.clock() - world.clock.offset - ago


def _delay(place: Place) -> timedelta:
    return timedelta(seconds=len(place.site) * 7 % 90)
