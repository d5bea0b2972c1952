"""What an operation fetched: a box leaves it once, bounded also after decompression; operators read it as text."""

import pytest
import zstandard

from control_plane.api.logs import MAX_BODY_BYTES, MAX_TEXT_BYTES
from control_plane.store import operation_logs
from tests.support.api import Api
from tests.support.published import Box, Wanted

pytestmark = pytest.mark.anyio
TEXT = "12:00 neopro-app: started\n12:01 é \x1b[31mred\n".encode()
PATH = "/v1/sites/brest/logs/fetch-2026-03-01"


@pytest.fixture
async def box(api: Api) -> Box:
    found = Box("brest")
    await api.publish({"brest": Wanted(found.identity), "nantes": Wanted(Box("nantes").identity)})
    return found


async def leave(api: Api, box: Box, body: bytes, encoding: str = "identity", path: str = PATH) -> int:
    headers = box.headers(api.now) | {"Content-Encoding": encoding}
    return (await api.http.post(path, headers=headers, content=body)).status_code


@pytest.mark.parametrize("encoding", ["identity", "zstd"])
async def test_log_that_a_box_left_is_read_by_operators_as_the_text_it_was(api: Api, box: Box, encoding: str) -> None:
    body = zstandard.compress(TEXT) if encoding == "zstd" else TEXT
    assert await leave(api, box, body, encoding) == 204
    operator = await api.operator("read")
    answer = await api.http.get(PATH, headers=operator)
    assert (answer.status_code, answer.content) == (200, TEXT)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    listed = (await api.http.get("/v1/operations/fetch-2026-03-01/logs", headers=operator)).json()
    assert [entry["site"] for entry in listed] == ["brest"]


async def test_log_left_again_changes_nothing(api: Api, box: Box) -> None:
    assert [await leave(api, box, TEXT), await leave(api, box, b"something else")] == [204, 204]
    assert (await api.http.get(PATH, headers=await api.operator("read"))).content == TEXT


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (bytes(MAX_BODY_BYTES + 1), "identity", 413),
        (zstandard.compress(bytes(MAX_TEXT_BYTES)), "zstd", 204),
        (zstandard.compress(bytes(MAX_TEXT_BYTES + 1)), "zstd", 413),
        (zstandard.compress(bytes(MAX_TEXT_BYTES)) + zstandard.compress(b"x"), "zstd", 413),
        (b"no zstd", "zstd", 400),
        (b"", "zstd", 204),
        (TEXT, "gzip", 415),
    ],
    ids=["large", "full", "bomb", "bomb in two frames", "garbage", "empty", "gzip"],
)
async def test_body_that_is_too_large_or_unreadable_is_refused_and_not_kept(
    api: Api, box: Box, body: bytes, encoding: str, status: int
) -> None:
    assert await leave(api, box, body, encoding) == status
    kept = (await api.http.get(PATH, headers=await api.operator("read"))).status_code
    assert kept == (200 if status == 204 else 404)


async def test_only_the_own_box_leaves_a_log_and_only_an_operator_reads_it(api: Api, box: Box) -> None:
    reader = await api.operator("read")
    assert await leave(api, box, TEXT, path="/v1/sites/nantes/logs/fetch-2026-03-01") == 403
    assert (await api.http.post(PATH, headers=reader, content=TEXT)).status_code == 401
    assert (await api.http.post(PATH, content=TEXT)).status_code == 401
    assert await leave(api, box, TEXT) == 204
    assert (await api.http.get(PATH, headers=box.headers(api.now))).status_code == 401
    assert (await api.http.get("/v1/operations/fetch-2026-03-01/logs")).status_code == 401


@pytest.mark.parametrize("operation", ["NO", "a%00b", "x" * 64, "..%2fstatus"])
async def test_name_that_no_operation_can_have_is_refused(api: Api, box: Box, operation: str) -> None:
    assert await leave(api, box, TEXT, path=f"/v1/sites/brest/logs/{operation}") in (400, 404, 405)
    reader = await api.operator("read")
    assert (await api.http.get(f"/v1/sites/brest/logs/{operation}", headers=reader)).status_code == 404


async def test_oldest_logs_of_a_site_give_way(api: Api, box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation_logs, "KEPT_A_SITE", 2)
    for number in range(3):
        api.now = api.now.replace(minute=number)
        assert await leave(api, box, TEXT, path=f"/v1/sites/brest/logs/op-{number}") == 204
    reader = await api.operator("read")
    statuses = [(await api.http.get(f"/v1/sites/brest/logs/op-{n}", headers=reader)).status_code for n in range(3)]
    assert statuses == [404, 200, 200]


async def test_change_is_found_by_its_commit_unless_several_begin_so(api: Api, box: Box) -> None:
    api.now = api.now.replace(minute=5)
    published = await api.publish({"brest": Wanted(box.identity)}, subject="Change Brest")
    reader = await api.operator("read")
    found = await api.http.get(f"/v1/changes/{published.revision}", headers=reader)
    assert (found.status_code, found.json()["subject"], found.json()["missing"]) == (200, "Change Brest", ["brest"])
    several = await api.http.get(f"/v1/changes/{published.revision[:30]}", headers=reader)
    assert (several.status_code, "several begin so" in several.json()["detail"]) == (404, True)
    for other in ("f" * 40, "abc", "x" * 40):
        assert (await api.http.get(f"/v1/changes/{other}", headers=reader)).status_code == 404
