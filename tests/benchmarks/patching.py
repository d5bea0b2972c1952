"""What a box fetches to get from one release to the next, beside `zstd -19 --patch-from` of the whole archive.

Bytes of every blob that the agent asked for but the manifest (index, pack, listings, files), counted where they leave
the control plane. The pair is generated: source files that share their words, with the changes of a month.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from schemas.manifest import encode_canonical
from schemas.names import Digest, digest_of
from tests.benchmarks.measure import Row, row
from tests.support.agent_world import AgentWorld, application, manifest_of
from tests.support.release_pairs import Files, add_patch, archive, changed, source_files, whole_archive_patch

FILES = 1_000
LINES = 150
SHAPES = ("few", "most", "bundles")


def measure(names: list[str]) -> list[Row]:
    """The one figure of this module, of the shape of update that comes out worst."""
    modules = source_files(20261126, FILES, LINES)
    base = released("1.0.0", modules)
    targets = {how: released("2.0.0", changed(modules, how)) for how in SHAPES}
    found = {how: (fetched_bytes(base, target), floor_bytes(base, target)) for how, target in targets.items()}
    ratios = {how: value / floor for how, (value, floor) in found.items()}
    worst = max(SHAPES, key=ratios.__getitem__)
    value, floor = found[worst]
    shares = ", ".join(f"{how} {found[how][0] / size_bytes(targets[how]):.2%} ({ratios[how]:.2f})" for how in SHAPES)
    note = f"{FILES} files, {size_bytes(base) / 1e6:.1f} MB; share of the release and ratio when changed: {shares}"
    return [r for r in [row("release-update-bytes", value, "bytes", floor, note)] if r.name in names]


def released(version: str, modules: Files) -> dict[str, bytes]:
    """A release with these files under `server/`."""
    return application(version) | {f"server/{path}": data for path, data in modules.items()}


def fetched_bytes(base: Files, target: Files) -> int:
    """What an agent on `base` really fetches until `target` runs."""
    with tempfile.TemporaryDirectory(prefix="neopro-bench-") as folder:
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


def size_bytes(files: Files) -> int:
    """Of all files."""
    return sum(map(len, files.values()))
