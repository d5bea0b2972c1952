"""A real OpenID provider: Canaille, on HTTPS with a certificate of a private authority, in a thread.

provider.person("ada", password="…", groups=["fleet-admins"])
callback = await visitor.log_in(authorization_url, "ada", "…")      # through its own forms
"""

import re
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any, Final
from urllib.parse import urljoin, urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import httpx
from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import RSAKey

from tests.support.authority import Authority

CLIENT_ID: Final = "neopro-fleet"
CLIENT_SECRET: Final = "a secret of the tests"
SCOPES: Final = ["openid", "profile", "email", "groups"]


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _Server(ThreadingMixIn, WSGIServer):
    """Browsers open connections that they then leave idle: none may hold the others up."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust our certificate, or goes away, is what some tests are about."""


class Provider:
    """The running provider. Its clock is the machine's."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder, "openid")
        self._http = _Server(("127.0.0.1", 0), _Quiet)
        self._http.base_environ["HTTPS"] = "on"
        self._http.socket = self.authority.server_context().wrap_socket(
            self._http.socket, server_side=True, do_handshake_on_connect=False
        )
        self.issuer = f"https://localhost:{self._http.server_port}"
        self.app = create_app(config=_configuration(self._http.server_port, folder))
        self._http.set_app(self.app)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def client(self, redirect: str, home: str, *, scopes: Sequence[str] = SCOPES) -> None:
        """Register the fleet's server, as an administrator of the provider does."""
        # Canaille sends people who log out to hosts that it trusts, and to no others.
        self.app.config["CANAILLE_OIDC"]["TRUSTED_DOMAINS"] = [urlsplit(home).hostname]
        with self.app.app_context():
            client = models.Client(
                client_id=CLIENT_ID,
                client_secret=CLIENT_SECRET,
                client_name="NEOPRO Fleet",
                redirect_uris=[redirect],
                post_logout_redirect_uris=[home],
                grant_types=["authorization_code"],
                response_types=["code"],
                token_endpoint_auth_method="client_secret_basic",
                scope=list(scopes),
            )
            Backend.instance.save(client)
            client.audience = [client]
            Backend.instance.save(client)

    def person(self, name: str, *, password: str, groups: Sequence[str] = (), otp: str = "") -> None:
        """Somebody with an account there. `otp`: the secret of their one-time codes.

        Who logs in twice within a second gets the same access token twice, which its database refuses: tests that log
        in have a person each.
        """
        with self.app.app_context():
            user = models.User(
                user_name=name,
                formatted_name=name.title(),
                display_name=name,
                family_name=name,
                emails=[f"{name}@example.org"],
                password=password,
                secret_token=otp or None,
                last_otp_login=datetime.now(UTC) if otp else None,
            )
            Backend.instance.save(user)
        self.groups(name, *groups)

    def groups(self, name: str, *groups: str) -> None:
        """Of which groups somebody is from now on."""
        with self.app.app_context():
            user = Backend.instance.get(models.User, user_name=name)
            user.groups = [self._group(group, user) for group in groups]
            Backend.instance.save(user)

    def _group(self, name: str, member: Any) -> Any:
        found = Backend.instance.get(models.Group, display_name=name)
        if found is None:
            found = models.Group(display_name=name, members=[member])
            Backend.instance.save(found)
        return found

    def ask_for(self, *factors: str) -> None:
        """What people prove from now on: `password`, `otp`."""
        self.app.config["CANAILLE"]["AUTHENTICATION_FACTORS"] = list(factors)

    def rotate(self) -> None:
        """Sign with a new key from now on, and publish it alone."""
        self.app.config["CANAILLE_OIDC"]["ACTIVE_JWKS"] = [_key()]


def _key() -> dict[str, Any]:
    return dict(RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True))


def _configuration(port: int, folder: Path) -> dict[str, Any]:
    return {
        "ENV_FILE": None,
        "SECRET_KEY": "a key of the tests alone",
        "PREFERRED_URL_SCHEME": "https",
        "SERVER_NAME": f"localhost:{port}",
        "CANAILLE": {
            "DATABASE": "sql",
            "JAVASCRIPT": False,
            "ENABLE_PASSWORD_COMPROMISSION_CHECK": False,
            "ACL": {"DEFAULT": {"PERMISSIONS": ["use_oidc"]}},
            "LOGGING": {
                "version": 1,
                "disable_existing_loggers": False,
                "loggers": {"canaille": {"level": "CRITICAL"}},
            },
        },
        "CANAILLE_SQL": {
            "DATABASE_URI": f"sqlite:///{folder}/openid.sqlite",
            "PASSWORD_HASH_PARAMS": {"pbkdf2_sha512__rounds": 1000},
        },
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [_key()], "TRUSTED_DOMAINS": []},
    }


@contextmanager
def running_provider(folder: Path) -> Iterator[Provider]:
    """A provider that answers until the context is left. One at a time in a process: it keeps its data globally."""
    provider = Provider(folder)
    provider.start()
    try:
        yield provider
    finally:
        provider.stop()


class Visitor:
    """A browser at the provider: its cookies, and somebody who fills in what it shows."""

    def __init__(self, provider: Provider) -> None:
        trust = ssl.create_default_context(cafile=provider.authority.ca_file)
        self._http = httpx.AsyncClient(verify=trust, trust_env=False)
        self._issuer = provider.issuer

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def log_in(self, start: str, name: str, password: str, *, otp: str = "", answer: str = "accept") -> str:
        """From our link to where the provider sends back to, with these words for its forms."""
        words = {"login": name, "password": password, "otp": otp, "answer": answer}
        page = await self._http.get(start)
        for _ in range(12):
            if page.is_redirect:
                target = urljoin(str(page.url), page.headers["location"])
                if not target.startswith(self._issuer):
                    return target
                page = await self._http.get(target)
            else:
                page = await self._submit(page, words)
        raise AssertionError(f"the provider never let {name} go: {page.text[:2000]}")

    async def log_out(self, start: str) -> str:
        """From our link, agreeing to what is asked, to where the provider sends on to."""
        page = await self._http.get(start)
        answer = page if page.is_redirect else await self._submit(page, {"answer": "logout"})
        return urljoin(str(answer.url), answer.headers["location"])

    async def get(self, url: str) -> httpx.Response:
        """A page of the provider, wherever it leads within it."""
        page = await self._http.get(url)
        while page.is_redirect and urljoin(str(page.url), page.headers["location"]).startswith(self._issuer):
            page = await self._http.get(urljoin(str(page.url), page.headers["location"]))
        return page

    async def _submit(self, page: httpx.Response, words: Mapping[str, str]) -> httpx.Response:
        assert page.status_code == 200, page.text
        form = re.search(r"<form[^>]*>(.*?)</form>", page.text, re.S)
        assert form, page.text
        action = re.search(r'action="([^"]*)"', form[0])
        target = urljoin(str(page.url), unescape(action[1]) if action else "")
        token = re.search(r'name="csrf_token"[^>]*value="([^"]*)"', form[0])
        names = {*re.findall(r'name="([^"]+)"', form[0])} & words.keys()
        assert names, page.text
        given = {name: words[name] for name in names} | ({"csrf_token": unescape(token[1])} if token else {})
        return await self._http.post(target, data=given, headers={"Referer": str(page.url)})
