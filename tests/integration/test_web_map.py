"""The map's page and the map on the first page: a real database, with the outlines' package and without it."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from control_plane.core.people import Reader
from control_plane.store.lookout import Lookout
from control_plane.web.kept import Kept
from control_plane.web.map_outlines import NoOutlines
from control_plane.web.pages import map as map_page
from control_plane.web.pages import overview
from control_plane.web.visit import Room, Shown, Visit
from control_plane.web.words import Words
from tests.support.api import Api, open_api
from tests.support.outlines import FILE
from tests.support.published import NOW, Box, Wanted, report

pytestmark = pytest.mark.anyio
needs_outlines = pytest.mark.skipif(not FILE.is_file(), reason=f"the set-up brought no outlines: {FILE} is missing")
PLACES = {
    "brest": (48.3904, -4.4861, "Brest", "Bretagne"),
    "rennes": (48.1147, -1.6794, "Rennes", "Bretagne"),
    "lille": (50.6292, 3.0573, "Lille", "Hauts-de-France"),
    "saint-denis": (-20.8789, 55.4481, "Saint-Denis", "La Réunion"),
}


@pytest.fixture
async def bare(tmp_path: Path, database: str) -> AsyncIterator[Api]:
    """A server whose set-up brought no outlines."""
    async with open_api(tmp_path, database, outlines=tmp_path / "none.svg") as opened:
        yield opened


class Drawing(HTMLParser):
    """What stands on the map and what in the list: links with their names."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.marks: dict[str, str] = {}
        self.list: list[str] = []
        self.outlines = self.lines = self.icons = 0
        self.box = ""
        self._stack: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        inside = "svg" in self._stack and "map-list" not in self._stack
        self.box = given["viewbox"] if given.get("id") == "map" else self.box
        self.outlines += tag == "path" and inside and not given.get("class") and "outlines" in self._stack
        self.lines += given.get("class") == "degrees"
        if given.get("class", "").startswith("pin "):
            self.marks[given["aria-label"]] = given["href"]
        elif tag == "a" and "places" in self._stack:
            self.list.append(given["href"])
        if tag not in ("path", "circle", "use", "rect", "br", "input", "meta", "link"):
            self._stack.append(given.get("class", "").split(" ")[-1] if tag in ("g", "ul") else tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("path", "circle", "use", "rect", "br", "input", "meta", "link"):
            self._stack.pop()


async def fleet(api: Api) -> None:
    """Four sites with a place, of which one is overseas and one of a tenant, and one without."""
    sites = {
        name: Wanted(
            Box(name).identity,
            name=f"{city} XV",
            facts={"city": city, "region": region, "at": [lat, lon], "tenant": "sud" if name == "rennes" else "nord"},
        )
        for name, (lat, lon, city, region) in PLACES.items()
    }
    sites["nantes"] = Wanted(Box("nantes").identity, name="Nantes XV", facts={"city": "Nantes", "tenant": "nord"})
    await api.publish(sites)
    generation = int(api.now.timestamp() * 1000)
    for name in ("brest", "saint-denis", "nantes"):
        await api.report(name, report(generation))
    await api.report("lille", report(generation), at=NOW - timedelta(hours=3))


async def drawing(api: Api, path: str, **headers: str) -> tuple[Drawing, str]:
    answer = await api.http.get(path, headers=headers)
    assert answer.status_code == 200
    return Drawing(answer.text), re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))


async def test_map_and_list_name_every_site_with_its_standing(bare: Api) -> None:
    await fleet(bare)
    shown, text = await drawing(bare, "/map")
    assert shown.marks == {
        "Brest XV, Synced": "/sites/brest",
        "Rennes XV, Unknown": "/sites/rennes",
        "Lille XV, Offline": "/sites/lille",
    }
    assert {*shown.marks.values(), "/sites/saint-denis", "/sites/nantes"} <= set(shown.list)
    assert re.search(r"Bretagne Rennes XV Unknown Brest XV Synced Hauts-de-France Lille XV Offline", text)
    assert re.search(r"Outside of this view La Réunion: 1 site Synced: 1 Saint-Denis XV", text)
    assert re.search(r"1 site without a place .*? Nantes XV Synced", text)
    _, french = await drawing(bare, "/map?lang=fr")
    assert "1 site sans emplacement" in french and "Hors de cette vue" in french


async def test_map_without_outlines_has_lines_and_says_nothing_of_a_licence(bare: Api) -> None:
    await fleet(bare)
    shown, text = await drawing(bare, "/map")
    assert (shown.outlines, shown.lines > 4) == (0, True)
    assert "MapSVG" not in text
    _, system = await drawing(bare, "/system")
    assert re.search(r"Outlines of the map none: the map shows the sites alone \S+none\.svg is not there", system)


@needs_outlines
async def test_map_with_outlines_has_every_department_and_says_whose_they_are(api: Api) -> None:
    await fleet(api)
    shown, text = await drawing(api, "/map")
    assert (shown.outlines, shown.lines) == (96, 0)
    assert re.search(r"MapSVG .*? svg-maps .*? CC BY 4\.0", text)
    _, system = await drawing(api, "/system")
    assert "Outlines of the map departments of France" in system
    far, text = await drawing(api, "/map?zoom=4&at=-20.9,55.4")
    assert (far.outlines, far.lines > 4, far.marks) == (0, True, {"Saint-Denis XV, Synced": "/sites/saint-denis"})
    assert "MapSVG" not in text


