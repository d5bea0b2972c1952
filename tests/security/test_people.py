"""The ways in under attack, all together: what guessers, forgers and racers get, and how much they cost."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

import argon2
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.routes import HTTPRoute

from control_plane import passwords
from control_plane.core.people import ATTEMPTS_WITHIN, MOST_BY_ADDRESS, MOST_BY_NAME, buckets, local_path
from control_plane.store import attempts, sessions, users
from control_plane.store.sessions import Browser
from tests.support.api import Api
from tests.support.people import (
    ORIGIN,
    PASSWORD,
    Person,
    add_person,
    browser,
    code_of,
    come_in,
    cookie_of,
    secret_on,
    send,
    token_of,
)

pytestmark = pytest.mark.anyio
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(api) as opened:
        yield opened


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every check of a hash, as it happens: what a guess costs, and what its time tells."""
    passwords.is_right(None, "made once and kept")
    checked: list[str] = []
    check = argon2.PasswordHasher.verify

    def counted(self: argon2.PasswordHasher, kept: str, given: str) -> bool:
        checked.append(kept)
        return check(self, kept, given)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counted)
    return checked


def forms_of(api: Api) -> Iterator[str]:
    """The path of every form that browsers post."""
    for route in api.app.routes:
        if isinstance(route, HTTPRoute) and "POST" in route.methods and not route.path.startswith("/v1/"):
            yield route.path


