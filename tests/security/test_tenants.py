"""A tenant's people know their own sites, and nothing by which they could tell that there are others."""

import itertools
import re
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from control_plane.api import live
from control_plane.core.rollout import Member, Rollout
from control_plane.store import audit, clubs, operation_logs, playbacks, rollouts
from control_plane.store.audit import Entry
from control_plane.store.rollouts import Change
from control_plane.watching import Watch
from schemas.analytics import Batch, Playback
from schemas.club import ClubCategory, ClubMirror
from schemas.status import Condition, Event, Metrics, RunningRelease
from tests.contract.test_routes import routes_of
from tests.support import published
from tests.support.api import Api, open_api, until
from tests.support.people import Person, add_person, session_of, token_of
from tests.support.published import NOW, Box, Wanted, report

pytestmark = pytest.mark.anyio
OURS = ("ligue-brest", "ligue-nantes")
THEIRS = tuple(f"zzother-{number}" for number in range(7))
MARK = "zzother"
"""In every name, sentence and id of the other tenant."""
QUERIES = ("", "?q=zzother", "?tenant=zzother", "?tenant=ligue", "?sort=-site&page=2", "?lang=fr", "?span=7d")
PAST = "?past_hours=48"


@pytest.fixture
async def api(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    monkeypatch.setattr(published, "_revisions", (f"{number:040x}" for number in itertools.count(0xABC000)))
    async with open_api(tmp_path, database, listen="0.0.0.0:8470") as opened:
        yield opened


def wanted(site: str, tenant: str) -> Wanted:
    mark = MARK if tenant == MARK else "ours"
    facts = {"tenant": tenant, "club": f"club {mark}", "city": mark, "region": mark, "sports": [mark], "groups": [mark]}
    return Wanted(Box(site).identity, name=f"{site} {mark}", release="2.0.0", facts=facts)


async def live_on(api: Api, tenant: str, sites: tuple[str, ...]) -> None:
    """Publish the sites of a tenant, and let their boxes tell all that boxes can tell."""
    mark = MARK if tenant == MARK else "ours"
    generation = int(api.now.timestamp() * 1000)
    await api.publish(
        {site: wanted(site, tenant) for site in sites}, subject=f"{mark} sites", author=f"{mark} <{mark}@example.org>"
    )
    for number, site in enumerate(sites):
        said = report(
            generation,
            release=RunningRelease(version="2.0.0"),
            metrics=Metrics(temperature_celsius=90 + number, cpu_percent=50),
            conditions=[Condition(type="Degraded", status="True", reason=f"R{mark}", message=mark, since=NOW)],
            events=[Event(number=1, at=NOW, reason=f"E{mark}", message=f"{mark} happened")],
        )
        await api.report(site, said)
        async with api.connection() as conn:
            await clubs.keep(conn, site, ClubMirror(categories=[ClubCategory(id=mark, name=mark)]), api.now)
            played = Playback(played_at=api.now, video_filename=f"{mark}.mp4", session_id=mark)
            await playbacks.keep(conn, site, Batch(kind="event", playbacks=[played]), api.now)
            await operation_logs.keep(conn, site, "look", b"", api.now)
            await audit.record(conn, Entry("log_read", mark, about=f"{site} look"), api.now)


async def roll(api: Api, sites: tuple[str, ...]) -> None:
    """An open rollout whose turn comes to these sites in this order; all wait."""
    async with api.connection() as conn, conn.transaction():
        members = {site: Member(position=place, before="2.0.0") for place, site in enumerate(sites)}
        rollout = Rollout(
            number=len(sites),
            kind="release",
            version="2.1.0",
            policy="standard",
            revision="0" * 40,
            started_at=NOW,
            wave_at=NOW,
            members=members,
        )
        await conn.execute("delete from rollouts")
        await rollouts.write(conn, [Change(None, rollout)])


async def look(api: Api) -> None:
    """Let alerts fire, by the state of two looks some time apart."""
    now = api.now
    for later in (0, 11):
        api.now = now + timedelta(minutes=later)
        await Watch(api.pool, lambda: api.now).look()
    api.now = now


def addresses(api: Api) -> list[str]:
    """Every page and call that a tenant's people may read, for a site of theirs, of others, and of nobody."""
    found: list[str] = []
    for route in routes_of(api.app):
        if route.method != "GET" or not {"readers", "known"} & {*route.audiences} or route.path == "/live":
            continue
        for site in (OURS[0], THEIRS[0], "atlantis") if "{site:" in route.path else ("",):
            path = route.path.replace("{site:str}", site)
            assert "{" not in path, f"{path} needs a name of what is no site"
            queries = (PAST, "") if path == "/v1/alerts" else () if path.startswith("/v1/") else QUERIES
            found += [path + query for query in queries] or [path]
    return found


async def answers(api: Api, person: Person, headers: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """What somebody is answered, whole: status, headers that tell of the content, and the content."""
    told: dict[str, Any] = {}
    async with api.client(base="http://fleet.example.org", peer="203.0.113.9") as client:
        for address in addresses(api):
            kind = "token" if address.startswith("/v1/") else "session"
            for accept in ("text/html", "application/json"):
                answer = await client.get(address, headers={**headers[kind], "Accept": accept})
                kept = {key: value for key, value in answer.headers.items() if key not in ("date", "server")}
                told[f"{address} as {accept}"] = (answer.status_code, kept, answer.text)
    return told


async def test_tenant_is_answered_as_if_others_were_not_there(api: Api) -> None:
    await live_on(api, "ligue", OURS)
    await roll(api, OURS)
    api.now = NOW + timedelta(minutes=5)
    await look(api)
    person = await add_person(api, "anne", "viewer", "ligue")
    headers = {"token": await token_of(api, person), "session": await session_of(api, person)}
    before = await answers(api, person, headers)
    assert sum(status == 200 for status, _, _ in before.values()) > 40
    assert any("ligue-brest" in text and "90" in text for _, _, text in before.values())
    assert any("2.1.0 comes in waves" in text for _, _, text in before.values())

    api.now = NOW + timedelta(minutes=1)
    async with api.connection() as conn:
        await conn.execute("delete from alerts")  # they fire anew, among those of others
    await live_on(api, MARK, THEIRS)
    await roll(api, (*THEIRS, *OURS))
    await add_person(api, f"{MARK}.anne", "admin", MARK)
    api.now = NOW + timedelta(minutes=5)
    await look(api)
    after = await answers(api, person, headers)
    assert after.keys() == before.keys()
    for address, answer in after.items():
        assert answer == before[address], address
        echoed = MARK in address or "atlantis" in address
        assert echoed or MARK not in str(answer).casefold(), address


async def test_site_of_others_is_one_that_does_not_exist(api: Api) -> None:
    await live_on(api, "ligue", OURS)
    await live_on(api, MARK, THEIRS)
    for role in ("viewer", "operator", "admin"):
        person = await add_person(api, f"anne.{role}", role, "ligue")
        headers = {"token": await token_of(api, person), "session": await session_of(api, person)}
        told = await answers(api, person, headers)
        theirs = [address for address in told if THEIRS[0] in address]
        assert len(theirs) > 10
        for address in theirs:
            status, _, text = told[address]
            other_status, _, other = told[address.replace(THEIRS[0], "atlantis")]
            assert (status, text.replace(THEIRS[0], "atlantis")) == (other_status, other), address
            assert status == 404 or text == "[]", address


async def test_calls_that_are_not_for_tenants_tell_nothing_of_what_there_is(api: Api) -> None:
    await live_on(api, "ligue", OURS)
    await live_on(api, MARK, THEIRS)
    person = await add_person(api, "anne", "admin", "ligue")
    token = await token_of(api, person, "read", "write")
    async with api.client(base="http://fleet.example.org", peer="203.0.113.9") as client:
        for route in routes_of(api.app):
            if {"readers", "known", "everyone", "boxes"} & {*route.audiences} or "{site:" not in route.path:
                continue
            bodies = set()
            for site in (OURS[0], THEIRS[0], "atlantis"):
                path = re.sub(r"\{\w+:\w+\}", "look", route.path.replace("{site:str}", site))
                answer = await client.request(route.method, path, headers=token)
                bodies.add((answer.status_code, answer.text))
            assert len(bodies) == 1 and next(iter(bodies))[0] == 403, route


async def test_open_page_of_a_tenant_hears_of_own_sites_alone(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PAUSE_S", 0.01)
    await live_on(api, "ligue", OURS)
    await live_on(api, MARK, THEIRS)
    person = await add_person(api, "anne", "viewer", "ligue")
    generation = int(api.now.timestamp() * 1000)

    async def say(application: Api, site: str, sequence: int) -> None:
        news = application.heads.news
        await api.report(site, report(generation, sequence=sequence))
        await until(lambda: application.heads.news > news)

    headers = await token_of(api, person)
    async with httpx.AsyncClient(trust_env=False, timeout=20, headers=headers) as client:
        async with api.serve() as url:
            answer = await client.send(client.build_request("GET", f"{url}/live"), stream=True)
            lines = (line async for line in answer.aiter_lines() if line)
            assert (await anext(lines)).startswith("retry:")
            for told in (1, 2):
                for other in THEIRS:
                    await say(api, other, told + 1)
                await say(api, OURS[0], told + 1)
                assert [await anext(lines) for _ in range(3)] == [f"id: {told}", "event: news", f"data: {told}"]
        assert [line async for line in lines if not line.startswith(":")] == [], "there was no more to hear"
        await answer.aclose()


async def test_token_of_a_tenant_has_no_more_than_its_owner(api: Api) -> None:
    await live_on(api, "ligue", OURS)
    await live_on(api, MARK, THEIRS)
    person = await add_person(api, "anne", "admin", "ligue")
    headers = await token_of(api, person, "read", "write")
    async with api.client(base="http://fleet.example.org", peer="203.0.113.9") as client:
        fleet = (await client.get("/v1/fleet", headers=headers)).json()
        assert [site["site"] for site in fleet["sites"]] == list(OURS)
        assert sum(fleet["standings"].values()) == len(OURS)
        assert fleet["changes"] == [] and fleet.get("commit") is None
        for method, path in (
            ("POST", "/v1/sites/ligue-brest/enrolment"),
            ("PUT", "/v1/blobs/" + "0" * 64),
            ("GET", "/v1/changes"),
        ):
            assert (await client.request(method, path, headers=headers)).status_code == 403, path


async def test_tenant_without_sites_is_told_so_and_not_of_the_fleet(api: Api) -> None:
    await live_on(api, MARK, THEIRS)
    person = await add_person(api, "anne", "viewer", "ligue")
    async with api.client(base="http://fleet.example.org", peer="203.0.113.9") as client:
        for path in ("/", "/sites", "/map"):
            text = (await client.get(path, headers=await session_of(api, person))).text
            assert "There is no site of yours yet." in text, path
            assert "Nothing was published" not in text and MARK not in text.casefold(), path
