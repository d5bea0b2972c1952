"""Ten thousand sites from a fetched commit to the publication, and a second commit that changes one of them.

Ours: `Pipeline.ingest` on a real Git remote, PostgreSQL and object store; CPU time of this process (PostgreSQL's own is
apart, the fetch was done before). The floor does the same work bare: it reads the same blobs by libgit2, parses them
with the same parser, encodes the same manifests one by one, signs the same heads, and copies the same rows.
"""

import asyncio
import hashlib
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psycopg
import pygit2
import ryaml
from cryptography.hazmat.primitives import serialization

from control_plane.app import Services, open_app
from control_plane.settings import Settings
from control_plane.store.embedded import running_conninfo
from schemas import dsse
from schemas.manifest import HEAD_TYPE, SiteManifest, encode_canonical
from schemas.names import digest_of
from schemas.trust import RELEASE_LIST_TYPE, AllowedRelease, ReleaseList
from tests.benchmarks.measure import Row, cpu_s, peak_bytes, row
from tests.support.fleet_generator import ISSUED_AT, RELEASES, make_fleet, private_key, tree_of
from tests.support.world import file_tree

SITES = 10_000
SEED = 7
AUTHOR = pygit2.Signature("Bench", "bench@example.org", 1_767_225_600, 0)
TABLES = ("sites", "generations", "manifests")


class Fleet:
    """A generated fleet in a bare remote, with blobs that are really there."""

    def __init__(self, folder: Path, sites: int) -> None:
        self.remote = folder / "fleet.git"
        self._repository = pygit2.init_repository(str(self.remote), bare=True, initial_head="main")
        self.blobs: list[bytes] = []
        self.files = self._real(make_fleet(sites, SEED))
        self._index = pygit2.Index()

    def commit(self, changes: dict[str, bytes]) -> str:
        """A commit on `main` with these files."""
        for path, data in changes.items():
            entry = pygit2.IndexEntry(path, self._repository.create_blob(data), pygit2.enums.FileMode.BLOB)
            self._index.add(entry)
        head = self._repository.references.get("refs/heads/main")
        parents = [head.target] if head else []
        tree = self._index.write_tree(self._repository)
        return str(self._repository.create_commit("refs/heads/main", AUTHOR, AUTHOR, "Change", tree, parents))

    def _real(self, files: dict[str, bytes]) -> dict[str, bytes]:
        """The same fleet with digests of blobs that exist, and a release list that names them."""
        real: dict[str, bytes] = {}
        trees = {version: self._release(version) for version in RELEASES}
        for path, data in files.items():
            text = data.decode()
            if path.startswith("videos/"):
                self.blobs.append(path.encode() * 10)
                text = re.sub(r"sha256:[0-9a-f]{64}", digest_of(self.blobs[-1]), text)
                text = re.sub(r"size_bytes: \d+", f"size_bytes: {len(self.blobs[-1])}", text)
            for version, tree in trees.items():
                text = text.replace(tree_of(version), tree)
            real[path] = text.encode()
        allowed = [AllowedRelease(kind="app", version=version, tree=tree) for version, tree in trees.items()]
        listed = ReleaseList(version=1, issued_at=ISSUED_AT, expires_at=ISSUED_AT.replace(year=2040), releases=allowed)
        key = private_key(f"release-{SEED}")
        real["trust/release-list-1.json"] = dsse.sign(RELEASE_LIST_TYPE, msgspec.json.encode(listed), [key])
        return real

    def _release(self, version: str) -> str:
        tree = {"VERSION": version.encode()}
        self.blobs += [*tree.values(), encode_canonical(file_tree(tree))]
        return digest_of(self.blobs[-1])


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


async def ingest_cpu_s(services: Services) -> float:
    """CPU seconds of taking in a commit that was fetched before."""
    import time

    await services.git.fetch()
    before = time.process_time()
    outcome = await services.pipeline.ingest()
    assert outcome.verdict == "published", outcome.problems
    return time.process_time() - before


