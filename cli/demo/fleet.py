"""The demo's fleet-state repository: a copy of the sample with keys, videos and boxes of its own, and its remote."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ruamel.yaml import YAML

from cli.checkout import Checkout
from cli.demo.clips import clip_of, make_clip
from cli.demo.places import RELEASES, SAMPLE_APP, SAMPLE_FLEET, Places
from cli.edits import set_values
from cli.errors import CommandFailed
from cli.package import file_digest, list_tree, read_package
from cli.transfers import Blob
from cli.trust_documents import make_release_list
from cli.verbs import keys_init
from schemas.manifest import encode_canonical
from schemas.names import Digest, PublicKeyLine, SiteId, digest_of
from schemas.trust import AllowedRelease

_AUTHOR = ("-c", "user.name=NEOPRO demo", "-c", "user.email=demo@neopro.example", "-c", "commit.gpgsign=false")


class Tree(NamedTuple):
    """A release of the sample: the digest of its listing, its size, and all that is to be uploaded."""

    version: str
    digest: Digest
    size_bytes: int
    blobs: Sequence[Blob]


def sample_names(folder: str) -> Mapping[str, str]:
    """Id -> name of the sample's documents in a folder."""
    yaml = YAML(typ="safe", pure=True)
    return {path.stem: yaml.load(path)["name"] for path in sorted((SAMPLE_FLEET / folder).glob("*.yaml"))}


def make_videos(places: Places) -> Mapping[str, Path]:
    """The files of the sample's videos, by id; those that are there are kept."""
    names = sample_names("videos")
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        files = pool.map(lambda video: make_clip(clip_of(video, names[video]), places.clips), names)
        return dict(zip(names, files, strict=True))


def read_releases() -> list[Tree]:
    """The sample's releases, from their sources."""
    found = []
    for version in RELEASES:
        with tempfile.TemporaryDirectory() as scratch:
            package = read_package(SAMPLE_APP / version, Path(scratch))
            tree = list_tree(package)
        body = encode_canonical(tree)
        files = {file.digest: Blob(file.digest, file.size_bytes, package.files[file.path]) for file in tree.files}
        listing = Blob(digest_of(body), len(body), body)
        found.append(
            Tree(version, listing.digest, sum(file.size_bytes for file in tree.files), [*files.values(), listing])
        )
    return found


def video_blobs(videos: Mapping[str, Path]) -> list[Blob]:
    """What is to be uploaded of the videos."""
    return [Blob(file_digest(path), path.stat().st_size, path) for path in videos.values()]


def start_working_copy(folder: Path, keys: Path, videos: Mapping[str, Path], releases: Sequence[Tree]) -> Checkout:
    """Copy the sample to `folder`, make keys, put our digests in, and commit: all but the boxes."""
    shutil.copytree(SAMPLE_FLEET, folder, ignore=shutil.ignore_patterns("trust", ".git"))
    checkout = Checkout(folder)
    made = keys_init.init(checkout, keys)
    checkout.write(
        {
            **{f"videos/{video}.yaml": _video_text(checkout, video, path) for video, path in videos.items()},
            **{f"releases/{tree.version}.yaml": _release_text(checkout, tree) for tree in releases},
            **{f"sites/{site}.yaml": _without_identity(checkout, site) for site in checkout.ids("sites")},
            "trust/release-list-1.json": _release_list(made["release"], releases),
        }
    )
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "Start the fleet: twelve sites, two releases, keys of our own")
    return checkout


def connect_boxes(checkout: Checkout, identities: Mapping[SiteId, PublicKeyLine]) -> None:
    """Write the boxes' public keys into their sites' files, and commit."""
    documents = {}
    for site, line in identities.items():
        path = f"sites/{site}.yaml"
        documents[path] = set_values(checkout.read(path), {"identity": line}, path)
    checkout.write(documents)
    commit(checkout.root, f"Connect {len(identities)} boxes")


def make_remote(remote: Path, working_copy: Path) -> None:
    """A bare repository, and a working copy that pushes to it."""
    git(remote.parent, "init", "-q", "--bare", "-b", "main", str(remote))
    git(working_copy, "remote", "add", "origin", str(remote))
    git(working_copy, "config", "push.default", "current")
    git(working_copy, "config", "branch.main.remote", "origin")
    git(working_copy, "config", "branch.main.merge", "refs/heads/main")


def push_first(remote: Path, working_copy: Path) -> None:
    """Push unless the remote has something already: later pushes are the operator's."""
    if not _git_answer(remote, "rev-parse", "-q", "--verify", "refs/heads/main"):
        git(working_copy, "push", "-q", "origin", "main")


def configure_client(working_copy: Path, settings: Mapping[str, str]) -> None:
    """What `neopro` in this working copy needs to know, and a name for commits where the user has none."""
    for key, value in settings.items():
        git(working_copy, "config", key, value)
    if not _git_answer(working_copy, "config", "user.email"):
        git(working_copy, "config", "user.name", "Demo operator")
        git(working_copy, "config", "user.email", "operator@neopro.example")


def commit(working_copy: Path, message: str) -> None:
    """Commit everything."""
    git(working_copy, "add", "-A")
    git(working_copy, *_AUTHOR, "commit", "-q", "--no-verify", "-m", message)


def git(folder: Path, *arguments: str) -> None:
    """Run git; CommandFailed with what it says when it fails."""
    done = _run_git(folder, *arguments)
    if done.returncode != 0:
        raise CommandFailed(f"cannot run git {arguments[0]} in {folder}: {done.stderr.strip()[-300:]}")


def _git_answer(folder: Path, *arguments: str) -> str:
    """What git prints, or nothing when it says no."""
    return _run_git(folder, *arguments).stdout.strip()


def _run_git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # A GIT_DIR of the shell that started us must not lead elsewhere.
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        return subprocess.run(["git", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CommandFailed("cannot run git: it is not installed; on Debian: apt install git") from None


def _video_text(checkout: Checkout, video: str, path: Path) -> str:
    """The document with the digest of the file as it was made here: encoders differ from version to version."""
    name = f"videos/{video}.yaml"
    return set_values(checkout.read(name), {"digest": file_digest(path), "size_bytes": path.stat().st_size}, name)


def _release_text(checkout: Checkout, tree: Tree) -> str:
    name = f"releases/{tree.version}.yaml"
    return set_values(checkout.read(name), {"tree": tree.digest, "size_bytes": tree.size_bytes}, name)


def _without_identity(checkout: Checkout, site: str) -> str:
    """Nobody holds the private keys of the sample's identities."""
    lines = checkout.read(f"sites/{site}.yaml").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("identity:"))


def _release_list(key: Ed25519PrivateKey, releases: Sequence[Tree]) -> bytes:
    allowed = [AllowedRelease(kind="app", version=tree.version, tree=tree.digest) for tree in releases]
    return make_release_list(None, allowed, key, datetime.now(UTC))