@asynccontextmanager
async def half(api: Api, person: Person) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which the password was right, and nothing more was asked for yet."""
    async with browser(api) as client:
        assert (await send(client, "/login", name=person.name, password=PASSWORD)).status_code == 303
        yield client


# What a guess costs


async def test_every_wrong_guess_costs_one_hash_whoever_it_is_of(
    api: Api, client: httpx.AsyncClient, hashes: list[str]
) -> None:
    await add_person(api, "marie")
    await add_person(api, "ada", "admin")
    gone = await add_person(api, "gone")
    late = await add_person(api, "late")
    async with api.connection() as conn:
        await users.disable(conn, gone.id, api.now)
        await users.add_user(conn, "of-a-provider", "viewer", None, password=None, ends_at=None, now=api.now)
        await conn.execute("update users set password_ends_at = %s where id = %s", (api.now, late.id))
    for name in ("marie", "ada", "gone", "late", "of-a-provider", "nobody", "", "\x00", "x" * 5000, "' or 1=1 --"):
        before = len(hashes)
        answer = await send(client, "/login", name=name, password="wrong, and long enough")
        assert (answer.status_code, len(hashes) - before) == (422, 1), name
    assert len({kept.split("$")[3] for kept in hashes}) == 1, "and each hash takes as long"


async def test_guess_that_is_not_let_through_costs_no_hash(
    api: Api, client: httpx.AsyncClient, hashes: list[str]
) -> None:
    await add_person(api, "marie")
    for _ in range(MOST_BY_NAME + 10):
        await send(client, "/login", name="marie", password="x" * 12)
    assert len(hashes) == MOST_BY_NAME
    assert (await send(client, "/login", name="marie", password="x" * 100_000)).status_code in (413, 429)


async def test_guesses_that_come_all_at_once_are_counted_one_by_one(
    api: Api, client: httpx.AsyncClient, hashes: list[str]
) -> None:
    await add_person(api, "marie")
    guesses = (send(client, "/login", name="marie", password=f"guess number {n}") for n in range(MOST_BY_NAME * 3))
    statuses = [answer.status_code for answer in await asyncio.gather(*guesses)]
    assert (statuses.count(422), statuses.count(429)) == (MOST_BY_NAME, MOST_BY_NAME * 2)
    assert len(hashes) == MOST_BY_NAME


async def test_a_day_of_guessing_from_everywhere_gets_ten_guesses_a_quarter_of_an_hour(api: Api) -> None:
    tried, day, pace = 0, timedelta(days=1), timedelta(minutes=1)
    now = api.now
    async with api.connection() as conn:
        while now < api.now + day:
            for number in range(3):
                address = f"203.0.{number}.{now.minute}"
                known = await attempts.is_known(conn, "marie", address, now)
                tried += await attempts.begin(conn, buckets("marie", address, known=known), now)
            now += pace
    windows = day / ATTEMPTS_WITHIN
    assert tried <= MOST_BY_NAME * windows
    assert tried * 3 / 1_000_000 < 0.003, "a one-time code, of which three are good at a time, holds for a day"


async def test_a_day_of_guessing_at_everybody_from_one_address_gets_thirty(api: Api) -> None:
    tried, now = 0, api.now
    async with api.connection() as conn:
        for minute in range(24 * 60):
            now = api.now + timedelta(minutes=minute)
            for number in range(4):
                against = buckets(f"n{minute * 4 + number}", "203.0.113.7", known=False)
                tried += await attempts.begin(conn, against, now)
    assert tried <= MOST_BY_ADDRESS * (timedelta(days=1) / ATTEMPTS_WITHIN)


# Races


async def test_one_code_given_in_many_browsers_at_once_lets_one_in(api: Api) -> None:
    ada = await add_person(api, "ada", "admin")
    assert ada.secret is not None
    async with AsyncExitStack() as stack:
        browsers = [await stack.enter_async_context(half(api, ada)) for _ in range(6)]
        code = code_of(ada.secret, api)
        answers = await asyncio.gather(*(send(one, "/login/code", code=code) for one in browsers))
        assert sorted(answer.status_code for answer in answers) == [303] + [422] * 5
        inside = [(await one.get("/")).status_code for one in browsers]
        assert inside.count(200) == 1


async def test_one_code_given_many_times_in_one_browser_leaves_one_cookie_that_is_good(api: Api) -> None:
    ada = await add_person(api, "ada", "admin")
    assert ada.secret is not None
    async with half(api, ada) as client:
        first, code = cookie_of(client), code_of(ada.secret, api)
        answers = await asyncio.gather(*(send(client, "/login/code", code=code) for _ in range(5)))
        given = {answer.headers["set-cookie"].partition(";")[0] for answer in answers if "set-cookie" in answer.headers}
        assert len(given) == 1
        async with browser(api) as thief:
            thief.cookies.update(first)
            assert (await thief.get("/")).status_code == 303, "the cookie from before the code is worth nothing"


async def test_password_and_logout_at_once_leave_no_session_behind(api: Api, client: httpx.AsyncClient) -> None:
    await come_in(client, api, await add_person(api, "marie"))
    stolen = dict(cookie_of(client))
    await asyncio.gather(*(send(client, "/logout") for _ in range(4)))
    async with browser(api) as thief:
        thief.cookies.update(stolen)
        assert (await thief.get("/")).status_code == 303


# Cookies


async def test_cookie_changes_whenever_rights_rise_and_the_one_before_is_dead(api: Api) -> None:
    async with api.connection() as conn:
        ends_at = api.now + timedelta(days=1)
        kept = passwords.hashed("abcd-efgh-ijkl")
        await users.add_user(conn, "ada", "admin", None, password=kept, ends_at=ends_at, now=api.now)
    async with browser(api) as client:
        seen: list[dict[str, str]] = []
        await send(client, "/login", name="ada", password="abcd-efgh-ijkl")
        seen.append(dict(cookie_of(client)))
        await send(client, "/login/password", password=PASSWORD, again=PASSWORD)
        seen.append(dict(cookie_of(client)))
        secret = secret_on((await client.get("/login")).text)
        await send(client, "/login/totp", code=code_of(secret, api))
        seen.append(dict(cookie_of(client)))
        assert (await client.get("/")).status_code == 200
        await send(client, "/account/password", now=PASSWORD, password=PASSWORD[::-1], again=PASSWORD[::-1])
        assert (await client.get("/")).status_code == 200
    assert len({str(one) for one in seen}) == 3
    for before in seen:
        async with browser(api) as thief:
            thief.cookies.update(before)
            assert (await thief.get("/")).status_code == 303


async def test_every_cookie_of_every_answer_is_out_of_reach_of_scripts_and_other_sites(api: Api) -> None:
    ada = await add_person(api, "ada", "admin")
    base = ORIGIN.replace("http:", "https:")
    said: list[str] = []
    async with browser(api, base) as client:
        for answer in (
            await client.get("/login?lang=fr"),
            await send(client, "/login", name="ada", password=PASSWORD),
            await send(client, "/login/code", code=code_of(ada.secret or "", api)),
            await send(client, "/account/password", now=PASSWORD, password="x" + PASSWORD, again="x" + PASSWORD),
            await send(client, "/logout"),
        ):
            said += answer.headers.get_list("set-cookie")
    assert len(said) == 4
    for cookie in said:
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "secure", "path=/"} <= parts, cookie
        assert parts & {"samesite=lax", "samesite=strict"}, cookie
        assert not any(part.startswith("domain") for part in parts), cookie


async def test_cookie_that_was_made_up_or_changed_is_nobody_s(api: Api, client: httpx.AsyncClient) -> None:
    marie = await add_person(api, "marie")
    await come_in(client, api, marie)
    [(name, value)] = cookie_of(client).items()
    async with api.connection() as conn:
        row = await (await conn.execute("select encode(hash, 'hex'), id from sessions")).fetchone()
    assert row is not None
    assert row[0] == hashlib.sha256(value.encode()).hexdigest()
    wrong = [value[:-1], value + "A", value.swapcase(), row[0], str(row[1]), "", "%", "_" * len(value), "' or true --"]
    for made_up in (*wrong, "x" * 100_000, '""', f'"{value[1:]}"'):
        async with browser(api) as thief:
            answer = await thief.get("/", headers={"Cookie": f"{name}={made_up}"})
            assert answer.status_code == 303, made_up[:80]
    over_tls = {"Cookie": f"{name}={value}"}
    async with browser(api, ORIGIN.replace("http:", "https:")) as secure:
        assert (await secure.get("/", headers=over_tls)).status_code == 303, "any host's page can set a bare name"


# Other sites' pages

CROSS: list[dict[str, str]] = [
    {},
    {"Origin": "null"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://127.0.0.1:8471"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "http://127.0.0.1:8470.evil.example"},
    {"Origin": "http://evil.example/http://127.0.0.1:8470"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": ""},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "none"},
    {"Referer": f"{ORIGIN}/login"},
]


async def test_no_form_is_taken_from_another_site_s_page(api: Api, client: httpx.AsyncClient) -> None:
    marie = await add_person(api, "marie")
    await come_in(client, api, marie)
    token = await token_of(api, marie)
    del client.headers["Origin"]
    paths = sorted(forms_of(api))
    assert {"/login", "/logout", "/account/tokens"} <= {*paths}
    fields = "name=marie&password=x&now=x&id=1&label=x&days=1&scope-read=on"
    for path in paths:
        for headers in CROSS:
            answer = await client.post(path, content=fields, headers=FORM | headers)
            assert answer.status_code == 403, (path, headers)
        for kind in ("text/plain", "application/json", "multipart/form-data; boundary=x", ""):
            answer = await client.post(path, content=fields, headers={"Origin": ORIGIN, "Content-Type": kind})
            assert answer.status_code == 400, (path, kind)
        for method in ("PUT", "DELETE", "PATCH"):
            assert (await client.request(method, path, headers={"Origin": ORIGIN})).status_code == 405, (path, method)
    assert (await client.get("/")).status_code == 200, "still the same session"
    assert (await client.get("/v1/fleet", headers=token)).status_code == 200


async def test_form_that_is_no_form_is_refused_and_no_bug(api: Api, client: httpx.AsyncClient) -> None:
    await come_in(client, api, await add_person(api, "marie"))
    bodies = [
        b"",
        b"\xff\xfe",
        b"%ff=%00",
        b"=" * 100,
        b"&" * 60_000,
        b"a=b&" * 30,
        b"name=%00&password=%00&id=%00",
        b"x" * 70_000,
    ]
    for path in forms_of(api):
        for body in bodies:
            answer = await client.post(path, content=body, headers=FORM)
            assert answer.status_code in (303, 400, 401, 413, 422, 429), (path, body[:20], answer.status_code)
            if path == "/logout" and answer.status_code == 303:
                client.cookies.clear()


async def test_name_of_another_host_gets_nothing_and_is_repeated_nowhere(api: Api, client: httpx.AsyncClient) -> None:
    await come_in(client, api, await add_person(api, "marie"))
    for headers in (
        {"Host": "evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"},
        {"Forwarded": "host=evil.example"},
    ):
        for path in ("/", "/login", "/account", "/nothing"):
            answer = await client.get(path, headers=headers)
            assert "evil.example" not in answer.text + str(answer.headers), (path, headers)
            if headers.get("Host"):
                assert answer.status_code in (303, 404, 421) or path == "/login", (path, headers)


@given(st.text("/\\:.@#?% \t\r\n\x00abé", max_size=12) | st.text(max_size=20))
def test_place_to_go_on_to_stays_on_our_host_as_browsers_read_it(asked: str) -> None:
    # WHATWG URL: tabs and line ends are dropped, a backslash is a slash.
    read = "".join(letter for letter in local_path(asked) if letter not in "\t\r\n").strip().replace("\\", "/")
    assert urlsplit(urljoin("https://fleet.example.org/login", read)).netloc == "fleet.example.org"


async def test_words_in_an_address_are_never_markup(api: Api, client: httpx.AsyncClient) -> None:
    script = "\"><script>alert(1)</script>'"
    for path in ("/login", "/account", "/login/openid"):
        for key in ("next", "name", "left", "done", "lang", "why"):
            answer = await client.get(path, params={key: script})
            assert "<script>alert" not in answer.text, (path, key)
    answer = await send(client, "/login", name=script, password="x", next=script)
    assert "<script>alert" not in answer.text


# Accounts that end, and accounts of a provider


async def test_token_dies_with_its_owner_everywhere_at_once(api: Api) -> None:
    marie = await add_person(api, "marie", "operator")
    headers = await token_of(api, marie, "read", "write")
    paths = ("/", "/sites.json", "/metrics", "/v1/fleet", "/v1/token", "/live")
    async with api.client(peer="192.0.2.7", base=ORIGIN) as client:
        for path in paths[:-1]:
            assert (await client.get(path, headers=headers)).status_code == 200, path
        async with api.connection() as conn:
            await users.disable(conn, marie.id, api.now)
        for path in paths:
            assert (await client.get(path, headers=headers)).status_code == 401, path
        async with api.connection() as conn:
            ends_at = api.now + timedelta(days=1)
            kept = passwords.hashed("abcd-efgh-ijkl")
            await users.reset(conn, marie.id, "operator", None, password=kept, ends_at=ends_at, now=api.now)
        assert (await client.get("/v1/fleet", headers=headers)).status_code == 401, "nor does it come back"


async def test_account_of_a_provider_gives_itself_no_password(api: Api, client: httpx.AsyncClient) -> None:
    async with api.connection() as conn:
        number = await users.add_user(conn, "ada", "viewer", None, password=None, ends_at=None, now=api.now)
        assert number is not None
        cookie = await sessions.open_session(
            conn, number, Browser("127.0.0.1", ""), api.now, second_factor=True, by_provider=True
        )
    client.cookies.set("neopro_session", cookie, domain="127.0.0.1", path="/")
    assert (await client.get("/")).status_code == 200
    answer = await send(client, "/account/password", now="", password=PASSWORD, again=PASSWORD)
    assert answer.status_code == 403, "else whoever the provider forgets would still come in"
    async with api.connection() as conn:
        found = await users.user(conn, number)
    assert found is not None
    assert found.password is None


NAMES: list[Any] = ["", "ada", "\x00", "é"]


async def test_empty_password_is_nobody_s(api: Api, client: httpx.AsyncClient) -> None:
    async with api.connection() as conn:
        await users.add_user(conn, "ada", "viewer", None, password=None, ends_at=None, now=api.now)
    for name in NAMES:
        for password in ("", "\x00", "None", "null"):
            assert (await send(client, "/login", name=name, password=password)).status_code in (422, 429)
    assert not cookie_of(client)
