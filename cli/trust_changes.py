"""The next trust root and the next release list, signed by the keys at hand (TUF specification, 5.3 and 6.1).

Root N+1 is signed by the thresholds of N and of N+1; whatever is made here is read again by the rules of a box before
anybody sees it.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from cli.errors import CommandFailed
from cli.trust_documents import LIST_LIFETIME, ROOT_LIFETIME
from schemas.dsse import Refused, key_id, public_line, sign
from schemas.manifest import encode_canonical
from schemas.names import KeyId, PublicKeyLine
from schemas.trust import (
    RELEASE_LIST_TYPE,
    ROOT_TYPE,
    ReleaseList,
    Role,
    RoleName,
    TrustRoot,
    read_release_list,
    read_root,
    role_keys,
)

ROLES: Final[tuple[RoleName, ...]] = ("root", "release", "manifest")
Keys = Sequence[Ed25519PrivateKey]


def load_keys(files: Sequence[Path]) -> list[Ed25519PrivateKey]:
    """The private keys in these files; KeyUnusable says what to mend."""
    from control_plane.signer import read_private_key

    return [read_private_key(file.expanduser()) for file in files]


def with_key(
    root: TrustRoot, role: RoleName, new: PublicKeyLine, old: KeyId | None, threshold: int | None = None
) -> TrustRoot:
    """`root` with the key `new` in a role, in the place of `old` or, without one, beside the others."""
    there: Role = getattr(root.roles, role)
    kept = [name for name in there.keys if name != old]
    changed = Role(keys=[*kept, key_id(new)], threshold=there.threshold if threshold is None else threshold)
    roles = replace(root.roles, **{role: changed})
    used = {name for each in ROLES for name in getattr(roles, each).keys}
    lines = {**root.keys, key_id(new): new}
    return replace(root, roles=roles, keys={name: line for name, line in lines.items() if name in used})


def next_root(previous: TrustRoot, signing: Keys, now: datetime, **changes: Any) -> bytes:
    """The envelope of the root that follows `previous`, with new dates and `changes`; CommandFailed where keys lack."""
    begin = now.replace(microsecond=0)
    dates = {"issued_at": begin, "expires_at": begin + ROOT_LIFETIME}
    document = replace(previous, **{"version": previous.version + 1, **dates, **changes})
    wanted = role_keys(previous, "root")[0].keys() | role_keys(document, "root")[0].keys()
    envelope = sign(ROOT_TYPE, encode_canonical(document), _among(signing, wanted))
    try:
        read_root(envelope, previous)
    except Refused as problem:
        raise _lacking(f"root {document.version}", problem, [previous, document], "root") from None
    return envelope


def next_list(previous: ReleaseList, root: TrustRoot, signing: Keys, now: datetime) -> bytes:
    """The envelope of the list that follows `previous` and allows the same, by the release keys of `root`."""
    begin = now.replace(microsecond=0)
    document = replace(previous, version=previous.version + 1, issued_at=begin, expires_at=begin + LIST_LIFETIME)
    mine = _among(signing, role_keys(root, "release")[0].keys())
    envelope = sign(RELEASE_LIST_TYPE, encode_canonical(document), mine)
    try:
        read_release_list(envelope, root)
    except Refused as problem:
        raise _lacking(f"release list {document.version}", problem, [root], "release") from None
    return envelope


def _among(keys: Keys, wanted: Any) -> list[Ed25519PrivateKey]:
    """Those of the keys that may sign, each once."""
    mine = {key_id(public_line(key.public_key())): key for key in keys}
    return [key for name, key in mine.items() if name in wanted]


def _lacking(what: str, problem: Refused, roots: Sequence[TrustRoot], role: RoleName) -> CommandFailed:
    """Whose signatures are wanted."""
    wanted = []
    for root in roots:
        keys, threshold = role_keys(root, role)
        names = ", ".join(name[:12] for name in keys)
        wanted.append(f"{threshold} of the {role} key{'s' if len(keys) > 1 else ''} {names}")
    asked = ", and ".join(dict.fromkeys(wanted))
    return CommandFailed(f"cannot sign {what}: {problem}; name key files with --sign: {asked}")
