"""The OpenID provider that people log in through: discovery, the authorization code flow with PKCE, and its ID tokens.

OpenID Connect Core 1.0 (3.1), Discovery 1.0, RFC 7636, RFC 9207, RP-Initiated Logout 1.0; the cryptography and the
checks of claims are authlib's and joserfc's. Everything the provider says is bounded in bytes and in time and verified
before it is believed; no redirect is followed, nothing is taken from the environment. What goes wrong is a Trouble.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlencode, urlsplit

import certifi
import httpx
import msgspec
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry
from msgspec import Struct

from control_plane.core.openid import SUBJECT, Claims, Reason, Rules, Trouble, is_safe_url, missing
from control_plane.errors import SettingsInvalid
from control_plane.settings import Settings, read_secret

ANSWER_S: Final = 10.0
"""For a whole answer of the provider, from the first byte asked to the last one read."""
MAX_ANSWER_BYTES: Final = 256 * 1024
KNOWN_FOR: Final = timedelta(hours=1)
"""How long its addresses and keys are believed without asking again; an unknown key is asked for at once."""
AGAIN_AFTER: Final = timedelta(seconds=5)
"""A provider that is away is not asked again before: whoever loads our pages would have us knock for them."""
LEEWAY_S: Final = 120
"""How far its clock may be from ours."""
ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
"""Signatures by a key that only the provider has: `none` and those with a shared secret prove nothing to us."""
MAX_CODE: Final = 4096


class Told(Struct, frozen=True, kw_only=True):
    """What a provider tells of itself: the part of its metadata that we use (Discovery 1.0, 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    id_token_signing_alg_values_supported: tuple[str, ...] = ("RS256",)
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Ticket(NamedTuple):
    """What we keep of a login that was begun: nobody but us and the browser has seen these."""

    state: str
    nonce: str
    verifier: str


class Returned(NamedTuple):
    """What a browser brought back from the provider."""

    code: str
    iss: str
    error: str


class _Tokens(Struct, frozen=True, kw_only=True):
    """RFC 6749, 5.1, and Core 3.1.3.3."""

    access_token: str
    token_type: str
    id_token: str


class _Known(NamedTuple):
    told: Told
    keys: Any
    since: datetime


class _Away(NamedTuple):
    trouble: Trouble
    since: datetime


class _Stopped(Exception):
    """A Trouble on its way out of this module, which it never leaves as an exception."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        # A part of it may be the provider's own words.
        plain = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in detail[:400])
        self.trouble = Trouble(reason=reason, detail=plain)


class Provider:
    """One provider, which people know as `label`."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self.issuer, self._scopes = settings.oidc_issuer, settings.oidc_scopes
        self.label = settings.oidc_label or urlsplit(self.issuer).hostname or self.issuer
        self.rules = Rules(
            grants=settings.oidc_grants,
            name_claim=settings.oidc_name_claim,
            second_factor=settings.oidc_second_factor,
            acr=settings.oidc_acr,
        )
        self._client_id, self._clock = settings.oidc_client_id, clock
        secret = settings.oidc_client_secret_file
        self._secret = read_secret(secret) if secret else ""  # none: a public client, which PKCE alone protects
        self._trust = _certificates(settings)
        home = settings.public_url.rstrip("/")
        self._back, self._home = f"{home}{CALLBACK}", f"{home}/login"
        self._known: _Known | None = None
        self._away: _Away | None = None
        self._asking = asyncio.Lock()

    async def begin(self, ticket: Ticket, language: str) -> str | Trouble:
        """The address at the provider where a browser logs in."""
        try:
            told = (await self._know()).told
        except _Stopped as stopped:
            return stopped.trouble
        asked = {
            "client_id": self._client_id,
            "response_type": "code",
            "redirect_uri": self._back,
            "scope": " ".join(self._scopes),
            "state": ticket.state,
            "nonce": ticket.nonce,
            "code_challenge": create_s256_code_challenge(ticket.verifier),
            "code_challenge_method": "S256",
            "ui_locales": language,
        }
        if self.rules.acr:
            asked["acr_values"] = " ".join(self.rules.acr)
        return str(add_params_to_uri(told.authorization_endpoint, list(asked.items())))

    async def redeem(self, ticket: Ticket, returned: Returned) -> Claims | Trouble:
        """The verified claims of whoever logged in there. A code is good once; the provider sees to that."""
        try:
            known = await self._know()
            _require_success(returned, known.told)
            tokens = await self._exchange(known.told, ticket, returned.code)
            claims = await self._verified(known, tokens, ticket.nonce)
            return await self._completed(known.told, tokens, claims)
        except _Stopped as stopped:
            return stopped.trouble

    async def farewell(self) -> str | None:
        """Where a browser ends its session at the provider too; None: it offers no such place, or cannot be asked.

        Our client id says who asks in the place of an id_token_hint, so that no token is ever kept; the provider may
        therefore ask the person whether they mean it (RP-Initiated Logout 1.0, 2).
        """
        try:
            told = (await self._know()).told
        except _Stopped:
            return None
        if not told.end_session_endpoint:
            return None
        asked = {"client_id": self._client_id, "post_logout_redirect_uri": self._home}
        return str(add_params_to_uri(told.end_session_endpoint, list(asked.items())))

    async def _know(self) -> _Known:
        """What is known of it, asked for by one at a time; one that could not be asked is left alone for a while."""
        async with self._asking:
            now = self._clock()
            if self._known is not None and now - self._known.since < KNOWN_FOR:
                return self._known
            if self._away is not None and now - self._away.since < AGAIN_AFTER:
                raise _Stopped(self._away.trouble.reason, self._away.trouble.detail)
            try:
                told = await self._discover()
                self._known = _Known(told, await self._keys(told), now)
            except _Stopped as stopped:
                self._away = _Away(stopped.trouble, self._clock())
                raise
            return self._known

    async def _discover(self) -> Told:
        url = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        told = _read(await self._ask("GET", url), Told, "the metadata")
        if told.issuer != self.issuer:
            raise _Stopped("unusable", f"it calls itself {told.issuer!r}, and oidc_issuer is {self.issuer!r}")
        used = (told.authorization_endpoint, told.token_endpoint, told.jwks_uri)
        offered = (told.userinfo_endpoint, told.end_session_endpoint)
        for address in (*used, *(one for one in offered if one)):
            if not is_safe_url(address):
                raise _Stopped("unusable", f"its metadata names {address!r}, which is no https address")
        return told

    async def _keys(self, told: Told) -> KeySet:
        try:
            document: Any = _read(await self._ask("GET", told.jwks_uri), dict, "the keys")
            return KeySet.import_key_set(document)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as problem:
            raise _Stopped("unusable", f"cannot read its keys: {problem}") from None

    async def _exchange(self, told: Told, ticket: Ticket, code: str) -> _Tokens:
        """RFC 6749, 4.1.3. What it refuses here is a code that was used, ran out, or is not ours."""
        given = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._back,
            "code_verifier": ticket.verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        auth = ClientAuth(self._client_id, self._secret, self._method(told))
        url, headers, body = auth.prepare("POST", told.token_endpoint, headers, urlencode(given))
        answer = await self._ask("POST", url, headers=headers, content=body, refusing=(400, 401))
        tokens = _read(answer, _Tokens, "the tokens")
        if tokens.token_type.lower() != "bearer":
            raise _Stopped("unusable", f"it gave a token of type {tokens.token_type!r}")
        return tokens

    def _method(self, told: Told) -> str:
        if not self._secret:
            return "none"
        basic, post = "client_secret_basic", "client_secret_post"
        offered = told.token_endpoint_auth_methods_supported
        return post if post in offered and basic not in offered else basic

    async def _verified(self, known: _Known, tokens: _Tokens, nonce: str) -> dict[str, Any]:
        """Core 3.1.3.7, each rule of it; a key that we do not know yet is asked for once (10.1.1)."""
        token = self._decoded(known, tokens.id_token)
        if token is None:
            self._known = known = known._replace(keys=await self._keys(known.told))
            token = self._decoded(known, tokens.id_token)
        if token is None:
            raise _Stopped("token", "the ID token: it is signed by none of the provider's keys")
        options = {
            "iss": {"essential": True, "value": self.issuer},
            "aud": {"essential": True, "value": self._client_id},
        }
        expected = {"nonce": nonce, "client_id": self._client_id, "access_token": tokens.access_token}
        claims = CodeIDToken(token.claims, token.header, options, expected)
        try:
            claims.validate(now=int(self._clock().timestamp()), leeway=LEEWAY_S)
        except (JoseError, ValueError, TypeError) as problem:
            raise _Stopped("token", f"the ID token: {problem}") from None
        if not SUBJECT.fullmatch(claims["sub"]):
            raise _Stopped("token", f"the ID token: sub is {claims['sub'][:80]!r}")
        return dict(claims)

    def _decoded(self, known: _Known, text: str) -> jwt.Token | None:
        """None: it names a key that we do not know."""
        offered = known.told.id_token_signing_alg_values_supported
        registry = JWSRegistry(algorithms=[one for one in ALGORITHMS if one in offered], strict_check_header=False)
        registry.max_header_length = 4096
        try:
            return jwt.decode(text, known.keys, registry=registry)
        except InvalidKeyIdError:
            return None
        except (JoseError, ValueError, TypeError, RecursionError) as problem:
            raise _Stopped("token", f"the ID token: {problem}") from None

    async def _completed(self, told: Told, tokens: _Tokens, claims: dict[str, Any]) -> Claims:
        """With what the rules ask for and UserInfo alone knows (Core 5.3); the ID token's word goes first."""
        if not told.userinfo_endpoint or not missing(claims, self.rules):
            return claims
        headers = {"Authorization": f"Bearer {tokens.access_token}"}
        more: dict[str, Any] = _read(await self._ask("GET", told.userinfo_endpoint, headers=headers), dict, "UserInfo")
        if more.get("sub") != claims["sub"]:
            raise _Stopped("token", "UserInfo is of somebody else")
        return {**more, **claims}

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: str | None = None,
        refusing: Sequence[int] = (),
    ) -> bytes:
        """The body of a 200. `refusing`: statuses by which it refuses a code, in the place of being out of order."""
        given = {"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})}
        try:
            async with (
                asyncio.timeout(ANSWER_S),
                httpx.AsyncClient(verify=self._trust, trust_env=False, timeout=ANSWER_S) as client,
                client.stream(method, url, headers=given, content=content) as response,
            ):
                body = await _read_bounded(response)
        except TimeoutError:
            raise _Stopped("unreachable", f"{url} did not answer within {ANSWER_S:.0f} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, UnicodeError) as problem:
            raise _Stopped("unreachable", f"{url}: {problem or type(problem).__name__}") from None
        if response.status_code in refusing:
            raise _Stopped("code", f"it refused the code: {response.status_code} {body[:200]!r}")
        if response.status_code != 200:
            raise _Stopped("unreachable", f"{url} answered {response.status_code}")
        return body


CALLBACK: Final = "/login/openid/callback"
"""Where the provider sends browsers back to: what is registered there as the redirect URI."""
_Read = TypeVar("_Read")


def open_provider(settings: Settings, clock: Callable[[], datetime]) -> Provider | None:
    """The provider that is set, if one is; SettingsInvalid. It is asked nothing yet: it may be away."""
    return Provider(settings, clock) if settings.oidc_issuer else None


async def _read_bounded(response: httpx.Response) -> bytes:
    if "content-encoding" in response.headers:
        raise _Stopped("unusable", f"{response.url} answered in an encoding that nobody asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise _Stopped("unusable", f"{response.url} answered with more than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _read(body: bytes, kind: type[_Read], what: str) -> _Read:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as problem:
        raise _Stopped("unusable", f"cannot read {what}: {problem}") from None


def _require_success(returned: Returned, told: Told) -> None:
    """What came back is a code, and of this provider (RFC 9207): mix-ups of providers end here."""
    if returned.iss != told.issuer and (returned.iss or told.authorization_response_iss_parameter_supported):
        raise _Stopped("token", f"the answer came from {returned.iss!r}")
    if returned.error == "access_denied":
        raise _Stopped("denied", "access_denied")
    if returned.error:
        raise _Stopped("failed", f"the provider says {returned.error!r}")
    if not 0 < len(returned.code) <= MAX_CODE:
        raise _Stopped("failed", "neither a code nor an error came back")


def _certificates(settings: Settings) -> ssl.SSLContext:
    """Whom to trust as the provider: the authorities of `oidc_ca_file` alone if it is set, else the public ones."""
    chosen = settings.oidc_ca_file
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(chosen or certifi.where())
    except (OSError, ssl.SSLError) as problem:
        why = problem.strerror or problem
        raise SettingsInvalid(f"cannot use oidc_ca_file {chosen}: {why}; give a PEM file") from None
    return context
