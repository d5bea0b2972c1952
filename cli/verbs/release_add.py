"""`neopro release add`: a release's files to the control plane, its name into the signed release list."""

import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli.checkout import Checkout
from cli.documents import release_text
from cli.errors import CommandFailed
from cli.flags import Flag, Several
from cli.output import Output
from cli.package import Package, list_tree, read_package
from cli.remote import Blob, Remote, find_target
from cli.trust_documents import make_release_list
from cli.trust_folder import newest_release_list, newest_root
from control_plane.signer import read_private_key
from schemas.desired import Release
from schemas.dsse import public_line
from schemas.manifest import FileTree, encode_canonical
from schemas.names import digest_of
from schemas.trust import AllowedRelease, ReleaseList, TrustRoot, role_keys


class Wishes(NamedTuple):
    """What the operator says of the release."""

    version: str
    changelog: str = ""
    requires_from: str | None = None
    hardware: Sequence[str] = ()
    services: Sequence[str] = ()
    within: str = "120s"
    settle: str = "30s"


class Prepared(NamedTuple):
    """A release, ready to be sent and written: its document, the bytes, the files of the checkout that change."""

    release: Release
    blobs: list[Blob]
    documents: dict[str, str | bytes]


def release_add(
    path: Path,
    /,
    *,
    version: str,
    key: Path | None = None,
    changelog: str = "",
    requires_from: str | None = None,
    hardware: Several[str] = None,
    service: Several[str] = None,
    within: str = "120s",
    settle: str = "30s",
    repository: Path | None = None,
    json: Flag = False,
) -> None:
    """Add a release of the box's applications: upload its files, write releases/VERSION.yaml, sign it into the list.

    What belongs to a club or could hold a secret is left out, links and paths that lead out are refused, and both are
    said. Only files that the control plane lacks are sent. Boxes run it once a layer says `release: VERSION`.

    Example:

    - `neopro release add build/ --version 2.3.0 --key ~/neopro-keys/release.key --changelog "Faster start."`

    Parameters
    ----------
    path
        The folder of the release, or a tar archive of it.
    version
        Its version, as in semver.org.
    key
        The release key; without it, NEOPRO_RELEASE_KEY or `git config neopro.releasekey`.
    changelog
        What is new, for people.
    requires_from
        The oldest version that it can follow, such as ">=2.0".
    hardware
        Hardware that it runs on; can be given several times. Without it: any.
    service
        Services to restart, in this order; without it: neopro-app, neopro-admin, neopro-kiosk.
    within
        How long it may take to be healthy before it is rolled back.
    settle
        How long it must stay healthy.
    repository
        The checkout; without it, the one around the current folder.
    json
        Print what was added as JSON.
    """
    output = Output(json)
    checkout = Checkout.find(repository)
    signing = signing_key(checkout, key)
    wishes = Wishes(version, changelog, requires_from, hardware or (), service or (), within, settle)
    with tempfile.TemporaryDirectory(prefix="neopro-release-") as scratch:
        package = read_package(path, Path(scratch))
        for dropped in package.selection.stripped:
            output.note(f"left out {dropped.path}: {dropped.why}")
        prepared = prepare(checkout, package, wishes, signing, datetime.now(UTC))
        with Remote(find_target(os.environ, checkout)) as remote:
            total = sum(blob.size_bytes for blob in prepared.blobs)
            with output.progress("uploading", total) as advance:
                sent = remote.upload_all(prepared.blobs, advance)
        checkout.write(prepared.documents)
    output.data({"version": version, "tree": prepared.release.tree, "uploaded_bytes": sent})
    for name in prepared.documents:
        output.say(f"wrote {name}")
    output.say(f"uploaded {sent:,} of {total:,} bytes; commit and push to publish".replace(",", " "))


def signing_key(checkout: Checkout, key: Path | None) -> Ed25519PrivateKey:
    """The release key that was named, or that the environment or the checkout's settings name."""
    named = key or os.environ.get("NEOPRO_RELEASE_KEY") or checkout.git_settings().get("releasekey")
    if not named:
        raise CommandFailed(
            "cannot sign the release list: name the release key with --key, NEOPRO_RELEASE_KEY, or in the checkout: "
            "git config neopro.releasekey PATH"
        )
    return read_private_key(Path(named).expanduser())


def prepare(checkout: Checkout, package: Package, wishes: Wishes, key: Ed25519PrivateKey, now: datetime) -> Prepared:
    """Everything but the sending and the writing; CommandFailed when it must not be added."""
    declared = package.declared_version
    if declared is not None and declared != wishes.version:
        raise CommandFailed(f"cannot add it as {wishes.version}: it calls itself {declared}", status=1)
    root = newest_root(checkout)
    _require_release_key(root, key)
    previous = newest_release_list(checkout, root)
    tree = list_tree(package)
    body = encode_canonical(tree)
    release = _release(wishes, tree, body)
    _require_new(previous, release)
    documents: dict[str, str | bytes] = {f"releases/{release.version}.yaml": release_text(release)}
    allowed = AllowedRelease(kind="app", version=release.version, tree=release.tree)
    if previous is None or allowed not in previous.releases:
        number = previous.version + 1 if previous else 1
        documents[f"trust/release-list-{number}.json"] = make_release_list(previous, [allowed], key, now)
    files = {file.digest: Blob(file.digest, file.size_bytes, package.files[file.path]) for file in tree.files}
    return Prepared(release, [*files.values(), Blob(release.tree, len(body), body)], documents)


def _release(wishes: Wishes, tree: FileTree, body: bytes) -> Release:
    requires = {"from": wishes.requires_from, "hardware": list(wishes.hardware)}
    document = {
        "version": wishes.version,
        "tree": digest_of(body),
        "size_bytes": sum(file.size_bytes for file in tree.files),
        "changelog": wishes.changelog,
        "requires": {name: value for name, value in requires.items() if value},
        "health": {"within": wishes.within, "settle": wishes.settle},
        **({"services": list(wishes.services)} if wishes.services else {}),
    }
    try:
        return msgspec.convert(document, Release)
    except msgspec.ValidationError as problem:
        raise CommandFailed(f"cannot add the release: {problem}") from None


def _require_release_key(root: TrustRoot, key: Ed25519PrivateKey) -> None:
    keys, threshold = role_keys(root, "release")
    line = public_line(key.public_key())
    if line not in keys.values():
        raise CommandFailed(f"cannot sign the release list: trust root {root.version} does not list this key ({line})")
    if threshold > 1:
        raise CommandFailed(f"cannot sign the release list: it needs {threshold} signatures, and this makes one")


def _require_new(previous: ReleaseList | None, release: Release) -> None:
    """A version names one tree for ever: boxes remember what was good and what was bad by it."""
    for known in previous.releases if previous else ():
        if (known.kind, known.version) == ("app", release.version) and known.tree != release.tree:
            raise CommandFailed(
                f"cannot add {release.version}: the release list has other files under that version; take a new one",
                status=1,
            )
