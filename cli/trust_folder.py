"""The `trust/` folder of a checkout: the newest trust root, and the newest release list that it vouches for."""

import re
from typing import Final

from cli.checkout import Checkout
from cli.errors import CommandFailed
from schemas.dsse import Refused
from schemas.trust import ReleaseList, TrustRoot, read_release_list, read_root

_ROOT: Final = re.compile(r"^root-([1-9]\d*)\.json$")
_LIST: Final = re.compile(r"^release-list-([1-9]\d*)\.json$")


def newest_root(checkout: Checkout) -> TrustRoot:
    """The last root of the chain, each signed by the one before; CommandFailed where one does not hold."""
    versions = _versions(checkout, _ROOT)
    if not versions:
        raise CommandFailed(f"cannot find trust/root-1.json in {checkout.root}; make the keys with: neopro keys init")
    trusted: TrustRoot | None = None
    for version in versions:
        path = f"trust/root-{version}.json"
        try:
            trusted = read_root((checkout.root / path).read_bytes(), trusted)
        except Refused as problem:
            raise CommandFailed(f"cannot trust {path}: {problem}") from None
    assert trusted is not None
    return trusted


def newest_release_list(checkout: Checkout, root: TrustRoot) -> ReleaseList | None:
    """The newest release list, or None where there is none yet; CommandFailed where its signature does not hold."""
    versions = _versions(checkout, _LIST)
    if not versions:
        return None
    path = f"trust/release-list-{versions[-1]}.json"
    try:
        return read_release_list((checkout.root / path).read_bytes(), root)
    except Refused as problem:
        raise CommandFailed(f"cannot trust {path}: {problem}") from None


def _versions(checkout: Checkout, pattern: re.Pattern[str]) -> list[int]:
    found = (pattern.match(path.name) for path in (checkout.root / "trust").glob("*.json"))
    return sorted(int(match.group(1)) for match in found if match)
