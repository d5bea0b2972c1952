"""What worries somebody: on its page, over the API, and on the page of a site beside what it measured."""

import re
from datetime import timedelta

import pytest

from control_plane.store import partitions
from control_plane.watching import Watch
from tests.support.api import Api
from tests.support.pages import Page, fleet, page
from tests.support.published import report

pytestmark = pytest.mark.anyio


def watch(api: Api) -> Watch:
    """One that has listened for a while."""
    return Watch(api.pool, lambda: api.now, listens_since=api.now - timedelta(hours=1))


async def test_alerts_say_what_is_so_since_when_and_what_to_do(api: Api) -> None:
    await fleet(api)
    assert "Nothing worries anybody." in (await page(api, "/alerts")).text
    await watch(api).look()
    shown = await page(api, "/alerts")
    assert re.search(r"Offline Critical Rennes FC has sent no report for 3 h\. What to do ?: Call the club", shown.text)
    assert "/sites/rennes" in shown.links
    french = (await page(api, "/alerts?lang=fr")).text
    assert "Rennes FC n’a pas donné de nouvelles depuis 3 h." in french


async def test_alert_that_cleared_says_how_long_it_lasted(api: Api) -> None:
    _, second = await fleet(api)
    looking = watch(api)
    await looking.look()
    for sequence in (7, 8):
        api.now += timedelta(minutes=6)
        await api.report("rennes", report(second, sequence=sequence))
        await looking.look()
    text = (await page(api, "/alerts")).text
    assert re.search(r"Cleared in the last 14 days Offline .* lasted 12 min", text)


async def test_programs_read_the_same_alerts(api: Api) -> None:
    await fleet(api)
    await watch(api).look()
    asked = await api.http.get("/v1/alerts", headers=await api.operator("read"))
    (one,) = [alert for alert in asked.json() if alert["kind"] == "offline"]
    assert (one["subject"], one["severity"]) == ("rennes", "critical")
    assert one["sentence"] == "Rennes FC has sent no report for 3 h."
    assert (await api.http.get("/v1/alerts")).status_code == 401


async def test_site_shows_what_it_measured_over_time_and_its_alerts(api: Api) -> None:
    await fleet(api)
    async with api.connection() as conn:
        await partitions.make(conn, api.now)
        await conn.execute(
            "insert into metrics_minutes (site, at, span_s, late_s, unsure, cpu, memory, temperature, disk)"
            " select 'rennes', at, 60, 0, false, 20, 30, 50, 40"
            " from generate_series(%(now)s::timestamptz - interval '2 h', %(now)s, interval '1 minute') at",
            {"now": api.now},
        )
    await watch(api).look()
    html = (await api.http.get("/sites/rennes")).text
    assert html.count("<polyline") == 4
    text = Page(html).text
    assert re.search(r"Alerts Offline Critical Rennes FC has sent no report for 3 h\.", text)
    assert "Temperature now 50 °C; lowest 50 °C, mean 50 °C, highest 50 °C" in text
    assert {"?span=7d#charts", "?span=90d#charts"} <= set(Page(html).links)
    assert "The box measured nothing yet." in (await page(api, "/sites/vannes?span=7d")).text
