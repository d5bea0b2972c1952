"""Coming in by a real OpenID provider: from our page through its forms and back, as what its groups say."""

import re
import secrets
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from otpauth import TOTP

from control_plane.core.openid import Grant
from control_plane.store import audit, identities, users
from control_plane.store.audit import Record
from tests.support.api import Api, open_api
from tests.support.openid_provider import CLIENT_ID, CLIENT_SECRET, SCOPES, Provider, Visitor, running_provider
from tests.support.people import add_person, browser, code_of, come_in, secret_on, send, token_of

pytestmark = pytest.mark.anyio

HOME = "https://fleet.example.org"
PASSWORD = "correct horse battery"
GRANTS = [
    Grant(claim="groups", value="fleet-admins", role="admin"),
    Grant(claim="groups", value="fleet-operators", role="operator"),
    Grant(claim="groups", value="ligue-bretagne", tenant="bretagne"),
]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with running_provider(tmp_path_factory.mktemp("provider")) as provider:
        provider.client(f"{HOME}/login/openid/callback", f"{HOME}/login")
        yield provider


@pytest.fixture
async def api(there: Provider, tmp_path: Path, database: str) -> AsyncIterator[Api]:
    async with open_fleet(there, tmp_path, database) as opened:
        yield opened


def open_fleet(there: Provider, folder: Path, database: str, **others: Any) -> Any:
    (folder / "secret").write_text(CLIENT_SECRET)
    how = {
        "public_url": HOME,
        "oidc_issuer": there.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret_file": folder / "secret",
        "oidc_ca_file": there.authority.ca_file,
        "oidc_scopes": SCOPES,
        "oidc_grants": GRANTS,
        "oidc_label": "Canaille",
    }
    return open_api(folder, database, **{**how, **others})


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    api.now = datetime.now(UTC)
    async with browser(api, HOME) as opened:
        yield opened


@pytest.fixture
async def visitor(there: Provider) -> AsyncIterator[Visitor]:
    visitor = Visitor(there)
    yield visitor
    await visitor.close()


def somebody(there: Provider, *groups: str, **how: str) -> str:
    name = f"ada-{secrets.token_hex(4)}"
    there.person(name, password=PASSWORD, groups=groups, **how)
    return name


async def to_the_provider(client: httpx.AsyncClient, visitor: Visitor, name: str, **how: str) -> str:
    """Our path that the provider sends the browser back to."""
    asked = {"next": how.pop("next", "/")}
    begun = await client.get("/login/openid", params=asked)
    assert begun.status_code == 303, begun.text
    back = urlsplit(await visitor.log_in(begun.headers["location"], name, PASSWORD, **how))
    assert f"{back.scheme}://{back.netloc}" == HOME
    return f"{back.path}?{back.query}"


async def through_the_provider(client: httpx.AsyncClient, visitor: Visitor, name: str, **how: str) -> httpx.Response:
    return await client.get(await to_the_provider(client, visitor, name, **how))


async def refusal(client: httpx.AsyncClient, answer: httpx.Response) -> tuple[str, int]:
    """Why nobody was logged in, and the status of the page that says so."""
    where = urlsplit(answer.headers["location"])
    assert (answer.status_code, where.path) == (303, "/login/openid/refused")
    shown = await client.get(answer.headers["location"])
    assert 'role="alert"' in shown.text
    return parse_qs(where.query)["why"][0], shown.status_code


async def records(api: Api) -> list[Record]:
    async with api.connection() as conn:
        return await audit.records(conn)


async def test_login_page_leads_to_the_provider_and_back_to_what_was_asked_for(
    api: Api, there: Provider, client: httpx.AsyncClient, visitor: Visitor
) -> None:
    shown = await client.get("/login", params={"next": "/sites?q=brest"})
    assert '<a href="/login/openid?next=/sites%3Fq%3Dbrest">Log in with Canaille</a>' in shown.text
    ada = somebody(there, "fleet-operators")
    answer = await through_the_provider(client, visitor, ada, next="/sites?q=brest")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fsites%3Fq%3Dbrest")
    onward = await client.get(answer.headers["location"])
    assert (onward.status_code, onward.headers["location"]) == (303, "/sites?q=brest")
    page = await client.get("/sites?q=brest")
    assert page.status_code == 200
    assert f">{ada}</a>" in page.text


