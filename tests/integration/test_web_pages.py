"""The pages: what they say of a fleet, in two languages, with and without their script."""

import csv
import io
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest

from control_plane.store import clubs, publications, remotes
from control_plane.store.publications import CommitLook
from schemas.api import ChangeImpact
from schemas.club import ClubBlock, ClubCategory, ClubFile, ClubMirror, ClubVideo
from schemas.status import Condition, Difference, Event, Link, Metrics, Waiting
from tests.support.api import Api
from tests.support.pages import Page, fleet, page
from tests.support.published import NOW, Wanted, report

pytestmark = pytest.mark.anyio


async def test_fleet_shows_every_site_and_how_far_the_change_got(api: Api) -> None:
    await fleet(api)
    shown = await page(api, "/")
    assert "1 of 4 sites as desired" in shown.text
    assert re.search(r"Add spring sponsors .*? Under way 1 of 2 sites .*? 1 on the way", shown.text)
    assert re.search(r"Start the fleet .*? by Ada Lovelace .*? 3 of 4 sites .*? 1 without a box", shown.text)
    assert "ada@example.org" not in shown.text, "a name is enough"


async def test_overview_names_what_needs_a_person_and_no_more(api: Api) -> None:
    await fleet(api)
    shown = await page(api, "/")
    assert re.search(r"Needs a person Offline Rennes FC No report for 3 h\.", shown.text)
    assert not {"/sites/brest", "/sites/nantes", "/sites/vannes"} & set(shown.links)
    await api.publish({"lorient": Wanted(None)})
    async with api.connection() as conn:
        await conn.execute("delete from reports where site = 'rennes'")
    assert "Nothing needs anybody." in (await page(api, "/")).text


async def test_table_shows_every_site_with_what_it_measured(api: Api) -> None:
    await fleet(api)
    shown = await page(api, "/sites")
    for name, standing in (
        ("Brest Handball", "Synced"),
        ("Nantes Basket", "Progressing"),
        ("Rennes FC", "Offline No report for 3 h."),
        ("Vannes Rugby", "Unknown Planned: its file names no box yet."),
    ):
        assert re.search(rf"{name} (HB Brest · Brest )?{standing}", shown.text), name
    assert "2.0.0 to become 2.1.3" in shown.text
    assert {"/sites/brest", "/sites/vannes"} <= set(shown.links)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            "The newest commit is held Ada — Drop adverts. The publication before it stays in force. "
            "It touches 1,200 of 4,000 sites; 800 are allowed. It takes 2 sites away; 0 are allowed. "
            "If that is meant, push a commit whose message has this line: Allow-Impact: sites=1200 removals=2",
        ),
        (
            "fr",
            "Le dernier commit est retenu Ada — Drop adverts. La publication précédente reste en "
            "vigueur. Il touche 1 200 sites sur 4 000 ; 800 sont admis. Il retire 2 sites ; 0 sont admis. "
            "Si c’est voulu, poussez un commit dont le message contient cette ligne : "
            "Allow-Impact: sites=1200 removals=2",
        ),
    ],
)
async def test_held_commit_is_told_with_the_line_that_lets_it_go(api: Api, language: str, words: str) -> None:
    await fleet(api)
    impact = ChangeImpact(
        sites=1200,
        removals=2,
        total=4000,
        sites_allowed=800,
        removals_allowed=0,
        trailer="Allow-Impact: sites=1200 removals=2",
    )
    look = CommitLook(
        revision="f" * 40,
        author="Ada <ada@example.org>",
        subject="Drop adverts",
        committed_at=api.now,
        problems=["held by a guard: it touches 1200 of 4000 sites"],
        impact=impact,
    )
    async with api.connection() as conn:
        await publications.refuse(conn, await publications.current(conn), look, [], now=api.now, verdict="held")
        await remotes.record_look(conn, api.now, look.revision, "")
    shown = await page(api, "/", **{"accept-language": language})
    assert words in shown.text.replace("\u202f", " ").replace("\u00a0", " ")
    assert ("Held" if language == "en" else "Retenu") in shown.text


