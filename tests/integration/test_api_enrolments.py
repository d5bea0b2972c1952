"""Enrolments over HTTP: an operator makes a token, a box uses it once; a commit alone lets the box in."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pyrage
import pytest

from control_plane.api.enrolments import MAX_A_MINUTE, MAX_ADDRESSES, Attempts
from schemas import dsse, site_token
from schemas.enrolment import MAX_REQUEST_BYTES, Enrolment, NewEnrolment
from tests.support.api import Api
from tests.support.published import NOW, Box, Wanted

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]


@dataclass
class NewBox(Box):
    """A box that nobody knows yet."""

    recipient: str = field(default_factory=lambda: str(pyrage.x25519.Identity.generate().to_public()))

    async def enrol(self, api: Api, secret: str, **changed: Any) -> httpx.Response:
        """Ask with a token, as the agent does."""
        request = {"secret": secret, "site": self.site, "identity": self.identity, "recipient": self.recipient}
        request |= {"hostname": "neopro-1", "model": "Raspberry Pi 4 Model B"} | changed
        return await api.http.post("/v1/enrolments", headers=self.headers(api.now), json=request)


async def make(api: Api, site: str = "brest", **query: int) -> str:
    """The secret of a new token."""
    answer = await api.http.post(f"/v1/sites/{site}/enrolment", params=query, headers=await api.operator("write"))
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    return msgspec.json.decode(answer.content, type=NewEnrolment).secret


async def listed(api: Api) -> list[Enrolment]:
    answer = await api.http.get("/v1/enrolments", headers=await api.operator("read"))
    return msgspec.json.decode(answer.content, type=list[Enrolment])


async def test_box_that_uses_its_token_waits_for_a_commit_and_is_accepted_by_it_alone(api: Api) -> None:
    await api.publish({"brest": Wanted(None)})
    secret, box = await make(api), NewBox("brest")
    assert [(e.site, e.state, e.made_by, e.identity) for e in await listed(api)] == [("brest", "unused", "ada", None)]

    answer = await box.enrol(api, secret)

    assert (answer.status_code, answer.json()) == (202, {"site": "brest", "state": "pending"})
    [waiting] = await listed(api)
    assert (waiting.state, waiting.identity, waiting.recipient) == ("pending", box.identity, box.recipient)
    assert (waiting.hostname, waiting.model, waiting.asked_at) == ("neopro-1", "Raspberry Pi 4 Model B", NOW)
    assert (await api.http.get("/v1/sites/brest/head", headers=box.headers())).status_code == 401

    await api.publish({"brest": Wanted(box.identity)}, now=NOW + timedelta(seconds=1))
    assert (await api.http.get("/v1/sites/brest/head", headers=box.headers())).status_code == 200
    assert [e.state for e in await listed(api)] == ["accepted"]
    again = await box.enrol(api, secret)
    assert (again.status_code, again.json()["state"]) == (202, "accepted")


async def test_secret_is_in_the_database_as_a_hash_alone(api: Api) -> None:
    secret = await make(api)
    async with api.connection() as conn:
        rows = await (await conn.execute("select e::text from enrolments e")).fetchall()
    assert len(rows) == 1
    assert secret not in rows[0][0]


async def refused(answer: httpx.Response, status: int, words: str) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    detail = answer.json()["detail"]
    assert detail.startswith("cannot enrol this box") and words in detail, detail


async def test_token_that_is_not_to_be_used_is_refused_with_its_own_sentence(api: Api) -> None:
    box, other = NewBox("brest"), NewBox("brest")
    await refused(await box.enrol(api, "x" * 32), 401, "nobody made this token")

    expired = await make(api, days=1)
    api.now += timedelta(days=1, seconds=1)
    await refused(await box.enrol(api, expired), 410, "expired on 2026-03-02 at 12:00 UTC")
    assert [e.state for e in await listed(api)] == ["expired"]

    used = await make(api)
    assert (await box.enrol(api, used)).status_code == 202
    await refused(await other.enrol(api, used), 409, "was used by another box")
    await refused(await box.enrol(api, used, recipient=other.recipient), 409, "with another key")
    assert (await box.enrol(api, used)).status_code == 202, "the same box may ask again"

    newer = await make(api)
    await refused(await box.enrol(api, used), 410, "was revoked on")
    await refused(await NewBox("nantes").enrol(api, newer), 403, "its token was made for brest")
    assert (await other.enrol(api, newer)).status_code == 202


async def test_token_that_is_revoked_ends_and_the_box_that_used_it_is_forgotten(api: Api) -> None:
    secret, box = await make(api), NewBox("brest")
    writer = await api.operator("write")
    assert (await box.enrol(api, secret)).status_code == 202
    assert (await api.http.delete("/v1/sites/brest/enrolment", headers=writer)).status_code == 204
    await refused(await box.enrol(api, secret), 410, "was revoked on")
    assert [e.state for e in await listed(api)] == ["revoked"]
    assert (await api.http.delete("/v1/sites/brest/enrolment", headers=writer)).status_code == 404


async def test_two_boxes_at_once_share_no_token(api: Api) -> None:
    for _ in range(5):
        secret = await make(api)
        answers = await asyncio.gather(*(NewBox("brest").enrol(api, secret) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409]
        api.now += timedelta(minutes=2)


WEAK = {
    "of small order": "ed25519:" + dsse.encode_base64(b"\x01" + b"\0" * 31),
    "non-canonical": "ed25519:" + dsse.encode_base64(b"\xf0" + b"\xff" * 30 + b"\x7f"),
    "no point": "ed25519:" + dsse.encode_base64(b"\x02" + b"\0" * 31),
}


@pytest.mark.parametrize("kind", WEAK)
async def test_weak_key_never_enters(api: Api, kind: str) -> None:
    await refused(await NewBox("brest").enrol(api, await make(api), identity=WEAK[kind]), 400, "no sound key")
    assert [e.state for e in await listed(api)] == ["unused"]


async def test_key_whose_private_half_the_sender_lacks_is_refused(api: Api) -> None:
    secret, box, thief = await make(api), NewBox("brest"), NewBox("brest")
    await refused(await thief.enrol(api, secret, identity=box.identity), 401, "signature does not hold")
    late = {"Authorization": f"Bearer {box.token(NOW - timedelta(minutes=30))}"}
    body = {"secret": secret, "site": "brest", "identity": box.identity, "recipient": box.recipient}
    await refused(await api.http.post("/v1/enrolments", headers=late, json=body), 401, "not current")
    await refused(await api.http.post("/v1/enrolments", json=body), 401, "not a token of a box")
    elsewhere = {"Authorization": f"Bearer {site_token.make('nantes', box.key, NOW)}"}
    await refused(await api.http.post("/v1/enrolments", headers=elsewhere, json=body), 403, "speaks for nantes")
    assert [e.state for e in await listed(api)] == ["unused"]


BAD: list[bytes] = [b"", b"null", b"{", b"[" * 3000, b'{"secret": "x"}', b"\xff"]


@pytest.mark.parametrize("body", BAD)
async def test_request_that_is_none_is_a_clean_400(api: Api, body: bytes) -> None:
    answer = await api.http.post("/v1/enrolments", headers=NewBox("brest").headers(), content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


async def test_facts_with_control_characters_and_oversized_bodies_are_refused(api: Api) -> None:
    secret, box = await make(api), NewBox("brest")
    assert (await box.enrol(api, secret, hostname="a\x1b[2J")).status_code == 400
    assert (await box.enrol(api, secret, model="x" * (MAX_REQUEST_BYTES + 1))).status_code == 413


async def test_address_that_tries_too_often_is_told_to_wait_and_others_are_not(api: Api) -> None:
    box = NewBox("brest")
    answers = [await box.enrol(api, "x" * 32) for _ in range(MAX_A_MINUTE + 1)]
    assert [answer.status_code for answer in answers] == [401] * MAX_A_MINUTE + [429]
    assert answers[-1].headers["retry-after"]
    async with api.client(peer="192.0.2.7") as other:
        assert (await other.post("/v1/enrolments", content=b"{}")).status_code == 400
    api.now += timedelta(minutes=1)
    assert (await box.enrol(api, "x" * 32)).status_code == 401


def test_addresses_that_are_remembered_are_bounded() -> None:
    attempts = Attempts(lambda: NOW)
    for number in range(MAX_ADDRESSES + 10):
        attempts.count(str(number))
    assert len(attempts._counts) == MAX_ADDRESSES


async def test_site_that_no_file_could_have_gets_no_token(api: Api) -> None:
    writer = await api.operator("write")
    for site in ("Brest", "a" * 64, "-x", "a%0a"):
        assert (await api.http.post(f"/v1/sites/{site}/enrolment", headers=writer)).status_code == 404, site
    for days in (0, 91):
        answer = await api.http.post("/v1/sites/brest/enrolment", params={"days": days}, headers=writer)
        assert answer.status_code == 400