async def test_account_is_made_at_the_first_login_and_found_at_the_next(
    api: Api, there: Provider, client: httpx.AsyncClient, visitor: Visitor
) -> None:
    ada = somebody(there, "ligue-bretagne")
    await through_the_provider(client, visitor, ada)
    there.rotate()
    await through_the_provider(client, visitor, ada)
    async with api.connection() as conn:
        [user] = await users.list_users(conn)
    assert (user.name, user.role, user.tenant, user.password) == (ada, "viewer", "bretagne", None)
    assert [(record.act, record.who, record.about) for record in await records(api)] == [
        ("login", ada, ""),
        ("login", ada, ""),
        ("user_added", ada, "viewer, bretagne"),
    ]


async def test_tenant_s_people_see_what_is_theirs_alone(
    api: Api, there: Provider, client: httpx.AsyncClient, visitor: Visitor
) -> None:
    await through_the_provider(client, visitor, somebody(there, "ligue-bretagne"))
    assert (await client.get("/alerts")).status_code == 200
    assert (await client.get("/changes")).status_code == 403


async def test_whoever_is_in_no_group_stays_outside_and_is_told_so(
    api: Api, there: Provider, client: httpx.AsyncClient, visitor: Visitor
) -> None:
    ada = somebody(there, "staff")
    answer = await through_the_provider(client, visitor, ada)
    assert await refusal(client, answer) == ("grant", 403)
    assert "session" not in str(client.cookies)
    for language, words in (("en", "Canaille knows you, but you are in no group"), ("fr", "Canaille vous connaît")):
        page = await client.get(answer.headers["location"], headers={"Accept-Language": language})
        assert words in page.text
    [record] = await records(api)
    assert (record.act, record.about) == ("login_failed", f"Canaille: grant: no grant matches '{ada}'")


async def test_rights_follow_the_provider_at_every_login(
    api: Api, there: Provider, client: httpx.AsyncClient, visitor: Visitor
) -> None:
    ada = somebody(there, "fleet-operators")
    await through_the_provider(client, visitor, ada)
    assert (await client.get("/changes")).status_code == 200
    there.groups(ada, "ligue-bretagne")
    there.rotate()
    await through_the_provider(client, visitor, ada)
    assert (await client.get("/changes")).status_code == 403
    assert ("user_changed", "viewer, bretagne") in [(record.act, record.about) for record in await records(api)]


async def test_whoever_is_granted_nothing_any_more_loses_sessions_and_tokens(
    api: Api, there: Provider, client: httpx.AsyncClient, visitor: Visitor
) -> None:
    ada = somebody(there, "fleet-operators")
    await through_the_provider(client, visitor, ada)
    async with api.connection() as conn:
        user = await users.user_named(conn, ada)
    assert user is not None
    token = await token_of(api, user)  # type: ignore[arg-type]
    assert (await api.http.get("/v1/fleet", headers=token)).status_code == 200
    there.groups(ada)
    there.rotate()
    async with browser(api, HOME) as another:
        assert (await refusal(another, await through_the_provider(another, visitor, ada)))[0] == "grant"
    assert (await client.get("/")).status_code == 303
    assert (await api.http.get("/v1/fleet", headers=token)).status_code == 401


async def test_account_that_was_disabled_here_stays_so(
    api: Api, there: Provider, client: httpx.AsyncClient, visitor: Visitor
) -> None:
    ada = somebody(there, "fleet-operators")
    await through_the_provider(client, visitor, ada)
    async with api.connection() as conn:
        user = await users.user_named(conn, ada)
        assert user is not None
        await users.disable(conn, user.id, api.now)
    there.rotate()
    assert await refusal(client, await through_the_provider(client, visitor, ada)) == ("disabled", 403)
    assert (await client.get("/")).status_code == 303


async def test_account_of_the_same_name_is_not_taken_over(
    api: Api, there: Provider, client: httpx.AsyncClient, visitor: Visitor
) -> None:
    ada = somebody(there, "fleet-operators")
    before = await add_person(api, ada, "viewer")
    assert await refusal(client, await through_the_provider(client, visitor, ada)) == ("taken", 409)
    async with api.connection() as conn:
        user = await users.user(conn, before.id)
    assert user is not None
    assert user.role == "viewer"
    assert (await come_in(client, api, before)).status_code == 303


async def test_account_that_was_given_to_somebody_there_is_theirs_and_nobody_s_by_a_password(
    api: Api, there: Provider, client: httpx.AsyncClient, visitor: Visitor
) -> None:
    ada = somebody(there, "fleet-operators")
    before = await add_person(api, "marie", "viewer")
    token = await token_of(api, before)
    async with api.connection() as conn:
        await identities.link(conn, before.id, "https://former.example.org", "17")
        await identities.link(conn, before.id, there.issuer, ada)
    await through_the_provider(client, visitor, ada)
    assert ">marie</a>" in (await client.get("/changes")).text
    assert (await api.http.get("/v1/fleet", headers=token)).status_code == 200
    async with browser(api, HOME) as other:
        assert (await come_in(other, api, before)).status_code == 422