async def test_change_that_only_troubled_sites_lack_needs_a_look(api: Api) -> None:
    first, second = await fleet(api)
    bad = Condition(type="Degraded", status="True", reason="ReleaseUnhealthy", message="no answer", since=NOW)
    await api.report("nantes", report(first, sequence=2, head_generation=second, conditions=[bad]))
    text = (await page(api, "/")).text
    assert re.search(r"Add spring sponsors .*? Needs a look 1 of 2 sites .*? 1 degraded", text)


async def test_site_shows_what_its_box_said(api: Api) -> None:
    first, second = await fleet(api)
    said = report(
        first,
        sequence=2,
        head_generation=second,
        conditions=[
            Condition(type="Degraded", status="True", reason="DiskFull", message="2 MB are left.", since=NOW),
            Condition(type="Synced", status="False", reason="SomethingNew", since=NOW),
        ],
        differences=[Difference(kind="content", what="videos/A/a.mp4", desired="there", observed="missing")],
        waiting=[Waiting(step="Activate 2.1.3", reason="MatchInProgress", message="12-9", until=NOW)],
        metrics=Metrics(
            cpu_percent=12,
            disk_total_bytes=32_000_000_000,
            disk_free_bytes=1_000_000_000,
            uptime_s=7200,
            strain=["under_voltage", "throttled"],
            past_strain=[],
            link=Link(interface="wlan0", kind="wifi", signal_dbm=-80),
            service_restarts={"neopro-app": 3, "nginx": 0},
        ),
        events=[Event(number=1, at=NOW, severity="error", reason="RolledBack", message="2.2.0 did not answer.")],
    )
    await api.report("brest", said)
    text = (await page(api, "/sites/brest")).text
    for words in (
        "Brest Handball",
        "Degraded 2 MB are left.",
        "In trouble: Yes · The disk is full",
        "As desired: No · Something new",
        "Content videos/A/a.mp4 there missing",
        "Activate 2.1.3 A match is on the screen · 12-9 · until 1 Mar 2026, 12:00 UTC",
        "1.0\u202fGB free of 32.0\u202fGB",
        "Up for 2 h",
        "Power Too weak: change the power supply",
        "Slowed down Now, by heat or power",
        "Network Wi-Fi · -80 dBm",
        "Restarts by themselves neopro-app 3",
        "Rolled back to the last good release Error 2.2.0 did not answer.",
        "bretagne, beta",
        f"accepted {second}, not converged",
    ):
        assert re.sub(r"\s+", " ", words) in text, words


async def test_site_that_gave_up_on_a_release_shows_that_it_differs(api: Api) -> None:
    await fleet(api)
    assert "Release release 2.1.3 2.0.0" in (await page(api, "/sites/nantes")).text
    assert "Nothing differs." in (await page(api, "/sites/brest")).text


async def test_site_whose_word_is_old_says_so(api: Api) -> None:
    await fleet(api)
    assert "What the box said 3 h ago; it may be otherwise now." in (await page(api, "/sites/rennes")).text
    assert "it may be otherwise" not in (await page(api, "/sites/brest")).text


async def test_page_speaks_french_when_asked_and_remembers_it(api: Api) -> None:
    await fleet(api)
    accepted = await api.http.get("/", headers={"Accept-Language": "fr-FR,fr;q=0.9,en;q=0.5"})
    assert "1 sur 4 sites conformes" in Page(accepted.text).text
    assert accepted.headers["content-language"] == "fr"
    assert 'lang="fr"' in accepted.text
    assert "set-cookie" not in accepted.headers
    switched = await api.http.get("/?lang=fr")
    assert "neopro_language=fr" in switched.headers["set-cookie"]
    assert "HttpOnly" in switched.headers["set-cookie"]
    api.http.cookies.clear()
    kept = await api.http.get("/sites/vannes", headers={"Cookie": "neopro_language=fr", "Accept-Language": "en"})
    assert "Prévu : son fichier ne nomme pas encore de boîtier." in Page(kept.text).text


