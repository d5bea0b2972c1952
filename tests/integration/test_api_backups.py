"""Backups over HTTP: a box leaves its own, an operator fetches it, nobody else anything."""

import asyncio
from datetime import timedelta

import httpx
import pyrage
import pytest

from control_plane.api.backups import MAX_A_DAY, MAX_BACKUP_BYTES
from reconciler_agent import age_key
from reconciler_agent.client import Client
from schemas.names import digest_of
from tests.support.agent_world import FastClock
from tests.support.api import Api
from tests.support.published import Box, Wanted, manifest

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]
RECOVERY = pyrage.x25519.Identity.generate()


@pytest.fixture
async def box(api: Api) -> Box:
    made = Box("brest")
    await api.publish({"brest": Wanted(made.identity), "nantes": Wanted(Box("nantes").identity)})
    return made


def encrypted(text: str) -> bytes:
    return bytes(pyrage.encrypt(text.encode(), [RECOVERY.to_public()]))


async def leave(api: Api, box: Box, body: bytes, site: str = "brest") -> httpx.Response:
    return await api.http.put(f"/v1/sites/{site}/backup", headers=box.headers(api.now), content=body)


async def fetch(api: Api, site: str = "brest") -> httpx.Response:
    return await api.http.get(f"/v1/sites/{site}/backup", headers=await api.operator("read"))


async def test_operator_gets_the_newest_backup_that_the_box_left(api: Api, box: Box) -> None:
    for text in ("old", "new"):
        assert (await leave(api, box, encrypted(text))).status_code == 204
    answer = await fetch(api)
    assert pyrage.decrypt(answer.content, [RECOVERY]) == b"new"
    assert answer.headers["etag"].strip('"') == digest_of(answer.content).removeprefix("sha256:")
    assert answer.headers["last-modified"] == "Sun, 01 Mar 2026 12:00:00 GMT"


async def test_backup_that_the_agent_leaves_is_what_the_operator_gets(api: Api, box: Box) -> None:
    recovery, clock = str(RECOVERY.to_public()), FastClock(api.now)
    async with api.serve() as url:
        client = Client(url=url, site=box.site, key=box.key, clock=clock)
        await asyncio.to_thread(client.backup, age_key.encrypt(b'{"auth": {}}', recovery))
        client.close()
    assert pyrage.decrypt((await fetch(api)).content, [RECOVERY]) == b'{"auth": {}}'


async def test_same_backup_again_changes_nothing(api: Api, box: Box) -> None:
    body = encrypted("x")
    await leave(api, box, body)
    api.now += timedelta(minutes=5)
    assert (await leave(api, box, body)).status_code == 204
    assert (await fetch(api)).headers["last-modified"] == "Sun, 01 Mar 2026 12:00:00 GMT"


async def test_older_backup_left_again_is_the_newest(api: Api, box: Box) -> None:
    first, second = encrypted("1"), encrypted("2")
    for body in (first, second, first):
        await leave(api, box, body)
    assert (await fetch(api)).content == first


async def test_what_is_not_encrypted_is_refused_and_not_kept(api: Api, box: Box) -> None:
    answer = await leave(api, box, b'{"auth": {"password": "secret"}}')
    assert (answer.status_code, "not encrypted" in answer.json()["detail"]) == (400, True)
    assert (await fetch(api)).status_code == 404
    assert await api.objects.missing([digest_of(b'{"auth": {"password": "secret"}}')])


async def test_backup_beyond_the_limit_is_refused(api: Api, box: Box) -> None:
    assert (await leave(api, box, b"age-encryption.org/v1\n".ljust(MAX_BACKUP_BYTES + 1, b"x"))).status_code == 413
    assert (await leave(api, box, b"age-encryption.org/v1\n".ljust(MAX_BACKUP_BYTES, b"x"))).status_code == 204


async def test_box_speaks_for_its_own_site_alone_and_reads_no_backup(api: Api, box: Box) -> None:
    assert (await leave(api, box, encrypted("x"), site="nantes")).status_code == 403
    await leave(api, box, encrypted("x"))
    own = await api.http.get("/v1/sites/brest/backup", headers=box.headers(api.now))
    nobody = await api.http.get("/v1/sites/brest/backup")
    writer = await api.http.get("/v1/sites/brest/backup", headers=await api.operator("write"))
    assert [own.status_code, nobody.status_code, writer.status_code] == [401, 401, 403]
    operator = await api.http.put("/v1/sites/brest/backup", headers=await api.operator("write"), content=encrypted("x"))
    assert operator.status_code == 401


async def test_box_gone_wild_is_told_to_come_again_and_the_others_are_served(api: Api, box: Box) -> None:
    for number in range(MAX_A_DAY):
        assert (await leave(api, box, b"age-encryption.org/v1\n%d" % number)).status_code == 204
    refused = await leave(api, box, encrypted("one too many"))
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
    api.now += timedelta(days=1)
    assert (await leave(api, box, encrypted("next day"))).status_code == 204


async def test_box_reads_the_backup_that_its_manifest_restores(api: Api, box: Box) -> None:
    mine, other = await api.put(encrypted("mine")), await api.put(encrypted("other"))
    api.now += timedelta(minutes=1)
    await api.publish({"brest": Wanted(box.identity, manifest=manifest(restore=mine))})
    codes = [
        (await api.http.get(f"/v1/blobs/{digest}", headers=box.headers(api.now))).status_code
        for digest in (mine, other)
    ]
    assert codes == [200, 403]
