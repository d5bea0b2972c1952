"""`neopro release add`: a release's files to the control plane, its name into the signed release list."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from cli.checked import check_change
from cli.checkout import Checkout
from cli.documents import agent_text, release_text
from cli.edits import Edit
from cli.errors import CommandFailed
from cli.flags import Flag, Several
from cli.fleet_view import FleetView, read_fleet
from cli.landing import WRITTEN, Landing, land
from cli.output import Output
from cli.package import Package, list_tree, read_package
from cli.patching import Base, Made, choose_bases, make_patches, tree_of
from cli.releases import FOLDERS, Files, Kind, Signing, read_shelf, read_signing, sites_on
from cli.remote import Remote, find_target
from cli.transfers import Blob
from cli.words import count, size
from schemas.desired import AgentRelease, Release
from schemas.manifest import FileTree, encode_canonical
from schemas.names import Version, digest_of
from schemas.trust import AllowedRelease, ReleaseList

MAX_BASES: Final = 8
"""Releases in use that patches are made from: more are on their way out, and `--patch-from` names others."""


class Wishes(NamedTuple):
    """What the operator says of the release; None: nothing."""

    version: str
    kind: Kind = "app"
    changelog: str | None = None
    requires_from: str | None = None
    hardware: Sequence[str] | None = None
    services: Sequence[str] | None = None
    within: str | None = None
    settle: str | None = None


def release_add(
    path: Path,
    /,
    *,
    version: str,
    key: Path | None = None,
    changelog: str | None = None,
    requires_from: str | None = None,
    hardware: Several[str] = None,
    service: Several[str] = None,
    within: str | None = None,
    settle: str | None = None,
    patch_from: Several[str] = None,
    no_patches: Flag = False,
    agent: Flag = False,
    landing: Landing = WRITTEN,
) -> None:
    """Add a release of the box's applications: upload its files, write releases/VERSION.yaml, sign it into the list.

    What belongs to a club or could hold a secret is left out, links and paths that lead out are refused, and both are
    said. Only files that the control plane lacks are sent. Patches are made against the releases that layers name, so
    that a box downloads what changed and no more. Boxes run it once a layer says `release: VERSION`.

    Examples:

    - `neopro release add build/ --version 2.3.0 --key ~/neopro-keys/release.key --changelog "Faster start." --commit`
    - `neopro release add neopro-2.3.0.tar.zst --version 2.3.0 --patch-from 2.1.3 --patch-from ../neopro-2.2.0.tar.gz`
    - `neopro release add agent/ --agent --version 1.2.0`

    Parameters
    ----------
    path
        The folder of the release, or an archive of it: tar, tar.gz, tar.xz, tar.zst, zip.
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
        How long it may take to be healthy before it is rolled back; without it: 120s.
    settle
        How long it must stay healthy; without it: 30s.
    patch_from
        Make the patch from this release (a version, or its folder or archive on this machine) instead of from those
        in use; can be given several times.
    no_patches
        Make no patches: boxes take changed files whole.
    agent
        It is a release of the agent: agents/VERSION.yaml.
    """
    kind: Kind = "agent" if agent else "app"
    wishes = Wishes(version, kind, changelog, requires_from, hardware, service, within, settle)
    _require_sound(wishes, patch_from, no_patches)
    checkout, output = landing.checkout(), Output(landing.json)
    signing = read_signing(checkout, key)
    with tempfile.TemporaryDirectory(prefix="neopro-release-") as scratch:
        package = _read(path, Path(scratch), wishes, output)
        view = read_fleet(checkout)
        tree = list_tree(package)
        document = describe(wishes, tree)
        _require_new(signing.previous, kind, document)
        bases = [] if no_patches or agent else _bases(checkout, view, version, patch_from or ())
        files = _files(checkout, wishes, document, Made([], []), signing)
        check_change(checkout, files, f"Add the {_called(kind)} {version}", output)
        sent = None
        made = Made([], [])
        if landing.dry_run:
            output.note("patches are made and files are sent without --dry-run only")
        else:
            with Remote(find_target(os.environ, checkout)) as remote:
                made = make_patches(bases, tree_of(package), Path(scratch), remote, output)
                sent = _upload(remote, [*_blobs(tree, package), *made.blobs], output)
        files = _files(checkout, wishes, document, made, signing)
        _tell(output, made, tree)
        data = {"version": version, "tree": document.tree, "uploaded_bytes": sent}
        land(landing, checkout, files, f"Add the {_called(kind)} {version}", {**data, **_patch_data(made)})


def describe(wishes: Wishes, tree: FileTree) -> Release | AgentRelease:
    """The document of a release; CommandFailed where the operator said something that cannot be."""
    facts = {
        "version": wishes.version,
        "tree": digest_of(encode_canonical(tree)),
        "size_bytes": sum(file.size_bytes for file in tree.files),
        "changelog": wishes.changelog,
    }
    requires = {"from": wishes.requires_from, "hardware": wishes.hardware and list(wishes.hardware)}
    health = {"within": wishes.within, "settle": wishes.settle}
    more = {
        "requires": {key: value for key, value in requires.items() if value},
        "health": {key: value for key, value in health.items() if value},
        "services": wishes.services and list(wishes.services),
    }
    document = facts | (more if wishes.kind == "app" else {})
    given = {key: value for key, value in document.items() if value not in (None, {}, [])}
    try:
        return msgspec.convert(given, Release) if wishes.kind == "app" else msgspec.convert(given, AgentRelease)
    except msgspec.ValidationError as problem:
        raise CommandFailed(f"cannot add the release: {problem}") from None


def _require_sound(wishes: Wishes, patch_from: Sequence[str] | None, no_patches: bool) -> None:
    if no_patches and patch_from:
        raise CommandFailed("cannot do both: --no-patches and --patch-from; leave one out")
    of_boxes = (wishes.requires_from, wishes.hardware, wishes.services, wishes.within, wishes.settle, patch_from)
    if wishes.kind == "agent" and any(of_boxes):
        raise CommandFailed("cannot add an agent with what only releases of the applications have; leave it out")


def _read(path: Path, scratch: Path, wishes: Wishes, output: Output) -> Package:
    package = read_package(path, scratch, wishes.kind)
    stripped = package.selection.stripped
    for dropped in stripped[:20]:
        output.note(f"left out {dropped.path}: {dropped.why}")
    if len(stripped) > 20:
        output.note(f"left out {len(stripped) - 20} more")
    declared = package.declared_version
    if declared is not None and declared != wishes.version:
        raise CommandFailed(f"cannot add it as {wishes.version}: it calls itself {declared}", status=1)
    return package


def _require_new(previous: ReleaseList | None, kind: Kind, document: Release | AgentRelease) -> None:
    """A version names one tree for ever: boxes remember what was good and what was bad by it."""
    for known in previous.releases if previous else ():
        if (known.kind, known.version) == (kind, document.version) and known.tree != document.tree:
            raise CommandFailed(
                f"cannot add {document.version}: the release list has other files under that version; take a new one",
                status=1,
            )


def _bases(checkout: Checkout, view: FleetView, version: Version, named: Sequence[str]) -> list[Base]:
    """The releases in use, those of most sites first; not those that the document has a patch from."""
    shelf = read_shelf(checkout, view, "app")
    releases = {name: document for name, document in shelf.documents.items() if isinstance(document, Release)}
    present = releases.pop(version, None)
    sites = {name: len(sites_on(view, "app", name)) for name in releases}
    in_use = sorted((name for name in releases if sites[name]), key=lambda name: (-sites[name], name))
    patched = {patch.base for patch in present.patches} if present else set()
    return [base for base in choose_bases(named, in_use[:MAX_BASES], releases) if base.tree not in patched]


def _files(checkout: Checkout, wishes: Wishes, document: Release | AgentRelease, made: Made, signing: Signing) -> Files:
    """What changes in the checkout: the document, which keeps what people wrote in it, and the next list."""
    path = checkout.documents(FOLDERS[wishes.kind]).get(wishes.version)
    if path is None:
        path = f"{FOLDERS[wishes.kind]}/{wishes.version}.yaml"
        text = release_text(document, made.patches) if isinstance(document, Release) else agent_text(document)
    else:
        text = _brought_up(Edit(checkout.read(path), path), wishes, document, made)
    allowed = AllowedRelease(kind=wishes.kind, version=document.version, tree=document.tree)
    return {path: text, **signing.sign([allowed])}


def _brought_up(edit: Edit, wishes: Wishes, document: Release | AgentRelease, made: Made) -> str:
    edit.set(("tree",), document.tree)
    edit.set(("size_bytes",), document.size_bytes)
    said = {
        ("changelog",): wishes.changelog,
        ("requires", "from"): wishes.requires_from,
        ("requires", "hardware"): wishes.hardware,
        ("services",): wishes.services,
        ("health", "within"): wishes.within,
        ("health", "settle"): wishes.settle,
    }
    for path, value in said.items():
        if value:
            edit.set(path, value)
    if made.patches:
        edit.set(("patches",), [*(edit.get(("patches",)) or []), *msgspec.to_builtins(made.patches)])
    return edit.text


def _blobs(tree: FileTree, package: Package) -> list[Blob]:
    body = encode_canonical(tree)
    files = {file.digest: Blob(file.digest, file.size_bytes, package.files[file.path]) for file in tree.files}
    return [*files.values(), Blob(digest_of(body), len(body), body)]


def _upload(remote: Remote, blobs: Sequence[Blob], output: Output) -> int:
    total = sum(blob.size_bytes for blob in blobs)
    with output.progress("uploading", total) as advance:
        sent = remote.upload_all(blobs, advance)
    output.say(f"uploaded {sent:,} of {total:,} bytes".replace(",", " "))
    return sent


def _tell(output: Output, made: Made, tree: FileTree) -> None:
    whole = sum(file.size_bytes for file in tree.files)
    output.say(f"{count(len(tree.files), 'file')}, {size(whole)}")
    for patch in made.patches:
        output.say(f"from {patch.from_}: a box downloads {size(patch.size_bytes)}")


def _patch_data(made: Made) -> dict[str, object]:
    return {"patches": [{"from": patch.from_, "size_bytes": patch.size_bytes} for patch in made.patches]}


def _called(kind: Kind) -> str:
    return "release" if kind == "app" else "agent"
