"""Pages that are open hear of news at once: over real HTTP, from the database, also after it was away."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from control_plane.api import live
from tests.support.api import Api, open_api, until
from tests.support.published import NOW, Box, Wanted, report

pytestmark = pytest.mark.anyio


@pytest.fixture
async def api(tmp_path: Path, database: str) -> AsyncIterator[Api]:
    async with open_api(tmp_path, database) as opened:
        await opened.publish({"brest": Wanted(Box("brest").identity)})
        yield opened


async def heard(lines: AsyncIterator[str]) -> str:
    """The next event, or comment, that is not empty."""
    async for line in lines:
        if line:
            return line
    return ""


async def test_open_page_hears_of_reports_publications_and_alerts(api: Api) -> None:
    generation = int(NOW.timestamp() * 1000)
    happenings = (
        lambda: api.report("brest", report(generation)),
        lambda: api.publish({"nantes": Wanted(None)}),
        lambda: notify(api),
    )
    async with (
        api.serve() as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as client,
        client.stream("GET", "/live") as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        assert (await heard(lines)).startswith("retry:")
        for happen in happenings:
            await happen()
            while (line := await heard(lines)) != "event: news":
                assert line.startswith(("id:", "data:", ":")), line


async def notify(api: Api) -> None:
    async with api.connection() as conn:
        await conn.execute("select pg_notify('neopro_alerts', '')")


async def test_stream_ends_with_the_server(api: Api) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        async with api.serve() as url:
            request = client.build_request("GET", f"{url}/live")
            answer = await client.send(request, stream=True)
            lines = answer.aiter_lines()
            await heard(lines)
        rest = [line async for line in lines]
        assert all(line.startswith((":", "id:", "event:", "data:")) for line in rest if line)
        await answer.aclose()


async def test_too_many_pages_are_asked_to_come_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_STREAMS", 0)
    answer = await api.http.get("/live")
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


async def test_stranger_hears_nothing(tmp_path: Path, database: str) -> None:
    async with open_api(tmp_path, database, listen="0.0.0.0:8470") as api:
        assert (await api.http.get("/live")).status_code == 401


async def test_wait_for_news_ends_in_time_and_leaves_nothing(api: Api) -> None:
    seen = api.heads.news
    assert await api.heads.wait_news(seen, 0.05) == seen
    await api.report("brest", report(int(NOW.timestamp() * 1000)))
    await until(lambda: api.heads.news > seen)
    assert await api.heads.wait_news(seen, 10) > seen