@needs_outlines
async def test_fragment_has_the_marks_and_leaves_the_outlines_out(api: Api) -> None:
    await fleet(api)
    for path in ("/map", "/"):
        whole, (fragment, _) = (await drawing(api, path))[0], await drawing(api, path, **{"X-Fragment": "1"})
        assert (fragment.marks, fragment.outlines) == (whole.marks, 0)
        assert (whole.outlines, len(whole.marks)) == (96, 3)


async def test_address_holds_the_window_and_the_question(bare: Api) -> None:
    await fleet(bare)
    brittany, _ = await drawing(bare, "/map?region=Bretagne")
    assert set(brittany.marks) == {"Brest XV, Synced", "Rennes XV, Unknown"}
    offline, _ = await drawing(bare, "/map?standing=Offline")
    assert set(offline.marks) == {"Lille XV, Offline"}
    near, text = await drawing(bare, "/map?region=Bretagne&zoom=4&at=48.39,-4.49")
    assert set(near.marks) == {"Brest XV, Synced"}
    assert "Outside of this view Bretagne: 1 site Unknown: 1" in text
    html = (await bare.http.get("/map?region=Bretagne&zoom=4&at=48.39,-4.49")).text
    assert 'href="/map?region=Bretagne&amp;zoom=5&amp;at=48.39000,-4.49000"' in html
    assert 'href="/map?region=Bretagne"' in html


async def test_tenant_s_people_see_their_own_sites_and_a_map_of_no_more(bare: Api) -> None:
    await fleet(bare)
    outlines, clock = NoOutlines(path="", why="missing"), lambda: bare.now
    room = Room(bare.pool, Lookout(bare.pool, clock), bare.objects, clock, outlines, Kept())

    async def seen(tenant: str | None, query: dict[str, str]) -> list[str]:
        """What every text of both pages says of sites."""
        found = []
        for page in (map_page, overview):
            visit = Visit(Reader(name="ada", tenant=tenant), Words("en"), query, {})
            shown = await page.show(room, visit)
            assert isinstance(shown, Shown)
            found.append(msgspec.json.encode(shown.page).decode())
        return found

    for query in ({}, {"zoom": "3", "at": "50.6,3"}, {"region": "Hauts-de-France"}):
        for text in await seen("sud", query):
            assert not re.search("Brest|Lille|Nantes|Réunion|saint-denis", text)
        assert all("Lille" in text for text in await seen(None, query))
    assert all("Rennes XV, Unknown" in text for text in await seen("sud", {}))
    assert not any("Rennes" in text for text in await seen("other", {}))


async def test_overview_has_a_map_whose_marks_lead_on_and_the_regions(bare: Api) -> None:
    await bare.publish({"nantes": Wanted(Box("nantes").identity, name="Nantes XV")})
    assert 'id="map"' not in (await bare.http.get("/")).text, "no site has a place"
    bare.now += timedelta(minutes=1)
    await fleet(bare)
    shown, text = await drawing(bare, "/")
    assert set(shown.marks) == {"Brest XV, Synced", "Rennes XV, Unknown", "Lille XV, Offline"}
    assert re.search(r"Bretagne 2 .*?Hauts-de-France 1 .*?La Réunion 1 .*?No region 1", text)


HOSTILE = """<script>alert(1)</script>"'><svg onload=alert(1)>{{7*7}}"""


async def test_hostile_texts_and_addresses_are_shown_and_never_run(bare: Api) -> None:
    facts = {"city": HOSTILE, "region": HOSTILE, "club": HOSTILE}
    at = [{"at": [48.39, -4.49]}, {"at": [48.39, -4.49]}, {"at": [-20.9, 55.4]}, {}]
    await bare.publish(
        {f"s{n}": Wanted(Box(f"s{n}").identity, name=HOSTILE, facts={**facts, **one}) for n, one in enumerate(at)}
    )
    hostile = quote(HOSTILE)
    for path in ("/", "/map", "/map?zoom=8&at=48.39,-4.49", f"/map?zoom={hostile}&at={hostile}&region={hostile}"):
        html = (await bare.http.get(path)).text
        assert "<script>alert" not in html and "<svg onload" not in html
        assert "&lt;script&gt;" in html


async def test_page_of_the_map_has_its_script_and_no_inline_one(bare: Api) -> None:
    await fleet(bare)
    html = (await bare.http.get("/map")).text
    assert [re.sub(r"\?v=\w+", "", tag) for tag in re.findall(r"<script[^>]*>", html)] == [
        '<script src="/static/live.js" defer>',
        '<script src="/static/map.js" defer>',
    ]
    assert " style=" not in html and not re.search('(href|src)="(https?:)?//', html)
    static = Path(__file__).parents[2] / "control_plane/web/static"
    assert sum(len(file.read_text("utf-8").splitlines()) for file in static.glob("*.js")) < 300
