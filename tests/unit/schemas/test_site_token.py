"""Tokens of boxes: genuine and current ones pass, nothing else does."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from schemas import site_token
from schemas.dsse import Refused

KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def forged(header: dict[str, str], claims: dict[str, object], key: Ed25519PrivateKey) -> str:
    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    signed = (
        part(json.dumps(header, separators=(",", ":")).encode())
        + b"."
        + part(json.dumps(claims, separators=(",", ":")).encode())
    )
    return (signed + b"." + part(key.sign(signed))).decode()


def claims(**changed: object) -> dict[str, object]:
    issued = int(NOW.timestamp())
    return {"iss": "rennes-fc", "aud": "neopro-fleet", "iat": issued, "exp": issued + 600, **changed}


EDDSA = {"alg": "EdDSA", "typ": "JWT"}


def test_token_of_a_box_names_its_site() -> None:
    token = site_token.make("rennes-fc", KEY, NOW)
    assert site_token.claimed_site(token) == "rennes-fc"
    assert site_token.verify(token, KEY.public_key(), NOW).iss == "rennes-fc"


@pytest.mark.parametrize(("offset_s", "current"), [(-61, False), (-60, True), (0, True), (660, True), (661, False)])
def test_token_is_current_for_ten_minutes_with_a_minute_of_leeway(offset_s: int, current: bool) -> None:
    token = site_token.make("rennes-fc", KEY, NOW)
    instant = NOW + timedelta(seconds=offset_s)
    if current:
        assert site_token.verify(token, KEY.public_key(), instant)
    else:
        with pytest.raises(site_token.OutsideLifetime):
            site_token.verify(token, KEY.public_key(), instant)


@pytest.mark.parametrize(
    "token",
    [
        forged(EDDSA, claims(), OTHER),
        forged({"alg": "none", "typ": "JWT"}, claims(), KEY),
        forged({"alg": "HS256", "typ": "JWT"}, claims(), KEY),
        forged(EDDSA, claims(aud="another"), KEY),
        forged(EDDSA, claims(exp=int(NOW.timestamp()) + 86_400), KEY),
        forged(EDDSA, claims(iss="../etc"), KEY),
        forged(EDDSA, {"iss": "rennes-fc"}, KEY),
        "",
        "..",
        "a.b.c",
        "é" * 30,
        "x" * 2000,
    ],
)
def test_token_that_is_forged_or_malformed_is_refused(token: str) -> None:
    with pytest.raises(Refused):
        site_token.verify(token, KEY.public_key(), NOW)


@given(st.integers(0, 5000), st.integers(0, 7))
def test_any_flipped_bit_of_a_token_is_refused(position: int, bit: int) -> None:
    token = bytearray(site_token.make("rennes-fc", KEY, NOW).encode())
    token[position % len(token)] ^= 1 << bit
    with pytest.raises(Refused):
        site_token.verify(token.decode("latin-1"), KEY.public_key(), NOW)
