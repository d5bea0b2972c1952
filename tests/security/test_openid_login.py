"""The way in by a provider under attack: other browsers, other hosts, two at once, floods, and answers made up."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any, get_args
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from control_plane.core.openid import Grant, Reason
from control_plane.store import audit, users
from control_plane.web import openid
from control_plane.web.words import LANGUAGES
from tests.support.api import Api, open_api
from tests.support.hostile_openid import CLIENT_ID, METADATA, TOKEN, Hostile
from tests.support.people import add_person, browser, come_in
from tests.support.scripted_http import Say

pytestmark = pytest.mark.anyio

HOME = "https://fleet.example.org"


@pytest.fixture
def there() -> Iterator[Hostile]:
    with Hostile().serving() as hostile:
        yield hostile


@pytest.fixture
async def api(there: Hostile, tmp_path: Path, database: str) -> AsyncIterator[Api]:
    how: dict[str, Any] = {
        "public_url": HOME,
        "oidc_issuer": there.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_grants": [Grant(claim="groups", value="fleet-admins", role="operator")],
        "oidc_label": "the <b>provider</b>",
    }
    async with open_api(tmp_path, database, **how) as opened:
        opened.now = datetime.now(UTC)
        there.now = lambda: opened.now.timestamp()
        yield opened


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(api, HOME) as opened:
        yield opened


async def begin(client: httpx.AsyncClient, there: Hostile, **query: str) -> dict[str, str]:
    """Begin a login; what the provider would send back with."""
    answer = await client.get("/login/openid", params=query)
    asked = {key: values[0] for key, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    return {"state": asked["state"], "code": asked["nonce"], "iss": there.issuer}


async def back(client: httpx.AsyncClient, query: Any) -> httpx.Response:
    return await client.get("/login/openid/callback", params=query)


def why(answer: httpx.Response) -> str:
    where = urlsplit(answer.headers["location"])
    return parse_qs(where.query)["why"][0] if where.path == openid.REFUSED else ""


async def abouts(api: Api, act: str) -> list[str]:
    async with api.connection() as conn:
        return [record.about for record in await audit.records(conn, act=act)]


async def sessions(api: Api) -> int:
    async with api.connection() as conn:
        row = await (await conn.execute("select count(*) from sessions")).fetchone()
    assert row is not None
    return int(row[0])


async def test_login_that_another_browser_began_is_not_finished(
    api: Api, there: Hostile, client: httpx.AsyncClient
) -> None:
    # Whoever begins a login and lets a victim finish it would have the victim work under the attacker's account.
    query = await begin(client, there)
    async with browser(api, HOME) as victim:
        assert why(await back(victim, query)) == "stale"
        await begin(victim, there)
        assert why(await back(victim, query)) == "stale"
    assert not there.asked(TOKEN)
    assert await sessions(api) == 0
    there.nonce = "another"
    assert why(await back(client, query)) == "token", "its own browser may still bring it back, once"


async def test_login_is_good_once(api: Api, there: Hostile, client: httpx.AsyncClient) -> None:
    query = await begin(client, there)
    assert why(await back(client, query)) == ""
    assert why(await back(client, query)) == "stale"
    assert len(there.asked(TOKEN)) == 1


async def test_of_many_that_bring_one_login_back_at_once_one_gets_in(
    api: Api, there: Hostile, client: httpx.AsyncClient
) -> None:
    query = await begin(client, there)
    answers = await asyncio.gather(*(back(client, query) for _ in range(8)))
    assert sorted(why(answer) for answer in answers) == ["", *["stale"] * 7]
    assert (len(there.asked(TOKEN)), await sessions(api)) == (1, 1)


async def test_first_logins_of_one_person_at_once_make_one_account(api: Api, there: Hostile) -> None:
    async with contextlib.AsyncExitStack() as stack:
        browsers = [await stack.enter_async_context(browser(api, HOME)) for _ in range(6)]
        queries = [await begin(one, there) for one in browsers]
        answers = await asyncio.gather(*(back(one, query) for one, query in zip(browsers, queries, strict=True)))
    assert [why(answer) for answer in answers] == [""] * 6
    async with api.connection() as conn:
        assert [user.name for user in await users.list_users(conn)] == ["ada"]
    assert await sessions(api) == 6


async def test_login_that_was_begun_at_one_control_plane_is_finished_at_another(
    api: Api, there: Hostile, client: httpx.AsyncClient
) -> None:
    query = await begin(client, there)
    second = Api(api.settings, api.pool, api.objects)
    second.now = api.now
    async with second.app.lifespan(), browser(second, HOME) as other:
        other.cookies.update(client.cookies)
        assert why(await back(other, query)) == ""
        client.cookies.update(other.cookies)
    assert ">ada</a>" in (await client.get("/")).text


@pytest.mark.parametrize(("later", "told"), [(timedelta(minutes=9, seconds=59), ""), (timedelta(minutes=10), "stale")])
async def test_login_lasts_ten_minutes(
    api: Api, there: Hostile, client: httpx.AsyncClient, later: timedelta, told: str
) -> None:
    query = await begin(client, there)
    api.now += later
    # The browser forgets its cookie then too; one that does not is an attacker's.
    assert why(await back(client, query)) == told


async def test_cookie_of_a_login_is_for_this_host_and_never_for_scripts(
    api: Api, there: Hostile, client: httpx.AsyncClient
) -> None:
    answer = await client.get("/login/openid")
    [cookie] = answer.headers.get_list("set-cookie")
    assert cookie.startswith("__Host-neopro_openid=")
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "secure", "path=/", "samesite=lax", "max-age=600"} <= parts
    assert not any(part.startswith("domain") for part in parts)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


async def test_session_that_was_planted_is_not_the_one_that_gets_in(
    api: Api, there: Hostile, client: httpx.AsyncClient
) -> None:
    planted = "x" * 43
    client.cookies.set("__Host-neopro_session", planted, domain="fleet.example.org", path="/")
    answer = await back(client, await begin(client, there))
    [cookie] = [one for one in answer.headers.get_list("set-cookie") if one.startswith("__Host-neopro_session=")]
    assert planted not in cookie
    async with browser(api, HOME) as attacker:
        attacker.cookies.set("__Host-neopro_session", planted, domain="fleet.example.org", path="/")
        assert (await attacker.get("/")).status_code == 303


async def test_session_of_somebody_else_in_this_browser_ends(
    api: Api, there: Hostile, client: httpx.AsyncClient
) -> None:
    await come_in(client, api, await add_person(api, "marie"))
    before = dict(client.cookies)
    await back(client, await begin(client, there))
    assert ">ada</a>" in (await client.get("/")).text
    async with browser(api, HOME) as other:
        for name, value in before.items():
            other.cookies.set(name, value, domain="fleet.example.org", path="/")
        assert (await other.get("/")).status_code == 303


ELSEWHERE = [
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "javascript:alert(1)",
    "/login/openid",
    "\x00/",
]


async def test_nobody_is_sent_elsewhere_after_the_login(api: Api, there: Hostile, client: httpx.AsyncClient) -> None:
    for asked in ELSEWHERE:
        answer = await back(client, await begin(client, there, next=asked))
        assert answer.headers["location"] == "/login?next=%2F", asked


async def test_name_in_the_request_never_decides_where_the_provider_sends_people(
    api: Api, there: Hostile, client: httpx.AsyncClient
) -> None:
    for headers in ({"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}, {"Forwarded": "host=evil.example"}):
        answer = await client.get("/login/openid", headers=headers)
        assert "evil.example" not in answer.headers.get("location", "")
    away = await client.get("/login/openid/farewell")
    assert "evil.example" not in away.headers["location"]


async def test_flood_of_logins_from_one_address_is_ended_and_written_down_once(
    api: Api, there: Hostile, client: httpx.AsyncClient
) -> None:
    for _ in range(openid.MOST):
        await begin(client, there)
    for _ in range(3):
        answer = await client.get("/login/openid")
        assert why(answer) == "limited"
    assert (await client.get(answer.headers["location"])).status_code == 429
    assert len(await abouts(api, "login_limited")) == 1
    async with api.client(peer="192.0.2.7", base=HOME) as another:
        assert (await another.get("/login/openid")).headers["location"].startswith(there.issuer)
    api.now += timedelta(minutes=15)
    assert why(await client.get("/login/openid")) == ""


async def test_flood_of_answers_that_nobody_asked_for_is_not_all_written_down(
    api: Api, client: httpx.AsyncClient
) -> None:
    for number in range(openid.MOST + 20):
        await back(client, {"state": f"made up {number}", "code": "x"})
    assert len(await abouts(api, "login_failed")) == openid.MOST


async def test_people_who_come_in_are_not_counted_against_their_network(
    api: Api, there: Hostile, client: httpx.AsyncClient
) -> None:
    for _ in range(openid.MOST + 5):
        assert why(await back(client, await begin(client, there))) == ""


MADE_UP: list[Any] = [
    {},
    {"state": ""},
    {"state": "x" * 60_000},
    {"state": "\x00", "code": "\x00"},
    {"state": "é\ud83e\udd16".encode("utf-8", "replace").decode(), "code": "x"},
    [("state", "a"), ("state", "b"), ("code", "x"), ("code", "y")],
    {"error": "<script>alert(1)</script>"},
    {"error": "access_denied", "error_description": "<script>alert(1)</script>", "error_uri": "https://evil.example"},
]


async def test_answer_that_is_made_up_is_stale_and_no_bug(api: Api, client: httpx.AsyncClient) -> None:
    for query in MADE_UP:
        answer = await back(client, query)
        assert why(answer) == "stale", query
        shown = await client.get(answer.headers["location"])
        assert shown.status_code == 400
        assert "evil" not in shown.text and "<script>alert" not in shown.text


async def test_words_of_the_provider_are_kept_for_the_audit_and_never_shown(
    api: Api, there: Hostile, client: httpx.AsyncClient
) -> None:
    for error in ("server_error", "<script>alert(1)</script>", "\x00\x1b[31m", "x" * 5000):
        query = await begin(client, there)
        answer = await back(client, {"state": query["state"], "iss": there.issuer, "error": error})
        assert why(answer) == "failed"
        assert "alert(1)" not in (await client.get(answer.headers["location"])).text
    for about in await abouts(api, "login_failed"):
        assert about.isprintable() and len(about) <= openid.MAX_ABOUT


async def test_reason_that_is_made_up_is_never_repeated(api: Api, client: httpx.AsyncClient) -> None:
    for asked in ("", "nothing", "<script>alert(1)</script>", "grant\x00"):
        shown = await client.get("/login/openid/refused", params={"why": asked})
        assert shown.status_code == 502
        assert "<script>alert" not in shown.text and "&lt;b&gt;provider" in shown.text
        assert shown.headers["cache-control"] == "no-store"


async def test_provider_that_is_away_is_told_in_words_and_written_down(
    api: Api, there: Hostile, client: httpx.AsyncClient
) -> None:
    there.say[METADATA] = Say(status=503)
    answer = await client.get("/login/openid")
    assert why(answer) == "unreachable"
    for language, words in (("en", "did not answer. Try again"), ("fr", "ne répond pas. Réessayez")):
        shown = await client.get(answer.headers["location"], headers={"Accept-Language": language})
        assert shown.status_code == 503
        assert words in shown.text
    [about] = await abouts(api, "login_failed")
    assert "answered 503" in about
    assert (await client.get("/login")).status_code == 200, "passwords go on working"


async def test_every_trouble_has_words_of_its_own_in_both_languages(api: Api, client: httpx.AsyncClient) -> None:
    seen: set[str] = set()
    for reason, language in product(get_args(Reason), LANGUAGES):
        shown = await client.get(openid.REFUSED, params={"why": reason}, headers={"Accept-Language": language})
        assert shown.status_code == openid.STATUS.get(reason, 403)
        told = re.search(r'role="alert">([^<]+)</p>', shown.text)
        assert told, shown.text
        seen.add(told[1])
    assert len(seen) == len(get_args(Reason)) * len(LANGUAGES)


IMPOSSIBLE: list[dict[str, Any]] = [
    {"sub": "a\x00b"},
    {"sub": "é"},
    {"sub": "x" * 256},
    {"preferred_username": "a\tb"},
    {"preferred_username": "\x00"},
    {"preferred_username": "../../etc"},
    {"preferred_username": "<script>"},
    {"preferred_username": "x" * 64},
    {"preferred_username": "\u202eada"},
    {"groups": ["\x00", "fleet-admins\x00"]},
]


async def test_claims_that_no_account_can_have_let_nobody_in(
    api: Api, there: Hostile, client: httpx.AsyncClient
) -> None:
    for claims in IMPOSSIBLE:
        there.claims = claims
        assert why(await back(client, await begin(client, there))) in {"token", "name", "grant"}, claims
    async with api.connection() as conn:
        assert await users.list_users(conn) == []
    assert all(about.isprintable() for about in await abouts(api, "login_failed"))


async def test_header_of_a_token_that_no_text_can_hold_is_no_bug(
    api: Api, there: Hostile, client: httpx.AsyncClient
) -> None:
    there.tokens = {"id_token": "eyJhbGciOiAiXHUwMDAwIn0.e30.e30"}
    assert why(await back(client, await begin(client, there))) == "token"


async def test_same_subject_of_another_provider_is_somebody_else(
    api: Api, there: Hostile, client: httpx.AsyncClient
) -> None:
    await back(client, await begin(client, there))
    async with api.connection() as conn:
        await conn.execute("update identities set issuer = 'https://former.example.org'")
    assert why(await back(client, await begin(client, there))) == "taken"


async def test_server_without_a_provider_has_no_such_way_in(tmp_path: Path, database: str) -> None:
    async with open_api(tmp_path, database) as api, browser(api) as client:
        assert "openid" not in (await client.get("/login")).text
        for path in (openid.BEGIN, "/login/openid/callback", openid.REFUSED, openid.FAREWELL):
            assert (await client.get(path)).status_code == 404