class Bare:
    """The floor's materials, read back from what was published."""

    def __init__(self, conninfo: str, clone: Path) -> None:
        self._connection = psycopg.connect(conninfo, autocommit=True)
        self._repository = pygit2.Repository(str(clone))
        self._key = private_key(f"manifest-{SEED}")
        bodies = self._fetch("select s.site, m.body from sites s join manifests m on m.digest = s.manifest")
        self.manifests = {site: msgspec.json.decode(body, type=SiteManifest) for site, body in bodies}
        self.heads = [
            dsse.decode_base64(dsse.open_envelope(envelope, 1 << 20).payload)
            for (envelope,) in self._fetch("select envelope from sites")
        ]
        self.rows = {table: self._copied(table) for table in TABLES}

    def work(self, blobs: list[pygit2.Oid]) -> float:
        """CPU seconds of reading and parsing these blobs, and encoding, signing and copying everything once."""
        return sum(cpu_s(step) for step in (lambda: self._read(blobs), self._encode, self._sign, self._copy))

    def blobs(self, revision: str) -> list[pygit2.Oid]:
        """The documents of a commit."""
        found: list[pygit2.Oid] = []

        def walk(tree: pygit2.Tree) -> None:
            for entry in tree:
                if isinstance(entry, pygit2.Tree):
                    walk(entry)
                elif str(entry.name).endswith(".yaml"):
                    found.append(entry.id)

        walk(self._repository.get(revision).peel(pygit2.Tree))
        return found

    def one_change(self, before: str, after: str, path: str) -> float:
        """CPU seconds of libgit2's own diff and of the bare work on the one site."""

        def bare() -> None:
            old, new = (self._repository.get(revision).peel(pygit2.Tree) for revision in (before, after))
            assert len(list(old.diff_to_tree(new).deltas)) == 1
            ryaml.loads((new / path).data.decode())
            hashlib.sha256(encode_canonical(next(iter(self.manifests.values())))).digest()
            self._key.sign(dsse.pae(HEAD_TYPE, self.heads[0]))
            with self._connection.transaction():
                self._connection.execute("update publication set serial = serial")

        return cpu_s(bare)

    def close(self) -> None:
        self._connection.close()

    def _read(self, blobs: list[pygit2.Oid]) -> None:
        for blob in blobs:
            ryaml.loads(self._repository[blob].data.decode())

    def _encode(self) -> None:
        for manifest in self.manifests.values():
            hashlib.sha256(encode_canonical(manifest)).digest()

    def _sign(self) -> None:
        for head in self.heads:
            self._key.sign(dsse.pae(HEAD_TYPE, head))

    def _copy(self) -> None:
        for table, data in self.rows.items():
            name = f"bare_{table}"
            self._connection.execute(f"create temporary table {name} (like {table})")
            with self._connection.cursor().copy(f"copy {name} from stdin (format binary)") as copy:
                copy.write(data)

    def _copied(self, table: str) -> bytes:
        with self._connection.cursor().copy(f"copy {table} to stdout (format binary)") as copy:
            return b"".join(bytes(part) for part in copy)

    def _fetch(self, query: str) -> list[tuple[object, ...]]:
        return self._connection.execute(query).fetchall()


def measure(names: list[str]) -> list[Row]:
    """Both figures, since the second starts from the first."""
    with tempfile.TemporaryDirectory(prefix="neopro-bench-") as folder:
        Path(folder).chmod(0o755)
        rows = asyncio.run(_measure(Path(folder)))
    return [r for r in rows if r.name in names]


async def _measure(folder: Path) -> list[Row]:
    fleet = Fleet(folder, SITES)
    first = fleet.commit(fleet.files)
    async with opened(folder, fleet) as services:
        cold_s = await ingest_cpu_s(services)
        peak = peak_bytes()
        site = next(path for path in sorted(fleet.files) if path.startswith("sites/"))
        changed = (
            fleet.files[site].replace(b"name: ", b"name: Nouveau ", 1) + b"without_video_sets: [annonces-nationales]\n"
        )
        second = fleet.commit({site: changed})
        change_s = await ingest_cpu_s(services)
        bare = Bare(running_conninfo(folder / "server" / "postgres"), folder / "server" / "clone.git")
        floor_s = bare.work(bare.blobs(first))
        change_floor_s = bare.one_change(first, second, site)
        bodies = len({m for (m,) in bare._fetch("select distinct manifest from sites")})
        bare.close()
    return [
        row(
            "compile-cold-10k",
            cold_s,
            "s CPU",
            floor_s,
            f"{SITES} sites, {bodies} manifests, peak {peak / 2**20:.0f} MiB, {datetime.now(UTC):%Y-%m-%d}",
        ),
        row("compile-one-change-10k", change_s * 1e3, "ms CPU", change_floor_s * 1e3, "one site file of 10,000"),
    ]
