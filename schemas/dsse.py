"""Ed25519 keys and DSSE v1 envelopes: sign bytes, verify bytes, and only then parse them strictly.

Sources: DSSE protocol v1.0.2 (secure-systems-lab/dsse), RFC 8032 (Ed25519), RFC 8725 section 3 for the strictness.
Nothing here reads a file or a clock.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schemas.names import KeyId, PublicKeyLine

T = TypeVar("T")

MAX_DEPTH: Final = 32
MAX_SIGNATURES: Final = 32
FIELD: Final = 2**255 - 19
"""The prime of Ed25519's field."""
_D: Final = -121665 * pow(121666, -1, FIELD) % FIELD
_Y_MASK: Final = (1 << 255) - 1
# y coordinates of the points of small order (RFC 7748, section 6.1 and libsodium's list, reduced): whoever registers
# one of them makes signatures that hold for many messages.
_SMALL_ORDER_Y: Final = frozenset(
    int.from_bytes(bytes.fromhex(y), "little")
    for y in (
        "00" * 32,
        "01" + "00" * 31,
        "ec" + "ff" * 30 + "7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
)


class Refused(ValueError):
    """An envelope, a key or a signed document that must not be trusted; the message says why."""


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """One signature of an envelope, base64."""

    keyid: str
    sig: str


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A DSSE v1 envelope: base64 payload, its exact type, signatures over both."""

    payloadType: str
    payload: str
    signatures: list[Signature]


def encode_base64(data: bytes) -> str:
    """Standard, padded base64."""
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str) -> bytes:
    """Standard, padded base64 that re-encodes to itself; anything else is Refused."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("it is not standard base64") from None
    if encode_base64(data) != text:
        raise Refused("its base64 is not canonical")
    return data


def public_line(key: Ed25519PublicKey) -> PublicKeyLine:
    """`ed25519:BASE64` of a public key."""
    return "ed25519:" + encode_base64(key.public_bytes_raw())


def load_public(line: PublicKeyLine) -> Ed25519PublicKey:
    """The key behind `ed25519:BASE64`; Refused if malformed, non-canonical or of small order (RFC 8032, 5.1.3)."""
    raw = read_point(line)
    if not is_square(curve_residue(raw)):
        raise Refused("the key is not a point of the curve")
    return Ed25519PublicKey.from_public_bytes(raw)


def read_point(line: PublicKeyLine) -> bytes:
    """The 32 bytes behind `ed25519:BASE64`, sound in all but one thing: whether they are a point of the curve."""
    algorithm, _, text = line.partition(":")
    if algorithm != "ed25519":
        raise Refused(f"unknown key type {algorithm[:20]!r}; write ed25519:BASE64")
    raw = decode_base64(text)
    if len(raw) != 32:
        raise Refused("an Ed25519 public key has 32 bytes")
    y = int.from_bytes(raw, "little") & _Y_MASK
    if y >= FIELD:
        raise Refused("the key's encoding is not canonical")
    if y in _SMALL_ORDER_Y:
        raise Refused("the key is a point of small order")
    return raw


def curve_residue(raw: bytes) -> int:
    """A number modulo FIELD that is a square exactly if the point is on the curve (RFC 8032, 5.1.3, steps 2 and 3).

    x² = (y² - 1) / (d y² + 1), and a quotient is a square where the product is; neither is 0 for what read_point lets
    through, since only points of small order have x = 0.
    """
    y = int.from_bytes(raw, "little") & _Y_MASK
    square = y * y % FIELD
    return (square - 1) * (_D * square + 1) % FIELD


def is_square(residue: int) -> bool:
    """Euler's criterion."""
    return pow(residue, (FIELD - 1) // 2, FIELD) == 1


def key_id(line: PublicKeyLine) -> KeyId:
    """SHA-256 of the raw key, hexadecimal: one key has one id."""
    return hashlib.sha256(decode_base64(line.partition(":")[2])).hexdigest()


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding; lengths count bytes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload_type: str, payload: bytes, keys: Sequence[Ed25519PrivateKey]) -> bytes:
    """An envelope over these exact bytes with one signature a key, as JSON."""
    return sign_as(payload_type, payload, [(key_id(public_line(key.public_key())), key) for key in keys])


def sign_as(payload_type: str, payload: bytes, keys: Iterable[tuple[KeyId, Ed25519PrivateKey]]) -> bytes:
    """As `sign`, for who signs often and knows the ids of its keys."""
    message = pae(payload_type, payload)
    signatures = [Signature(keyid=name, sig=encode_base64(key.sign(message))) for name, key in keys]
    envelope = Envelope(payloadType=payload_type, payload=encode_base64(payload), signatures=signatures)
    return msgspec.json.encode(envelope)


def verify(
    envelope: bytes, payload_type: str, keys: Mapping[KeyId, PublicKeyLine], threshold: int, max_bytes: int
) -> bytes:
    """The payload, if at least `threshold` distinct keys of `keys` signed it as `payload_type`; else Refused.

    Unknown signatures beside enough good ones are ignored; a bad signature of a known key is not counted. A threshold
    below one, or an envelope above `max_bytes`, is refused before anything is decoded.
    """
    opened = open_envelope(envelope, max_bytes)
    if opened.payloadType != payload_type:
        raise Refused(f"it is signed as {opened.payloadType[:80]!r}, not as {payload_type!r}")
    if threshold < 1:
        raise Refused("a threshold below one trusts everybody")
    payload = decode_base64(opened.payload)
    message = pae(payload_type, payload)
    good = {s.keyid for s in opened.signatures if s.keyid in keys and _holds(s, keys[s.keyid], message)}
    if len(good) < threshold:
        raise Refused(f"{len(good)} of the {threshold} signatures needed are good")
    return payload


def open_envelope(envelope: bytes, max_bytes: int) -> Envelope:
    """The envelope's parts, verified in nothing but shape; Refused when it is none."""
    if len(envelope) > max_bytes:
        raise Refused(f"it has {len(envelope)} bytes, more than {max_bytes}")
    opened = strict_json(envelope, Envelope)
    if len(opened.signatures) > MAX_SIGNATURES:
        raise Refused(f"it has more than {MAX_SIGNATURES} signatures")
    return opened


def _holds(signature: Signature, line: PublicKeyLine, message: bytes) -> bool:
    # The id is checked against the key: a key listed under two ids must not count twice.
    if key_id(line) != signature.keyid:
        return False
    try:
        load_public(line).verify(decode_base64(signature.sig), message)
    except (InvalidSignature, Refused):
        return False
    return True


def strict_json(data: bytes, kind: type[T]) -> T:
    """Parse verified bytes: no duplicate keys, NaN, float where an integer belongs, or depth over 32; else Refused.

    Unknown fields are ignored, but those that the document's `critical` names must be known to this reader.
    """
    _bound_depth(data)
    try:
        value = json.loads(data, object_pairs_hook=_unique, parse_constant=_no_constant)
        document = msgspec.convert(value, kind, strict=True)
    except (ValueError, RecursionError) as problem:
        raise Refused(f"it does not parse: {str(problem)[:200]}") from None
    known = {f.encode_name for f in msgspec.structs.fields(kind)}  # type: ignore[arg-type]
    unknown = [name for name in getattr(document, "critical", ()) if name not in known]
    if unknown:
        raise Refused(f"it needs a newer reader: critical field {unknown[0][:80]!r}")
    return document


_STRUCTURE: Final = re.compile(rb'\\.|["\[\]{}]', re.DOTALL)


def _bound_depth(data: bytes) -> None:
    """Refuse nesting over MAX_DEPTH before any recursive parser sees it; one pass, linear for hostile input too."""
    depth, in_string = 0, False
    for found in _STRUCTURE.finditer(data):
        token = found[0]
        if token == b'"':
            in_string = not in_string
        elif in_string or token[:1] == b"\\":
            continue
        elif token in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise Refused(f"it is nested deeper than {MAX_DEPTH}")
        else:
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
