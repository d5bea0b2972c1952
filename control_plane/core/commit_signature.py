"""Whether a commit was signed by somebody whom the trust root names (OpenSSH's PROTOCOL.sshsig; Ed25519 alone).

A root without `commit_signers` asks for no signature. The signature on the tip covers its whole tree, which is what is
compiled; the commits below it need none.
"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from schemas.api import CommitSignature

NAMESPACE: Final = b"git"
_KIND: Final = b"ssh-ed25519"
_MAGIC: Final = b"SSHSIG"
_ARMOUR: Final = (b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----")
_HASHES: Final = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}


class _Malformed(ValueError):
    """It is no SSH signature by an Ed25519 key."""


class _Signature(NamedTuple):
    key: bytes
    namespace: bytes
    reserved: bytes
    hash_name: bytes
    raw: bytes


def signature_fault(signers: Sequence[str], signature: bytes | None, payload: bytes | None) -> str:
    """Why the commit does not count as signed, in a sentence for its author; empty when it does.

    `signers`: lines `ssh-ed25519 BASE64 [comment]`. `signature` and `payload` as Git keeps them (gpgsig header, and the
    commit without it); None for a commit without a signature.
    """
    if not signers:
        return ""
    if not signature or payload is None:
        return "the commit is not signed, and the trust root asks for it; sign with `git commit -S` and gpg.format=ssh"
    try:
        found = _read(signature)
        allowed = {_blob(line) for line in signers}
    except _Malformed as problem:
        return f"the commit's signature cannot be checked: {problem}; sign with an Ed25519 SSH key that the root names"
    if found.key not in allowed or found.namespace != NAMESPACE:
        return "the commit is signed by a key that the trust root does not name; sign it with one that it does"
    return "" if _holds(found, payload) else "the commit's signature does not hold: it was changed after it was signed"


def signature_of(signers: Sequence[str], signature: bytes | None, payload: bytes | None) -> CommitSignature:
    """Who signed the commit, for people; parameters as of `signature_fault`, which decides."""
    required = bool(signers)
    if not signature or payload is None:
        return CommitSignature(state="none", required=required)
    try:
        found = _read(signature)
        _key(found.key)
    except _Malformed:
        return CommitSignature(state="unread", required=required)
    key = "SHA256:" + base64.b64encode(hashlib.sha256(found.key).digest()).decode().rstrip("=")
    if found.namespace != NAMESPACE or not _holds(found, payload):
        return CommitSignature(state="bad", required=required, key=key)
    named = {line.split()[1]: line.partition(line.split()[1])[2].strip() for line in signers if len(line.split()) > 1}
    blob = base64.b64encode(found.key).decode()
    if blob not in named:
        return CommitSignature(state="other", required=required, key=key)
    return CommitSignature(state="verified", required=required, key=key, signer=named[blob][:200])


def _read(armoured: bytes) -> _Signature:
    lines = armoured.strip().splitlines()
    if not lines or (lines[0].strip(), lines[-1].strip()) != _ARMOUR:
        raise _Malformed("it is no SSH signature")
    data = _decode(b"".join(line.strip() for line in lines[1:-1]))
    if data[:6] != _MAGIC or data[6:10] != b"\0\0\0\1":
        raise _Malformed("it is of an unknown version")
    parts, rest = [], data[10:]
    for _ in range(5):
        part, rest = _string(rest)
        parts.append(part)
    if rest:
        raise _Malformed("something follows it")
    return _Signature(*parts)


def _holds(found: _Signature, payload: bytes) -> bool:
    try:
        kind, rest = _string(found.raw)
        raw, end = _string(rest)
        digest = _HASHES[found.hash_name](payload).digest()
        if kind != _KIND or end:
            return False
        signed = _MAGIC + b"".join(map(_packed, (found.namespace, found.reserved, found.hash_name, digest)))
        _key(found.key).verify(raw, signed)
    except (_Malformed, KeyError, InvalidSignature):
        return False
    return True


def _blob(line: str) -> bytes:
    words = line.split()
    if len(words) < 2 or words[0].encode() != _KIND:
        raise _Malformed("the trust root names a signer that is not `ssh-ed25519 BASE64`")
    return _decode(words[1].encode())


def _key(blob: bytes) -> Ed25519PublicKey:
    kind, rest = _string(blob)
    raw, end = _string(rest)
    if kind != _KIND or end or len(raw) != 32:
        raise _Malformed("the key is not an Ed25519 key")
    return Ed25519PublicKey.from_public_bytes(raw)


def _decode(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise _Malformed("it is not base64") from None


def _string(data: bytes) -> tuple[bytes, bytes]:
    """A length-prefixed string (RFC 4251, section 5), and what follows it."""
    if len(data) < 4:
        raise _Malformed("it ends too early")
    (size,) = struct.unpack_from(">I", data)
    if len(data) < 4 + size:
        raise _Malformed("it ends too early")
    return data[4 : 4 + size], data[4 + size :]


def _packed(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
