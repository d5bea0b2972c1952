"""Who may do what: attempts to be somebody else, to read what is not one's own, to send what must not be read."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import product

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from control_plane.store import tokens
from schemas import dsse, site_token
from schemas.names import digest_of
from schemas.status import MAX_REPORT_BYTES
from tests.support.api import Api
from tests.support.published import NOW, Box, Wanted

pytestmark = pytest.mark.anyio
ENROLMENT = "/v1/sites/brest/enrolment"


@pytest.fixture
async def box(api: Api) -> Box:
    made = Box("brest")
    await api.publish({"brest": Wanted(made.identity), "nantes": Wanted(Box("nantes").identity)})
    return made


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).rstrip(b"=").decode()


def hand_made(header: object, claims: object, signature: bytes) -> str:
    return f"{part(header)}.{part(claims)}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def claims(**changed: object) -> dict[str, object]:
    now = int(NOW.timestamp())
    return {"iss": "brest", "aud": site_token.AUDIENCE, "iat": now, "exp": now + 600, **changed}


def forged_tokens(box: Box) -> dict[str, str]:
    good = box.token()
    head, body, signature = good.split(".")
    public = box.key.public_key().public_bytes_raw()
    signing = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims())}".encode()
    longer = {"alg": "EdDSA", "typ": "JWT"}
    long_claims = claims(exp=int(NOW.timestamp()) + 86_400)
    long_signed = f"{part(longer)}.{part(long_claims)}".encode()
    other_audience = f"{part(longer)}.{part(claims(aud='another'))}".encode()
    return {
        "of another key": site_token.make("brest", Ed25519PrivateKey.generate(), NOW),
        "expired": box.token(NOW - timedelta(minutes=12)),
        "from the future": box.token(NOW + timedelta(minutes=2)),
        "alg none": hand_made({"alg": "none", "typ": "JWT"}, claims(), b""),
        "alg none, unsigned": f"{part({'alg': 'none'})}.{body}.",
        "HMAC with the public key": hand_made(
            {"alg": "HS256", "typ": "JWT"}, claims(), hmac.digest(public, signing, hashlib.sha256)
        ),
        "that lives a day": hand_made(longer, long_claims, box.key.sign(long_signed)),
        "for another audience": hand_made(longer, claims(aud="another"), box.key.sign(other_audience)),
        "of another site with this signature": f"{head}.{part(claims(iss='nantes'))}.{signature}",
        "of no site": site_token.make("atlantis", box.key, NOW),
        "without a signature": f"{head}.{body}.",
        "cut short": good[:-4],
        "with more behind it": good + ".x",
        "of a megabyte": "e" * 1_000_000,
        "empty": " ",
        "of an operator, unknown": tokens.PREFIX + "a" * tokens.LENGTH,
    }


async def test_forged_token_is_refused(api: Api, box: Box) -> None:
    calls = (
        ("GET", "/v1/sites/brest/head"),
        ("GET", "/v1/blobs/" + "0" * 64),
        ("POST", "/v1/sites/brest/status"),
    )
    for (kind, token), (method, path) in product(forged_tokens(box).items(), calls):
        headers = {"Authorization": f"Bearer {token}"}
        answer = await api.http.request(method, path, headers=headers, content=b"{}" if method == "POST" else None)
        assert answer.status_code == 401, (kind, path)
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_token_of_one_site_does_nothing_for_another(api: Api, box: Box) -> None:
    for method, path in (("GET", "/v1/sites/nantes/head"), ("POST", "/v1/sites/nantes/status")):
        answer = await api.http.request(method, path, headers=box.headers(), content=b"{}")
        assert answer.status_code == 403, path
    unknown = await api.http.get("/v1/sites/atlantis/head", headers=box.headers())
    assert unknown.status_code == 403, "not even whether a site exists"


async def test_token_that_was_verified_once_expires_all_the_same(api: Api, box: Box) -> None:
    headers = box.headers()
    assert (await api.http.get("/v1/sites/brest/head", headers=headers)).status_code == 200
    api.now = NOW + timedelta(minutes=12)
    assert (await api.http.get("/v1/sites/brest/head", headers=headers)).status_code == 401


async def test_identity_that_is_revoked_stops_at_once_though_its_token_was_verified(api: Api, box: Box) -> None:
    headers = box.headers()
    assert (await api.http.get("/v1/sites/brest/head", headers=headers)).status_code == 200
    await api.publish({}, revoked=[box.identity], now=NOW + timedelta(seconds=1))
    assert (await api.http.get("/v1/sites/brest/head", headers=headers)).status_code == 401
    assert (await api.http.get("/v1/sites/nantes/head", headers=headers)).status_code == 401


async def test_identity_that_left_the_file_or_was_replaced_stops_at_once(api: Api, box: Box) -> None:
    headers = box.headers()
    assert (await api.http.get("/v1/sites/brest/head", headers=headers)).status_code == 200
    await api.publish({"brest": Wanted(None)}, now=NOW + timedelta(seconds=1))
    assert (await api.http.get("/v1/sites/brest/head", headers=headers)).status_code == 401
    other = Box("brest")
    await api.publish({"brest": Wanted(other.identity)}, now=NOW + timedelta(seconds=2))
    assert (await api.http.get("/v1/sites/brest/head", headers=headers)).status_code == 401
    assert (await api.http.get("/v1/sites/brest/head", headers=other.headers())).status_code == 200


async def test_identity_that_is_no_sound_key_admits_nobody(api: Api) -> None:
    for second, key in enumerate(["ed25519:" + dsse.encode_base64(b"\x01" + b"\0" * 31), "ed25519:AAAA", "rsa:x"]):
        await api.publish({"brest": Wanted(key)}, now=NOW + timedelta(seconds=second))
        assert (await api.http.get("/v1/sites/brest/head", headers=Box("brest").headers())).status_code == 401, key


async def test_box_is_no_operator_and_operator_is_no_box(api: Api, box: Box) -> None:
    for path in ("/v1/fleet", "/v1/sites", "/v1/changes", "/v1/sites/brest/status", "/v1/uploads/" + "0" * 64):
        assert (await api.http.get(path, headers=box.headers())).status_code == 401, path
    put = await api.http.put("/v1/blobs/" + "0" * 64, headers=box.headers(), content=b"x")
    assert put.status_code == 401
    for method, path in (("GET", "/v1/enrolments"), *(("POST", ENROLMENT), ("DELETE", ENROLMENT))):
        assert (await api.http.request(method, path, headers=box.headers())).status_code == 401, method
    everything = await api.operator("read", "write")
    assert (await api.http.post("/v1/sites/brest/status", headers=everything, content=b"{}")).status_code == 401


async def test_operator_needs_the_scope(api: Api) -> None:
    reader, writer = await api.operator("read"), await api.operator("write")
    path = f"/v1/blobs/{digest_of(b'x')}"
    assert (await api.http.put(path, headers=reader, content=b"x")).status_code == 403
    assert (await api.http.put(path, headers=writer, content=b"x")).status_code == 201
    assert (await api.http.get(path, headers=writer)).status_code == 403
    assert (await api.http.get("/v1/fleet", headers=writer)).status_code == 403
    assert (await api.http.get("/v1/enrolments", headers=writer)).status_code == 403
    for method in ("POST", "DELETE"):
        assert (await api.http.request(method, ENROLMENT, headers=reader)).status_code == 403


async def test_token_of_an_operator_ends_when_it_expires_or_is_revoked(api: Api) -> None:
    short, revoked = await api.operator("read", lifetime=timedelta(hours=1)), await api.operator("read")
    assert (await api.http.get("/v1/fleet", headers=short)).status_code == 200
    api.now += timedelta(hours=2)
    assert (await api.http.get("/v1/fleet", headers=short)).status_code == 401
    assert (await api.http.get("/v1/fleet", headers=revoked)).status_code == 200
    async with api.connection() as conn:
        await tokens.revoke_token(conn, "ada", api.now)
    assert (await api.http.get("/v1/fleet", headers=revoked)).status_code == 401


CLIMBING = [
    "/v1/blobs/../../etc/passwd",
    "/v1/blobs/..%2f..%2fetc%2fpasswd",
    "/v1/blobs/%2e%2e%2f%2e%2e",
    "/v1/blobs/sha256:..",
    "/v1/blobs/" + "A" * 64,
    "/v1/blobs/" + "0" * 63 + "%00",
    "/v1/blobs/" + "0" * 64 + "%0a",
    "/v1/uploads/..%2fmanifest.key",
    "/static/..%2f..%2f..%2fsettings.py",
    "/static/%2e%2e/pages.py",
    "/static/....//pages.py",
    "/sites/..%2f..%2fetc",
]


async def test_path_that_climbs_names_nothing(api: Api) -> None:
    for path in CLIMBING:
        headers = await api.operator("read", "write")
        answer = await api.http.get(path, headers=headers)
        assert answer.status_code == 404, path
        put = await api.http.put(path, headers=headers, content=b"x")
        assert put.status_code in {404, 405}, path
    assert list(api.settings.data_dir.iterdir()) == [], "nothing was written anywhere"


async def test_oversized_report_is_refused_with_and_without_a_length(api: Api, box: Box) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(MAX_REPORT_BYTES // 4096 + 2):
            yield b" " * 4096

    url = "/v1/sites/brest/status"
    announced = await api.http.post(url, headers=box.headers(), content=b" " * (MAX_REPORT_BYTES + 1))
    chunked = await api.http.post(url, headers=box.headers(), content=endless())
    for answer in (announced, chunked):
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


ENCODINGS = ["gzip", "zstd", "identity, gzip", "br"]


async def test_encoded_body_is_refused_unread(api: Api, box: Box) -> None:
    for encoding in ENCODINGS:
        headers = {"Content-Encoding": encoding}
        posted = await api.http.post("/v1/sites/brest/status", headers=box.headers() | headers, content=b"x")
        writer = await api.operator("write")
        put = await api.http.put(f"/v1/blobs/{digest_of(b'x')}", headers=writer | headers, content=b"x")
        assert (posted.status_code, put.status_code) == (415, 415)


NO_REPORTS = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"run_id": 1}',
    b'{"run_id": "' + b"0" * 32 + b'", "sequence": 0, "at": "2026-03-01T12:00:00Z", "agent_version": "1"}',
    b'{"run_id": "' + b"0" * 32 + b'", "sequence": 1, "at": "2026-03-01T12:00:00", "agent_version": "1"}',
    b'{"run_id": "' + b"0" * 32 + b'", "sequence": 1' + b"0" * 30 + b', "at": "2026-03-01T12:00:00Z",'
    b' "agent_version": "1"}',
    b'{"run_id": "' + b"0" * 32 + b'", "sequence": 1, "at": "2026-03-01T12:00:00Z", "agent_version": "\\u0000"}',
]


async def test_report_that_is_none_is_a_clean_400(api: Api, box: Box) -> None:
    for body in NO_REPORTS:
        answer = await api.http.post("/v1/sites/brest/status", headers=box.headers(), content=body)
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json"), body[:80]
        assert "Traceback" not in answer.text


async def test_bug_tells_nothing_of_the_inside(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    async with api.connection() as conn:
        await conn.execute("alter table sites rename to elsewhere")
    answer = await api.http.get("/v1/fleet", headers=await api.operator("read"))
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json()["detail"] == "the server has a bug; its log says more"
    assert "elsewhere" not in answer.text
    assert "sites" not in answer.text
    assert "UndefinedTable" in caplog.text, "the log says it"
