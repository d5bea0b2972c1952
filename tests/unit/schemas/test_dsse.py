"""Envelopes: what is signed is what is verified, and nothing else passes."""

import contextlib
import json

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from schemas import dsse

ALICE, BOB, EVE = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2, 3))
KIND = "application/vnd.neopro.test+json"


def known(*keys: Ed25519PrivateKey) -> dict[str, str]:
    lines = [dsse.public_line(key.public_key()) for key in keys]
    return {dsse.key_id(line): line for line in lines}


def changed(envelope: bytes, **fields: object) -> bytes:
    return json.dumps({**json.loads(envelope), **fields}).encode()


@given(st.binary(max_size=500), st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_payload_signed_verifies_to_the_same_bytes(payload: bytes, kind: str) -> None:
    envelope = dsse.sign(kind, payload, [ALICE])
    assert dsse.verify(envelope, kind, known(ALICE), 1, 10_000) == payload


def test_the_published_example_of_the_encoding_holds() -> None:
    # DSSE protocol.md, "Test vectors".
    assert dsse.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_lengths_of_the_encoding_count_bytes_not_characters() -> None:
    assert dsse.pae("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


def test_threshold_of_two_needs_two_distinct_keys() -> None:
    twice = dsse.sign(KIND, b"{}", [ALICE, ALICE])
    with pytest.raises(dsse.Refused, match="1 of the 2"):
        dsse.verify(twice, KIND, known(ALICE, BOB), 2, 10_000)
    assert dsse.verify(dsse.sign(KIND, b"{}", [ALICE, BOB]), KIND, known(ALICE, BOB), 2, 10_000) == b"{}"


def test_one_key_under_two_ids_counts_once() -> None:
    envelope = json.loads(dsse.sign(KIND, b"{}", [ALICE]))
    (real,) = known(ALICE).items()
    alias = "ab" * 32
    envelope["signatures"].append({"keyid": alias, "sig": envelope["signatures"][0]["sig"]})
    with pytest.raises(dsse.Refused, match="1 of the 2"):
        dsse.verify(json.dumps(envelope).encode(), KIND, {real[0]: real[1], alias: real[1]}, 2, 10_000)


def test_unknown_signatures_beside_enough_good_ones_are_ignored() -> None:
    assert dsse.verify(dsse.sign(KIND, b"x", [EVE, ALICE]), KIND, known(ALICE), 1, 10_000) == b"x"


@pytest.mark.parametrize("threshold", [0, -1])
def test_threshold_below_one_is_refused(threshold: int) -> None:
    with pytest.raises(dsse.Refused, match="threshold"):
        dsse.verify(dsse.sign(KIND, b"{}", [ALICE]), KIND, known(ALICE), threshold, 10_000)


def test_other_payload_type_is_refused() -> None:
    with pytest.raises(dsse.Refused, match="signed as"):
        dsse.verify(dsse.sign(KIND, b"{}", [ALICE]), KIND + "x", known(ALICE), 1, 10_000)


def test_payload_type_changed_after_signing_is_refused() -> None:
    envelope = changed(dsse.sign(KIND, b"{}", [ALICE]), payloadType="other")
    with pytest.raises(dsse.Refused, match="0 of the 1"):
        dsse.verify(envelope, "other", known(ALICE), 1, 10_000)


@pytest.mark.parametrize("payload", ["e30", "e30=\n", "e31=", "_-8=", "e30= "])
def test_base64_that_is_not_canonical_is_refused(payload: str) -> None:
    envelope = changed(dsse.sign(KIND, b"{}", [ALICE]), payload=payload)
    with pytest.raises(dsse.Refused, match="base64"):
        dsse.verify(envelope, KIND, known(ALICE), 1, 10_000)


def test_envelope_over_its_limit_is_refused_before_decoding() -> None:
    with pytest.raises(dsse.Refused, match="bytes"):
        dsse.verify(b"{" * 101, KIND, known(ALICE), 1, 100)


@given(st.binary(max_size=300))
def test_garbage_is_refused_and_nothing_else_is_raised(garbage: bytes) -> None:
    with pytest.raises(dsse.Refused):
        dsse.verify(garbage, KIND, known(ALICE), 1, 10_000)


@given(st.data())
def test_any_flipped_bit_of_an_envelope_is_refused_or_changes_nothing(data: st.DataObject) -> None:
    envelope = bytearray(dsse.sign(KIND, b'{"a":1}', [ALICE]))
    bit = data.draw(st.integers(0, len(envelope) * 8 - 1))
    envelope[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(dsse.Refused):
        assert dsse.verify(bytes(envelope), KIND, known(ALICE), 1, 10_000) == b'{"a":1}'


SMALL_ORDER = [
    "01" + "00" * 31,
    "01" + "00" * 30 + "80",
    "00" * 32,
    "00" * 31 + "80",
    "ec" + "ff" * 30 + "7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]
NOT_CANONICAL = ["ed" + "ff" * 30 + "7f", "ee" + "ff" * 30 + "7f", "ff" * 32]


@pytest.mark.parametrize("raw", SMALL_ORDER + NOT_CANONICAL + ["02" + "00" * 31, "00" * 31, "00" * 33])
def test_weak_or_malformed_key_is_refused_where_it_enters(raw: str) -> None:
    with pytest.raises(dsse.Refused):
        dsse.load_public("ed25519:" + dsse.encode_base64(bytes.fromhex(raw)))


@given(st.binary(min_size=32, max_size=32))
def test_every_generated_key_loads(seed: bytes) -> None:
    line = dsse.public_line(Ed25519PrivateKey.from_private_bytes(seed).public_key())
    assert dsse.public_line(dsse.load_public(line)) == line


@pytest.mark.parametrize("line", ["rsa:AAAA", "ed25519:", "", "ed25519:AAAA"])
def test_line_that_is_no_key_is_refused(line: str) -> None:
    with pytest.raises(dsse.Refused):
        dsse.load_public(line)


class Plain(msgspec.Struct, frozen=True, kw_only=True):
    a: int = 0
    critical: list[str] = []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"a":1,"a":2}', "twice"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":1.0}', "int"),
        (b'{"a":"1"}', "int"),
        (b'{"a":1}x', "parse"),
        (b'{"x":' + b"[" * 40 + b"]" * 40 + b"}", "nested"),
        (b"[" * 100_000, "nested"),
        (b'{"critical":["windows"],"windows":1}', "windows"),
        (b"\xff{}", "parse"),
    ],
)
def test_signed_json_that_is_not_strict_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(dsse.Refused, match=why):
        dsse.strict_json(text, Plain)


def test_unknown_field_that_is_not_critical_is_ignored() -> None:
    assert dsse.strict_json(b'{"a":3,"new":{"x":[1]},"critical":["a"]}', Plain) == Plain(a=3, critical=["a"])


def test_brackets_inside_strings_do_not_count_as_depth() -> None:
    assert dsse.strict_json(b'{"new":"' + b"[" * 99 + b'\\"[[","a":1}', Plain) == Plain(a=1)
