"""What `/metrics` makes of what boxes, strangers and several control planes do."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from control_plane.api.app import make_api
from control_plane.monitoring.meters import Meters
from control_plane.objects import FolderStore
from control_plane.store import audit, refusals
from schemas.names import Digest
from schemas.status import MAX_REPORT_BYTES, Boot, Condition, History, RunningRelease, Sample
from tests.support.api import Api, boxes, until
from tests.support.published import NOW, Box, Wanted, report

pytestmark = pytest.mark.anyio
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def values(text: str) -> Values:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scrape(api: Api) -> Values:
    return values((await api.http.get("/metrics")).text)


async def value(api: Api, name: str, **labels: str) -> float | None:
    return (await scrape(api)).get((name, frozenset(labels.items())))


async def test_two_control_planes_tell_the_same_of_the_fleet(api: Api) -> None:
    brest, nantes = boxes("brest", "nantes")
    await api.publish({box.site: Wanted(box.identity, facts={"groups": ["bretagne"]}) for box in (brest, nantes)})
    await api.send(brest, report(int(NOW.timestamp() * 1000)))
    async with api.serve() as url, httpx.AsyncClient(trust_env=False) as http:
        await until(lambda: api.heads.listening)
        other = values((await http.get(f"{url}/metrics")).text)
    own = await scrape(api)
    fleet = {key: told for key, told in own.items() if key[0].startswith("neopro_fleet_")}
    changing = {("neopro_fleet_control_planes", frozenset[tuple[str, str]]())}
    size = ("neopro_fleet_database_size_bytes", frozenset[tuple[str, str]]())
    assert {key: told for key, told in fleet.items() if key not in {*changing, size}} == {
        key: told for key, told in other.items() if key[0].startswith("neopro_fleet_") and key not in {*changing, size}
    }
    kept = ("neopro_reports_total", frozenset({("outcome", "kept")}))
    assert (own[kept], other[kept]) == (1.0, 0.0), "each counts what it did itself"


async def test_words_of_boxes_become_no_labels(api: Api) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity, release="2.1.0")})
    broken = Condition(type="Degraded", status="True", reason="InventedByTheBox", since=NOW)
    running = RunningRelease(version="9.9.9-invented", tree="sha256:" + "a" * 64)
    said = report(int(NOW.timestamp() * 1000), conditions=[broken], release=running)
    assert (await api.send(box, said)).status_code == 204
    text = (await api.http.get("/metrics")).text
    assert "nvented" not in text and "9.9.9" not in text
    told = values(text)
    reason = frozenset({("standing", "Degraded"), ("reason", "other")})
    assert told["neopro_fleet_sites_by_reason", reason] == 1.0
    assert told["neopro_fleet_release_running_sites", frozenset({("release", "other")})] == 1.0
    assert told["neopro_fleet_release_desired_sites", frozenset({("release", "2.1.0")})] == 1.0


async def test_addresses_and_methods_of_strangers_become_no_labels(api: Api) -> None:
    for number in range(5):
        await api.http.request(f"INVENTED{number}", f"/{number}")
        await api.http.get(f"/invented/{number}")
        await api.http.get(f"/v1/sites/invented-{number}/head")
    text = (await api.http.get("/metrics")).text
    assert "invented" not in text.lower()
    told = values(text)
    unknown = [key for key in told if key[0] == "neopro_http_requests_total" and ("route", "unmatched") in key[1]]
    assert sum(told[key] for key in unknown) == 10.0
    head = frozenset({("method", "GET"), ("route", "/v1/sites/{site}/head"), ("code", "401")})
    assert told["neopro_http_requests_total", head] == 5.0


async def test_time_that_a_poll_is_held_is_no_slowness(api: Api) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity)})
    tag = (await api.head(box)).headers["etag"]
    await api.head(box, **{"If-None-Match": tag, "Prefer": "wait=1"})
    labels = {"method": "GET", "route": "/v1/sites/{site}/head"}
    assert await value(api, "neopro_http_request_duration_seconds_count", **labels) == 2.0
    assert (await value(api, "neopro_http_request_duration_seconds_sum", **labels) or 9.0) < 0.9


async def test_reports_are_counted_by_what_became_of_them(api: Api) -> None:
    box, sampled = Box("brest"), [Sample(boot=0, uptime_s=60.0 * n, span_s=60, cpu_percent=3.0) for n in (1, 2, 3)]
    published_at = api.now
    await api.publish({"brest": Wanted(box.identity)})
    api.now += timedelta(seconds=45)
    history = History(boots=[Boot(id="life", started_at=api.now - timedelta(minutes=3))], samples=sampled)
    said = report(int(published_at.timestamp() * 1000), history=history)
    for _ in range(2):
        assert (await api.send(box, said)).status_code == 204
    old = History(boots=[Boot(id="before", started_at=api.now - timedelta(days=9))], samples=sampled[:2])
    await api.send(box, report(int(published_at.timestamp() * 1000), sequence=2, history=old))
    assert [await value(api, "neopro_reports_total", outcome=word) for word in ("kept", "duplicate")] == [2.0, 1.0]
    assert [await value(api, "neopro_samples_total", late=word) for word in ("false", "true")] == [3.0, 2.0]
    assert await value(api, "neopro_convergence_seconds_sum") == 45.0
    assert await value(api, "neopro_convergence_seconds_count") == 1.0


async def refused(api: Api) -> dict[str, tuple[int, str]]:
    async with api.connection() as conn:
        found = await refusals.refused_since(conn, api.now - timedelta(hours=1))
    return {site: (one.number, one.reason) for site, one in found.items()}


async def test_refused_reports_are_noted_of_whoever_proved_to_be_the_sites_box(api: Api) -> None:
    brest, nantes, stranger = Box("brest"), Box("nantes"), Box("brest")
    await api.publish({box.site: Wanted(box.identity) for box in (brest, nantes)})
    answers = []
    for box, site, body in (
        (brest, "brest", b"{}"),
        (brest, "brest", b"[" * (MAX_REPORT_BYTES + 1)),
        (stranger, "brest", b"{}"),
        (nantes, "brest", b"{}"),
    ):
        url, headers = f"/v1/sites/{site}/status", box.headers(api.now)
        answers.append((await api.http.post(url, headers=headers, content=body)).status_code)
    assert answers == [400, 413, 401, 403]
    assert await value(api, "neopro_reports_total", outcome="refused") == 2.0
    assert [*await refused(api)] == ["brest"]


async def test_box_gone_wild_writes_once_a_minute_and_loses_no_count(api: Api) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity)})

    async def nonsense() -> None:
        await api.http.post("/v1/sites/brest/status", headers=box.headers(NOW), content=b"{}")

    for _ in range(5):
        await nonsense()
    assert {site: number for site, (number, _) in (await refused(api)).items()} == {"brest": 1}
    api.now += timedelta(minutes=1)
    await nonsense()
    number, reason = (await refused(api))["brest"]
    assert number == 6
    assert reason.startswith("cannot read the report: ")
    api.now += timedelta(seconds=1)
    assert (await api.send(box, report(1))).status_code == 204
    assert await refused(api) == {}


async def test_logins_that_failed_lately_are_told_and_not_whose(api: Api) -> None:
    async with api.connection() as conn:
        for act, ago in (("login_failed", 1), ("login_limited", 14), ("login_failed", 16), ("login", 1)):
            entry = audit.Entry(act, "marie", address="192.0.2.7")  # type: ignore[arg-type]
            await audit.record(conn, entry, api.now - timedelta(minutes=ago))
    assert await value(api, "neopro_fleet_login_failures") == 2.0
    text = (await api.http.get("/metrics")).text
    assert "marie" not in text and "192.0.2.7" not in text


async def test_blobs_are_counted_as_they_leave(api: Api) -> None:
    digest = await api.put(b"film" * 1000)
    reader = await api.operator("read")
    await api.http.get(f"/v1/blobs/{digest}", headers=reader)
    await api.http.get(f"/v1/blobs/{digest}", headers={**reader, "Range": "bytes=0-99"})
    assert await value(api, "neopro_blob_sent_bytes_total") == 4100.0


class SilentStore(FolderStore):
    """A store that does not answer until it is told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked, self.answers = 0, threading.Event()

    async def missing(self, digests: object) -> set[Digest]:
        raise AssertionError("nobody asks for blobs here")

    async def check(self) -> None:
        self.asked += 1
        await asyncio.to_thread(self.answers.wait, 30)


async def test_store_that_does_not_answer_holds_no_scrape_and_is_asked_once(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("control_plane.api.scrapes.PATIENCE_S", 0.05)
    store = SilentStore(tmp_path / "silent")
    app = make_api(settings=api.settings, pool=api.pool, objects=store, clock=lambda: api.now, meters=Meters())
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 5000))  # type: ignore[arg-type]
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8470") as http:
        for _ in range(3):
            assert "neopro_object_store_up 0.0" in (await http.get("/metrics")).text
        assert store.asked == 1
        store.answers.set()
        await asyncio.sleep(0)
        async with asyncio.timeout(20):
            while "neopro_object_store_up 1.0" not in (await http.get("/metrics")).text:
                pass
