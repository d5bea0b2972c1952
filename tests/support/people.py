"""People with accounts, and their browsers.

marie = await add_person(api, "marie", "admin")
async with browser(api) as marie_s:
    await come_in(marie_s, marie)
    answer = await marie_s.get("/")
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlencode

import httpx
import pyotp
import pytest
from argon2 import PasswordHasher

from control_plane import passwords
from control_plane.core.people import Role, Scope
from control_plane.core.totp import PERIOD_S
from control_plane.store import sessions, tokens, users
from control_plane.store.sessions import Browser
from tests.support.api import Api

ORIGIN = "http://127.0.0.1:8470"
PASSWORD = "a tall tale of two boxes"
_CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
_HASH = _CHEAP.hash(PASSWORD)


@pytest.fixture(autouse=True, scope="session")
def cheap_passwords() -> Iterator[None]:
    """Hashes at the least cost, in this process: of the minutes that tests took, one went into argon2id alone.

    That a server hashes at the full cost is told by tests/integration/test_passwords.py.
    """
    with _hashing_by(_CHEAP):
        yield


@pytest.fixture
def full_price_passwords(cheap_passwords: None) -> Iterator[None]:
    """Hashes that take as long as in the field."""
    with _hashing_by(PasswordHasher()):
        yield


@contextmanager
def _hashing_by(hasher: PasswordHasher) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_HASHER", hasher)
        passwords._nobodys.cache_clear()
        yield
    passwords._nobodys.cache_clear()


class Person(NamedTuple):
    """An account; `secret` of its one-time codes, None where it has none."""

    id: int
    name: str
    secret: str | None = None


async def add_person(
    api: Api, name: str, role: Role = "viewer", tenant: str | None = None, *, codes: bool | None = None
) -> Person:
    """An account with a password of its own; admins have codes, unless `codes` says otherwise."""
    async with api.connection() as conn:
        number = await users.add_user(conn, name, role, tenant, password=_HASH, ends_at=None, now=api.now)
        assert number is not None
        secret = pyotp.random_base32() if (role == "admin" if codes is None else codes) else None
        if secret:
            await users.set_totp(conn, number, secret, None)
    return Person(number, name, secret)


async def token_of(api: Api, person: Person, *scopes: Scope) -> dict[str, str]:
    """The headers of a fresh token of somebody."""
    async with api.connection() as conn:
        text = await tokens.add_token(
            conn, "laptop", scopes or ("read",), now=api.now, expires_at=api.now + timedelta(days=1), owner=person.id
        )
    return {"Authorization": f"Bearer {text}"}


def browser(api: Api, base: str = ORIGIN, peer: str = "127.0.0.1") -> httpx.AsyncClient:
    """A browser: it keeps cookies, says where its forms come from, and asks for pages."""
    client = api.client(peer=peer, base=base)
    client.headers.update({"Accept": "text/html", "Origin": base})
    return client


def code_of(secret: str, api: Api, *, later: int = 0) -> str:
    """The code that is shown now, or so many steps later."""
    return pyotp.TOTP(secret).at(int(api.now.timestamp()) + later * PERIOD_S)


async def send(client: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    """Post a form."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return await client.post(path, content=urlencode(fields), headers=kind)


async def come_in(client: httpx.AsyncClient, api: Api, person: Person, password: str = PASSWORD) -> httpx.Response:
    """Log in, with a code where one is asked for; the last answer."""
    answer = await send(client, "/login", name=person.name, password=password)
    if person.secret and answer.status_code == 303:
        answer = await send(client, "/login/code", code=code_of(person.secret, api))
    return answer


def secret_on(html: str) -> str:
    """The secret of one-time codes that a page shows."""
    found = re.search(r"<code>([A-Z2-7 ]+)</code>", html)
    assert found, html
    return found[1].replace(" ", "")


def cookie_of(client: httpx.AsyncClient) -> Mapping[str, str]:
    """What the browser would send."""
    return dict(client.cookies)


async def session_of(api: Api, person: Person) -> dict[str, str]:
    """The headers of a browser in which somebody came in, without a password being hashed."""
    async with api.connection() as conn:
        cookie = await sessions.open_session(
            conn, person.id, Browser("192.0.2.1", "a browser"), api.now, second_factor=True, by_provider=False
        )
    return {"Cookie": f"neopro_session={cookie}"}
