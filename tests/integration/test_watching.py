"""From reports and commits to alerts, on a real database: what fires, what clears, and what people are to be told."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from control_plane.core.alert_words import sentence
from control_plane.core.versions import order
from control_plane.store import alerts, enrolments, partitions, refusals, reports, sweeps
from control_plane.watching import Watch
from schemas import dsse
from schemas.enrolment import EnrolmentRequest
from schemas.status import Metrics
from tests.support.authority import Authority
from tests.support.patience import PATIENCE_S
from tests.support.published import report
from tests.support.world import World, as_yaml, open_world

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]
HOUR = timedelta(hours=1)
RECIPIENT = "age1an5uatfwksd0kq8fdfp3jz66dyr66q0mastfkfrmgy5wv9hy4fcq69djyh"


@pytest.fixture
async def world(tmp_path: Path, database: str) -> AsyncIterator[World]:
    async with open_world(tmp_path, database) as opened:
        await opened.ingest()
        yield opened


async def look(world: World) -> list[str]:
    """What is open after a look, as `kind subject`."""
    await Watch(world.opened.pool, world.clock, listens_since=world.clock() - HOUR).look()
    return sorted(" ".join(row.alert.firing.key) for row in await rows(world))


async def rows(world: World) -> list[alerts.AlertRow]:
    async with world.connection() as conn:
        return await alerts.open_alerts(conn)


async def notices(world: World) -> list[str]:
    async with world.connection() as conn:
        found = await conn.execute("select what, kind from notices join alerts a on a.id = alert order by notices.id")
        return [f"{what} {kind}" for what, kind in await found.fetchall()]


async def say(world: World, sequence: int, **fields: object) -> None:
    said = report(sequence=sequence, at=world.clock(), **fields)
    async with world.connection() as conn:
        await reports.record(conn, [reports.Received("brest", said, world.clock())])


async def test_fleet_that_begins_is_no_news(world: World) -> None:
    assert await look(world) == []


async def test_alert_fires_once_is_updated_and_clears_itself(world: World) -> None:
    await say(world, 1, metrics=Metrics(temperature_celsius=75))
    assert await look(world) == ["temperature brest"]
    await say(world, 2, metrics=Metrics(temperature_celsius=85))
    assert await look(world) == ["temperature brest"]
    ((number, alert, _),) = await rows(world)
    assert alert.firing.severity == "critical"
    assert sentence(alert.firing).endswith("is at 85.0 °C.")
    await say(world, 3, metrics=Metrics(temperature_celsius=50))
    assert await look(world) == ["temperature brest"], "it may come again at once"
    world.clock.offset += timedelta(minutes=6)
    await say(world, 4, metrics=Metrics(temperature_celsius=50))
    assert await look(world) == []
    assert await notices(world) == ["fired temperature", "worse temperature", "cleared temperature"]
    async with world.connection() as conn:
        (past,) = await alerts.past_alerts(conn, world.clock() - HOUR)
    assert past.id == number


async def test_threshold_and_silence_in_git_take_effect_without_a_new_generation(world: World) -> None:
    await say(world, 1, metrics=Metrics(temperature_celsius=75))
    high = {"temperature": {"critical": 90}}
    world.commit({"sites/brest.yaml": world.site_file("brest", alerts=high)})
    outcome = await world.ingest()
    assert (outcome.verdict, outcome.sites) == ("published", 0)
    assert await look(world) == []
    quiet = {"silence": ["temperature"], "until": (world.clock() + timedelta(days=3)).date()}
    world.commit({"groups/bretagne.yaml": world.file("groups/bretagne.yaml") + as_yaml({"alerts": quiet})})
    world.commit({"sites/brest.yaml": world.site_file("brest")})
    await world.ingest()
    assert await look(world) == ["temperature brest"]
    assert await notices(world) == []
    world.clock.offset += timedelta(days=5)
    await say(world, 2, metrics=Metrics(temperature_celsius=75))
    await look(world)
    assert "fired temperature" in await notices(world)


async def test_new_release_site_and_refused_commit_are_told(world: World) -> None:
    world.clock.offset += timedelta(seconds=2)
    world.commit(
        {
            **world.add_release("1.1.0", {"VERSION": b"1.1.0\n", "server/app.py": b"print('new')\n"}),
            **world.keys.next_list(),
        }
    )
    assert (await world.ingest()).verdict == "published"
    world.commit({"sites/brest.yaml": "nonsense: 1\n"})
    assert (await world.ingest()).verdict == "refused"
    assert await look(world) == ["commit_refused fleet", "new_release 1.1.0"]


async def test_two_control_planes_that_look_at_once_tell_once(world: World) -> None:
    await say(world, 1, metrics=Metrics(temperature_celsius=99))
    await Watch(world.opened.pool, world.clock).look()
    await Watch(world.opened.pool, world.clock).look()
    assert await notices(world) == ["fired temperature"]


async def test_trust_that_ends_soon_is_told(world: World) -> None:
    world.clock.offset += timedelta(days=3000)
    found = await look(world)
    assert {"expiry trust root", "expiry release list", "expiry head of a site"} <= {*found}


async def test_certificate_that_this_server_answers_with_is_told_before_it_ends(world: World, tmp_path: Path) -> None:
    at = world.clock() + timedelta(days=19)  # the authority's are good to a day after that
    certificate = Authority(tmp_path, "soon", at).server_file
    watch = Watch(world.opened.pool, world.clock, certificate, listens_since=world.clock() - HOUR)
    await watch.look()
    ((_, alert, _),) = await rows(world)
    assert (*alert.firing.key, alert.firing.severity) == ("expiry", "certificate of this server", "warning")
    later = Authority(tmp_path, "later", world.clock() + timedelta(days=300)).server_file
    later.rename(certificate)
    world.clock.offset += timedelta(days=14)
    await watch.look()
    told = {row.alert.firing.subject: row.alert.firing.severity for row in await rows(world)}
    assert told["certificate of this server"] == "critical", "the server still answers with the one that it began with"


async def test_sweep_that_goes_on_holds_up_no_alert(world: World) -> None:
    await say(world, 1, metrics=Metrics(temperature_celsius=99))
    async with world.connection() as conn, sweeps.only_sweep(conn) as alone:
        assert alone
        async with asyncio.timeout(PATIENCE_S):
            assert await look(world) == ["temperature brest"]


async def test_forgotten_alerts_take_their_notices_along(world: World) -> None:
    await say(world, 1, metrics=Metrics(temperature_celsius=99))
    await look(world)
    world.clock.offset += timedelta(days=1)
    for _ in range(2):
        await say(world, 2, metrics=Metrics(temperature_celsius=20))
        await look(world)
        world.clock.offset += timedelta(minutes=6)
    async with world.connection() as conn:
        assert await alerts.prune_alerts(conn, world.clock() + HOUR) >= 1
    assert not [told for told in await notices(world) if "temperature" in told]


async def refuse(world: World, why: str = "cannot read the report", count: int = 1) -> None:
    async with world.connection() as conn:
        await refusals.note(conn, "brest", why, count, world.clock())


async def refused(world: World) -> list[dict[str, object]]:
    """What a look says of refused reports."""
    await look(world)
    found = [row.alert.firing for row in await rows(world) if row.alert.firing.kind == "reports_refused"]
    return [{key: value for key, value in firing.values.items() if key != "name"} for firing in found]


async def test_box_whose_reports_are_refused_is_told_until_one_is_taken(world: World) -> None:
    await say(world, 1)
    world.clock.offset += timedelta(minutes=5)
    await refuse(world, count=3)
    await refuse(world, "too many bytes")
    assert await look(world) == ["reports_refused brest"]
    assert await refused(world) == [{"count": 4, "why": "too many bytes"}]
    world.clock.offset += timedelta(minutes=58)
    await refuse(world)
    assert await look(world) == ["reports_refused brest"], "it is not offline: it speaks"
    world.clock.offset += timedelta(minutes=1)
    await say(world, 2)
    await look(world)
    world.clock.offset += timedelta(minutes=6)
    assert await refused(world) == []
    await refuse(world)
    assert await refused(world) == [{"count": 1, "why": "cannot read the report"}], "since the last that was taken"
    told = [one for one in await notices(world) if "reports_refused" in one]
    assert told == [
        "fired reports_refused",
        "worse reports_refused",
        "cleared reports_refused",
        "fired reports_refused",
    ]


async def test_box_that_has_stopped_to_ask_after_it_was_refused_is_silent(world: World) -> None:
    await say(world, 1)
    world.clock.offset += timedelta(minutes=5)
    await refuse(world)
    world.clock.offset += timedelta(hours=3)
    assert await look(world) == ["offline brest"]


async def test_refusals_are_forgotten_in_time(world: World) -> None:
    await refuse(world)
    async with world.connection() as conn:
        assert await refusals.prune(conn, world.clock() - HOUR) == 0
        assert await refusals.prune(conn, world.clock() + HOUR) == 1
    assert await look(world) == []


async def test_box_that_was_never_taken_a_report_of_is_told_of_when_it_is_refused(world: World) -> None:
    await refuse(world)
    assert await look(world) == ["reports_refused brest"]


async def test_new_box_is_told_of_until_a_commit_names_it_or_it_is_revoked(world: World) -> None:
    async def ask(site: str) -> Ed25519PrivateKey:
        key = Ed25519PrivateKey.generate()
        line = dsse.public_line(key.public_key())
        async with world.connection() as conn:
            now = world.clock()
            secret = await enrolments.add(conn, site, "ada", now=now, expires_at=now + timedelta(days=7))
            token = await enrolments.find(conn, secret)
            assert token is not None
            asked = EnrolmentRequest(secret=secret, site=site, identity=line, recipient=RECIPIENT, hostname="pi-17")
            assert await enrolments.use(conn, token, asked, now)
        return key

    world.site_keys["brest"] = await ask("brest")
    await ask("quimper")
    assert await look(world) == ["new_box brest", "new_box quimper"]
    assert await notices(world) == ["fired new_box", "fired new_box"]
    world.commit({"sites/brest.yaml": world.site_file("brest")})
    assert (await world.ingest()).verdict == "published"
    async with world.connection() as conn:
        assert await enrolments.revoke(conn, "quimper", world.clock())
    await look(world)
    world.clock.offset += timedelta(minutes=6)
    assert await look(world) == []


def test_versions_are_ordered_by_their_numbers() -> None:
    assert sorted(["2.10.0", "2.9.1", "10.0.0", "2.9.1-rc1"], key=order)[-2:] == ["2.10.0", "10.0.0"]


async def measured(world: World, **last_hour: float) -> None:
    """Two weeks of hours of a box that is always the same, and a last hour that is as given."""
    usual = {"cpu": 20.0, "memory": 30.0, "temperature": 50.0, "disk": 40.0}
    now = world.clock()
    async with world.connection() as conn:
        await partitions.make(conn, now)
        for day in range(15):
            await partitions.make(conn, now - timedelta(days=day))
        await conn.execute(
            "insert into metrics_hours (site, at, span_s, late_s, unsure, cpu, memory, temperature, disk)"
            " select 'brest', at, 3600, 0, false, 20, 30, 50, 40 + %s * extract(epoch from at - %s) / 86400"
            " from generate_series(%s, %s, interval '1 hour') at",
            (last_hour.pop("disk_per_day", 0.0), now, now - timedelta(days=13), now - timedelta(hours=2)),
        )
        await conn.execute(
            "insert into metrics_minutes (site, at, span_s, late_s, unsure, cpu, memory, temperature, disk)"
            " select 'brest', at, 60, 0, false, %(cpu)s, %(memory)s, %(temperature)s, %(disk)s"
            " from generate_series(%(now)s::timestamptz - interval '30 min', %(now)s, interval '1 minute') at",
            {"now": now, **usual, **last_hour},
        )


@pytest.mark.parametrize(
    ("last_hour", "expected"),
    [
        ({}, []),
        ({"temperature": 59.0}, ["temperature_rising brest"]),
        ({"cpu": 80.0}, ["unusual brest"]),
        ({"disk_per_day": 9.0}, ["disk_rising brest"]),
        ({"disk_per_day": 1.0}, []),
    ],
)
async def test_box_that_leaves_its_own_past_is_told(
    world: World, last_hour: dict[str, float], expected: list[str]
) -> None:
    await measured(world, **last_hour)
    await say(world, 1, metrics=Metrics(disk_total_bytes=1000, disk_free_bytes=600))
    assert await look(world) == expected


async def test_two_machines_with_one_identity_are_told(world: World) -> None:
    async with world.connection() as conn:
        await conn.execute(
            "insert into identity_forks (site, since, last_at, runs) values ('brest', %(now)s, %(now)s, '{a,b}')",
            {"now": world.clock()},
        )
    assert await look(world) == ["two_machines brest"]


async def test_server_that_was_away_listens_before_it_calls_boxes_silent(world: World) -> None:
    await say(world, 1)
    world.clock.offset += timedelta(hours=2)
    watch = Watch(world.opened.pool, world.clock)
    await watch.look()
    assert "offline brest" not in [" ".join(row.alert.firing.key) for row in await rows(world)]
    world.clock.offset += timedelta(minutes=11)
    await watch.look()
    assert "offline brest" in [" ".join(row.alert.firing.key) for row in await rows(world)]
    assert "offline brest" in await look(world), "another one that starts now lets it stand"
