"""Our side of OpenID Connect against a real provider: its discovery, forms, codes, keys and UserInfo."""

import secrets
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from otpauth import TOTP

from control_plane.core.openid import Claims, Grant, Trouble, person_of
from control_plane.openid import CALLBACK, Provider, Returned, Ticket
from control_plane.settings import Settings
from tests.support import openid_provider
from tests.support.openid_provider import CLIENT_ID, CLIENT_SECRET, SCOPES, Visitor, running_provider

pytestmark = pytest.mark.anyio

HOME = "https://fleet.example.org"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openid_provider.Provider]:
    with running_provider(tmp_path_factory.mktemp("provider")) as provider:
        provider.client(f"{HOME}{CALLBACK}", f"{HOME}/login")
        yield provider


@pytest.fixture
async def visitor(there: openid_provider.Provider) -> AsyncIterator[Visitor]:
    visitor = Visitor(there)
    yield visitor
    await visitor.close()


@pytest.fixture
def ada(there: openid_provider.Provider) -> str:
    name = f"ada-{secrets.token_hex(4)}"
    there.person(name, password=PASSWORD, groups=["staff", "fleet-admins"])
    return name


def new_ticket() -> Ticket:
    return Ticket(*(secrets.token_urlsafe(32) for _ in range(3)))


def ours(there: openid_provider.Provider, folder: Path, clock: Any = None, **others: Any) -> Provider:
    (folder / "secret").write_text(CLIENT_SECRET)
    settings = Settings(
        **{
            "public_url": HOME,
            "oidc_issuer": there.issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret_file": folder / "secret",
            "oidc_ca_file": there.authority.ca_file,
            "oidc_scopes": SCOPES,
            "oidc_grants": [Grant(claim="groups", value="fleet-admins", role="admin")],
            **others,
        }
    )
    return Provider(settings, clock or (lambda: datetime.now(UTC)))


async def come_back(provider: Provider, visitor: Visitor, ada: str, ticket: Ticket, **how: Any) -> Returned:
    start = await provider.begin(ticket, "fr")
    assert isinstance(start, str), start
    back = urlsplit(await visitor.log_in(start, ada, PASSWORD, **how))
    assert f"{back.scheme}://{back.netloc}{back.path}" == f"{HOME}{CALLBACK}"
    query = {key: values[0] for key, values in parse_qs(back.query).items()}
    assert query["state"] == ticket.state
    return Returned(query.get("code", ""), query.get("iss", ""), query.get("error", ""))


async def claims_of(provider: Provider, visitor: Visitor, ada: str, **how: Any) -> Claims:
    ticket = new_ticket()
    claims = await provider.redeem(ticket, await come_back(provider, visitor, ada, ticket, **how))
    assert not isinstance(claims, Trouble), claims
    return claims


def reason(found: object) -> str:
    assert isinstance(found, Trouble), found
    return found.reason


async def test_browser_that_logged_in_there_comes_back_as_somebody(
    there: openid_provider.Provider, visitor: Visitor, ada: str, tmp_path: Path
) -> None:
    provider = ours(there, tmp_path)
    person = person_of(await claims_of(provider, visitor, ada), provider.rules)
    assert not isinstance(person, Trouble)
    assert (person.issuer, person.name, person.role) == (there.issuer, ada, "admin")
    assert not person.second_factor


async def test_code_is_asked_for_with_everything_that_binds_it(there: openid_provider.Provider, tmp_path: Path) -> None:
    ticket = new_ticket()
    start = await ours(there, tmp_path, oidc_acr=["gold", "2"]).begin(ticket, "fr")
    assert isinstance(start, str)
    asked = {key: values[0] for key, values in parse_qs(urlsplit(start).query).items()}
    assert asked.pop("code_challenge") not in ("", ticket.verifier)
    assert asked == {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "redirect_uri": f"{HOME}{CALLBACK}",
        "scope": "openid profile email groups",
        "state": ticket.state,
        "nonce": ticket.nonce,
        "code_challenge_method": "S256",
        "ui_locales": "fr",
        "acr_values": "gold 2",
    }
    assert CLIENT_SECRET not in start and ticket.verifier not in start


async def test_code_that_was_used_is_refused(
    there: openid_provider.Provider, visitor: Visitor, ada: str, tmp_path: Path
) -> None:
    provider, ticket = ours(there, tmp_path), new_ticket()
    returned = await come_back(provider, visitor, ada, ticket)
    assert not isinstance(await provider.redeem(ticket, returned), Trouble)
    assert reason(await provider.redeem(ticket, returned)) == "code"


