"""An admin of a served fleet, who came in by the forms: with an account, nobody is let in without one."""

import time
from collections.abc import Mapping

import httpx
import pyotp

from control_plane import passwords
from control_plane.store import users
from tests.support.people import PASSWORD
from tests.support.world import ServedWorld

NAME = "ada"


def come_in(served: ServedWorld) -> Mapping[str, str]:
    """A new admin's cookies."""
    secret = pyotp.random_base32()
    served.run(_add(served, secret))
    with httpx.Client(base_url=served.url, headers={"Origin": served.url}, trust_env=False, timeout=30) as browser:
        for path, fields in (
            ("/login", {"name": NAME, "password": PASSWORD}),
            ("/login/code", {"code": pyotp.TOTP(secret).at(int(time.time()))}),
        ):
            answer = browser.post(path, data=fields)
            assert answer.status_code == 303, answer.text
        return dict(browser.cookies)


async def _add(served: ServedWorld, secret: str) -> None:
    now = served.world.clock()
    async with served.world.connection() as conn:
        number = await users.add_user(
            conn, NAME, "admin", None, password=passwords.hashed(PASSWORD), ends_at=None, now=now
        )
        assert number is not None
        await users.set_totp(conn, number, secret, None)