async def test_banners_tell_of_the_remote_and_of_the_refused_commit(api: Api) -> None:
    await fleet(api)
    assert "refused" not in (await page(api, "/")).text
    async with api.connection() as conn:
        bad = CommitLook(
            revision="f" * 40,
            author="Ada",
            subject="Oops",
            committed_at=api.now,
            problems=[f"sites/a.yaml:{line}:1: error NoSuchRelease: there is none" for line in range(1, 61)],
        )
        await publications.refuse(conn, await publications.current(conn), bad, [], now=api.now)
        await remotes.record_look(conn, api.now - timedelta(minutes=5), "f" * 40, "")
        await remotes.record_look(conn, api.now - timedelta(minutes=4), None, "cannot fetch: refused")
    text = (await page(api, "/")).text
    assert "The newest commit was refused · 60 problems" in text
    assert "sites/a.yaml:50:1: error" in text
    assert "sites/a.yaml:51:1: error" not in text
    assert "and 10 more" in text
    assert "The Git remote cannot be used Since 4 min." in text


async def test_empty_fleet_says_what_comes(api: Api) -> None:
    text = (await page(api, "/")).text
    assert "Nothing was published yet." in text
    assert "No commit was looked at yet." in text


FILTERS = [
    ("?standing=Offline", ["Rennes FC"]),
    ("?q=handball", ["Brest Handball"]),
    ("?q=BETA+brest", ["Brest Handball"]),
    ("?standing=Offline&q=brest", []),
    ("?group=beta", ["Brest Handball"]),
    ("?group=nowhere", []),
    ("?state=active&release=2.0.0", ["Nantes Basket"]),
    ("?sort=site", ["Brest Handball", "Nantes Basket", "Rennes FC", "Vannes Rugby"]),
    ("?sort=-site", ["Vannes Rugby", "Rennes FC", "Nantes Basket", "Brest Handball"]),
    ("?sort=-report&standing=", ["Nantes Basket", "Brest Handball", "Rennes FC", "Vannes Rugby"]),
    ("?standing=Nonsense", []),
    ("?sort=nonsense&page=-3", ["Rennes FC", "Nantes Basket", "Brest Handball", "Vannes Rugby"]),
    ("?page=99999999999999999999", ["Rennes FC", "Nantes Basket", "Brest Handball", "Vannes Rugby"]),
]


async def test_filter_shows_the_sites_that_match(api: Api) -> None:
    await fleet(api)
    for query, names in FILTERS:
        html = (await api.http.get(f"/sites{query}")).text
        assert re.findall(r'<th scope="row"><a href="[^"]*">([^<]*)</a>', html) == names, query
        if not names:
            assert "No site matches." in html


async def test_large_fleet_is_shown_a_page_at_a_time(api: Api) -> None:
    await api.publish({f"site-{number:03}": Wanted(None) for number in range(250)})
    first, last = await page(api, "/sites"), await page(api, "/sites?page=3")
    rows = [sum(link.startswith("/sites/") for link in shown.links) for shown in (first, last)]
    assert rows == [100, 50]
    assert "Page 1 of 3" in first.text
    assert "?page=2" in first.links


async def test_sites_are_kept_as_a_table_or_as_json_as_they_were_asked_for(api: Api) -> None:
    await fleet(api)
    await api.publish({"evil": Wanted(None, name="=HYPERLINK(1)", facts={"city": "@home"})})
    rows = list(csv.DictReader(io.StringIO((await api.http.get("/sites.csv?sort=site")).text)))
    assert [row["site"] for row in rows] == ["evil", "brest", "nantes", "rennes", "vannes"]
    assert (rows[0]["name"], rows[0]["city"]) == ("'=HYPERLINK(1)", "'@home"), "no spreadsheet runs it"
    assert (rows[1]["standing"], rows[1]["club"]) == ("Synced", "HB Brest")
    asked = await api.http.get("/sites.json?q=handball")
    assert [row["site"] for row in asked.json()] == ["brest"]
    assert asked.headers["content-disposition"] == 'attachment; filename="sites.json"'