@pytest.mark.parametrize(("part", "told"), [("verifier", "code"), ("nonce", "token")])
async def test_code_of_another_login_is_refused(
    there: openid_provider.Provider, visitor: Visitor, ada: str, tmp_path: Path, part: str, told: str
) -> None:
    provider, ticket = ours(there, tmp_path), new_ticket()
    returned = await come_back(provider, visitor, ada, ticket)
    assert reason(await provider.redeem(ticket._replace(**{part: "x" * 43}), returned)) == told


async def test_wrong_client_secret_is_refused(
    there: openid_provider.Provider, visitor: Visitor, ada: str, tmp_path: Path
) -> None:
    ticket = new_ticket()
    returned = await come_back(ours(there, tmp_path), visitor, ada, ticket)
    (tmp_path / "secret").write_text("another secret")
    other = Settings(
        public_url=HOME,
        oidc_issuer=there.issuer,
        oidc_client_id=CLIENT_ID,
        oidc_client_secret_file=tmp_path / "secret",
        oidc_ca_file=there.authority.ca_file,
    )
    assert reason(await Provider(other, lambda: datetime.now(UTC)).redeem(ticket, returned)) == "code"


async def test_person_who_does_not_agree_there_is_told_so(there: openid_provider.Provider, tmp_path: Path) -> None:
    there.person("grace", password=PASSWORD)
    provider, visitor, ticket = ours(there, tmp_path), Visitor(there), new_ticket()
    start = await provider.begin(ticket, "en")
    assert isinstance(start, str)
    query = parse_qs(urlsplit(await visitor.log_in(start, "grace", PASSWORD, answer="deny")).query)
    await visitor.close()
    assert reason(await provider.redeem(ticket, Returned("", query["iss"][0], query["error"][0]))) == "denied"


async def test_two_factors_that_were_proved_there_are_told(
    there: openid_provider.Provider, visitor: Visitor, tmp_path: Path
) -> None:
    codes = TOTP(b"a secret of the tests")
    there.person("hopper", password=PASSWORD, groups=["fleet-admins"], otp="a secret of the tests")
    there.ask_for("password", "otp")
    try:
        provider = ours(there, tmp_path)
        claims = await claims_of(provider, visitor, "hopper", otp=codes.string_code(codes.generate()))
    finally:
        there.ask_for("password")
    assert claims["amr"] == ["pwd", "otp", "mfa"]
    person = person_of(claims, provider.rules)
    assert not isinstance(person, Trouble)
    assert person.second_factor


async def test_key_that_the_provider_changed_to_is_learnt_at_the_next_login(
    there: openid_provider.Provider, visitor: Visitor, ada: str, tmp_path: Path
) -> None:
    provider = ours(there, tmp_path)
    before = await claims_of(provider, visitor, ada)
    there.rotate()
    assert (await claims_of(provider, visitor, ada))["sub"] == before["sub"]


@pytest.mark.parametrize(
    ("off", "told"),
    [
        (timedelta(minutes=-1), None),
        (timedelta(minutes=-5), "token"),
        (timedelta(minutes=1), None),
        (timedelta(days=1), "token"),
    ],
)
async def test_clock_may_be_off_by_two_minutes_and_no_more(
    there: openid_provider.Provider, visitor: Visitor, ada: str, tmp_path: Path, off: timedelta, told: str | None
) -> None:
    provider, ticket = ours(there, tmp_path, clock=lambda: datetime.now(UTC) + off), new_ticket()
    found = await provider.redeem(ticket, await come_back(provider, visitor, ada, ticket))
    assert (found.reason if isinstance(found, Trouble) else None) == told, found


async def test_authority_that_is_not_trusted_is_no_provider(there: openid_provider.Provider, tmp_path: Path) -> None:
    assert reason(await ours(there, tmp_path, oidc_ca_file=None).begin(new_ticket(), "en")) == "unreachable"


async def test_session_there_ends_at_the_address_that_it_names(there: openid_provider.Provider, tmp_path: Path) -> None:
    away = await ours(there, tmp_path).farewell()
    assert away is not None
    parts = urlsplit(away)
    assert away.startswith(there.issuer + "/")
    assert parse_qs(parts.query) == {"client_id": [CLIENT_ID], "post_logout_redirect_uri": [f"{HOME}/login"]}
