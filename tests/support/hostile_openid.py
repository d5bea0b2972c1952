"""An OpenID provider that says what a test wants: real HTTP, real signatures, and whatever is wrong with them."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

from authlib.oidc.core.util import create_half_hash
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from joserfc.jws import JWSRegistry

from tests.support.scripted_http import Asked, Say, ScriptedServer

CLIENT_ID = "neopro-fleet"
ACCESS_TOKEN = "an access token"
METADATA, KEYS, TOKEN, USERINFO = "/.well-known/openid-configuration", "/jwks", "/token", "/userinfo"
_KEY = RSAKey.generate_key(2048, {"kid": "first"})
_OTHER = RSAKey.generate_key(2048, {"kid": "first"})


class Hostile:
    """Answers well until something of it is changed; `say` replaces the answer of a path whole."""

    def __init__(self) -> None:
        self.say: dict[str, Callable[[], Say] | Say] = {}
        self.metadata: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.tokens: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "first"}
        self.signed_by: Any = _KEY
        self.published: list[dict[str, Any]] = [_KEY.as_dict(private=False)]
        self.nonce: str | None = None
        """None: the code that comes to the token endpoint is the nonce, so that many may log in at once."""
        self.now: Callable[[], float] = time.time
        self.padded: tuple[str, int] = ("", 0)
        """A path whose answer, right as it is, ends in so many spaces."""
        self.server = ScriptedServer(self._padded)
        self.issuer = self.server.url

    @contextmanager
    def serving(self) -> Iterator["Hostile"]:
        """Answer within the context."""
        with self.server.serving():
            yield self

    def asked(self, path: str) -> list[Asked]:
        """What came to a path so far."""
        return [asked for asked in self.server.asked if asked.path == path]

    def signed_by_another(self) -> None:
        """Sign with a key that is not published, under the name of the one that is."""
        self.signed_by = _OTHER

    def signed_by_our_secret(self, secret: str) -> None:
        """HS256: what whoever knows the client's secret could sign, we too."""
        self.signed_by, self.header = OctKey.import_key(secret, {"kid": "ours"}), {"alg": "HS256"}

    def published_secret(self) -> None:
        """… and publish that secret among the keys, so that a library which would take it finds it."""
        self.published.append(self.signed_by.as_dict(private=True))
        self.header = {"alg": "HS256", "kid": "ours"}

    def _padded(self, asked: Asked) -> Say:
        said, (path, spaces) = self._answer(asked), self.padded
        return said._replace(body=said.body + b" " * spaces) if asked.path == path else said

    def _answer(self, asked: Asked) -> Say:
        said = self.say.get(asked.path)
        if said is not None:
            return said() if callable(said) else said
        match asked.path:
            case path if path == METADATA:
                return as_json(self._metadata())
            case path if path == KEYS:
                return as_json({"keys": self.published})
            case path if path == TOKEN:
                given = {"access_token": ACCESS_TOKEN, "token_type": "Bearer", "id_token": self._id_token(asked)}
                return as_json(_without_none({**given, **self.tokens}))
            case path if path == USERINFO:
                return as_json({"sub": "17", **self.userinfo})
        return Say(status=404)

    def _metadata(self) -> dict[str, Any]:
        given = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": self.issuer + TOKEN,
            "jwks_uri": self.issuer + KEYS,
            "userinfo_endpoint": self.issuer + USERINFO,
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
        }
        return _without_none({**given, **self.metadata})

    def _id_token(self, asked: Asked) -> str:
        now, [code] = int(self.now()), parse_qs(asked.body.decode())["code"]
        claims = {
            "iss": self.issuer,
            "sub": "17",
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": code if self.nonce is None else self.nonce,
            "at_hash": create_half_hash(ACCESS_TOKEN, "RS256").decode(),
            "preferred_username": "ada",
            "groups": ["fleet-admins"],
        }
        registry = JWSRegistry(algorithms=["RS256", "HS256", "none"])
        return jwt.encode(self.header, _without_none({**claims, **self.claims}), self.signed_by, registry=registry)


def as_json(document: object) -> Say:
    """An answer of 200."""
    return Say(headers={"Content-Type": "application/json"}, body=json.dumps(document).encode())


def _without_none(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value is not None}
