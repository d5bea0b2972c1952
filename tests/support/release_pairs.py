"""Pairs of releases that look like a program's, the patch between two, and what a patch of the whole archive costs."""

import hashlib
import io
import random
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import zstandard

from cli.deltas import Tree, encode_delta, make_delta
from schemas.manifest import FileTree, PatchRef, ReleaseTarget, TreeFile
from tests.support.agent_world import Central

Files = Mapping[str, bytes]


def add_patch(central: Central, base: ReleaseTarget, target: ReleaseTarget) -> ReleaseTarget:
    """`target` with a patch from `base`, made as `neopro release add` makes it, its blobs uploaded."""
    trees = [_tree(central, release) for release in (base, target)]
    with tempfile.TemporaryDirectory(prefix="neopro-patch-") as folder:
        delta = make_delta(*trees, Path(folder) / "pack", lambda _: None)
        central.add((Path(folder) / "pack").read_bytes())
    index = encode_delta(delta)
    size_bytes = len(index) + delta.pack_size_bytes
    ref = PatchRef(base=base.tree, index=central.add(index), size_bytes=size_bytes)
    return msgspec.structs.replace(target, patches=[*target.patches, ref])


def _tree(central: Central, release: ReleaseTarget) -> Tree:
    def read(file: TreeFile) -> bytes:
        return central.blobs[file.digest]

    return Tree(msgspec.json.decode(central.blobs[release.tree], type=FileTree), read)


def source_files(seed: int, count: int, lines: int) -> dict[str, bytes]:
    """Files that look like a program's: words that come again, across files, too."""
    dice = random.Random(seed)
    words = [hashlib.sha256(str(n).encode()).hexdigest()[: dice.randrange(2, 12)] for n in range(2000)]
    return {
        f"node_modules/module-{n // 20}/lib/file-{n}.js": "\n".join(
            " ".join(dice.choices(words, k=dice.randrange(3, 12))) for _ in range(dice.randrange(lines // 2, lines))
        ).encode()
        for n in range(count)
    }


def edited(data: bytes, edits: int, dice: random.Random) -> bytes:
    lines = data.split(b"\n")
    for _ in range(edits):
        lines[dice.randrange(len(lines))] = b"changed %d" % dice.randrange(10**9)
    return b"\n".join(lines)


def changed(files: Files, how: str) -> dict[str, bytes]:
    dice = random.Random(7)
    result = dict(files)
    names = sorted(files)
    if how == "few":
        for name in dice.sample(names, len(names) // 20):
            result[name] = edited(files[name], 3, dice)
    elif how == "most":
        for name in names[: len(names) * 9 // 10]:
            result[name] = edited(files[name], 5, dice)
    else:  # bundles whose names carry a hash, some new files, some gone
        for name in dice.sample(names, len(names) // 4):
            data = result.pop(name)
            result[f"{name[:-3]}-{dice.randrange(16**8):08X}.js"] = edited(data, 3, dice)
        result |= {f"new/{name}": edited(files[name], 30, dice) for name in names[:5]}
    return result


def whole_archive_patch(base: Files, target: Files) -> int:
    """What `zstd -19 --patch-from` of the whole archive comes to."""
    old, new = archive(base), archive(target)
    dictionary = zstandard.ZstdCompressionDict(old, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        19, source_size=len(new), dict_size=len(old), window_log=(len(old) + len(new)).bit_length(), chain_log=26
    )
    return len(zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters).compress(new))


def archive(files: Files) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path in sorted(files):
            entry = tarfile.TarInfo(path)
            entry.size = len(files[path])
            tar.addfile(entry, io.BytesIO(files[path]))
    return out.getvalue()