async def test_admin_with_two_factors_at_the_provider_is_in(
    api: Api, there: Provider, client: httpx.AsyncClient, visitor: Visitor
) -> None:
    secret = secrets.token_hex(8)
    codes = TOTP(secret.encode())
    ada = somebody(there, "fleet-admins", otp=secret)
    there.ask_for("password", "otp")
    try:
        await through_the_provider(client, visitor, ada, otp=codes.string_code(codes.generate()))
    finally:
        there.ask_for("password")
    assert (await client.get("/")).status_code == 200


async def test_admin_with_one_factor_at_the_provider_gives_a_code_of_ours(
    api: Api, there: Provider, client: httpx.AsyncClient, visitor: Visitor
) -> None:
    ada = somebody(there, "fleet-admins")
    answer = await through_the_provider(client, visitor, ada)
    assert (await client.get("/")).status_code == 303
    secret = secret_on((await client.get(answer.headers["location"])).text)
    assert (await send(client, "/login/totp", code=code_of(secret, api))).status_code == 303
    assert (await client.get("/")).status_code == 200
    there.rotate()
    api.now += timedelta(seconds=60)
    async with browser(api, HOME) as another:
        await through_the_provider(another, visitor, ada)
        assert (await another.get("/")).status_code == 303
        await send(another, "/login/code", code=code_of(secret, api))
        assert (await another.get("/")).status_code == 200


async def test_provider_that_is_trusted_with_the_second_factor_needs_not_tell(
    there: Provider, tmp_path: Path, database: str, visitor: Visitor
) -> None:
    async with open_fleet(there, tmp_path, database, oidc_second_factor="trusted") as api, browser(api, HOME) as client:
        api.now = datetime.now(UTC)
        await through_the_provider(client, visitor, somebody(there, "fleet-admins"))
        assert (await client.get("/")).status_code == 200


async def test_person_who_does_not_agree_there_is_told_so(
    api: Api, there: Provider, client: httpx.AsyncClient, visitor: Visitor
) -> None:
    ada = somebody(there, "fleet-operators")
    assert await refusal(client, await through_the_provider(client, visitor, ada, answer="deny")) == ("denied", 403)


async def test_token_is_made_shortly_after_a_login_by_the_provider(
    api: Api, there: Provider, client: httpx.AsyncClient, visitor: Visitor
) -> None:
    await through_the_provider(client, visitor, somebody(there, "fleet-operators"))
    page = await client.get("/account")
    assert page.status_code == 200
    assert 'name="password"' not in page.text, "there is no password to change"
    wish = {"label": "laptop", "days": "30", "scope-read": "on"}
    made = await send(client, "/account/tokens", **wish)
    found = re.search(r"neopro_[A-Za-z0-9]{43}", made.text)
    assert found, made.text
    token = {"Authorization": f"Bearer {found[0]}"}
    assert (await api.http.get("/v1/fleet", headers=token)).status_code == 200
    api.now += timedelta(minutes=10)
    late = await send(client, "/account/tokens", **wish)
    assert late.status_code == 422
    assert not re.search(r"neopro_[A-Za-z0-9]{43}", late.text)


async def test_logout_ends_our_session_and_leads_to_the_end_of_the_provider_s(
    api: Api, there: Provider, client: httpx.AsyncClient, visitor: Visitor
) -> None:
    await through_the_provider(client, visitor, somebody(there, "fleet-operators"))
    answer = await send(client, "/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?left=1")
    assert (await client.get("/")).status_code == 303
    shown = await client.get("/login?left=1")
    assert '<a href="/login/openid/farewell">Log out of Canaille too</a>' in shown.text
    away = await client.get("/login/openid/farewell")
    assert away.headers["location"].startswith(f"{there.issuer}/oauth/end_session?client_id={CLIENT_ID}&")
    assert await visitor.log_out(away.headers["location"]) == f"{HOME}/login"
    ended = await visitor.get((await client.get("/login/openid")).headers["location"])
    assert ended.url.path == "/login", "the provider asks who it is again"


async def test_logout_of_a_password_s_session_speaks_of_no_provider(api: Api, client: httpx.AsyncClient) -> None:
    await come_in(client, api, await add_person(api, "marie"))
    assert (await send(client, "/logout")).headers["location"] == "/login"
    assert "farewell" not in (await client.get("/login")).text
