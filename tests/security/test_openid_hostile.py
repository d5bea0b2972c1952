"""A provider that lies, breaks, floods or dawdles; tokens that somebody else made: nobody comes in, and we say why."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from control_plane import openid
from control_plane.core.openid import Claims, Grant, Trouble
from control_plane.openid import Provider, Returned, Ticket
from control_plane.settings import Settings
from tests.support.hostile_openid import CLIENT_ID, KEYS, METADATA, TOKEN, USERINFO, Hostile, as_json
from tests.support.scripted_http import Say

pytestmark = pytest.mark.anyio

SECRET = "a secret of the tests that is long enough for a key"
TICKET = Ticket("s" * 43, "n" * 43, "v" * 43)


@pytest.fixture
def there() -> Iterator[Hostile]:
    hostile = Hostile()
    hostile.nonce = TICKET.nonce
    with hostile.serving():
        yield hostile


class Clock:
    now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ours(there: Hostile, tmp_path: Path, clock: Clock) -> Provider:
    there.now = lambda: clock.now.timestamp()
    (tmp_path / "secret").write_text(SECRET)
    settings = Settings(
        public_url="https://fleet.example.org",
        oidc_issuer=there.issuer,
        oidc_client_id=CLIENT_ID,
        oidc_client_secret_file=tmp_path / "secret",
        oidc_grants=[Grant(claim="groups", value="fleet-admins", role="admin")],
    )
    return Provider(settings, clock)


async def redeem(ours: Provider, there: Hostile, **changed: str) -> Claims | Trouble:
    return await ours.redeem(TICKET, Returned(**{"code": "a code", "iss": there.issuer, "error": "", **changed}))


async def reason(ours: Provider, there: Hostile, **changed: str) -> str:
    found = await redeem(ours, there, **changed)
    assert isinstance(found, Trouble), found
    assert SECRET not in found.detail
    return found.reason


async def test_provider_that_does_everything_right_is_believed(ours: Provider, there: Hostile) -> None:
    found = await redeem(ours, there)
    assert not isinstance(found, Trouble), found
    assert (found["sub"], found["groups"]) == ("17", ["fleet-admins"])


LATER = 4_102_444_800
"""The year 2100."""
CLAIMS: list[dict[str, Any]] = [
    {"iss": "https://another.example.org"},
    {"iss": None},
    {"iss": ["https://another.example.org"]},
    {"sub": None},
    {"sub": ""},
    {"sub": 17},
    {"aud": "another-client"},
    {"aud": None},
    {"aud": []},
    {"aud": ["another-client"]},
    {"aud": [CLIENT_ID, "another-client"]},
    {"aud": [CLIENT_ID, "another-client"], "azp": "another-client"},
    {"azp": "another-client"},
    {"exp": 1},
    {"exp": None},
    {"exp": "never"},
    {"exp": True},
    {"iat": None},
    {"iat": LATER, "exp": LATER + 300},
    {"nbf": LATER},
    {"nonce": "another"},
    {"nonce": None},
    {"nonce": ""},
    {"at_hash": "another"},
    {"amr": "mfa"},
]


@pytest.mark.parametrize("claims", CLAIMS, ids=str)
async def test_token_with_a_wrong_claim_is_refused(ours: Provider, there: Hostile, claims: dict[str, Any]) -> None:
    there.claims = claims
    assert await reason(ours, there) == "token"


@pytest.mark.parametrize(
    ("claim", "off", "told"),
    [
        ("exp", -119, ""),
        ("exp", -120, "token"),
        ("iat", 120, ""),
        ("iat", 121, "token"),
        ("nbf", 120, ""),
        ("nbf", 121, "token"),
    ],
)
async def test_clocks_may_differ_by_two_minutes_to_the_second(
    ours: Provider, there: Hostile, clock: Clock, claim: str, off: int, told: str
) -> None:
    there.claims = {claim: int(clock.now.timestamp()) + off}
    found = await redeem(ours, there)
    assert (found.reason if isinstance(found, Trouble) else "") == told


async def test_token_for_several_that_names_us_as_the_party_is_believed(ours: Provider, there: Hostile) -> None:
    there.claims = {"aud": [CLIENT_ID, "another-client"], "azp": CLIENT_ID}
    assert not isinstance(await redeem(ours, there), Trouble)


async def test_token_signed_by_another_key_is_refused(ours: Provider, there: Hostile) -> None:
    there.signed_by_another()
    assert await reason(ours, there) == "token"


async def test_token_without_a_signature_is_refused_though_the_provider_offers_that(
    ours: Provider, there: Hostile
) -> None:
    there.header = {"alg": "none"}
    assert await reason(ours, there) == "token"


async def test_token_signed_with_our_own_secret_is_refused_though_the_provider_offers_that(
    ours: Provider, there: Hostile
) -> None:
    there.signed_by_our_secret(SECRET)
    assert await reason(ours, there) == "token"


async def test_token_signed_with_a_secret_that_is_published_as_a_key_is_refused(ours: Provider, there: Hostile) -> None:
    there.signed_by_our_secret(SECRET)
    there.published_secret()
    assert await reason(ours, there) == "token"


async def test_provider_that_signs_with_secrets_alone_is_refused(ours: Provider, there: Hostile) -> None:
    there.metadata = {"id_token_signing_alg_values_supported": ["HS256", "none"]}
    there.signed_by_our_secret(SECRET)
    assert await reason(ours, there) == "token"


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "..", "e30.e30.", "é" * 50, "a." * 500, "A" * 200_000])
async def test_token_that_is_none_is_refused(ours: Provider, there: Hostile, token: str) -> None:
    there.tokens = {"id_token": token}
    assert await reason(ours, there) == "token"


async def test_key_that_is_never_published_is_asked_for_once(ours: Provider, there: Hostile) -> None:
    there.header = {"alg": "RS256", "kid": "another"}
    assert await reason(ours, there) == "token"
    assert len(there.asked(KEYS)) == 2


METADATAS: list[dict[str, Any]] = [
    {"issuer": "https://another.example.org"},
    {"issuer": None},
    {"issuer": 7},
    {"authorization_endpoint": None},
    {"authorization_endpoint": "javascript:alert(1)"},
    {"authorization_endpoint": "http://id.example.org/authorize"},
    {"token_endpoint": "http://id.example.org/token"},
    {"token_endpoint": "https://user:word@id.example.org/token"},
    {"jwks_uri": "file:///etc/passwd"},
    {"userinfo_endpoint": "http://id.example.org/userinfo"},
    {"end_session_endpoint": "javascript:alert(1)"},
    {"id_token_signing_alg_values_supported": "RS256"},
]


@pytest.mark.parametrize("metadata", METADATAS, ids=str)
async def test_metadata_that_leads_elsewhere_is_refused(
    ours: Provider, there: Hostile, metadata: dict[str, Any]
) -> None:
    there.metadata = metadata
    found = await ours.begin(TICKET, "en")
    assert isinstance(found, Trouble)
    assert found.reason == "unusable"
    assert not there.asked(TOKEN)


NONSENSE: list[tuple[Say, str]] = [
    (Say(status=500), "unreachable"),
    (Say(status=503, body=b"<h1>later</h1>"), "unreachable"),
    (Say(status=302, headers={"Location": "http://127.0.0.1:9/"}), "unreachable"),
    (Say(status=204), "unreachable"),
    (Say(body=b""), "unusable"),
    (Say(body=b"<html>"), "unusable"),
    (Say(body=b"[]"), "unusable"),
    (Say(body=b"null"), "unusable"),
    (Say(body=b"\xff\xfe{}"), "unusable"),
    (Say(body=b"[" * 100_000), "unusable"),
    (Say(body=b'{"a":' * 40_000), "unusable"),
    (Say(body=b" " * (openid.MAX_ANSWER_BYTES + 1)), "unusable"),
    (Say(body=b"{}", headers={"Content-Encoding": "gzip"}), "unusable"),
    (Say(body=b"{", length=1000), "unreachable"),
]


@pytest.mark.parametrize("path", [METADATA, KEYS, TOKEN, USERINFO])
@pytest.mark.parametrize(("say", "told"), NONSENSE, ids=lambda value: repr(value)[:60])
async def test_nonsense_in_the_place_of_any_answer_is_told_and_never_a_bug(
    ours: Provider, there: Hostile, path: str, say: Say, told: str
) -> None:
    there.claims = {"groups": None}
    there.say[path] = say
    assert await reason(ours, there) == told


@pytest.mark.parametrize("path", [METADATA, KEYS, TOKEN, USERINFO])
async def test_answer_that_is_right_but_too_long_is_not_read(
    ours: Provider, there: Hostile, clock: Clock, path: str
) -> None:
    there.claims, there.userinfo = {"groups": None}, {"groups": ["fleet-admins"]}
    there.padded = (path, openid.MAX_ANSWER_BYTES // 2)
    assert not isinstance(await redeem(ours, there), Trouble)
    clock.now += openid.KNOWN_FOR
    there.padded = (path, openid.MAX_ANSWER_BYTES)
    assert await reason(ours, there) == "unusable"


@pytest.mark.parametrize("path", [METADATA, KEYS, TOKEN, USERINFO])
async def test_answer_that_drips_is_left_in_time(
    ours: Provider, there: Hostile, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openid, "ANSWER_S", 0.2)
    there.claims = {"groups": None}
    there.say[path] = Say(body=b" " * 100_000, drip_s=0.05)
    began = time.monotonic()
    assert await reason(ours, there) == "unreachable"
    assert time.monotonic() - began < 3


async def test_provider_that_is_not_there_is_told(tmp_path: Path, clock: Clock) -> None:
    with Hostile().serving() as gone:
        issuer = gone.issuer
    found = await Provider(Settings(public_url="https://f.example", oidc_issuer=issuer), clock).begin(TICKET, "en")
    assert isinstance(found, Trouble)
    assert found.reason == "unreachable"
    assert await Provider(Settings(public_url="https://f.example", oidc_issuer=issuer), clock).farewell() is None


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"keys": []}, "unusable"),
        ({}, "unusable"),
        ({"keys": {}}, "unusable"),
        ({"keys": ["RSA"]}, "unusable"),
        ({"keys": [{"kty": "RSA", "n": "!", "e": "AQAB"}]}, "unusable"),
        ({"keys": [{"kty": "AKP", "kid": "first"}]}, "unusable"),
        ({"keys": [{"kty": "oct", "kid": "first", "k": "c2VjcmV0"}]}, "token"),
    ],
)
async def test_keys_that_cannot_be_used_are_told(ours: Provider, there: Hostile, keys: object, told: str) -> None:
    there.say[KEYS] = as_json(keys)
    assert await reason(ours, there) == told


async def test_key_of_a_kind_that_we_do_not_know_keeps_nobody_out(ours: Provider, there: Hostile) -> None:
    there.published.insert(0, {"kty": "AKP", "kid": "second", "alg": "ML-DSA-44", "pub": "AA"})
    assert not isinstance(await redeem(ours, there), Trouble)


@pytest.mark.parametrize(
    "tokens",
    [{"id_token": None}, {"access_token": None}, {"token_type": "mac"}, {"token_type": None}, {"id_token": 7}],
    ids=str,
)
async def test_tokens_that_lack_something_are_refused(ours: Provider, there: Hostile, tokens: dict[str, Any]) -> None:
    there.tokens = tokens
    assert await reason(ours, there) == "unusable"


@pytest.mark.parametrize("status", [400, 401])
async def test_code_that_the_provider_refuses_is_told(ours: Provider, there: Hostile, status: int) -> None:
    there.say[TOKEN] = Say(status=status, body=json.dumps({"error": "invalid_grant"}).encode())
    assert await reason(ours, there) == "code"


@pytest.mark.parametrize(
    ("back", "told"),
    [
        ({"error": "access_denied"}, "denied"),
        ({"error": "server_error"}, "failed"),
        ({"error": "<script>alert(1)</script>" * 100}, "failed"),
        ({"code": ""}, "failed"),
        ({"code": "x" * 5000}, "failed"),
        ({"iss": "https://another.example.org"}, "token"),
        ({"iss": "https://another.example.org", "error": "access_denied"}, "token"),
    ],
    ids=str,
)
async def test_answer_that_is_no_code_of_this_provider_is_never_redeemed(
    ours: Provider, there: Hostile, back: dict[str, str], told: str
) -> None:
    assert await reason(ours, there, **back) == told
    assert not there.asked(TOKEN)


@pytest.mark.parametrize("promised", [False, True])
async def test_issuer_in_the_answer_is_missed_only_where_it_was_promised(
    ours: Provider, there: Hostile, promised: bool
) -> None:
    there.metadata = {"authorization_response_iss_parameter_supported": promised}
    found = await redeem(ours, there, iss="")
    assert isinstance(found, Trouble) is promised


async def test_user_info_is_asked_for_what_the_token_lacks_and_has_no_say_in_the_rest(
    ours: Provider, there: Hostile
) -> None:
    there.claims = {"groups": None}
    there.userinfo = {"groups": ["staff"], "preferred_username": "mallory", "amr": ["mfa"]}
    found = await redeem(ours, there)
    assert not isinstance(found, Trouble)
    assert (found["groups"], found["preferred_username"]) == (["staff"], "ada")
    [asked] = there.asked(USERINFO)
    assert asked.headers["Authorization"] == "Bearer an access token"


async def test_user_info_is_left_alone_where_the_token_says_all(ours: Provider, there: Hostile) -> None:
    await redeem(ours, there)
    assert not there.asked(USERINFO)


async def test_user_info_of_somebody_else_is_refused(ours: Provider, there: Hostile) -> None:
    there.claims, there.userinfo = {"groups": None}, {"sub": "18", "groups": ["fleet-admins"]}
    assert await reason(ours, there) == "token"


async def test_provider_is_asked_what_it_is_once_an_hour(ours: Provider, there: Hostile, clock: Clock) -> None:
    for _ in range(3):
        assert not isinstance(await redeem(ours, there), Trouble)
    assert (len(there.asked(METADATA)), len(there.asked(KEYS))) == (1, 1)
    clock.now += timedelta(hours=1)
    assert not isinstance(await redeem(ours, there), Trouble)
    assert (len(there.asked(METADATA)), len(there.asked(KEYS))) == (2, 2)


async def test_many_who_begin_at_once_ask_the_provider_once(ours: Provider, there: Hostile) -> None:
    begun = await asyncio.gather(*(ours.begin(TICKET, "en") for _ in range(10)))
    assert all(isinstance(one, str) for one in begun)
    assert (len(there.asked(METADATA)), len(there.asked(KEYS))) == (1, 1)


async def test_provider_that_is_away_is_left_alone_for_some_seconds(
    ours: Provider, there: Hostile, clock: Clock
) -> None:
    there.say[METADATA] = Say(status=503)
    for found in await asyncio.gather(*(ours.begin(TICKET, "en") for _ in range(10))):
        assert isinstance(found, Trouble)
        assert found.reason == "unreachable"
    assert await ours.farewell() is None
    assert len(there.asked(METADATA)) == 1
    del there.say[METADATA]
    clock.now += timedelta(seconds=5)
    assert isinstance(await ours.begin(TICKET, "en"), str)


async def test_key_that_was_withdrawn_is_believed_for_an_hour_at_most(
    ours: Provider, there: Hostile, clock: Clock
) -> None:
    assert not isinstance(await redeem(ours, there), Trouble)
    there.published = [{**there.published[0], "kid": "second"}]
    clock.now += timedelta(minutes=59)
    assert not isinstance(await redeem(ours, there), Trouble)
    clock.now += timedelta(minutes=1)
    assert await reason(ours, there) == "token"


async def test_secret_goes_to_the_token_endpoint_alone_and_in_its_header(ours: Provider, there: Hostile) -> None:
    there.claims = {"groups": None}
    await redeem(ours, there)
    for asked in there.server.asked:
        assert SECRET.encode() not in asked.body
        assert ("Basic " in asked.headers.get("Authorization", "")) == (asked.path == TOKEN)


async def test_provider_that_wants_the_secret_in_the_body_gets_it_there(ours: Provider, there: Hostile) -> None:
    there.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert not isinstance(await redeem(ours, there), Trouble)
    [asked] = there.asked(TOKEN)
    assert b"client_secret=a+secret" in asked.body
    assert "Authorization" not in asked.headers
