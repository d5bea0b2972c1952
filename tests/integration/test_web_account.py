"""The account's own page: password, one-time codes, sessions and tokens; and what the audit keeps of all of it."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from control_plane.store import audit, operation_logs, tokens, users
from control_plane.store.audit import Entry
from tests.support.api import Api
from tests.support.people import PASSWORD, add_person, browser, code_of, come_in, cookie_of, secret_on, send, token_of
from tests.support.published import Box, Wanted

pytestmark = pytest.mark.anyio
OTHER = "another tale, and a better one"


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(api) as opened:
        yield opened


async def entries(api: Api) -> list[tuple[str, str, str]]:
    async with api.connection() as conn:
        return [(one.act, one.who, one.about) for one in await audit.records(conn)]


async def test_page_shows_who_one_is_and_the_way_out(api: Api, client: httpx.AsyncClient) -> None:
    await come_in(client, api, await add_person(api, "marie", "operator", "ligue"))
    shown = (await client.get("/account")).text
    for words in ("marie", "operator", "those of ligue", "this one", 'action="/logout"'):
        assert words in shown
    assert "Journal" not in shown and "/audit" not in shown
    french = (await client.get("/account?lang=fr")).text
    assert "Jetons personnels" in french


async def test_page_is_for_browsers_that_are_in(api: Api, client: httpx.AsyncClient) -> None:
    assert (await client.get("/account")).status_code == 303, "a neighbour has none"
    marie = await add_person(api, "marie")
    assert (await client.get("/account", headers=await token_of(api, marie))).status_code == 303
    for path in ("password", "totp", "totp/take", "totp/remove", "sessions/end", "tokens", "tokens/revoke"):
        answer = await send(client, f"/account/{path}", now=PASSWORD)
        assert answer.status_code == 401, path


async def test_password_is_changed_by_who_knows_it_and_ends_other_sessions(api: Api, client: httpx.AsyncClient) -> None:
    marie = await add_person(api, "marie")
    await come_in(client, api, marie)
    async with browser(api) as other:
        await come_in(other, api, marie)
        for now, again, fault in (("x", OTHER, "not right"), (PASSWORD, "x", "not the same")):
            answer = await send(client, "/account/password", now=now, password=OTHER, again=again)
            assert (answer.status_code, fault in answer.text) == (422, True), fault
        same = await send(client, "/account/password", now=PASSWORD, password=PASSWORD, again=PASSWORD)
        assert (same.status_code, "the one that you have" in same.text) == (422, True)
        before = cookie_of(client)
        assert (await send(client, "/account/password", now=PASSWORD, password=OTHER, again=OTHER)).status_code == 303
        assert cookie_of(client) != before
        assert (await client.get("/account?done")).status_code == 200
        assert (await other.get("/")).status_code == 303
    async with browser(api) as fresh:
        assert (await come_in(fresh, api, marie)).status_code == 422
        assert (await come_in(fresh, api, marie, OTHER)).status_code == 303


async def test_codes_are_set_up_replaced_and_turned_off(api: Api, client: httpx.AsyncClient) -> None:
    marie = await add_person(api, "marie")
    await come_in(client, api, marie)
    assert (await send(client, "/account/totp", now="x")).status_code == 422
    assert "<svg class=" not in (await client.get("/account")).text.split("</header>")[1]
    assert (await send(client, "/account/totp", now=PASSWORD)).status_code == 303
    secret = secret_on((await client.get("/account")).text)
    assert (await send(client, "/account/totp/take", code="123456")).status_code == 422
    assert (await send(client, "/account/totp/take", code=code_of(secret, api))).status_code == 303
    api.now += timedelta(minutes=1)
    async with browser(api) as other:
        assert (await come_in(other, api, marie)).status_code == 303, "the password is right"
        assert (await other.get("/")).status_code == 303, "half way in"
        assert (await come_in(other, api, marie._replace(secret=secret))).status_code == 303
        assert (await other.get("/")).status_code == 200
    assert (await send(client, "/account/totp/remove", now=PASSWORD)).status_code == 303
    async with browser(api) as other:
        await come_in(other, api, marie)
        assert (await other.get("/")).status_code == 200
    acts = [act for act, _, _ in await entries(api)]
    assert acts.count("totp_set") == acts.count("totp_removed") == 1


async def test_admin_cannot_do_without_codes(api: Api, client: httpx.AsyncClient) -> None:
    await come_in(client, api, await add_person(api, "ada", "admin"))
    answer = await send(client, "/account/totp/remove", now=PASSWORD)
    assert (answer.status_code, "Admins need" in answer.text) == (422, True)
    assert "totp/remove" not in (await client.get("/account")).text


async def test_sessions_are_listed_and_ended_by_their_owner_alone(api: Api, client: httpx.AsyncClient) -> None:
    marie, pierre = await add_person(api, "marie"), await add_person(api, "pierre")
    await come_in(client, api, marie)
    async with browser(api, peer="192.0.2.9") as phone, browser(api) as foreign:
        phone.headers["User-Agent"] = "Fennec <script>alert(1)</script>"
        await come_in(phone, api, marie)
        await come_in(foreign, api, pierre)
        shown = (await client.get("/account")).text
        assert "192.0.2.9" in shown and "Fennec &lt;script&gt;" in shown and "<script>alert" not in shown
        numbers = re.findall(r'name="id" value="(\d+)"', shown)
        assert len(numbers) == 1
        await send(foreign, "/account/sessions/end", id=numbers[0])
        assert (await phone.get("/")).status_code == 200, "another's session is not theirs to end"
        await send(client, "/account/sessions/end", id=numbers[0])
        assert (await phone.get("/")).status_code == 303
        await come_in(phone, api, marie)
        await send(client, "/account/sessions/end")
        assert (await phone.get("/")).status_code == 303
        assert (await client.get("/")).status_code == 200
        assert (await foreign.get("/")).status_code == 200


async def test_token_is_made_shown_once_used_and_revoked(api: Api, client: httpx.AsyncClient) -> None:
    marie, pierre = await add_person(api, "marie", "operator"), await add_person(api, "pierre")
    await come_in(client, api, marie)
    form = {"label": "laptop", "days": "30", "scope-read": "on", "scope-write": "on", "now": PASSWORD}
    for wrong in ({"label": ""}, {"days": "0"}, {"days": "367"}, {"now": "x"}, {"label": "x" * 61}):
        assert (await send(client, "/account/tokens", **{**form, **wrong})).status_code == 422, wrong
    made = await send(client, "/account/tokens", **form)
    assert made.headers["cache-control"] == "no-store"
    found = re.search(r"neopro_\w{43}", made.text)
    assert found
    headers = {"Authorization": f"Bearer {found[0]}"}
    told = (await client.get("/v1/token", headers=headers)).json()
    assert (told["name"], told["scopes"]) == ("laptop", ["read", "write"])
    shown = (await client.get("/account")).text
    assert "laptop" in shown and found[0] not in shown
    number = re.search(r'/account/tokens/revoke"><input type="hidden" name="id" value="(\d+)"', shown)
    assert number
    async with browser(api) as foreign:
        await come_in(foreign, api, pierre)
        await send(foreign, "/account/tokens/revoke", id=number[1])
        assert (await client.get("/v1/token", headers=headers)).status_code == 200
    await send(client, "/account/tokens/revoke", id=number[1])
    assert (await client.get("/v1/token", headers=headers)).status_code == 401
    assert [one[0] for one in await entries(api)][:3:2] == ["token_revoked", "token_added"]


async def test_token_of_a_reader_never_writes(api: Api, client: httpx.AsyncClient) -> None:
    marie = await add_person(api, "marie")
    await come_in(client, api, marie)
    form = {"label": "robot", "days": "30", "scope-write": "on", "now": PASSWORD}
    assert (await send(client, "/account/tokens", **form)).status_code == 422
    assert "scope-write" not in (await client.get("/account")).text
    promoted = await token_of(api, marie, "read", "write")
    assert (await client.get("/v1/token", headers=promoted)).json()["scopes"] == ["read"]
    assert (await client.post("/v1/sites/brest/enrolment", headers=promoted)).status_code == 403


async def test_token_without_an_owner_is_what_it_was(api: Api, client: httpx.AsyncClient) -> None:
    headers = await api.operator("read", "write")
    assert (await client.get("/v1/token", headers=headers)).json()["scopes"] == ["read", "write"]
    async with api.connection() as conn:
        assert [token.owner for token in await tokens.list_tokens(conn)] == [None]


async def test_audit_is_for_admins_and_tells_who_did_what(api: Api, client: httpx.AsyncClient) -> None:
    await api.publish({"brest": Wanted(Box("brest").identity)})
    ada, marie = await add_person(api, "ada", "admin"), await add_person(api, "marie", "operator")
    async with api.connection() as conn:
        await operation_logs.keep(conn, "brest", "look", b"", api.now)
        await audit.record(conn, Entry("user_added", "root", about="ada admin", address=audit.SERVER), api.now)
    await send(client, "/login", name="marie", password="x")
    await come_in(client, api, marie)
    assert (await client.get("/audit")).status_code == 403
    await send(client, "/logout")
    reader = await token_of(api, marie)
    await client.get("/v1/sites/brest/logs/none", headers=reader)
    async with api.connection() as conn:
        await conn.execute("delete from operation_logs")
    await come_in(client, api, ada)
    shown = (await client.get("/audit")).text
    for words in ("Login failed", "Logged in", "Logged out", "Account made", "root", "server"):
        assert words in shown, words
    only = (await client.get("/audit?act=login_failed")).text.split("<tbody>")[1]
    assert "Login failed" in only and "Logged out" not in only
    assert "Nothing was written down" in (await client.get("/audit?q=nobody-of-this-name")).text
    assert "Journal" in (await client.get("/audit?lang=fr")).text
    for odd in ("?before=x", "?before=99999999999999999999", "?q=%00", "?act=<script>"):
        assert (await client.get(f"/audit{odd}")).status_code == 200, odd


async def test_audit_of_hundreds_is_shown_by_the_page(api: Api, client: httpx.AsyncClient) -> None:
    ada = await add_person(api, "ada", "admin")
    async with api.connection() as conn:
        for number in range(150):
            await audit.record(conn, Entry("log_read", f"who-{number}", about="brest look"), api.now)
    await come_in(client, api, ada)
    first = (await client.get("/audit?act=log_read")).text
    assert "who-149" in first and "who-50<" in first and "who-49<" not in first
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older
    second = (await client.get("/audit" + older[1].replace("&amp;", "&"))).text
    assert "who-49<" in second and "who-0<" in second and 'rel="next"' not in second


async def test_read_of_a_log_is_written_down(api: Api) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity)})
    posted = await api.http.post("/v1/sites/brest/logs/look", headers=box.headers(api.now), content=b"hello")
    assert posted.status_code == 204
    marie = await add_person(api, "marie", "operator")
    answer = await api.http.get("/v1/sites/brest/logs/look", headers=await token_of(api, marie))
    assert answer.text == "hello"
    assert (await entries(api))[0] == ("log_read", "marie", "brest look")
    viewer = await add_person(api, "pierre")
    assert (await api.http.get("/v1/sites/brest/logs/look", headers=await token_of(api, viewer))).status_code == 403
    async with browser(api) as client:
        await come_in(client, api, marie)
        assert (await client.get("/sites/brest/logs/look")).status_code == 200
    assert (await entries(api))[0] == ("log_read", "marie", "brest look")


async def test_audit_outlives_the_account_and_ends_with_its_time(api: Api) -> None:
    marie = await add_person(api, "marie")
    async with api.connection() as conn:
        await audit.record(conn, Entry("login", "marie", marie.id), api.now)
        assert await audit.prune_audit(conn, api.now) == 0
        assert await audit.prune_audit(conn, api.now + timedelta(seconds=1)) == 1
        assert await users.user_named(conn, "marie") is not None
