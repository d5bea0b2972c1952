"""Keys of sites: sound identities, none revoked; no identity and no recipient used twice."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import prod
from typing import Final

from msgspec import Struct

from control_plane.core.problems import Finding
from schemas.desired import Revoked, Site
from schemas.dsse import FIELD, Refused, curve_residue, is_square, read_point
from schemas.names import PublicKeyLine


class Identities(Struct, frozen=True):
    """Who uses which key (site file paths), which keys several use, and files whose key is unsound, with the reason.

    Keys are identities and recipients: they differ by how they begin.
    """

    users: dict[str, tuple[str, ...]]
    shared: frozenset[str]
    unsound: dict[str, str]


NO_IDENTITIES: Final = Identities({}, frozenset(), {})
ROUNDS: Final = 4
BUCKETS: Final = 32


def take_identities(previous: Identities, before: Mapping[str, Site], after: Mapping[str, Site]) -> Identities:
    """Identities after site files changed from `before` to `after` (by path)."""
    same = {path for path, site in before.items() if path in after and _keys(after[path]) == _keys(site)}
    before = {path: site for path, site in before.items() if path not in same}
    after = {path: site for path, site in after.items() if path not in same}
    if not before and not after:
        return previous
    users, unsound = previous.users.copy(), previous.unsound.copy()
    for path, site in before.items():
        unsound.pop(path, None)
        for key in _keys(site):
            others = tuple(user for user in users[key] if user != path)
            if others:
                users[key] = others
            else:
                del users[key]
    shared = {key for key in previous.shared if len(users.get(key, ())) > 1}
    for path, site in after.items():
        for key in _keys(site):
            known = users.get(key)
            users[key] = (path,) if known is None else tuple(sorted((*known, path)))
            if known is not None:
                shared.add(key)
    lines = {path: site.identity for path, site in after.items() if site.identity is not None}
    unsound.update(_unsound(lines))
    return Identities(users, frozenset(shared), unsound)


def _keys(site: Site) -> tuple[str, ...]:
    if site.recipient is None:
        return () if site.identity is None else (site.identity,)
    return (site.recipient,) if site.identity is None else (site.identity, site.recipient)


def _unsound(lines: Mapping[str, PublicKeyLine]) -> dict[str, str]:
    found, residues = {}, {}
    for path, line in lines.items():
        try:
            residues[path] = curve_residue(read_point(line))
        except Refused as refusal:
            found[path] = str(refusal)
    if len(residues) <= ROUNDS * BUCKETS or not all_squares(residues.values()):
        wrong = [path for path, residue in residues.items() if not is_square(residue)]
        found.update(dict.fromkeys(wrong, "the key is not a point of the curve"))
    return found


def all_squares(residues: Collection[int]) -> bool:
    """Whether all are squares modulo FIELD: no false alarm, one wrong number is never missed, several hardly ever.

    Being a square is multiplicative: a product with exactly one factor that is none is none either. So the numbers are
    dealt to BUCKETS products, and to as many others in each further round, and only those are looked at, which is 50
    times faster than one long exponentiation for each number. A pair of wrong ones hides if it falls together in every
    round, one time in BUCKETS to the ROUNDS; that would cost nothing but a sentence, since nobody has a private key for
    what is no point of the curve. The dealing is drawn from the numbers: the same keys get the same answer.
    """
    ordered = sorted(residues)
    seed = hashlib.sha256(b"".join(residue.to_bytes(32, "little") for residue in ordered)).digest()
    drawn = hashlib.shake_256(seed).digest(len(ordered) * ROUNDS)
    for row in range(ROUNDS):
        buckets: list[list[int]] = [[] for _ in range(BUCKETS)]
        for residue, byte in zip(ordered, drawn[row::ROUNDS], strict=True):
            buckets[byte % BUCKETS].append(residue)
        if not all(is_square(_product(bucket)) for bucket in buckets):
            return False
    return True


def _product(numbers: Sequence[int]) -> int:
    """Modulo FIELD, which is taken of eight at a time: twice as fast as of each."""
    product = 1
    for start in range(0, len(numbers), 8):
        product = prod(numbers[start : start + 8], start=product) % FIELD
    return product


def check_identities(identities: Identities, revoked: Revoked) -> Iterable[Finding]:
    """What is wrong with the identities of a commit."""
    path = ("identity",)
    for file, reason in identities.unsound.items():
        message = f"this key cannot be trusted: {reason}; copy the line that `neopro-agent identity` prints on the box"
        yield Finding(file=file, path=path, code="WeakKey", message=message)
    for key in identities.shared:
        yield from _shared(key, identities.users[key])
    for line in revoked.identities:
        for file in identities.users.get(line, ()):
            message = "this identity is revoked by revoked.yaml: the box is refused; give it a new key"
            yield Finding(file=file, path=path, code="IdentityRevoked", message=message, severity="warning")


def _shared(key: str, users: tuple[str, ...]) -> Iterable[Finding]:
    first, *others = users
    for file in others:
        if key.startswith("ed25519:"):
            message = f"{first} has this identity too; each box has a key of its own"
            yield Finding(file=file, path=("identity",), code="DuplicateIdentity", message=message)
        else:
            message = f"{first} has this recipient too; each box has its own, or one could read the other's secrets"
            yield Finding(file=file, path=("recipient",), code="DuplicateRecipient", message=message)
