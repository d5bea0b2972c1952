"""One site file changed in a fleet of a hundred thousand: from the end of the fetch to the end of the publication.

Wall time, medians of several changes in a server that is warm. The floor does bare what cannot be left out: it compares
both trees by entry ids, folder by folder, reads and parses the one blob, encodes one manifest, signs one head, and puts
the rows into PostgreSQL in one durable transaction.
"""

import asyncio
import hashlib
import statistics
import tempfile
import time
from pathlib import Path

import msgspec
import psycopg
import pygit2
import ryaml

from control_plane.app import Services
from control_plane.store.embedded import running_conninfo
from schemas import dsse
from schemas.manifest import HEAD_TYPE, SiteManifest, encode_canonical
from tests.benchmarks.fleets import SEED, Fleet, opened
from tests.benchmarks.measure import Row, peak_bytes, row
from tests.support.fleet_generator import private_key

SITES = 100_000
CHANGES = 9


class Stopwatch:
    """Tells when the last fetch of this server ended."""

    def __init__(self, services: Services) -> None:
        self._fetch = services.git.fetch
        services.git.fetch = self.fetch  # type: ignore[method-assign]
        self.wall_s = self.cpu_s = 0.0

    async def fetch(self) -> str:
        """The real fetch."""
        revision = await self._fetch()
        self.wall_s, self.cpu_s = time.perf_counter(), time.process_time()
        return revision


class Bare:
    """The floor's materials, read back from what was published."""

    def __init__(self, conninfo: str, clone: Path) -> None:
        self._connection = psycopg.connect(conninfo, autocommit=True)
        self._repository = pygit2.Repository(str(clone))
        self._key = private_key(f"manifest-{SEED}")

    def change_s(self, before: str, after: str, site: str) -> float:
        """Wall seconds of the bare work on the one site."""
        found = self._connection.execute(
            "select m.body, s.envelope from sites s join manifests m on m.digest = s.manifest where site = %s", (site,)
        ).fetchone()
        assert found
        manifest = msgspec.json.decode(found[0], type=SiteManifest)
        head = dsse.decode_base64(dsse.open_envelope(found[1], 1 << 20).payload)
        started = time.perf_counter()
        old, new = (self._repository[revision].peel(pygit2.Tree).id for revision in (before, after))
        (blob,) = self._differing(old, new)
        ryaml.loads(self._repository[blob].data.decode())
        hashlib.sha256(encode_canonical(manifest)).digest()
        self._key.sign(dsse.pae(HEAD_TYPE, head))
        with self._connection.transaction():
            self._connection.execute("update sites set serial = serial where site = %s", (site,))
            self._connection.execute("update publication set serial = serial")
        return time.perf_counter() - started

    def close(self) -> None:
        self._connection.close()

    def _differing(self, old: pygit2.Oid, new: pygit2.Oid) -> list[pygit2.Oid]:
        """The blobs of `new` that `old` does not have; folders of the same id are not looked into."""
        if old == new:
            return []
        there = {entry.name: entry.id for entry in self._repository[old]}
        found: list[pygit2.Oid] = []
        for entry in self._repository[new]:
            if there.get(entry.name) != entry.id:
                found += self._differing(there[entry.name], entry.id) if entry.type_str == "tree" else [entry.id]
        return found


def measure(names: list[str]) -> list[Row]:
    """The one figure of this module."""
    with tempfile.TemporaryDirectory(prefix="neopro-bench-") as folder:
        Path(folder).chmod(0o755)
        rows = asyncio.run(_measure(Path(folder)))
    return [r for r in rows if r.name in names]


async def _measure(folder: Path) -> list[Row]:
    fleet = Fleet(folder, SITES, sharded=True)
    revision = fleet.commit(fleet.files)
    paths = sorted(path for path in fleet.files if path.startswith("sites/"))[:: SITES // CHANGES][:CHANGES]
    originals = {path: fleet.files[path] for path in paths}
    folders = len({path.rpartition("/")[0] for path in fleet.files}) - 1
    fleet.files.clear()  # a server holds no such thing
    walls, cpus, floors = [], [], []
    async with opened(folder, fleet) as services:
        watch = Stopwatch(services)
        await services.pipeline.ingest()
        bare = Bare(running_conninfo(folder / "server" / "postgres"), folder / "server" / "clone.git")
        for path in paths:
            before, revision = revision, fleet.commit({path: _edited(originals[path])})
            outcome = await services.pipeline.ingest()
            walls.append(time.perf_counter() - watch.wall_s)
            cpus.append(time.process_time() - watch.cpu_s)
            assert (outcome.verdict, outcome.sites) == ("published", 1), outcome.problems
            floors.append(bare.change_s(before, revision, path.rpartition("/")[2].removesuffix(".yaml")))
        bare.close()
    note = (
        f"one site file of {SITES} in {folders} folders, median of {CHANGES}, slowest {max(walls) * 1e3:.0f} ms; "
        f"{statistics.median(cpus) * 1e3:.1f} ms CPU; peak {peak_bytes() / 2**20:.0f} MiB"
    )
    value_ms, floor_ms = (statistics.median(seconds) * 1e3 for seconds in (walls, floors))
    return [row("compile-one-change-100k", value_ms, "ms", floor_ms, note)]


def _edited(site: bytes) -> bytes:
    return site.replace(b"name: ", b"name: Nouveau ", 1) + b"without_video_sets: [annonces-nationales]\n"
