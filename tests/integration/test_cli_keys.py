"""Keys come and go: what the verbs of `neopro keys` sign is followed by boxes and taken by the server."""

import shutil
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cli.__main__ import run
from control_plane.core.trust import Trust, read_trust, require_continued
from control_plane.signer import Signer, read_private_key
from schemas.dsse import public_line
from schemas.names import PublicKeyLine
from schemas.trust import RoleName, TrustRoot, read_root, role_keys
from tests.support.transcripts import SMALL


class Safe:
    """A fleet with trust of its own, and the folder where its private keys are."""

    def __init__(self, folder: Path) -> None:
        self.fleet, self.folder = folder / "fleet", folder / "keys"
        shutil.copytree(SMALL, self.fleet, ignore=shutil.ignore_patterns("trust", "releases"))
        for file in self.fleet.rglob("*.yaml"):
            file.write_text(file.read_text().replace("  release: 2.1.3\n", ""))
        for file in (self.fleet / "sites").glob("lyon*"):
            file.unlink()  # it is in no group and would need a release
        self.does("init", str(self.fleet), "--keys", str(self.folder))

    def key(self, name: str) -> str:
        return str(self.folder / f"{name}.key")

    def public(self, name: str) -> PublicKeyLine:
        return public_line(read_private_key(Path(self.key(name))).public_key())

    def says(self, *words: str) -> int:
        where = () if words[0] == "init" else ("--repository", str(self.fleet))
        return run(["keys", *words, *where])

    def does(self, *words: str) -> None:
        assert self.says(*words) == 0

    @property
    def documents(self) -> dict[str, bytes]:
        return {f"trust/{path.name}": path.read_bytes() for path in sorted((self.fleet / "trust").iterdir())}

    @property
    def trust(self) -> Trust:
        """What the server makes of it, which must find nothing wrong."""
        found = read_trust(self.documents)
        assert found.problems == ()
        return found

    @property
    def root(self) -> TrustRoot:
        """What a box comes to that walks from the first root."""
        roots = [data for path, data in self.documents.items() if "/root-" in path]
        trusted = None
        for envelope in roots:
            trusted = read_root(envelope, trusted)
        assert trusted is not None and trusted == self.trust.root
        return trusted

    def lines(self, role: RoleName) -> list[PublicKeyLine]:
        return list(role_keys(self.root, role)[0].values())


@pytest.fixture
def safe(tmp_path: Path) -> Safe:
    return Safe(tmp_path)


def test_rotated_release_key_signs_the_list_anew_and_the_old_one_is_gone(safe: Safe) -> None:
    before = safe.documents
    safe.does("rotate", "release", "--new", safe.key("r2"), "--sign", safe.key("root"))
    assert safe.lines("release") == [safe.public("r2")]
    assert safe.public("release") not in safe.root.keys.values()
    assert safe.trust.release_list is not None and safe.trust.release_list.version == 2
    continued = require_continued(
        safe.trust.documents, before["trust/root-1.json"], before["trust/release-list-1.json"]
    )
    assert continued == []
    assert stat.S_IMODE(Path(safe.key("r2")).stat().st_mode) == 0o600


def test_rotated_root_key_is_followed_by_boxes_and_signs_the_next_one_alone(safe: Safe) -> None:
    safe.does("rotate", "root", "--new", safe.key("root2"), "--sign", safe.key("root"))
    assert safe.says("renew", "--root", "--sign", safe.key("root")) == 2
    safe.does("renew", "--root", "--sign", safe.key("root2"))
    assert (safe.root.version, safe.lines("root")) == (3, [safe.public("root2")])


