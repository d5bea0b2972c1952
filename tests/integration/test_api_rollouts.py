"""Rollouts as programs read them: a list by figures, each with its sites, and a site with the ones that it is in."""

from datetime import timedelta

import msgspec
import pytest

from control_plane.core.rollout import Member, Rollout
from control_plane.store import library, rollouts
from control_plane.store.rollouts import Change
from schemas.api import FleetStatus, SiteDetail
from schemas.desired import Fleet, Layer, RolloutPolicy
from schemas.rollouts import Cause, RolloutDetail, RolloutInfo, RolloutSite, SiteRollout
from tests.support.api import Api
from tests.support.people import add_person, token_of
from tests.support.published import Box, Wanted

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]

SITES = ("brest", "nantes", "rennes")
FAILED = Cause(kind="wave", count=1, sites=1, wave=1, allowed="95%")


async def three(api: Api) -> None:
    """Three sites, and rollouts of theirs: one done, one halted, one that has just begun."""
    await api.publish({site: Wanted(Box(site).identity, release="2.0.0") for site in SITES})
    members = {site: Member(position=place, before="2.0.0") for place, site in enumerate(SITES)}
    told = {"let_in_at": api.now, "wave": 0}
    failed = Member(position=0, before="2.0.0", outcome="failed", why="It does not start.", **told)
    common = {"policy": "standard", "revision": "a" * 40, "started_at": api.now, "wave_at": api.now}
    done = Rollout(
        number=1,
        kind="release",
        version="2.0.0",
        phase="done",
        ended_at=api.now,
        members={"brest": Member(position=0, before="1.0.0", outcome="well", **told)},
        **common,
    )
    halted = Rollout(
        number=2,
        kind="release",
        version="2.1.0",
        phase="halted",
        cause=FAILED,
        members={**members, "brest": failed},
        **common,
    )
    agent = Rollout(
        number=3,
        kind="agent",
        version="1.3.0",
        sound_since=api.now,
        members={"nantes": Member(position=0, before="1.2.0", outcome="well", **told)},
        **common,
    )
    async with api.connection() as conn, conn.transaction():
        await rollouts.write(conn, [Change(None, one) for one in (done, halted, agent)])


async def policy(api: Api) -> None:
    """The policy of those rollouts is published."""
    standard = RolloutPolicy(waves=["10%", "100%"], soak="30m")
    fleet = Fleet(schema=1, defaults=Layer(), rollouts={"standard": standard})
    async with api.connection() as conn:
        await library.replace(conn, {("", "fleet.yaml"): ("b" * 40, fleet)}, api.now)


async def listed(api: Api, query: str = "") -> list[RolloutInfo]:
    answer = await api.http.get(f"/v1/rollouts{query}", headers=await api.operator("read"))
    assert answer.headers["cache-control"] == "no-store"
    return msgspec.json.decode(answer.content, type=list[RolloutInfo])


async def test_rollouts_under_way_are_listed_before_those_that_ended(api: Api) -> None:
    assert await listed(api) == []
    await three(api)
    halted, agent = await listed(api)
    assert (halted.number, halted.phase, halted.cause, halted.wave) == (2, "halted", FAILED, 1)
    assert halted.why == "the one site of wave 1 failed; success asks for 95%"
    assert (halted.sites, halted.failed, halted.waiting, halted.well) == (3, 1, 2, 0)
    assert (agent.number, agent.kind, agent.well) == (3, "agent", 1)
    assert [one.number for one in await listed(api, "?ended=10")] == [2, 3, 1]


async def test_fleet_is_told_with_its_rollouts_under_way_to_the_team_alone(api: Api) -> None:
    await three(api)

    async def of(headers: dict[str, str]) -> list[RolloutInfo]:
        answer = await api.http.get("/v1/fleet", headers=headers)
        return msgspec.json.decode(answer.content, type=FleetStatus).rollouts

    assert await of(await api.operator("read")) == await listed(api)
    person = await add_person(api, "ligue", "viewer", "ligue")
    assert await of(await token_of(api, person, "read")) == []


@pytest.mark.parametrize("query", ["?ended=-1", "?ended=1001", "?ended=many"])
async def test_number_of_ended_ones_has_bounds(api: Api, query: str) -> None:
    assert (await api.http.get(f"/v1/rollouts{query}", headers=await api.operator("read"))).status_code == 400


async def test_rollout_is_told_with_its_sites_in_the_order_of_their_turns(api: Api) -> None:
    await three(api)
    answer = await api.http.get("/v1/rollouts/2", headers=await api.operator("read"))
    told = msgspec.json.decode(answer.content, type=RolloutDetail)
    assert told.members == [
        RolloutSite(
            site="brest", before="2.0.0", wave=1, let_in_at=api.now, outcome="failed", why="It does not start."
        ),
        RolloutSite(site="nantes", before="2.0.0"),
        RolloutSite(site="rennes", before="2.0.0"),
    ]


async def test_next_wave_is_foretold_by_the_policy_that_is_published(api: Api) -> None:
    await three(api)
    await policy(api)
    _, agent = await listed(api)
    assert (agent.shares, agent.next_at) == (["10%", "100%"], api.now + timedelta(minutes=30))


@pytest.mark.parametrize("number", ["9", "0", "99999999999999999999"])
async def test_number_of_no_rollout_is_answered_by_404(api: Api, number: str) -> None:
    await three(api)
    answer = await api.http.get(f"/v1/rollouts/{number}", headers=await api.operator("read"))
    assert (answer.status_code, answer.json()["detail"]) == (
        404,
        f"cannot find rollout {number}: there is none of that number; see `neopro rollout list`",
    )


async def test_site_tells_the_rollouts_under_way_that_it_is_in(api: Api) -> None:
    await three(api)

    async def of(site: str) -> list[SiteRollout]:
        answer = await api.http.get(f"/v1/sites/{site}/status", headers=await api.operator("read"))
        return msgspec.json.decode(answer.content, type=SiteDetail).rollouts

    waits, runs = await of("nantes")
    assert (waits.number, waits.phase, waits.wave, waits.before) == (2, "halted", None, "2.0.0")
    assert waits.turn is None, "nobody knows without its policy"
    assert (runs.number, runs.version, runs.wave, runs.outcome) == (3, "1.3.0", 1, "well")
    (failed,) = await of("brest")
    assert (failed.number, failed.outcome, failed.why) == (2, "failed", "It does not start.")
    await policy(api)
    waits, runs = await of("nantes")
    assert (waits.turn, runs.turn) == (2, None)


async def test_number_is_never_given_twice_whatever_was_forgotten(api: Api) -> None:
    about = {"policy": "standard", "revision": "a" * 40, "started_at": api.now, "wave_at": api.now}
    ended = [
        Rollout(number=number, kind="agent", version=f"1.{number}.0", phase="done", ended_at=api.now, **about)
        for number in (1, 2)
    ]
    async with api.connection() as conn:
        await rollouts.write(conn, [Change(None, one) for one in ended])
        assert await rollouts.prune(conn, api.now + timedelta(days=1)) == 1
        assert await rollouts.next_number(conn) == 3