async def test_script_gets_fragments_and_nothing_when_nothing_changed(api: Api) -> None:
    _, second = await fleet(api)
    whole = (await api.http.get("/")).text
    fragment = await api.http.get("/", headers={"X-Fragment": "1"})
    assert "<html" not in fragment.text
    assert (
        Page(fragment.text).regions
        == Page(whole).regions
        == ["score", "banners", "rollouts", "troubles", "changes", "activity", "alerts"]
    )
    tag = {"X-Fragment": "1", "If-None-Match": fragment.headers["etag"]}
    api.now += timedelta(seconds=5)
    assert (await api.http.get("/", headers=tag)).status_code == 304
    await api.report("nantes", report(second, sequence=2))
    changed = await api.http.get("/", headers=tag)
    assert changed.status_code == 200
    assert "2 of 4 sites as desired" in Page(changed.text).text


async def test_page_without_script_reloads_itself(api: Api) -> None:
    html = (await api.http.get("/")).text
    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in html


async def test_page_loads_its_own_assets_only_and_they_last(api: Api) -> None:
    await fleet(api)
    for path in ("/", "/sites", "/sites/brest"):
        shown = await page(api, path)
        assert len(shown.sources) >= 3
        for source in shown.sources:
            assert re.fullmatch(r"/static/[a-z]+\.(css|js|svg)\?v=[0-9a-f]{16}", source)
            answer = await api.http.get(source)
            assert (answer.status_code, answer.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    old = await api.http.get("/static/style.css?v=old")
    assert (old.status_code, old.headers["cache-control"]) == (200, "no-cache")


MISSING = ["/sites/atlantis", "/nothing", "/static/nothing.css"]


async def test_missing_page_is_a_page_for_people_and_a_problem_for_programs(api: Api) -> None:
    for path in MISSING:
        person = await api.http.get(path, headers={"Accept": "text/html,*/*;q=0.8", "Accept-Language": "fr"})
        assert (person.status_code, person.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "Cette page n’existe pas" in person.text
        program = await api.http.get(path)
        assert (program.status_code, program.headers["content-type"]) == (404, "application/problem+json")


async def test_real_server_sends_pages(api: Api) -> None:
    await fleet(api)
    async with api.serve() as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        answer: Any = await client.get("/sites")
        assert "Brest Handball" in answer.text
        assert (await client.get("/static/live.js")).headers["content-type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "en",
            ["What the club owns", "Told 2 min ago", "Salle <b>A</b>", "Match (3)", "2 categories · 1 video", "and 40"],
        ),
        ("fr", ["Ce qui appartient au club", "Dit il y a 2 min", "Avant-match", "1 vidéo", "70 fichiers", "2,1"]),
    ],
)
async def test_site_shows_what_its_club_owns_and_the_words_of_clubs_stay_words(
    api: Api, language: str, said: list[str]
) -> None:
    await fleet(api)
    clip = ClubVideo(name="But", path="videos/but.mp4")
    club = ClubMirror(
        title="Salle <b>A</b>",
        categories=[ClubCategory(id="match", name="Match", videos=[clip] * 3)],
        blocks=[ClubBlock(id="before", categories=["a", "b"], loop=[clip]), ClubBlock(id="after")],
        files=[ClubFile(path=f"videos/<script>{n}.mp4", size_bytes=30_000_000) for n in range(50)],
        file_count=70,
        file_bytes=2_100_000_000,
    )
    nothing = await page(api, f"/sites/nantes?lang={language}")
    assert {"en": "has not told what the club owns", "fr": "n’a pas encore dit"}[language] in nothing.text
    async with api.connection() as conn:
        await clubs.keep(conn, "brest", club, api.now - timedelta(minutes=2))
    shown = await page(api, f"/sites/brest?lang={language}")
    for words in said:
        assert words in shown.text, words
    assert "club" in shown.regions and "javascript" not in str(shown.sources)