def test_second_root_key_with_a_threshold_of_two_makes_both_needed(
    safe: Safe, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--keep", "--threshold", "2")
    safe.does("rotate", "root", *more, "--new", safe.key("b"), "--sign", safe.key("root"))
    assert safe.says("renew", "--root", "--sign", safe.key("root")) == 2
    assert "1 of the 2 signatures needed are good; name key files with --sign: 2 of the" in capsys.readouterr().err
    safe.does("renew", "--root", "--sign", safe.key("root"), "--sign", safe.key("b"))
    old = next(n for n, line in safe.root.keys.items() if line == safe.public("root"))
    both = ("--sign", safe.key("root"), "--sign", safe.key("b"))
    safe.does("rotate", "root", "--old", old[:12], "--new", safe.key("c"), *both)
    assert safe.lines("root") == [safe.public("b"), safe.public("c")]


def test_rotated_manifest_key_is_the_one_that_the_control_plane_may_sign_with(safe: Safe) -> None:
    safe.does("rotate", "manifest", "--new", safe.key("m2"), "--sign", safe.key("root"))
    Signer.load(Path(safe.key("m2"))).require_allowed(safe.root)
    assert safe.trust.release_list is not None and safe.trust.release_list.version == 1


def test_renewed_documents_say_the_same_with_new_dates(safe: Safe) -> None:
    before = safe.trust
    safe.does("renew", "--sign", safe.key("root"), "--sign", safe.key("release"))
    after = safe.trust
    assert after.root and before.root and after.release_list and before.release_list
    assert (after.root.version, after.release_list.version) == (2, 2)
    assert after.root.keys == before.root.keys and after.release_list.releases == before.release_list.releases
    assert after.root.expires_at - datetime.now(UTC) > timedelta(days=1000)


def test_signer_is_added_once_and_removed_by_its_comment(safe: Safe, capsys: pytest.CaptureFixture[str]) -> None:
    key = Ed25519PrivateKey.generate().public_key()
    line = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " ada@example.org"
    (safe.folder / "ada.pub").write_text(line + "\n")
    sign = ("--sign", safe.key("root"))
    safe.does("signer", "add", str(safe.folder / "ada.pub"), *sign)
    assert safe.root.commit_signers == [line]
    assert safe.says("signer", "add", line, *sign) == 2
    assert "it may sign commits already" in capsys.readouterr().err
    assert safe.says("signer", "remove", "bob", *sign) == 2
    assert "the signers are ada@example.org" in capsys.readouterr().err
    safe.does("signer", "remove", "ada@example.org", *sign)
    assert (safe.root.commit_signers, safe.root.version) == ([], 3)


def test_dry_run_makes_no_key_and_no_document(safe: Safe) -> None:
    before = safe.documents
    safe.does("rotate", "release", "--new", safe.key("r2"), "--sign", safe.key("root"), "--dry-run")
    assert safe.documents == before and not Path(safe.key("r2")).exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["rotate", "release", "--new", "{keys}/x.key"], "name key files with --sign: 1 of the root key "),
        (["rotate", "release", "--new", "{keys}/x.key", "--sign", "{keys}/release.key"], "cannot sign root 2"),
        (["rotate", "release", "--new", "{fleet}/x.key", "--sign", "{keys}/root.key"], "inside the repository"),
        (["rotate", "release", "--new", "{keys}/root.key", "--sign", "{keys}/root.key"], "a key is never replaced"),
        (["rotate", "root", "--new", "{keys}/x.key", "--sign", "{keys}/none.key"], "cannot read the key"),
        (["rotate", "root", "--old", "zz", "--new", "{keys}/x.key", "--sign", "{keys}/root.key"], "the role has "),
        (["rotate", "root", "--threshold", "2", "--new", "{keys}/x.key"], "the root role then has 1 keys"),
        (["rotate", "timestamp", "--new", "{keys}/x.key"], "timestamp"),
        (["renew", "--list", "--sign", "{keys}/root.key"], "cannot sign release list 2"),
        (["signer", "add", "nowhere.pub", "--sign", "{keys}/root.key"], "cannot read nowhere.pub"),
        (["signer", "add", "ssh-ed25519 AAAA", "--sign", "{keys}/root.key"], "no public key of the kind ssh-ed25519"),
        (["signer", "remove", "ada", "--sign", "{keys}/root.key"], "commits need no signature"),
    ],
)
def test_what_cannot_be_signed_changes_nothing_and_is_one_sentence(
    safe: Safe, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before, keys = safe.documents, sorted(safe.folder.iterdir())
    capsys.readouterr()
    assert safe.says(*(word.format(keys=safe.folder, fleet=safe.fleet) for word in words)) == 2
    said = capsys.readouterr()
    assert said.err.startswith("neopro: cannot ") and says in said.err and said.err.count("\n") == 1
    assert (safe.documents, sorted(safe.folder.iterdir())) == (before, keys)


def test_keys_are_shown_with_what_they_may_sign(safe: Safe, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    safe.does("show", "--json")
    shown = msgspec.json.decode(capsys.readouterr().out)
    assert {role: list(said["keys"].values()) for role, said in shown["root"]["roles"].items()} == {
        role: [safe.public(role)] for role in ("root", "release", "manifest")
    }
    safe.does("show")
    assert safe.public("release") in capsys.readouterr().out
