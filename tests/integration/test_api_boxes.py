"""What a box is told: heads with entity tags and long polls, trust documents; and what it says: reports."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from control_plane.api import inbox
from control_plane.api.boxes import MAX_PAST_A_DAY
from control_plane.api.heads import WAITS_PER_SITE
from control_plane.store import reports
from control_plane.store.publications import TrustRow
from schemas.manifest import SiteHead
from schemas.status import Boot, Condition, Event, History, Sample, Transition
from tests.support.api import Api, until
from tests.support.patience import PATIENCE_S, promised
from tests.support.published import Box, Wanted, report

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]


async def counted(api: Api, name: str) -> float:
    """A sample of /metrics."""
    text = (await api.http.get("/metrics")).text
    return float(next(line for line in text.splitlines() if line.startswith(f"{name} ")).split()[-1])


async def test_head_asked_for_first_gives_envelope_and_strong_tag(api: Api) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity)})
    answer = await api.head(box)
    assert answer.status_code == 200
    generation, _, digest = answer.headers["etag"].strip('"').partition("-")
    assert generation == str(int(api.now.timestamp() * 1000))
    assert len(digest) == 16
    envelope = msgspec.json.decode(answer.content)
    assert envelope["payloadType"] == "application/vnd.neopro.head.v1+json"
    assert answer.headers["cache-control"] == "no-cache"


TAGS = ["{tag}", "W/{tag}", '"other", {tag}', "*"]


async def test_head_that_the_box_has_is_not_sent_again(api: Api) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity)})
    tag = (await api.head(box)).headers["etag"]
    for tags in TAGS:
        answer = await api.head(box, **{"If-None-Match": tags.format(tag=tag)})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)


async def test_unchanged_poll_asks_no_database_and_checks_no_signature(api: Api) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity)})
    headers = box.headers(api.now)
    url = "/v1/sites/brest/head"
    tag = (await api.http.get(url, headers=headers)).headers["etag"]
    loans, checks = (
        api.pool.get_stats().get("requests_num", 0),
        await counted(api, "neopro_token_signature_checks_total"),
    )
    loans_of_metrics = api.pool.get_stats()["requests_num"] - loans
    loans = api.pool.get_stats()["requests_num"]
    for _ in range(20):
        assert (await api.http.get(url, headers=headers | {"If-None-Match": tag})).status_code == 304
    assert api.pool.get_stats()["requests_num"] == loans
    assert loans_of_metrics > 0, "the counter counts loans"
    assert await counted(api, "neopro_token_signature_checks_total") == checks == 1


async def test_publication_wakes_a_long_poll(api: Api) -> None:
    box, other = Box("brest"), Box("nantes")
    await api.publish({"brest": Wanted(box.identity), "nantes": Wanted(other.identity)})
    tag = (await api.head(box)).headers["etag"]
    poll = asyncio.create_task(api.head(box, **{"If-None-Match": tag, "Prefer": "wait=50"}))
    await until(lambda: api.heads.waiting == 1)
    api.now += timedelta(seconds=1)
    await api.publish({"nantes": Wanted(other.identity)})
    assert not poll.done(), "news for another site"
    await api.publish({"brest": Wanted(box.identity)}, now=api.now + timedelta(seconds=1))
    answer = await asyncio.wait_for(poll, promised(5))
    assert answer.status_code == 200
    assert answer.headers["etag"] != tag
    assert answer.headers["preference-applied"] == "wait=50"
    assert api.heads.waiting == 0


async def test_long_poll_without_news_ends_unchanged(api: Api) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity)})
    tag = (await api.head(box)).headers["etag"]
    answer = await api.head(box, **{"If-None-Match": tag, "Prefer": "respond-async, wait=1"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (304, "wait=1")


async def test_long_poll_asked_for_an_hour_is_capped(api: Api) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity)})
    tag = (await api.head(box)).headers["etag"]
    poll = asyncio.create_task(api.head(box, **{"If-None-Match": tag, "Prefer": "wait=3600"}))
    await until(lambda: api.heads.waiting == 1)
    api.heads.finish_waits()
    assert (await asyncio.wait_for(poll, promised(5))).headers["preference-applied"] == "wait=55"


async def test_box_that_reconnects_leaves_few_waits_behind(api: Api) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity)})
    tag = (await api.head(box)).headers["etag"]
    polls = []
    for number in range(WAITS_PER_SITE + 2):
        polls.append(asyncio.create_task(api.head(box, **{"If-None-Match": tag, "Prefer": "wait=50"})))
        await until(lambda number=number: api.heads.waiting == min(number + 1, WAITS_PER_SITE))  # type: ignore[misc]
    done, open_ = await asyncio.wait(polls, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    assert done <= set(polls[:2])
    api.heads.finish_waits()
    assert {(await poll).status_code for poll in (*done, *open_)} == {304}


async def test_server_that_stops_ends_long_polls_at_once(api: Api) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity)})
    tag = (await api.head(box)).headers["etag"]
    headers = box.headers(api.now) | {"If-None-Match": tag, "Prefer": "wait=50"}
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        async with api.serve() as url:
            poll = asyncio.create_task(client.get(f"{url}/v1/sites/brest/head", headers=headers))
            # The second application has no handle here: its own gauge says when the poll is open.
            async with asyncio.timeout(PATIENCE_S):
                while "neopro_long_polls 1.0" not in (await client.get(f"{url}/metrics")).text:
                    pass
        answer = await asyncio.wait_for(poll, promised(2))
    assert answer.status_code == 304


async def test_listener_whose_connection_breaks_comes_back_and_misses_nothing(api: Api) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity)})
    tag = (await api.head(box)).headers["etag"]
    async with api.connection() as conn:
        killed = await conn.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
            " and query ilike 'listen%' or query ilike '%head_generation >= s.generation%' and pid <> pg_backend_pid()"
        )
        assert await killed.fetchall()
    await until(lambda: not api.heads.listening)
    await api.publish({"brest": Wanted(box.identity)}, now=api.now + timedelta(seconds=1))
    await until(lambda: api.heads.listening)
    assert (await api.head(box)).headers["etag"] != tag


@pytest.mark.parametrize(
    ("wanted", "state"),
    [({"state": "retired"}, "retired"), ({"state": "suspended"}, "suspended"), ({"gone": True}, "retired")],
)
async def test_site_that_ended_is_told_once_and_then_refused(api: Api, wanted: dict[str, str], state: str) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity, generation=2, **wanted)})  # type: ignore[arg-type]
    last = await api.head(box)
    payload = msgspec.json.decode(last.content)["payload"]
    assert msgspec.json.decode(msgspec.convert(payload, bytes, strict=False), type=SiteHead).state == state
    assert (await api.send(box, report(1))).status_code == 204
    assert (await api.head(box)).status_code == 200, "the box has not accepted this head yet"
    assert (await api.send(box, report(2, sequence=2))).status_code == 204
    refused = await api.head(box)
    assert (refused.status_code, refused.json()["reason"]) == (403, "Forbidden")
    await api.publish({"brest": Wanted(box.identity, generation=3)})
    assert (await api.head(box)).status_code == 200, "it is wanted again"


async def test_site_told_through_another_server_is_refused_here_too(api: Api) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity, state="retired", generation=2)})
    assert (await api.head(box)).status_code == 200
    await api.report("brest", report(2))
    await until(lambda: (head := api.heads.get("brest")) is not None and head.told)
    assert (await api.head(box)).status_code == 403


async def test_report_is_kept_and_repetition_and_older_ones_change_nothing(api: Api) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity)})
    started = Event(number=1, at=api.now, reason="Started")
    second = report(7, sequence=2, events=[started])
    for sent in (second, second, report(5, sequence=1, events=[started])):
        assert (await api.send(box, sent)).status_code == 204
    async with api.connection() as conn:
        stored = await reports.report_of(conn, "brest")
        assert stored is not None
        assert (stored.report.generation, stored.received_at) == (7, api.now)
        assert await reports.events_of(conn, "brest") == [started]
    assert (await api.send(box, report(8, sequence=1, run_id="1" * 32))).status_code == 204, "another run"


async def test_box_that_tells_of_the_past_without_measure_is_heard_of_now_alone(api: Api) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity)})
    past = [Event(number=number, at=api.now, reason="Started") for number in range(1, 201)]
    for sequence in range(1, MAX_PAST_A_DAY // 200 + 1):
        assert (await api.send(box, report(7, sequence=sequence, events=past))).status_code == 204
    answer = await api.send(box, report(7, sequence=900, events=past[:1]))
    assert answer.status_code == 422 and "20000 events, changes and measurements" in answer.json()["detail"]
    assert (await api.send(box, report(7, sequence=901))).status_code == 204, "what is of now"
    api.now += timedelta(days=1)
    assert (await api.send(box, report(7, sequence=902, events=past[:1]))).status_code == 204


async def test_report_of_a_newer_agent_with_unknown_fields_is_taken(api: Api) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity)})
    body = msgspec.json.decode(msgspec.json.encode(report(7))) | {"from_the_future": {"a": [1]}}
    answer = await api.http.post("/v1/sites/brest/status", headers=box.headers(api.now), json=body)
    assert answer.status_code == 204


async def test_many_reports_at_once_are_all_kept_and_a_bad_one_harms_no_other(api: Api) -> None:
    everyone = [Box(f"site-{number}") for number in range(40)]
    await api.publish({box.site: Wanted(box.identity) for box in everyone})
    bad = report(7, agent_version="a\0b")
    answers = await asyncio.gather(
        *(api.send(box, bad if box is everyone[3] else report(7)) for box in everyone),
        *(api.send(box, report(8, sequence=2)) for box in everyone[5:]),
    )
    assert [a.status_code for a in answers].count(400) == 1
    assert answers[3].json()["detail"].startswith("the report cannot be stored")
    async with api.connection() as conn:
        stored = await reports.all_reports(conn)
    assert len(stored) == 39
    assert {r.report.generation for site, r in stored.items() if site in {b.site for b in everyone[5:]}} == {8}


BEGINNING, END = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=UTC)
STRANGE: list[dict[str, Any]] = [
    {"sequence": 2**63},
    {"events": [Event(number=2**70, at=BEGINNING, reason="Strange")]},
    {"conditions": [Condition(type="Synced", status="True", reason="A\0b", since=END)]},
    *(
        {
            "conditions": [
                Condition(type="Synced", status="True", reason="Converged", since=at),
                Condition(type="Synced", status="False", reason="Converged", since=at),
            ],
            "transitions": [
                Transition(boot=boot, uptime_s=uptime_s, at=at, type="Synced", status="False", reason="Converged"),
                Transition(boot=boot, uptime_s=0, at=END, type="Synced", status="True", reason="Converged"),
            ],
            "history": History(
                boots=[Boot(id=boot, started_at=at), Boot(id=boot, started_at=END, certain=False)],
                samples=[
                    Sample(boot=0, uptime_s=uptime_s, span_s=86_400),
                    Sample(boot=63, uptime_s=uptime_s, span_s=1),
                    Sample(boot=1, uptime_s=0.0, span_s=1, restarts=2**31 - 1, signal_dbm=-200),
                ],
            ),
        }
        for at in (BEGINNING, END)
        for uptime_s in (0.0, 1e9)
        for boot in ("life", "a\0b", "\t\n\\.'")
    ),
]


@pytest.mark.parametrize("strange", STRANGE, ids=range(len(STRANGE)))
async def test_strange_report_is_kept_or_refused_and_harms_no_other(api: Api, strange: dict[str, Any]) -> None:
    boxes = [Box(site) for site in ("brest", "nantes", "lyon")]
    await api.publish({box.site: Wanted(box.identity) for box in boxes})
    odd = msgspec.structs.replace(report(7), **strange)
    for sequence in (1, 2):
        said = [report(7, sequence=sequence), odd, report(7, sequence=sequence)]
        answers = await asyncio.gather(*(api.send(box, one) for box, one in zip(boxes, said, strict=True)))
        assert [answers[0].status_code, answers[2].status_code] == [204, 204]
        assert answers[1].status_code in (204, 400)


async def test_trust_documents_are_anyones_by_version(api: Api) -> None:
    box = Box("brest")
    trust = [TrustRow("root", 1, b'{"root": 1}'), TrustRow("release-list", 4, b'{"list": 4}')]
    await api.publish({"brest": Wanted(box.identity)}, trust=trust)
    assert (await api.http.get("/v1/trust/1")).content == b'{"root": 1}'
    assert (await api.http.get("/v1/release-list/4")).content == b'{"list": 4}'
    for url in (
        "/v1/trust/2",
        "/v1/release-list/1",
        "/v1/trust/0",
        "/v1/trust/-1",
        f"/v1/trust/{2**31}",
        "/v1/trust/x",
    ):
        answer = await api.http.get(url)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), url


async def test_report_that_finds_the_queue_full_is_asked_to_come_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MAX_WAITING", 2)
    senders = [Box(f"club-{number}") for number in range(8)]
    await api.publish({box.site: Wanted(box.identity) for box in senders})
    async with api.connection() as conn, conn.transaction():
        await conn.execute("lock table reports in access exclusive mode")
        sent = [asyncio.create_task(api.send(box, report())) for box in senders]
        await asyncio.wait(sent, timeout=promised(5), return_when=asyncio.FIRST_COMPLETED)
    answers = dict(zip((box.site for box in senders), [await one for one in sent], strict=True))
    assert {answer.status_code for answer in answers.values()} == {204, 503}
    assert {a.headers["retry-after"] for a in answers.values() if a.status_code == 503} == {"5"}
    assert {site for site, a in answers.items() if a.status_code == 204} == set(await all_reports(api))


async def all_reports(api: Api) -> list[str]:
    async with api.connection() as conn:
        return list(await reports.all_reports(conn))
