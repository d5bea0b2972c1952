"""Guards on the server: a commit that reaches too far is held until somebody says that it is meant."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from control_plane.pipeline import Outcome
from control_plane.store import publications, views
from schemas.api import Change
from schemas.dsse import public_line
from tests.support.world import World, as_yaml, open_world, reopened

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]

FLEET = {"schema": 1, "defaults": {"release": "1.0.0", "video_sets": ["national"]}}
GUARDED = FLEET | {"guards": {"max_sites": "40%", "allow_removals": False}}
WIDE = {"fleet.yaml": as_yaml(GUARDED | {"defaults": {"release": "1.0.0"}})}


@pytest.fixture
async def world(tmp_path: Path, database: str) -> AsyncIterator[World]:
    """Three sites are published, and a guard that lets one of them change at a time."""
    async with open_world(tmp_path, database) as opened:
        opened.commit({"fleet.yaml": as_yaml(GUARDED)}, "Guard the fleet")
        assert (await opened.ingest()).verdict == "published"
        yield opened


async def change(world: World, revision: str) -> Change:
    async with world.connection() as conn:
        found = await views.change(conn, revision)
    assert found is not None
    return found


async def served(world: World) -> dict[str, tuple[int, str]]:
    async with world.connection() as conn:
        return {row.site: (row.generation, row.state) for row in await publications.all_heads(conn)}


async def test_change_of_too_many_sites_is_held_and_what_was_published_stays(world: World) -> None:
    before = await served(world)
    outcome = await _push(world, WIDE)
    assert outcome.verdict == "held" and await served(world) == before
    (sentence,) = outcome.problems
    assert "touches 3 of 3 sites" in sentence and "Allow-Impact: sites=3" in sentence
    told = await change(world, outcome.revision)
    assert (told.verdict, told.problems, told.published_at) == ("held", [sentence], None)
    assert told.impact and (told.impact.sites, told.impact.total, told.impact.sites_allowed) == (3, 3, 1)
    assert told.impact.trailer == "Allow-Impact: sites=3"


async def test_held_commit_that_is_still_the_tip_is_held_again_without_a_write(world: World) -> None:
    first = await _push(world, WIDE)
    written = await _row_version(world, first.revision)
    again = await world.ingest()
    assert (again.verdict, again.problems) == ("held", first.problems)
    assert await _row_version(world, first.revision) == written


async def test_trailer_in_the_commit_itself_lets_it_go(world: World) -> None:
    outcome = await _push(world, WIDE, "Drop the adverts\n\nAllow-Impact: sites=3\n")
    assert (outcome.verdict, outcome.sites) == ("published", 3)
    told = (await change(world, outcome.revision)).impact
    assert told and (told.sites, told.sites_allowed, told.trailer) == (3, 3, "")


async def test_trailer_in_a_commit_that_follows_lets_both_go(world: World) -> None:
    assert (await _push(world, WIDE)).verdict == "held"
    assert (await _push(world, {}, "Too little\n\nAllow-Impact: sites=2")).verdict == "held"
    assert (await _push(world, {}, "It is meant\n\nAllow-Impact: sites=3")).verdict == "published"
    assert (await _push(world, {"fleet.yaml": as_yaml(GUARDED)})).verdict == "held", "a trailer counts once"


async def test_commit_that_undoes_a_held_one_is_published_without_a_trailer(world: World) -> None:
    assert (await _push(world, WIDE)).verdict == "held"
    assert (await _push(world, {"fleet.yaml": as_yaml(GUARDED)})).verdict == "published"


async def test_commit_that_lifts_the_guard_is_judged_by_the_guard(world: World) -> None:
    free = {"fleet.yaml": as_yaml({"schema": 1, "defaults": {"release": "1.0.0"}})}
    assert (await _push(world, free)).verdict == "held"


async def test_guard_that_a_commit_brings_counts_for_it(world: World) -> None:
    assert (await _push(world, {"fleet.yaml": as_yaml(FLEET)})).verdict == "published"
    assert (await _push(world, WIDE)).verdict == "held"


@pytest.mark.parametrize("way", ["gone", "retired", "without identity"])
async def test_site_that_is_taken_away_needs_a_trailer(world: World, way: str) -> None:
    files = {
        "gone": None,
        "retired": world.site_file("brest", state="retired"),
        "without identity": world.site_file("brest", identity=False),
    }
    held = await _push(world, {"sites/brest.yaml": files[way]})
    assert held.verdict == "held" and "Allow-Impact: removals=1" in held.problems[0]
    assert (await _push(world, {}, "Yes\n\nAllow-Impact: removals=1")).verdict == "published"


async def test_one_site_may_change_and_new_ones_may_come(world: World) -> None:
    files = {f"sites/new-{n}.yaml": world.site_file(f"new-{n}") for n in range(9)}
    files["sites/brest.yaml"] = world.site_file("brest", state="suspended")
    assert (await _push(world, files)).verdict == "published"


async def test_control_plane_that_was_started_anew_holds_alike(world: World) -> None:
    world.commit(WIDE)
    async with reopened(world) as again:
        outcome = await again.ingest()
        assert outcome.verdict == "held"
        told = (await change(again, outcome.revision)).impact
        assert told and (told.sites, told.total) == (3, 3)
        assert (await _push(again, {}, "Yes\n\nAllow-Impact: sites=3")).verdict == "published"


async def test_what_a_held_commit_revokes_is_revoked(world: World) -> None:
    line = public_line(world.site_key("brest").public_key())
    outcome = await _push(world, WIDE | {"revoked.yaml": as_yaml({"identities": [line]})})
    assert outcome.verdict == "held"
    async with world.connection() as conn:
        identities = {row.site: row.identity for row in await publications.all_heads(conn)}
    assert identities["brest"] is None and identities["nantes"] is not None


async def _row_version(world: World, revision: str) -> object:
    """PostgreSQL's own version of the commit's row: another one when it was written again."""
    async with world.connection() as conn:
        rows = await conn.execute("select xmin::text from commits where revision = %s", (revision,))
        return await rows.fetchone()


async def _push(world: World, changes: Mapping[str, str | None], message: str = "Change the fleet") -> Outcome:
    world.commit(changes, message)
    return await world.ingest()
