"""What people can set of themselves is text on the pages of accounts: browsers' names, tokens' labels, failed names."""

import html
from pathlib import Path

import httpx
import pytest

from tests.support.api import open_api
from tests.support.hostile import SIGN, Markers
from tests.support.hostile_html import require_no_script
from tests.support.people import PASSWORD, add_person, browser, come_in, send

pytestmark = pytest.mark.anyio
AGENT = "Mozilla \"'><script>pwned(0)</script><img src=x onerror=pwned(0)><pwned>"


async def test_account_and_audit_make_no_markup_of_what_people_sent(tmp_path: Path, database: str) -> None:
    markers = Markers()
    async with open_api(tmp_path, database) as api:
        ada = await add_person(api, "ada", "admin")
        async with browser(api) as client:
            client.headers["User-Agent"] = AGENT
            await _fails_to_come_in(client, markers)
            assert (await come_in(client, api, ada)).status_code == 303
            label = markers.text("token", 60)
            made = await send(client, "/account/tokens", label=label, days="90", now=PASSWORD, **{"scope-read": "on"})
            require_no_script(made.text, "the answer to a new token")
            await _shows(client, "/account", f"{SIGN}(0)", label[-9:])
            for query in ("", "?q=<pwned>&act=<pwned>&before=<pwned>", '?q="><pwned onclick=pwned()>'):
                await _shows(client, f"/audit{query}")
            await _shows(client, "/audit", "login")


async def _fails_to_come_in(client: httpx.AsyncClient, markers: Markers) -> None:
    for name in (markers.text("name"), '"><pwned>', "javascript:pwned()", "ada"):
        failed = await send(client, "/login", name=name, password="wrong", next='/"><pwned>')
        assert failed.status_code == 422, failed.text
        require_no_script(failed.text, "a login that failed")
    shown = await client.get("/login", params={"next": '/"><script>pwned()</script>', "lang": "<pwned>"})
    require_no_script(shown.text, "the login")


async def _shows(client: httpx.AsyncClient, address: str, *words: str) -> None:
    answer = await client.get(address)
    assert answer.status_code == 200, (address, answer.text)
    require_no_script(answer.text, address)
    missing = [word for word in words if word not in html.unescape(answer.text)]
    assert not missing, (address, answer.text)
