"""Small commits written by hand, and what compiling them says."""

import base64
from collections.abc import Mapping

from control_plane.core.compile import CompiledFleet, compile_commit
from tests.support.fleet_generator import as_tree, public_key, tree_of, trust_documents

FLEET = b"schema: 1\ndefaults:\n  release: 2.1.3\n  video_sets: [national]\n"
NATIONAL = b"""\
name: National
category: {id: national, name: NATIONAL}
blocks: [before, after]
loop: sponsors
videos: [noel]
"""
NOEL = b"name: No\xc3\xabl\ndigest: sha256:" + b"ab" * 32 + b"\nsize_bytes: 10\nsponsor: decathlon\n"


def site(name: str, extra: str = "", *, region: str = "Bretagne", sports: str = "football") -> bytes:
    """A site file with a key of its own; `extra` is appended."""
    return (
        f"name: {name}\nlocation: {{city: Rennes, region: {region}}}\nsports: [{sports}]\n"
        f"identity: {public_key(name)}\n{extra}"
    ).encode()


def release(version: str, extra: str = "") -> bytes:
    """A release file that the trust documents of `small_fleet` allow."""
    return f"version: {version}\ntree: {tree_of(version)}\nsize_bytes: 100\n{extra}".encode()


RECOVERY = "age157vzq0726d2fu7kav244572evjqc2pspmzez9vxzgfv73yz6kdjs2gerp5"
RECIPIENT = "age1u522hf7xgc5g4uwkksxmfqd00kgxn3dsktu4kxm300m8tg3grdxsxkrtm5"
SECRET = "age:" + base64.b64encode(b"age-encryption.org/v1\n-> X25519 \n---\n").decode()
"""The form of a secret; nothing is encrypted in it."""


def agent(version: str) -> bytes:
    """An agent's release file that the trust documents of `small_fleet` allow."""
    return f"version: {version}\ntree: {tree_of(f'agent-{version}')}\nsize_bytes: 50\n".encode()


def operation(target: str, action: str = "action: reboot", until: str = "2026-11-24T06:00:00+01:00") -> bytes:
    """An operation file."""
    return f"target: {{{target}}}\n{action}\nnot_after: {until}\n".encode()


def small_fleet(**changes: bytes | None) -> dict[str, bytes]:
    """Two sites, one group, one set, one video, two releases; see `changed` for other files."""
    files = {
        "fleet.yaml": FLEET,
        "sites/rennes.yaml": site("rennes"),
        "sites/vannes.yaml": site("vannes", sports="rugby"),
        "groups/rugby.yaml": b"name: Rugby\nselect: {sports: rugby}\npriority: 100\nrelease: 2.2.0\n",
        "videos/noel.yaml": NOEL,
        "video-sets/national.yaml": NATIONAL,
        "releases/2.1.3.yaml": release("2.1.3"),
        "releases/2.2.0.yaml": release("2.2.0"),
        **trust_documents(7),
    }
    return changed(files, changes)


def changed(files: Mapping[str, bytes], changes: Mapping[str, bytes | None]) -> dict[str, bytes]:
    """The files with some written anew, and those that are None deleted."""
    merged: dict[str, bytes | None] = {**files, **changes}
    return {path: data for path, data in merged.items() if data is not None}


def compiled(files: Mapping[str, bytes], previous: CompiledFleet | None = None) -> CompiledFleet:
    """Compile the files as a commit."""
    return compile_commit(*as_tree(files), previous)


def problems(files: Mapping[str, bytes]) -> list[str]:
    """`file:line:column severity Code` of each Problem."""
    found = compiled(files).problems
    return [f"{p.file}:{p.line}:{p.column} {p.severity} {p.code}" for p in found]


def messages(files: Mapping[str, bytes]) -> str:
    """The sentences of all Problems."""
    return "\n".join(problem.message for problem in compiled(files).problems)
