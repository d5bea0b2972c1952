"""Generated fleets in bare remotes, and control planes that serve them."""

import re
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pygit2
from cryptography.hazmat.primitives import serialization

from control_plane.app import Services, open_app
from control_plane.settings import Settings
from schemas import dsse
from schemas.manifest import encode_canonical
from schemas.names import digest_of
from schemas.trust import RELEASE_LIST_TYPE, AllowedRelease, ReleaseList
from tests.support.fleet_generator import ISSUED_AT, RELEASES, make_fleet, private_key, tree_of
from tests.support.world import file_tree

SEED = 7


class Fleet:
    """A generated fleet in a bare remote, with blobs that are really there."""

    def __init__(self, folder: Path, sites: int, *, sharded: bool = False) -> None:
        """`sharded`: site files lie in a hundred folders by the last two digits of their id, else in one."""
        self.remote = folder / "fleet.git"
        pygit2.init_repository(str(self.remote), bare=True, initial_head="main")
        self.blobs: list[bytes] = []
        self.files = dict(self._real(make_fleet(sites, SEED)))
        if sharded:
            self.files = {_sharded(path): data for path, data in self.files.items()}

    def commit(self, changes: Mapping[str, bytes]) -> str:
        """A commit on `main` with these files; its revision."""
        repository = pygit2.Repository(str(self.remote))
        head = repository.references.get("refs/heads/main")
        lines = [b"commit refs/heads/main\ncommitter Bench <bench@example.org> 1767225600 +0000\ndata 6\nChange\n"]
        if head:
            lines.append(b"from %b\n" % str(head.target).encode())
        for path, data in changes.items():
            lines.append(b"M 100644 inline %b\ndata %d\n%b\n" % (path.encode(), len(data), data))
        subprocess.run(
            ["git", "--git-dir", str(self.remote), "fast-import", "--quiet"], input=b"".join(lines), check=True
        )
        return str(repository.references["refs/heads/main"].target)

    def _real(self, files: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
        """The same fleet with digests of blobs that exist, and a release list that names them."""
        trees = {version: self._release(version) for version in RELEASES}
        for path, data in files.items():
            text = data.decode()
            if path.startswith("videos/"):
                self.blobs.append(path.encode() * 10)
                text = re.sub(r"sha256:[0-9a-f]{64}", digest_of(self.blobs[-1]), text)
                text = re.sub(r"size_bytes: \d+", f"size_bytes: {len(self.blobs[-1])}", text)
            for version, tree in trees.items():
                text = text.replace(tree_of(version), tree)
            yield path, text.encode()
        allowed = [AllowedRelease(kind="app", version=version, tree=tree) for version, tree in trees.items()]
        listed = ReleaseList(version=1, issued_at=ISSUED_AT, expires_at=ISSUED_AT.replace(year=2040), releases=allowed)
        key = private_key(f"release-{SEED}")
        yield "trust/release-list-1.json", dsse.sign(RELEASE_LIST_TYPE, msgspec.json.encode(listed), [key])

    def _release(self, version: str) -> str:
        tree = {"VERSION": version.encode()}
        self.blobs += [*tree.values(), encode_canonical(file_tree(tree))]
        return digest_of(self.blobs[-1])


def _sharded(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/{name.removesuffix('.yaml')[-2:]}/{name}" if folder == "sites" else path


@asynccontextmanager
async def opened(folder: Path, fleet: Fleet) -> AsyncIterator[Services]:
    """A control plane on embedded defaults, with every blob uploaded."""
    key_file = folder / "manifest.key"
    key_file.touch(0o600)
    key_file.write_bytes(
        private_key(f"manifest-{SEED}").private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    settings = Settings(data_dir=folder / "server", remote=str(fleet.remote), manifest_key=key_file)
    async with open_app(settings) as services:
        for data in fleet.blobs:
            staged = folder / "staged"
            staged.write_bytes(data)
            await services.objects.put(digest_of(data), staged)
        yield services
