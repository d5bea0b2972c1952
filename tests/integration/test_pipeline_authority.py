"""Who may change the fleet: trust that goes on from what was published, commits signed by whom the root names."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from control_plane.core.commit_signature import signature_fault, signature_of
from control_plane.errors import KeyUnusable
from control_plane.signer import write_private_key
from control_plane.store import views
from tests.support.command_line import git
from tests.support.trust_keys import TrustKeys
from tests.support.world import World, as_yaml, open_world, reopened

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path, database: str) -> AsyncIterator[World]:
    async with open_world(tmp_path, database) as opened:
        yield opened


class Operator:
    """Somebody with an SSH key and a working copy, who signs with real Git and ssh-keygen."""

    def __init__(self, folder: Path, name: str) -> None:
        self.key = folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.key], check=True)
        self.line = self.key.with_suffix(".pub").read_text().strip()

    def push(self, world: World, changes: dict[str, str], *options: str) -> str:
        copy = world.folder / f"copy-of-{self.key.name}"
        if not copy.exists():
            git(world.folder, "clone", "-q", "-b", "main", str(world.remote), str(copy))
        git(copy, "pull", "-q")
        for path, text in changes.items():
            (copy / path).write_text(text)
        git(copy, "add", "-A")
        signing = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={self.key}")
        git(copy, *signing, "commit", "-qm", "Change", *options)
        return world.adopt(copy)


def renamed(world: World) -> dict[str, str]:
    return {"sites/brest.yaml": world.site_file("brest", name="Brest Métropole")}


@pytest.fixture
def operators(tmp_path: Path) -> tuple[Operator, Operator]:
    return Operator(tmp_path, "ada"), Operator(tmp_path, "eve")


async def test_root_that_asks_for_signatures_takes_only_commits_of_its_signers(
    world: World, operators: tuple[Operator, Operator]
) -> None:
    ada, eve = operators
    assert (await world.ingest()).verdict == "published"
    world.keys.commit_signers = [ada.line]
    world.commit(world.keys.next_root(), "Ask for signatures from now on")
    assert (await world.ingest()).verdict == "published"

    eve.push(world, renamed(world), "-S")
    refused = await world.ingest()
    assert refused.verdict == "refused"
    assert "signed by a key that the trust root does not name" in refused.problems[0]

    eve.push(world, {"revoked.yaml": as_yaml({"identities": [], "releases": []})})
    assert "the commit is not signed" in (await world.ingest()).problems[0]

    ada.push(world, {"sites/nantes.yaml": world.site_file("nantes", name="Nantes Atlantique")}, "-S")
    assert (await world.ingest()).verdict == "published"
    async with world.connection() as conn:
        told = [change.signature for change in await views.changes(conn)]
    assert [one and (one.state, one.required, one.signer) for one in told] == [
        ("verified", True, "ada"),
        ("none", True, ""),
        ("other", True, ""),
        ("none", False, ""),
        ("none", False, ""),
    ]


async def test_what_an_unsigned_commit_revokes_has_no_effect(
    world: World, operators: tuple[Operator, Operator]
) -> None:
    world.keys.commit_signers = [operators[0].line]
    world.commit(world.keys.next_root(), "Ask for signatures")
    first = await world.ingest()
    assert (first.verdict, "is not signed" in first.problems[0]) == ("refused", True)
    operators[0].push(world, renamed(world), "-S")
    assert (await world.ingest()).verdict == "published"
    identity = world.file("sites/brest.yaml").split('identity: "')[1].split('"')[0]
    world.commit({"revoked.yaml": as_yaml({"identities": [identity]})})
    assert (await world.ingest()).verdict == "refused"
    async with world.connection() as conn:
        assert await (await conn.execute("select count(*) from revoked_identities")).fetchone() == (0,)


async def test_changed_payload_or_other_namespace_does_not_count(tmp_path: Path) -> None:
    ada = Operator(tmp_path, "ada")
    file = tmp_path / "payload"
    file.write_bytes(b"tree 1\n")

    def signature(namespace: str) -> bytes:
        sig = file.with_suffix(".sig")
        sig.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", ada.key, file], check=True)
        return sig.read_bytes()

    good = signature("git")
    assert signature_fault([ada.line], good, b"tree 1\n") == ""
    assert "does not hold" in signature_fault([ada.line], good, b"tree 2\n")
    assert "does not name" in signature_fault([ada.line], signature("file"), b"tree 1\n")
    assert "cannot be checked" in signature_fault([ada.line], good[:-60], b"tree 1\n")
    assert "cannot be checked" in signature_fault(["ssh-rsa AAAA"], good, b"tree 1\n")
    assert "is not signed" in signature_fault([ada.line], None, None)
    assert signature_fault([], None, None) == ""
    other = ["ssh-ed25519 AAAA other@desk", "nonsense"]
    told = [
        signature_of(signers, given, payload)
        for signers, given, payload in (
            ([ada.line], good, b"tree 1\n"),
            (other, good, b"tree 1\n"),
            ([], good, b"tree 1\n"),
            ([ada.line], good, b"tree 2\n"),
            ([ada.line], signature("file"), b"tree 1\n"),
            ([ada.line], b"-----BEGIN PGP SIGNATURE-----", b"tree 1\n"),
            ([], None, None),
        )
    ]
    states = [(one.state, one.required) for one in told]
    assert states == [
        ("verified", True),
        ("other", True),
        ("other", False),
        ("bad", True),
        ("bad", True),
        ("unread", True),
        ("none", False),
    ]
    assert told[0].signer == "ada"
    printed = subprocess.run(["ssh-keygen", "-l", "-f", ada.key], check=True, capture_output=True, text=True).stdout
    assert told[0].key == told[1].key == printed.split()[1]


async def test_trust_that_does_not_go_on_from_the_published_is_refused(world: World) -> None:
    assert (await world.ingest()).verdict == "published"
    thief = TrustKeys(world.clock)
    thief.manifest = Ed25519PrivateKey.generate()
    thief.allowed = world.keys.allowed
    tip = world.commit({**thief.next_root(), **thief.next_list()}, "Take the fleet over")
    refused = await world.ingest()
    assert refused.verdict == "refused"
    assert "trust/root-1.json:1:1: error TrustRewritten" in "\n".join(refused.problems)
    assert tip == refused.revision


async def test_key_that_the_published_root_does_not_list_is_told_though_no_commit_comes(
    world: World, tmp_path: Path
) -> None:
    assert (await world.ingest()).verdict == "published"
    write_private_key(tmp_path / "other.key")
    async with reopened(world, manifest_key=tmp_path / "other.key"):
        for _ in range(2):
            with pytest.raises(KeyUnusable, match="does not list this manifest key"):
                await world.ingest()
    assert (await world.ingest()).verdict == "unchanged"


async def test_release_list_that_goes_back_is_refused(world: World) -> None:
    world.commit(world.keys.next_list(), "A second list")
    assert (await world.ingest()).verdict == "published"
    world.commit({"trust/release-list-2.json": None}, "Take it back")
    refused = await world.ingest()
    assert refused.verdict == "refused"
    assert "release list 2 was published" in refused.problems[0]
