"""The releases of a checkout: their documents, the signed list that allows them, and who is to run which."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.fleet_view import FleetView
from cli.trust_documents import make_release_list
from cli.trust_folder import newest_release_list, newest_root
from control_plane.signer import read_private_key
from schemas.desired import AgentRelease, Layer, Release, Revoked
from schemas.dsse import public_line
from schemas.names import Digest, SiteId, Version
from schemas.trust import AllowedRelease, ReleaseList, TrustRoot, role_keys

Kind = Literal["app", "agent"]
Files = dict[str, str | bytes | None]
FOLDERS: Mapping[Kind, str] = {"app": "releases", "agent": "agents"}
KEYS: Mapping[Kind, Literal["release", "agent"]] = {"app": "release", "agent": "agent"}
"""The key of a layer that names a release of a kind."""


class Shelf(NamedTuple):
    """The releases of one kind: documents by version, newest last; what the list allows; what is revoked."""

    kind: Kind
    documents: Mapping[Version, Release | AgentRelease]
    allowed: Mapping[Version, Digest]
    revoked: frozenset[Version]

    def require(self, version: Version) -> Release | AgentRelease:
        """The document of a version; CommandFailed with the nearest one."""
        if version in self.documents:
            return self.documents[version]
        near = get_close_matches(version, self.documents, 1)
        hint = f"did you mean {near[0]}?" if near else "see: neopro release list"
        raise CommandFailed(f"cannot find {FOLDERS[self.kind]}/{version}.yaml: {hint}")

    def standing(self, version: Version) -> str:
        """Whether boxes may run it, in a word or two."""
        if version in self.revoked:
            return "revoked"
        if version not in self.allowed:
            return "not in the list"
        return "allowed" if self.allowed[version] == self.documents[version].tree else "other files"


def read_shelf(checkout: Checkout, view: FleetView, kind: Kind) -> Shelf:
    """The releases of this checkout; CommandFailed where its trust folder does not hold."""
    found = {version: view.reading.document(FOLDERS[kind], version) for version in view.reading.named(FOLDERS[kind])}
    documents = {v: d for v, d in found.items() if isinstance(d, Release | AgentRelease)}
    listed = newest_release_list(checkout, newest_root(checkout))
    revoked = view.reading.document("", "revoked.yaml")
    return Shelf(
        kind,
        dict(sorted(documents.items(), key=lambda item: version_key(item[0]))),
        {entry.version: entry.tree for entry in (listed.releases if listed else ()) if entry.kind == kind},
        frozenset(revoked.releases if isinstance(revoked, Revoked) and kind == "app" else ()),
    )


def version_key(version: Version) -> tuple[object, ...]:
    """Orders versions as semver.org does (11): a pre-release comes before its release."""
    core, _, suffix = version.partition("+")[0].partition("-")
    numbers = tuple(int(part) for part in core.split("."))
    parts = (
        tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in suffix.split(".")) if suffix else ()
    )
    return (*numbers, suffix == "", parts)


def layers_naming(view: FleetView, kind: Kind, version: Version) -> dict[str, tuple[str, ...]]:
    """File -> the keys of the value, for each layer that names a release."""
    key = KEYS[kind]
    groups = {view.reading.named("groups")[name][0]: group for name, group in view.groups.items()}
    layers: dict[str, Layer] = {**groups, **{record.path: record.document for record in view.sites.values()}}
    found = {"fleet.yaml": ("defaults", key)} if getattr(view.fleet.defaults, key) == version else {}
    return found | {path: (key,) for path, layer in layers.items() if getattr(layer, key) == version}


def sites_on(view: FleetView, kind: Kind, version: Version) -> list[SiteId]:
    """The sites that are to run a release, suspended ones among them."""
    key = KEYS[kind]
    return [
        name
        for name, record in view.sites.items()
        if getattr(record.resolved, key) == version and record.document.state != "retired"
    ]


class Signing(NamedTuple):
    """What signs the next release list: a key that the root lists, and the list before it."""

    key: Ed25519PrivateKey
    root: TrustRoot
    previous: ReleaseList | None

    def sign(self, allowed: Sequence[AllowedRelease] = (), without: Sequence[tuple[str, Version]] = ()) -> Files:
        """The next list, with these added and those (kind, version) left out; nothing when it would say the same."""
        there = self.previous.releases if self.previous else []
        same = all(entry in there for entry in allowed)
        if self.previous and same and not any((entry.kind, entry.version) in without for entry in there):
            return {}
        number = self.previous.version + 1 if self.previous else 1
        made = make_release_list(self.previous, allowed, self.key, datetime.now(UTC), without)
        return {f"trust/release-list-{number}.json": made}


def read_signing(checkout: Checkout, key: Path | None) -> Signing:
    """The release key that was named, or that the environment or the checkout's settings name; CommandFailed."""
    named = key or os.environ.get("NEOPRO_RELEASE_KEY") or checkout.git_settings().get("releasekey")
    if not named:
        raise CommandFailed(
            "cannot sign the release list: name the release key with --key, NEOPRO_RELEASE_KEY, or in the checkout: "
            "git config neopro.releasekey PATH"
        )
    private = read_private_key(Path(named).expanduser())
    root = newest_root(checkout)
    keys, threshold = role_keys(root, "release")
    line = public_line(private.public_key())
    if line not in keys.values():
        raise CommandFailed(f"cannot sign the release list: trust root {root.version} does not list this key ({line})")
    if threshold > 1:
        raise CommandFailed(f"cannot sign the release list: it needs {threshold} signatures, and this makes one")
    return Signing(private, root, newest_release_list(checkout, root))
