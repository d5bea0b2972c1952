"""Ten thousand sites from a fetched commit to the publication.

Ours: `Pipeline.ingest` on a real Git remote, PostgreSQL and object store; CPU time of this process (PostgreSQL's own is
apart, the fetch was done before). The floor does the same work bare: it reads the same blobs by libgit2, parses them
with the same parser, encodes the same manifests one by one, signs the same heads, and copies the same rows.
"""

import asyncio
import hashlib
import statistics
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psycopg
import pygit2
import ryaml

from control_plane.app import Services
from control_plane.compiling import compile_tree
from control_plane.documents import DocumentCache
from control_plane.store.embedded import running_conninfo
from schemas import dsse
from schemas.manifest import HEAD_TYPE, SiteManifest, encode_canonical
from tests.benchmarks.fleets import SEED, Fleet, opened
from tests.benchmarks.measure import Row, cpu_s, peak_bytes, row
from tests.support.fleet_generator import private_key

SITES = 10_000
TURNS = 3
"""Servers that start from nothing, one after the other."""
TABLES = ("sites", "generations", "manifests")


async def ingest_cpu_s(services: Services) -> float:
    """CPU seconds of taking in a commit that was fetched before."""
    await services.git.fetch()
    before = time.process_time()
    outcome = await services.pipeline.ingest()
    assert outcome.verdict == "published", outcome.problems
    return time.process_time() - before


async def recompile_cpu_s(services: Services, documents: Path) -> float:
    """CPU seconds of compiling the same commit with nothing but the documents that were kept on disk."""
    tree = await services.git.tree(await services.git.fetch())
    with closing(DocumentCache(documents)) as kept:
        before = time.process_time()
        compiled = await compile_tree(tree, None, kept)
        assert len(compiled.sites) == SITES
        return time.process_time() - before


class Bare:
    """The floor's materials, read back from what was published."""

    def __init__(self, conninfo: str, clone: Path) -> None:
        self._connection = psycopg.connect(conninfo, autocommit=True)
        self._repository = pygit2.Repository(str(clone))
        self._key = private_key(f"manifest-{SEED}")
        bodies = self._fetch("select s.site, m.body from sites s join manifests m on m.digest = s.manifest")
        self._manifests = [msgspec.json.decode(body, type=SiteManifest) for _, body in bodies]
        self._heads = [
            dsse.decode_base64(dsse.open_envelope(envelope, 1 << 20).payload)
            for (envelope,) in self._fetch("select envelope from sites")
        ]
        self._rows = {table: self._copied(table) for table in TABLES}
        self.bodies = len({manifest for (manifest,) in self._fetch("select distinct manifest from sites")})

    def steps_s(self, revision: str) -> dict[str, float]:
        """CPU seconds of reading and parsing the commit's documents, and encoding, signing and copying everything."""
        blobs = list(self._blobs(self._repository[revision].peel(pygit2.Tree)))
        texts: list[str] = []
        return {
            "read": cpu_s(lambda: texts.extend(self._repository[blob].data.decode() for blob in blobs)),
            "parse": cpu_s(lambda: [ryaml.loads(text) for text in texts] and None),
            "encode": cpu_s(lambda: [hashlib.sha256(encode_canonical(m)).digest() for m in self._manifests] and None),
            "sign": cpu_s(lambda: [self._key.sign(dsse.pae(HEAD_TYPE, head)) for head in self._heads] and None),
            "copy": cpu_s(self._copy),
        }

    def close(self) -> None:
        self._connection.close()

    def _blobs(self, tree: pygit2.Tree) -> list[pygit2.Oid]:
        """The documents of a commit."""
        found: list[pygit2.Oid] = []
        for entry in tree:
            if isinstance(entry, pygit2.Tree):
                found += self._blobs(entry)
            elif str(entry.name).endswith(".yaml"):
                found.append(entry.id)
        return found

    def _copy(self) -> None:
        for table, data in self._rows.items():
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
    """The one figure of this module."""
    with tempfile.TemporaryDirectory(prefix="neopro-bench-") as folder:
        Path(folder).chmod(0o755)
        rows = asyncio.run(_measure(Path(folder)))
    return [r for r in rows if r.name in names]


async def _measure(folder: Path) -> list[Row]:
    fleet = Fleet(folder, SITES)
    revision = fleet.commit(fleet.files)
    ours_s, steps_s, again_s, peaks = [], [], [], []
    for turn in range(TURNS):
        place = folder / str(turn)
        place.mkdir(mode=0o755)
        async with opened(place, fleet) as services:
            ours_s.append(await ingest_cpu_s(services))
            peaks.append(peak_bytes())
            await services.pipeline.keep_documents()
            again_s.append(await recompile_cpu_s(services, place / "server" / "documents"))
            bare = Bare(running_conninfo(place / "server" / "postgres"), place / "server" / "clone.git")
            steps_s.append(bare.steps_s(revision))
            bare.close()
    step_s = {name: statistics.median(steps[name] for steps in steps_s) for name in steps_s[0]}
    value_s = statistics.median(ours_s)
    shares = ", ".join(f"{name} {seconds:.2f}" for name, seconds in step_s.items())
    note = (
        f"{SITES} sites, {bare.bodies} manifests, median of {TURNS}, {datetime.now(UTC):%Y-%m-%d}; the parser's share "
        f"{step_s['parse'] / value_s:.0%}; floor: {shares} s; peak {peaks[0] / 2**20:.0f} MiB; compiled again after a "
        f"restart, from documents kept: {statistics.median(again_s):.2f} s"
    )
    return [row("compile-cold-10k", value_s, "s CPU", sum(step_s.values()), note)]
