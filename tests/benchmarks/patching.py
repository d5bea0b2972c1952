"""What a box fetches to get from one release to the next, beside `zstd -19 --patch-from` of the whole archive.

Bytes of every blob that the agent asked for but the manifest (index, pack, listings, files), counted where they leave
the control plane. Pairs that were really published (`published`), and generated ones: source files that share their
words, with the changes of a month. The figure is that of the pair that comes out worst.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from schemas.manifest import encode_canonical
from schemas.names import Digest, digest_of
from tests.benchmarks import published
from tests.benchmarks.measure import Row, row
from tests.support.agent_world import AgentWorld, application, manifest_of
from tests.support.release_pairs import Files, add_patch, archive, changed, source_files, whole_archive_patch

FILES = 1_000
LINES = 150
MEMORY = Path("/dev/shm")
"""Where the box lies, where there is such a place: bytes are counted here, and no disk is waited for."""
SHAPES = ("few", "most", "bundles")


class Found(NamedTuple):
    """Of a pair: what is fetched, what the whole archive's patch has, and all of the new release."""

    fetched: int
    floor: int
    release: int

    @property
    def ratio(self) -> float:
        """To the floor."""
        return self.fetched / self.floor


def measure(names: list[str]) -> list[Row]:
    """The one figure of this module."""
    found = generated()
    missing: list[str] = []
    for name, pair in published.PAIRS.items():
        try:
            base, target = pair.releases()
        except published.NotInstalled as problem:
            missing.append(f"the published pair {name} is missing: {problem}")
            continue
        found[name] = compared({**base, **application("1.0.0")}, {**target, **application("2.0.0")})
    worst = max(found.values(), key=lambda one: one.ratio)
    shares = (f"{name} {one.fetched / one.release:.2%} ({one.ratio:.2f})" for name, one in found.items())
    note = "; ".join([*missing, f"share of the release and ratio: {', '.join(shares)}"])
    return [r for r in [row("release-update-bytes", worst.fetched, "bytes", worst.floor, note)] if r.name in names]


def generated() -> dict[str, Found]:
    """Pairs of every shape of change."""
    modules = source_files(20261126, FILES, LINES)
    base = released("1.0.0", modules)
    return {f"generated, {how}": compared(base, released("2.0.0", changed(modules, how))) for how in SHAPES}


def compared(base: Files, target: Files) -> Found:
    """Both ways."""
    return Found(fetched_bytes(base, target), floor_bytes(base, target), sum(map(len, target.values())))


def released(version: str, modules: Files) -> dict[str, bytes]:
    """A release with these files under `server/`."""
    return application(version) | {f"server/{path}": data for path, data in modules.items()}


def fetched_bytes(base: Files, target: Files) -> int:
    """What an agent on `base` really fetches until `target` runs."""
    with tempfile.TemporaryDirectory(prefix="neopro-bench-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        world = AgentWorld(Path(folder))
        central = world.central
        old = central.add_release("1.0.0", base, settle_s=0)
        central.publish(manifest_of([], old))
        world.converge()
        asked: list[Digest] = []
        real = central.blob

        def counted(digest: Digest, max_bytes: int) -> bytes:
            asked.append(digest)
            return real(digest, max_bytes)

        central.blob = counted  # type: ignore[method-assign]
        manifest = manifest_of([], add_patch(central, old, central.add_release("2.0.0", target, settle_s=0)))
        central.publish(manifest)
        world.converge()
        assert world.active() == "2.0.0", world.conditions()
        body = digest_of(encode_canonical(manifest))
        return sum(len(central.blobs[digest]) for digest in asked if digest != body)


def floor_bytes(base: Files, target: Files) -> int:
    """The patch of the whole archive, by the tool where it is installed."""
    if not shutil.which("zstd"):
        return whole_archive_patch(base, target)
    with tempfile.TemporaryDirectory(prefix="neopro-bench-") as folder:
        old, new, patch = (Path(folder) / name for name in ("old.tar", "new.tar", "patch"))
        old.write_bytes(archive(base))
        new.write_bytes(archive(target))
        subprocess.run(
            ["zstd", "-19", "--long=27", "-qq", f"--patch-from={old}", str(new), "-o", str(patch)], check=True
        )
        return patch.stat().st_size
