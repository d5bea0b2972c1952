"""Pages before strangers: what boxes and operators write is text and never markup; who may look at all."""

import base64
from collections.abc import Mapping
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest

from control_plane.store import library, publications, remotes
from control_plane.store.publications import CommitLook
from control_plane.watching import Watch
from schemas.desired import CategoryName, Document, Group, Operation, Release, Target, Video, VideoSet
from schemas.names import digest_of
from schemas.status import Condition, Difference, Event, RunningRelease, Waiting
from tests.support.api import Api, open_api
from tests.support.published import NOW, Box, Wanted, report

pytestmark = pytest.mark.anyio

HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(1)>{{7*7}}javascript:alert(1)"""
FORWARDED = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Via", "X-Real-IP")


def basic(headers: Mapping[str, str], user: str = "anybody") -> dict[str, str]:
    token = headers["Authorization"].removeprefix("Bearer ")
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()}


def hostile_documents() -> dict[library.Name, Document]:
    digest, text, stem = digest_of(b""), HOSTILE, "hostile"
    category = CategoryName(id="a", name=text)
    return {
        ("groups", stem): Group(name=text, select={"city": text}, priority=1, config={text: text}),
        ("videos", stem): Video(name=text, digest=digest, size_bytes=1),
        ("video-sets", stem): VideoSet(name=text, category=category, videos=[stem]),
        ("releases", stem): Release(version="1.0.0", tree=digest, size_bytes=1, changelog=text),
        ("operations", text): Operation(target=Target(group=stem), action="reboot", not_after=NOW),
    }


async def hostile_fleet(api: Api) -> None:
    """A script in every string that a box or an operator can set."""
    generation = int(NOW.timestamp() * 1000)
    facts = dict.fromkeys(("club", "city", "region", "country"), HOSTILE) | {"sports": [HOSTILE], "groups": [HOSTILE]}
    site = Wanted(Box("brest").identity, name=HOSTILE, release=HOSTILE, facts=facts)
    await api.publish({"brest": site}, subject=HOSTILE, author=f"{HOSTILE} <x@example.org>")
    said = report(
        generation - 1,
        head_generation=generation,
        agent_version=HOSTILE[:64],
        release=RunningRelease(version=HOSTILE[:64]),
        conditions=[Condition(type="Degraded", status="True", reason="Script", message=HOSTILE, since=NOW)],
        differences=[Difference(kind="content", what=HOSTILE, desired=HOSTILE, observed=HOSTILE)],
        waiting=[Waiting(step=HOSTILE, reason="Script", message=HOSTILE)],
        events=[Event(number=1, at=NOW, reason="Script", message=HOSTILE)],
    )
    await api.report("brest", said)
    async with api.connection() as conn:
        bad = CommitLook(
            revision="f" * 40, author=HOSTILE, subject=HOSTILE, committed_at=NOW, problems=[f"a.yaml:1:1: {HOSTILE}"]
        )
        await publications.refuse(conn, await publications.current(conn), bad, [], now=NOW + timedelta(seconds=1))
        await remotes.record_look(conn, NOW, "f" * 40, "")
        await remotes.record_look(conn, NOW, None, HOSTILE)
    async with api.connection() as conn:
        await library.replace(conn, {name: ("0" * 40, document) for name, document in hostile_documents().items()}, NOW)
    api.now += timedelta(minutes=11)
    await api.report("brest", said)
    await Watch(api.pool, lambda: api.now).look()


SHOWN = [
    "/",
    "/sites",
    "/sites/brest",
    "/alerts",
    "/changes",
    "/releases",
    "/releases/hostile",
    "/groups",
    "/groups/hostile",
    "/library",
    "/library/hostile",
    "/operations",
    "/sites?q=<script>alert(1)</script>&standing=<script>&sort=<script>&lang=<script>",
]


@pytest.mark.parametrize("path", ["/sites/{}", "/v1/sites/{}/status", "/v1/sites/{}/head"])
async def test_name_that_no_site_can_have_is_not_found_and_no_bug(api: Api, path: str) -> None:
    reader = await api.operator("read")
    for name in ("%00", "a%00b", "%ff", "BREST", "x" * 5000, "%F0%9F%A4%96"):
        assert (await api.http.get(path.format(name), headers=reader)).status_code == 404


async def test_script_in_any_text_is_shown_and_never_run(api: Api) -> None:
    await hostile_fleet(api)
    for path in SHOWN:
        html = (await api.http.get(path)).text
        assert "<script>alert" not in html
        assert "<img" not in html
        assert "onerror=alert(1)>" not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
        assert html.count("<script ") == html.count('<script src="/static/live.js?v=') == 1
        assert 'href="javascript' not in html


MISSING = ["/sites/<script>alert(1)</script>", "/<script>alert(1)</script>"]


async def test_script_in_the_url_of_a_missing_page_is_never_run(api: Api) -> None:
    for path in MISSING:
        answer = await api.http.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == 404
        assert "<script>alert" not in answer.text


PATHS = ["/", "/sites/brest", "/sites/none", "/static/style.css", "/static/icon.svg"]


async def test_page_forbids_what_it_does_not_need(api: Api) -> None:
    await hostile_fleet(api)
    for path in PATHS:
        headers = (await api.http.get(path, headers={"Accept": "text/html"})).headers
        policy = dict(rule.strip().partition(" ")[::2] for rule in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


async def test_neighbour_on_loopback_needs_no_token(api: Api) -> None:
    for base in ("http://localhost:8470", "http://127.0.0.1:8470", "http://[::1]:8470"):
        async with api.client(base=base) as client:
            assert (await client.get("/")).status_code == 200, base
            assert (await client.get("/metrics")).status_code == 200, base


FOREIGN_NAMES = ["evil.example", "evil.example:8470", "localhost.evil.example", "127.0.0.1.nip.io", ""]


async def test_name_that_was_rebound_to_loopback_is_refused(api: Api) -> None:
    for host in FOREIGN_NAMES:
        for path in ("/", "/sites/brest", "/metrics"):
            answer = await api.http.get(path, headers={"Host": host})
            assert answer.status_code == 421, path


async def test_request_that_came_through_a_proxy_is_no_neighbour(api: Api) -> None:
    for header, path in product(FORWARDED, ("/", "/metrics")):
        assert (await api.http.get(path, headers={header: "127.0.0.1"})).status_code == 401, header


async def test_public_name_asks_for_a_token_even_on_loopback(tmp_path: Path, database: str) -> None:
    async with open_api(tmp_path, database, public_url="https://fleet.example.org") as api:
        host = {"Host": "fleet.example.org"}
        assert (await api.http.get("/", headers=host)).status_code == 401
        assert (await api.http.get("/", headers=host | await api.operator("read"))).status_code == 200


@pytest.mark.parametrize("settings", [{"listen": "0.0.0.0:8470"}, {"trusted_proxy": ["127.0.0.1/32"]}])
async def test_page_for_others_asks_for_a_token(tmp_path: Path, database: str, settings: dict[str, object]) -> None:
    async with open_api(tmp_path, database, **settings) as api:
        for path in ("/", "/sites/brest", "/metrics"):
            stranger = await api.http.get(path, headers={"Accept": "text/html"})
            assert stranger.status_code == 401, path
            assert stranger.headers["www-authenticate"].startswith("Basic realm="), path
        reader, writer = await api.operator("read"), await api.operator("write")
        assert (await api.http.get("/", headers=basic(reader))).status_code == 200
        assert (await api.http.get("/", headers=basic(reader, user="ada:lovelace"))).status_code == 401
        assert (await api.http.get("/metrics", headers=reader)).status_code == 200
        assert (await api.http.get("/", headers=basic(writer))).status_code == 403
        for wrong in ("Basic !!!", "Basic " + base64.b64encode(b"\xff\xfe:").decode(), "Basic", "Digest x"):
            assert (await api.http.get("/", headers={"Authorization": wrong})).status_code == 401, wrong
        assert (await api.http.get("/static/style.css")).status_code == 200, "the error page needs its style"
        assert (await api.http.get("/healthz")).status_code == 200


async def test_server_that_faces_the_network_answers_by_any_name(tmp_path: Path, database: str) -> None:
    async with open_api(tmp_path, database, listen="0.0.0.0:8470") as api:
        headers = await api.operator("read") | {"Host": "fleet.example.org"}
        assert (await api.http.get("/", headers=headers)).status_code == 200
