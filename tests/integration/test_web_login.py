"""Coming in: passwords, one-time codes, sessions that change and end, and attempts that are limited."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from argon2 import PasswordHasher

from control_plane import passwords
from control_plane.core.people import MOST_BY_ADDRESS, MOST_BY_NAME
from control_plane.store import audit, retention, sessions, users
from control_plane.store.retention import Keep
from control_plane.web import entrance
from tests.support.api import Api
from tests.support.people import (
    PASSWORD,
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


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(api) as opened:
        yield opened


async def acts(api: Api) -> list[str]:
    async with api.connection() as conn:
        return [record.act for record in await audit.records(conn)]


async def test_visitor_is_led_to_the_login_and_back_to_what_was_asked_for(api: Api, client: httpx.AsyncClient) -> None:
    marie = await add_person(api, "marie")
    asked = await client.get("/sites?q=brest&sort=-cpu")
    assert (asked.status_code, asked.headers["location"]) == (303, "/login?next=%2Fsites%3Fq%3Dbrest%26sort%3D-cpu")
    shown = await client.get(asked.headers["location"])
    assert 'name="next" value="/sites?q=brest&amp;sort=-cpu"' in shown.text
    answer = await send(client, "/login", name=" Marie ", password=PASSWORD, next="/sites?q=brest&sort=-cpu")
    assert answer.status_code == 303
    onward = await client.get(answer.headers["location"])
    assert (onward.status_code, onward.headers["location"]) == (303, "/sites?q=brest&sort=-cpu")
    page = await client.get("/sites")
    assert page.status_code == 200
    assert f">{marie.name}</a>" in page.text


ELSEWHERE = [
    "//evil.example",
    "https://evil.example/",
    "/\\evil.example",
    "javascript:alert(1)",
    "/login",
    "/\nx",
    "é/",
]


@pytest.mark.parametrize("asked", ELSEWHERE)
async def test_address_that_leads_elsewhere_is_not_gone_to(api: Api, client: httpx.AsyncClient, asked: str) -> None:
    await come_in(client, api, await add_person(api, "marie"))
    answer = await client.get("/login", params={"next": asked})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_wrong_password_and_no_such_account_get_one_answer(api: Api, client: httpx.AsyncClient) -> None:
    await add_person(api, "marie")
    gone = await add_person(api, "gone")
    async with api.connection() as conn:
        await users.disable(conn, gone.id, api.now)
    attempts = [("marie", "x"), ("nobody", "x"), ("nobody", PASSWORD), ("gone", PASSWORD), ("marie", "é" * 399)]
    answers = [await send(client, "/login", name=name, password=password) for name, password in attempts]
    bodies = {re.sub(r'name="name" value="\w+"', "", answer.text) for answer in answers}
    assert {answer.status_code for answer in answers} == {422}
    assert len(bodies) == 1
    assert not cookie_of(client)
    async with api.connection() as conn:
        assert [record.who for record in await audit.records(conn)] == ["marie", "gone", "", "marie"]


async def test_unknown_account_is_hashed_for_all_the_same(api: Api) -> None:
    kept = passwords.hashed(PASSWORD)
    assert passwords.is_right(kept, PASSWORD)
    assert not passwords.is_right(kept, PASSWORD + "x")
    assert not passwords.is_right(None, PASSWORD)
    assert passwords.hashed("Cafe\u0301 au lait, s'il vous plaît") != kept
    assert passwords.is_right(passwords.hashed("Cafe\u0301 crème"), "Café crème"), (
        "keyboards compose letters differently"
    )


async def test_hash_of_other_parameters_is_made_anew_at_login(api: Api, client: httpx.AsyncClient) -> None:
    marie = await add_person(api, "marie")
    weak = PasswordHasher(time_cost=1, memory_cost=8192).hash(PASSWORD)
    async with api.connection() as conn:
        await users.set_password(conn, marie.id, weak)
    assert (await come_in(client, api, marie)).status_code == 303
    async with api.connection() as conn:
        found = await users.user(conn, marie.id)
    assert found is not None and found.password is not None
    assert not passwords.is_dated(found.password)
    assert passwords.is_right(found.password, PASSWORD)


async def test_admin_without_codes_sets_them_up_before_anything_else(api: Api, client: httpx.AsyncClient) -> None:
    ada = await add_person(api, "ada", "admin", codes=False)
    first = (await come_in(client, api, ada), cookie_of(client))[1]
    for path in ("/", "/sites"):
        assert (await client.get(path)).status_code == 303, path
    shown = await client.get("/login")
    secret = secret_on(shown.text)
    assert "<svg" in shown.text
    assert secret_on((await client.get("/login")).text) == secret, "the same until it is taken"
    wrong = await send(client, "/login/totp", code="000000")
    assert wrong.status_code == 422
    taken = await send(client, "/login/totp", code=code_of(secret, api))
    assert taken.status_code == 303
    assert cookie_of(client) != first, "more rights, another cookie"
    assert (await client.get("/")).status_code == 200
    assert (await acts(api))[:2] == ["login", "totp_set"]


async def test_code_is_good_once(api: Api, client: httpx.AsyncClient) -> None:
    ada = await add_person(api, "ada", "admin")
    assert ada.secret is not None
    code = code_of(ada.secret, api)
    await send(client, "/login", name="ada", password=PASSWORD)
    assert (await client.get("/")).status_code == 303, "a password is half of it"
    before = cookie_of(client)
    assert (await send(client, "/login/code", code=f" {code[:3]} {code[3:]}")).status_code == 303
    assert (await client.get("/")).status_code == 200
    assert cookie_of(client) != before
    async with browser(api) as other:
        await send(other, "/login", name="ada", password=PASSWORD)
        assert (await send(other, "/login/code", code=code)).status_code == 422
        assert (await send(other, "/login/code", code=code_of(ada.secret, api, later=-1))).status_code == 422
        assert (await send(other, "/login/code", code=code_of(ada.secret, api, later=1))).status_code == 303


async def test_half_a_login_is_over_after_ten_minutes(api: Api, client: httpx.AsyncClient) -> None:
    ada = await add_person(api, "ada", "admin")
    await send(client, "/login", name="ada", password=PASSWORD)
    api.now += timedelta(minutes=10)
    assert ada.secret is not None
    await send(client, "/login/code", code=code_of(ada.secret, api))
    assert (await client.get("/")).status_code == 303


async def test_one_time_password_is_changed_before_anything_else(api: Api, client: httpx.AsyncClient) -> None:
    async with api.connection() as conn:
        number = await users.add_user(
            conn,
            "marie",
            "viewer",
            None,
            password=passwords.hashed("abcd-efgh"),
            ends_at=api.now + timedelta(days=7),
            now=api.now,
        )
    assert number is not None
    assert (await send(client, "/login", name="marie", password="abcd-efgh")).status_code == 303
    assert (await client.get("/")).status_code == 303
    for password, again, fault in (
        ("too short", "too short", "At least 12"),
        ("aaaaabbbbbaaaaa", "aaaaabbbbbaaaaa", "At least five"),
        ("marie likes cake", "marie likes cake", "name"),
        ("x" * 201, "x" * 201, "At most 200"),
        (PASSWORD, PASSWORD + "x", "not the same"),
    ):
        answer = await send(client, "/login/password", password=password, again=again)
        assert (answer.status_code, fault in answer.text) == (422, True), fault
    before = cookie_of(client)
    assert (await send(client, "/login/password", password=PASSWORD, again=PASSWORD)).status_code == 303
    assert cookie_of(client) != before
    assert (await client.get("/")).status_code == 200


async def test_one_time_password_that_is_too_old_is_told_to_who_has_it(api: Api, client: httpx.AsyncClient) -> None:
    async with api.connection() as conn:
        kept = passwords.hashed("abcd-efgh")
        await users.add_user(conn, "marie", "viewer", None, password=kept, ends_at=api.now, now=api.now)
    answer = await send(client, "/login", name="marie", password="abcd-efgh")
    assert (answer.status_code, "too old" in answer.text) == (422, True)
    assert "too old" not in (await send(client, "/login", name="marie", password="x")).text


async def test_session_ends_by_logout_idleness_and_age(api: Api, client: httpx.AsyncClient) -> None:
    marie = await add_person(api, "marie")
    await come_in(client, api, marie)
    stolen = cookie_of(client)
    gone = await send(client, "/logout")
    assert gone.headers["clear-site-data"] == '"cache"'
    assert not cookie_of(client)
    again = {"Cookie": "; ".join(f"{name}={value}" for name, value in stolen.items())}
    assert (await client.get("/", headers=again)).status_code == 303, "it is over on the server"
    client.cookies.clear()
    await come_in(client, api, marie)
    api.now += timedelta(hours=23)
    assert (await client.get("/")).status_code == 200
    api.now += timedelta(hours=24)
    assert (await client.get("/")).status_code == 303, "nothing was asked for a day"
    client.cookies.clear()
    await come_in(client, api, marie)
    for _ in range(7):
        assert (await client.get("/")).status_code == 200
        api.now += timedelta(hours=23, minutes=59)
    assert (await client.get("/")).status_code == 200
    api.now += timedelta(minutes=7)
    assert (await client.get("/")).status_code == 303, "a week after the login"


async def test_session_id_that_was_planted_is_not_the_one_after_login(api: Api, client: httpx.AsyncClient) -> None:
    await add_person(api, "marie")
    planted = {"Cookie": "neopro_session=planted"}
    answer = await client.post("/login", data={"name": "marie", "password": PASSWORD}, headers=planted)
    assert answer.status_code == 303
    assert "planted" not in answer.headers["set-cookie"]
    async with browser(api) as thief:
        assert (await thief.get("/", headers=planted)).status_code == 303
    async with api.connection() as conn:
        rows = await (await conn.execute("select s::text from sessions s")).fetchall()
    assert not any(value in str(rows) for value in cookie_of(client).values()), "a hash alone is kept"


async def test_cookie_over_tls_is_of_this_host_alone(api: Api) -> None:
    marie = await add_person(api, "marie")
    base = "https://127.0.0.1:8470"
    async with browser(api, base) as secure:
        answer = await come_in(secure, api, marie)
        said = answer.headers["set-cookie"]
        assert said.startswith("__Host-neopro_session=")
        for part in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
            assert part in said
        assert "Domain" not in said
        assert (await secure.get("/")).status_code == 200
    async with browser(api) as plain:
        said = (await come_in(plain, api, marie)).headers["set-cookie"]
        assert said.startswith("neopro_session=") and "Secure" not in said


async def test_form_of_another_page_is_refused(api: Api) -> None:
    marie = await add_person(api, "marie")
    async with api.client() as client:
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {},
            {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8470"},
            {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:8470"},
            {"Sec-Fetch-Site": "none"},
        ):
            for path in ("/login", "/login/code", "/login/password", "/login/totp", "/logout"):
                answer = await client.post(path, data={"name": marie.name, "password": PASSWORD}, headers=headers)
                assert answer.status_code == 403, (headers, path)
        own = {"Sec-Fetch-Site": "same-origin"}
        good = await client.post("/login", data={"name": marie.name, "password": PASSWORD}, headers=own)
        assert good.status_code == 303
        json = await client.post("/login", json={"name": "marie"}, headers=own)
        assert json.status_code == 400


async def test_guesses_from_elsewhere_are_limited_and_do_not_keep_the_owner_out(api: Api) -> None:
    marie = await add_person(api, "marie")
    async with browser(api, peer="192.0.2.7") as own:
        assert (await come_in(own, api, marie)).status_code == 303
        await send(own, "/logout")
        api.now += timedelta(hours=1)
        answers = []
        for number in range(MOST_BY_NAME + 2):
            async with browser(api, peer=f"203.0.113.{number}") as guesser:
                answers.append((await send(guesser, "/login", name="marie", password="x")).status_code)
        assert answers == [422] * MOST_BY_NAME + [429] * 2
        async with browser(api, peer="203.0.113.200") as guesser:
            assert (await come_in(guesser, api, marie)).status_code == 429, "not even with the right one"
        assert (await come_in(own, api, marie)).status_code == 303, "from where they always come"
    api.now += timedelta(minutes=16)
    async with browser(api, peer="203.0.113.200") as new:
        assert (await come_in(new, api, marie)).status_code == 303, "what was refused did not count"


async def test_account_that_nobody_has_is_limited_like_one(api: Api, client: httpx.AsyncClient) -> None:
    answers = [(await send(client, "/login", name="nobody", password="x")).status_code for _ in range(MOST_BY_NAME + 1)]
    assert answers == [422] * MOST_BY_NAME + [429]
    assert (await acts(api)).count("login_limited") == 1


async def test_guesses_of_one_address_at_many_accounts_are_limited(api: Api, client: httpx.AsyncClient) -> None:
    for number in range(MOST_BY_ADDRESS):
        assert (await send(client, "/login", name=f"n{number}", password="x")).status_code == 422
    assert (await send(client, "/login", name="another", password="x")).status_code == 429
    async with browser(api, peer="2001:db8::1") as first, browser(api, peer="2001:db8::ffff:1") as near:
        for number in range(MOST_BY_ADDRESS):
            await send(first, "/login", name=f"m{number}", password="x")
        assert (await send(near, "/login", name="another", password="x")).status_code == 429, "the same household"


async def test_codes_are_limited_though_the_password_is_known(api: Api, client: httpx.AsyncClient) -> None:
    await add_person(api, "ada", "admin")
    answers = []
    for _ in range(MOST_BY_NAME):
        await send(client, "/login", name="ada", password=PASSWORD)
        answers.append((await send(client, "/login/code", code="000000")).status_code)
    assert answers.count(422) < MOST_BY_NAME
    assert answers[-1] in (303, 429)


async def test_sessions_end_when_the_account_is_disabled_or_reset(api: Api, client: httpx.AsyncClient) -> None:
    marie = await add_person(api, "marie")
    await come_in(client, api, marie)
    headers = await token_of(api, marie)
    assert (await client.get("/v1/fleet", headers=headers)).status_code == 200
    async with api.connection() as conn:
        await users.disable(conn, marie.id, api.now)
    assert (await client.get("/")).status_code == 303
    assert (await client.get("/v1/fleet", headers=headers)).status_code == 401
    async with api.connection() as conn:
        kept = passwords.hashed("abcd-efgh")
        ends_at = api.now + timedelta(days=7)
        await users.reset(conn, marie.id, "viewer", None, password=kept, ends_at=ends_at, now=api.now)
        lasting = sessions.Lasting(timedelta(days=1), timedelta(days=7))
        assert await sessions.sessions_of(conn, marie.id, lasting, api.now) == []
    assert (await client.get("/v1/fleet", headers=headers)).status_code == 401, "a reset ends tokens too"
    assert (await send(client, "/login", name="marie", password=PASSWORD)).status_code == 422


async def test_open_page_is_told_that_its_session_ended(api: Api, client: httpx.AsyncClient) -> None:
    await come_in(client, api, await add_person(api, "marie"))
    assert (await client.get("/", headers={"X-Fragment": "1"})).status_code == 200
    await send(client, "/logout")
    assert (await client.get("/", headers={"X-Fragment": "1"})).status_code == 401
    assert (await client.get("/live", headers={"Accept": "text/event-stream"})).status_code == 401


async def test_way_in_is_never_kept_by_a_browser(api: Api, client: httpx.AsyncClient) -> None:
    answer = await client.get("/login")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert "unsafe" not in answer.headers["content-security-policy"]


async def test_second_control_plane_knows_the_session_of_the_first(api: Api, client: httpx.AsyncClient) -> None:
    await come_in(client, api, await add_person(api, "marie"))
    async with api.serve() as url, httpx.AsyncClient(base_url=url, trust_env=False) as second:
        cookie = "; ".join(f"{name}={value}" for name, value in cookie_of(client).items())
        answer = await second.get("/", headers={"Accept": "text/html", "Cookie": cookie})
        assert answer.status_code == 200
        assert ">marie</a>" in answer.text


async def test_logins_that_are_right_count_against_nobody(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    marie, ada = await add_person(api, "marie"), await add_person(api, "ada", "admin")
    began = api.now
    monkeypatch.setattr(Api, "now", property(lambda _: began + timedelta(milliseconds=next(ticks))), raising=False)
    async with browser(api) as client:
        for _ in range(3):
            for person in (marie, ada._replace(secret=None)):
                await send(client, "/login", name=person.name, password="x")
                assert (await come_in(client, api, person)).status_code == 303
    async with api.connection() as conn:
        rows = await (await conn.execute("select bucket, count(*) from attempts group by 1 order by 1")).fetchall()
    assert rows == [("address 127.0.0.1", 9), ("name ada", 6)], "of marie the wrong ones; of ada what has no code yet"


async def test_many_attempts_at_once_are_not_all_let_through(api: Api) -> None:
    await add_person(api, "marie")
    async with browser(api) as client, asyncio.TaskGroup() as group:
        tasks = [group.create_task(send(client, "/login", name="marie", password="x")) for _ in range(2 * MOST_BY_NAME)]
    assert [task.result().status_code for task in tasks].count(422) == MOST_BY_NAME


async def test_one_code_at_two_browsers_at_once_lets_one_in(api: Api) -> None:
    ada = await add_person(api, "ada", "admin")
    assert ada.secret is not None
    code = code_of(ada.secret, api)
    async with browser(api) as one, browser(api) as other:
        for client in (one, other):
            await send(client, "/login", name="ada", password=PASSWORD)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(send(client, "/login/code", code=code)) for client in (one, other)]
    assert sorted(task.result().status_code for task in tasks) == [303, 422]


async def test_what_is_over_is_forgotten_in_time(api: Api, client: httpx.AsyncClient) -> None:
    await come_in(client, api, await add_person(api, "marie"))
    await send(client, "/login", name="nobody", password="x")
    day = timedelta(days=1)
    keep = Keep(
        events=day,
        conditions=day,
        metrics=93 * day,
        playbacks=93 * day,
        audit=30 * day,
        sessions=sessions.Lasting(day, 7 * day),
    )
    left = []
    for later in (timedelta(0), timedelta(minutes=15), day, 31 * day):
        async with api.connection() as conn:
            await retention.tidy(conn, api.now + later, keep)
            rows = await conn.execute(
                "select (select count(*) from attempts), (select count(*) from sessions), (select count(*) from audit)"
            )
            left.append(await rows.fetchone())
    assert left == [(2, 1, 2), (0, 1, 2), (0, 0, 2), (0, 0, 0)]


@pytest.mark.usefixtures("full_price_passwords")
async def test_crowd_of_logins_is_asked_to_come_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance, "MAX_WAITING", 3)
    async with browser(api) as client, asyncio.TaskGroup() as group:
        tasks = [group.create_task(send(client, "/login", name=f"n{number}", password="x")) for number in range(9)]
    statuses = [task.result().status_code for task in tasks]
    assert {*statuses} == {422, 503}
    assert statuses.count(422) >= 3
