"""Patches of a release that is being added, against releases that boxes run: what they need is fetched, then made."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from cli.deltas import Tree, encode_delta, make_delta, needed, parts
from cli.errors import CommandFailed
from cli.output import Output
from cli.package import Package, list_tree, read_package
from cli.remote import Remote
from cli.transfers import Blob
from schemas.desired import Release, ReleasePatch
from schemas.manifest import FileTree, TreeFile, encode_canonical
from schemas.names import Digest, Version, digest_of


class Base(NamedTuple):
    """A release that a patch begins from; `place`: its files on this machine, else they are on the control plane."""

    version: Version
    tree: Digest
    place: Path | None = None


class Made(NamedTuple):
    """Patches, and the blobs that they are."""

    patches: list[ReleasePatch]
    blobs: list[Blob]


def choose_bases(named: Sequence[str], in_use: Sequence[Version], releases: Mapping[Version, Release]) -> list[Base]:
    """What `--patch-from` names (versions, or folders and archives of releases), else the releases in use."""
    found = []
    for name in named or in_use:
        if name in releases:
            found.append(Base(name, releases[name].tree))
        elif Path(name).exists():
            found.append(_local(Path(name), releases))
        elif named:
            known = ", ".join(releases) or "none"
            raise CommandFailed(f"cannot patch from {name}: it is no release ({known}) and no folder or archive of one")
    return found


def tree_of(package: Package) -> Tree:
    """A package's files as deltas read them."""
    return Tree(list_tree(package), lambda file: package.files[file.path].read_bytes())


def make_patches(bases: Sequence[Base], target: Tree, scratch: Path, remote: Remote, output: Output) -> Made:
    """A patch from each base; one whose files the control plane lacks is left out, and that is said."""
    made = Made([], [])
    for number, base in enumerate(bases):
        folder = scratch / f"base-{number}"
        folder.mkdir()
        try:
            tree = _open(base, target, folder, remote, output)
        except CommandFailed as problem:
            output.note(f"no patch from {base.version}: {problem}")
            continue
        pack = folder / "pack"
        total = sum(
            target.listing.files[place].size_bytes
            for part in parts(tree.listing, target.listing)
            for place in part.targets
        )
        with output.progress(f"patching from {base.version}", total) as advance:
            delta = make_delta(tree, target, pack, advance)
        index = encode_delta(delta)
        size = len(index) + delta.pack_size_bytes
        made.patches.append(ReleasePatch(from_=base.version, base=base.tree, index=digest_of(index), size_bytes=size))
        made.blobs.extend((Blob(digest_of(index), len(index), index), Blob(delta.pack, delta.pack_size_bytes, pack)))
    return made


def _local(place: Path, releases: Mapping[Version, Release]) -> Base:
    """A folder or an archive: which release it is, its files say."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="neopro-base-") as scratch:
        tree = digest_of(encode_canonical(list_tree(read_package(place, Path(scratch)))))
    for version, release in releases.items():
        if release.tree == tree:
            return Base(version, tree, place)
    raise CommandFailed(f"cannot patch from {place}: no release of this repository has these files")


def _open(base: Base, target: Tree, folder: Path, remote: Remote, output: Output) -> Tree:
    """The base, with the files at hand that its patch is made from."""
    if base.place is not None:
        return tree_of(read_package(base.place, folder))
    listing = _listing(base, folder / "listing", remote)
    wanted = needed(listing, parts(listing, target.listing))
    files = {file.digest: folder / file.digest.removeprefix("sha256:") for file in wanted}
    with output.progress(f"fetching {base.version}", sum(file.size_bytes for file in wanted)) as advance:
        remote.download_all(files, advance)
    return Tree(listing, _reader(files))


def _reader(files: Mapping[Digest, Path]) -> Callable[[TreeFile], bytes]:
    return lambda file: files[file.digest].read_bytes()


def _listing(base: Base, file: Path, remote: Remote) -> FileTree:
    remote.download_all({base.tree: file}, lambda _: None)
    try:
        listing = msgspec.json.decode(file.read_bytes(), type=FileTree)
    except msgspec.DecodeError:
        raise CommandFailed(f"the listing of its files ({base.tree}) is none") from None
    if digest_of(encode_canonical(listing)) != base.tree:
        raise CommandFailed(f"the listing of its files ({base.tree}) is written in another way than ours")
    return listing
