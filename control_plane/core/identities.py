"""Identities of sites: sound keys, each used once, none revoked."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from control_plane.core.problems import Finding
from schemas.desired import Revoked, Site
from schemas.dsse import Refused, load_public
from schemas.names import PublicKeyLine


class Identities(Struct, frozen=True):
    """Who uses which key (site file paths), and files whose key is unsound, with the reason."""

    users: dict[PublicKeyLine, tuple[str, ...]]
    unsound: dict[str, str]


NO_IDENTITIES = Identities({}, {})


def take_identities(previous: Identities, before: Mapping[str, Site], after: Mapping[str, Site]) -> Identities:
    """Identities after site files changed from `before` to `after` (by path)."""
    users, unsound = previous.users.copy(), previous.unsound.copy()
    for path, site in before.items():
        unsound.pop(path, None)
        if site.identity is not None:
            others = tuple(user for user in users[site.identity] if user != path)
            if others:
                users[site.identity] = others
            else:
                del users[site.identity]
    for path, site in after.items():
        if site.identity is not None:
            users[site.identity] = tuple(sorted((*users.get(site.identity, ()), path)))
    unsound.update(_unsound({path: site.identity for path, site in after.items() if site.identity is not None}))
    return Identities(users, unsound)


def _unsound(lines: Mapping[str, PublicKeyLine]) -> dict[str, str]:
    found = {}
    for path, line in lines.items():
        try:
            load_public(line)
        except Refused as refusal:
            found[path] = str(refusal)
    return found


def check_identities(identities: Identities, revoked: Revoked) -> Iterable[Finding]:
    """What is wrong with the identities of a commit."""
    path = ("identity",)
    for file, reason in identities.unsound.items():
        message = f"this key cannot be trusted: {reason}; copy the line that `neopro-agent identity` prints on the box"
        yield Finding(file=file, path=path, code="WeakKey", message=message)
    for users in identities.users.values():
        for file in users[1:]:
            message = f"{users[0]} has this identity too; each box has a key of its own"
            yield Finding(file=file, path=path, code="DuplicateIdentity", message=message)
    for line in revoked.identities:
        for file in identities.users.get(line, ()):
            message = "this identity is revoked by revoked.yaml: the box is refused; give it a new key"
            yield Finding(file=file, path=path, code="IdentityRevoked", message=message, severity="warning")
