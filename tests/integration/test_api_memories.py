"""What is remembered, as operators' programs read it: who may, in which bounds, and what a box must have said."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from schemas.memory import Availability, ConditionSpan, Deployments, IdentityFork, MetricsPoint
from schemas.status import Boot, History, Sample
from tests.support.api import Api
from tests.support.published import Box, Wanted, report

pytestmark = pytest.mark.anyio
MINUTE = timedelta(minutes=1)
PATHS = [
    "/v1/sites/brest/metrics",
    "/v1/sites/brest/conditions",
    "/v1/availability",
    "/v1/deployments",
    "/v1/troubles",
    "/v1/identity-forks",
]


@pytest.mark.parametrize("path", PATHS)
async def test_nobody_reads_without_a_token_of_an_operator(api: Api, path: str) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity)})
    assert (await api.http.get(path)).status_code == 401
    assert (await api.http.get(path, headers=box.headers(api.now))).status_code == 401
    assert (await api.http.get(path, headers=await api.operator("write"))).status_code == 403
    answer = await api.http.get(path, headers=await api.operator("read"))
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/sites/brest/metrics?hours=0",
        "/v1/sites/brest/metrics?points=5000",
        "/v1/sites/brest/conditions?hours=x",
        "/v1/availability?by=year",
        "/v1/availability?count=61",
        "/v1/deployments?site=no%00site",
    ],
)
async def test_question_out_of_bounds_is_refused(api: Api, path: str) -> None:
    await api.publish({"brest": Wanted(None)})
    assert (await api.http.get(path, headers=await api.operator("read"))).status_code == 400


@pytest.mark.parametrize("site", ["nowhere", "no%00site", "x" * 300])
@pytest.mark.parametrize("what", ["metrics", "conditions"])
async def test_site_that_was_never_published_is_not_found(api: Api, site: str, what: str) -> None:
    answer = await api.http.get(f"/v1/sites/{site}/{what}", headers=await api.operator("read"))
    assert answer.status_code == 404


async def test_what_a_box_reported_is_read_back(api: Api) -> None:
    box = Box("brest")
    published = await api.publish({"brest": Wanted(box.identity)})
    generation = int(published.published_at.timestamp() * 1000)
    samples = [Sample(boot=0, uptime_s=60 * (n + 1), span_s=60, cpu_percent=10.0 * n) for n in range(10)]
    history = History(boots=[Boot(id="life", started_at=api.now - 10 * MINUTE)], samples=samples)
    api.now += MINUTE
    for _ in range(2):
        assert (await api.send(box, report(generation, history=history))).status_code == 204
    headers = await api.operator("read")

    async def read(path: str, kind: Any) -> Any:
        return msgspec.json.decode((await api.http.get(path, headers=headers)).content, type=list[kind])

    minutes = await read("/v1/sites/brest/metrics?points=1440", MetricsPoint)
    assert [point.cpu_percent for point in minutes] == [10.0 * n for n in range(10)]
    assert len(await read("/v1/sites/brest/metrics?points=1", MetricsPoint)) == 1
    (span,) = await read("/v1/sites/brest/conditions", ConditionSpan)
    assert (span.type, span.status, span.until) == ("Synced", "True", None)
    assert (await read("/v1/deployments?count=0", Deployments))[0].reached == 1
    assert (await read("/v1/availability?by=month&count=3&site=brest", Availability))[-1].known_s == 0
    assert await read("/v1/identity-forks", IdentityFork) == []
