"""Pages before strangers: what they forbid themselves, and who may look at all (texts: test_stored_scripts)."""

import base64
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import pytest

from tests.support.api import Api, open_api
from tests.support.published import Wanted

pytestmark = pytest.mark.anyio

FORWARDED = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Via", "X-Real-IP")


def basic(headers: Mapping[str, str], user: str = "anybody") -> dict[str, str]:
    token = headers["Authorization"].removeprefix("Bearer ")
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()}


@pytest.mark.parametrize("path", ["/sites/{}", "/v1/sites/{}/status", "/v1/sites/{}/head"])
async def test_name_that_no_site_can_have_is_not_found_and_no_bug(api: Api, path: str) -> None:
    reader = await api.operator("read")
    for name in ("%00", "a%00b", "%ff", "BREST", "x" * 5000, "%F0%9F%A4%96"):
        assert (await api.http.get(path.format(name), headers=reader)).status_code == 404


PATHS = ["/", "/sites/brest", "/sites/none", "/static/style.css", "/static/icon.svg"]


async def test_page_forbids_what_it_does_not_need(api: Api) -> None:
    await api.publish({"brest": Wanted(None)})
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
async def test_page_for_others_leads_to_the_login(tmp_path: Path, database: str, settings: dict[str, object]) -> None:
    async with open_api(tmp_path, database, **settings) as api:
        for path in ("/", "/sites/brest", "/metrics"):
            stranger = await api.http.get(path, headers={"Accept": "text/html"})
            assert (stranger.status_code, "/login?next=" in stranger.headers["location"]) == (303, True), path
            program = await api.http.get(path)
            assert program.status_code == 401, path
            assert program.headers["www-authenticate"].startswith("Bearer"), path
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
