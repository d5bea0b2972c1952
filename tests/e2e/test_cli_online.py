"""`neopro` as a process against a real control plane: what an operator adds arrives there and in the checkout."""

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cli.demo.clips import Clip, make_clip
from cli.demo.places import SAMPLE_APP
from control_plane.store.tokens import Scope, add_token
from schemas.manifest import FileTree
from schemas.trust import read_release_list, read_root
from tests.support.command_line import environment, git, neopro
from tests.support.world import ServedWorld, served_world


class Desk:
    """An operator's machine: a clone of the fleet's repository, a token, the release key."""

    def __init__(self, served: ServedWorld, folder: Path) -> None:
        self.served, self.folder = served, folder
        self.checkout = folder / "checkout"
        self.token = self.new_token("read", "write")
        self.key = folder / "release.key"
        pem = served.world.keys.release.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.key.touch(mode=0o600)
        self.key.write_bytes(pem)
        git(folder, "clone", "-q", str(served.world.remote), str(self.checkout))

    def new_token(self, *scopes: Scope, now: datetime | None = None) -> str:
        async def add() -> str:
            since = now or datetime.now(UTC)
            async with self.served.world.connection() as conn:
                return await add_token(conn, "ada", scopes, now=since, expires_at=since + timedelta(days=1))

        return self.served.run(add())

    def env(self, **more: str) -> dict[str, str]:
        return environment(self.folder, **{"NEOPRO_URL": self.served.url, "NEOPRO_TOKEN": self.token, **more})

    def clip(self, name: str, duration_s: float = 1.0) -> Path:
        return make_clip(Clip(f"{name}.mp4", name, (200, 40, 90), duration_s), self.folder)

    def push(self, message: str) -> str:
        """Commit and push everything; how the control plane takes it."""
        git(self.checkout, "add", "-A")
        git(self.checkout, "commit", "-qm", message)
        git(self.checkout, "push", "-q", "origin", "HEAD:main")
        outcome = self.served.ingest()
        assert outcome.problems == []
        return outcome.verdict

    def thumbnail(self, video: str) -> bytes:
        """The picture that the video's document names."""
        found = re.search(r"^thumbnail: (.*)$", (self.checkout / "videos" / f"{video}.yaml").read_text(), re.MULTILINE)
        assert found
        return self.download(found[1])

    def download(self, digest: str) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = httpx.get(f"{self.served.url}/v1/blobs/{digest}", headers=headers, trust_env=False)
        assert answer.status_code == 200
        return answer.content


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedWorld]:
    with served_world(tmp_path_factory.mktemp("world"), "") as world:
        yield world


@pytest.fixture
def desk(served: ServedWorld, tmp_path: Path) -> Desk:
    return Desk(served, tmp_path)


def test_added_video_is_uploaded_described_put_into_its_set_and_published(desk: Desk) -> None:
    clip = desk.clip("Noël au gymnase")
    words = ("--set", "national", "--sponsor", "rail-france", "--from", "2026-12-01", "--until", "2026-12-31", "--json")
    done = neopro("video", "add", clip, *words, cwd=desk.checkout, env=desk.env())
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["videos"][0]["id"] == "noel-au-gymnase"
    digest, thumbnail = printed["videos"][0]["digest"], desk.thumbnail("noel-au-gymnase")
    assert printed["uploaded_bytes"] == clip.stat().st_size + len(thumbnail)
    assert thumbnail.startswith(b"\xff\xd8\xff"), "a JPEG"
    assert hashlib.sha256(desk.download(digest)).digest() == hashlib.sha256(clip.read_bytes()).digest()
    document = (desk.checkout / "videos" / "noel-au-gymnase.yaml").read_text()
    assert f"digest: {digest}" in document
    assert "duration_s: 1.0, width: 640, height: 360, codec: h264" in document
    assert "sponsor: rail-france" in document
    assert desk.push("Add a video") == "published"


def test_file_that_is_there_is_not_sent_again_and_the_set_is_not_doubled(desk: Desk) -> None:
    clip = desk.clip("twice")
    first = neopro("video", "add", clip, "--set", "national", cwd=desk.checkout, env=desk.env())
    assert first.returncode == 0, first.stderr
    text = (desk.checkout / "video-sets" / "national.yaml").read_text()
    again = neopro("video", "add", clip, "--set", "national", "--json", cwd=desk.checkout, env=desk.env())
    assert json.loads(again.stdout)["uploaded_bytes"] == 0
    assert (desk.checkout / "video-sets" / "national.yaml").read_text() == text


def test_interrupted_upload_goes_on_where_it_was(desk: Desk) -> None:
    clip = desk.clip("interrupted")
    data = clip.read_bytes()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    headers = {"Authorization": f"Bearer {desk.token}", "Content-Range": f"bytes 0-999/{len(data)}"}
    part = httpx.put(f"{desk.served.url}/v1/blobs/{digest}", content=data[:1000], headers=headers, trust_env=False)
    assert part.is_success, part.text
    done = neopro("video", "add", clip, "--json", cwd=desk.checkout, env=desk.env())
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["uploaded_bytes"] == len(data) - 1000 + len(desk.thumbnail("interrupted"))
    assert desk.download(digest) == data


def test_large_file_goes_in_parts(desk: Desk) -> None:
    clip = desk.clip("large")
    # An MP4 may have a `free` box of any size at its end (ISO/IEC 14496-12, 8.1.2).
    padding = 9 << 20
    clip.write_bytes(clip.read_bytes() + (padding + 8).to_bytes(4, "big") + b"free" + os.urandom(padding))
    done = neopro("video", "add", clip, "--json", cwd=desk.checkout, env=desk.env())
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["uploaded_bytes"] == clip.stat().st_size + len(desk.thumbnail("large"))
    assert len(desk.download(json.loads(done.stdout)["videos"][0]["digest"])) == clip.stat().st_size


def test_another_video_of_the_same_name_needs_replace(desk: Desk) -> None:
    first, second = desk.clip("same"), desk.clip("other")
    assert neopro("video", "add", first, cwd=desk.checkout, env=desk.env()).returncode == 0
    before = (desk.checkout / "videos" / "same.yaml").read_text()
    second.replace(first)
    refused = neopro("video", "add", first, cwd=desk.checkout, env=desk.env())
    assert (refused.returncode, "say --replace" in refused.stderr) == (2, True)
    assert (desk.checkout / "videos" / "same.yaml").read_text() == before
    assert neopro("video", "add", first, "--replace", cwd=desk.checkout, env=desk.env()).returncode == 0
    assert (desk.checkout / "videos" / "same.yaml").read_text() != before


@pytest.mark.parametrize(
    ("name", "content", "words", "says"),
    [
        ("a.mp4", b"no video", (), "it is not an MP4 file"),
        ("a.avi", b"\0\0\0\x18ftypisom", (), "it is not an MP4 file"),
        ("a.mp4", b"\0\0\0\x18ftypisom" + bytes(100), (), "damaged or no video"),
        (None, b"", (), "name at least one file"),
        ("missing", None, (), "No such file"),
    ],
)
def test_file_that_a_box_cannot_play_changes_nothing(
    desk: Desk, name: str | None, content: bytes | None, words: tuple[str, ...], says: str
) -> None:
    files = [desk.folder / name] if name else []
    if files and content is not None:
        files[0].write_bytes(content)
    done = neopro("video", "add", *files, *words, cwd=desk.checkout, env=desk.env())
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert git(desk.checkout, "status", "--porcelain") == ""


def test_unknown_set_is_named_before_anything_is_uploaded(desk: Desk) -> None:
    clip = desk.clip("unplaced")
    done = neopro("video", "add", clip, "--set", "nationl", cwd=desk.checkout, env=desk.env())
    assert (done.returncode, "did you mean national?" in done.stderr) == (2, True)
    digest = "sha256:" + hashlib.sha256(clip.read_bytes()).hexdigest()
    state = httpx.get(
        f"{desk.served.url}/v1/uploads/{digest}", headers={"Authorization": f"Bearer {desk.token}"}, trust_env=False
    )
    assert state.json()["offset_bytes"] == 0


@pytest.mark.parametrize("token", ["neopro_" + "x" * 43, "read-only"])
def test_token_that_may_not_write_leaves_the_checkout_as_it_was(desk: Desk, token: str) -> None:
    given = desk.new_token("read") if token == "read-only" else token
    done = neopro("video", "add", desk.clip("denied"), cwd=desk.checkout, env=desk.env(NEOPRO_TOKEN=given))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("neopro: cannot upload: ")
    assert git(desk.checkout, "status", "--porcelain") == ""


def test_added_release_is_uploaded_signed_and_published(desk: Desk) -> None:
    source = desk.folder / "build"
    _unpack_sample(source)
    (source / "webapp" / "configuration.json").write_text('{"auth": {"password": "of another club"}}')
    words = ("--version", "2.2.0", "--key", desk.key, "--hardware", "rpi4-4gb", "--within", "30s", "--json")
    done = neopro("release", "add", source, *words, cwd=desk.checkout, env=desk.env())
    assert done.returncode == 0, done.stderr
    assert "left out webapp/configuration.json: it is a club's configuration" in done.stderr
    tree = json.loads(done.stdout)["tree"]
    listing = msgspec.json.decode(desk.download(tree), type=FileTree)
    assert [file.path for file in listing.files] == sorted(
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and path.name != "configuration.json"
    )
    for file in listing.files:
        assert desk.download(file.digest) == (source / file.path).read_bytes()
    root = read_root((desk.checkout / "trust" / "root-1.json").read_bytes(), None)
    [name] = [path for path in git(desk.checkout, "status", "--porcelain", "-uall").split() if "release-list-" in path]
    newest = desk.checkout / name
    assert (tree, "2.2.0") in {(r.tree, r.version) for r in read_release_list(newest.read_bytes(), root).releases}
    assert desk.push("Add a release") == "published"


def test_same_release_in_an_archive_has_the_same_tree_and_sends_nothing(desk: Desk) -> None:
    source, archive = desk.folder / "build", desk.folder / "build.tar.gz"
    _unpack_sample(source)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source, "./deploy")
    trees = []
    for path in (source, archive):
        words = ("--version", "2.2.0", "--key", desk.key, "--json")
        done = neopro("release", "add", path, *words, cwd=desk.checkout, env=desk.env())
        assert done.returncode == 0, done.stderr
        trees.append(json.loads(done.stdout))
    assert trees[0]["tree"] == trees[1]["tree"]
    assert trees[1]["uploaded_bytes"] == 0


def test_release_that_must_not_be_added_changes_nothing(desk: Desk) -> None:
    source = desk.folder / "build"
    _unpack_sample(source)

    def refused(*words: str | Path) -> tuple[int, str]:
        done = neopro("release", "add", source, *words, cwd=desk.checkout, env=desk.env())
        assert git(desk.checkout, "status", "--porcelain") == ""
        return done.returncode, done.stderr

    status, says = refused("--version", "2.3.0", "--key", desk.key)
    assert (status, "it calls itself 2.2.0" in says) == (1, True)
    status, says = refused("--version", "2.2.0")
    assert (status, "name the release key" in says) == (2, True)
    status, says = refused("--version", "2.2.0", "--key", desk.served.world.manifest_key_file)
    assert (status, "does not list this key" in says) == (2, True)
    status, says = refused("--version", "2.2.0", "--key", desk.key, "--within", "soon")
    assert (status, "within" in says) == (2, True)
    (source / "server" / "link").symlink_to("/etc/passwd")
    status, says = refused("--version", "2.2.0", "--key", desk.key)
    assert (status, "server/link: it is a link" in says) == (1, True)


def test_version_that_the_list_knows_with_other_files_is_refused(desk: Desk) -> None:
    source = desk.folder / "build"
    _unpack_sample(source)
    (source / "release.json").write_text('{"version": "1.0.0"}')
    done = neopro("release", "add", source, "--version", "1.0.0", "--key", desk.key, cwd=desk.checkout, env=desk.env())
    assert (done.returncode, "take a new one" in done.stderr) == (1, True)


def test_status_shows_every_site_as_table_and_as_json(desk: Desk) -> None:
    git(desk.checkout, "config", "neopro.url", desk.served.url)
    token = desk.folder / "token"
    token.write_text(desk.token + "\n")
    git(desk.checkout, "config", "neopro.tokenfile", str(token))
    plain = neopro("status", cwd=desk.checkout)
    assert plain.returncode == 0, plain.stderr
    lines = plain.stdout.splitlines()
    assert lines[0].startswith("3 sites: ")
    assert [line.split()[0] for line in lines[-3:]] == ["brest", "nantes", "rennes"]
    printed = json.loads(neopro("status", "--json", cwd=desk.checkout).stdout)
    assert [site["site"] for site in printed["sites"]] == ["brest", "nantes", "rennes"]


def test_token_lives_from_add_to_revoke_while_the_server_runs(desk: Desk) -> None:
    config = desk.served.world.settings_file(database_url="")
    env = environment(desk.folder)
    made = neopro("token", "add", "marie", "--config", config, cwd=desk.folder, env=env)
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    with_token = desk.env(NEOPRO_TOKEN=token)
    assert neopro("status", cwd=desk.checkout, env=with_token).returncode == 0
    listed = json.loads(neopro("token", "list", "--config", config, "--json", cwd=desk.folder, env=env).stdout)
    assert [entry["scopes"] for entry in listed if entry["name"] == "marie"] == [["read"]]
    assert token not in json.dumps(listed)
    assert neopro("token", "revoke", "marie", "--config", config, cwd=desk.folder, env=env).returncode == 0
    refused = neopro("status", cwd=desk.checkout, env=with_token)
    assert (refused.returncode, "revoked" in refused.stderr) == (2, True)
    again = neopro("token", "revoke", "marie", "--config", config, cwd=desk.folder, env=env)
    assert (again.returncode, "no live one" in again.stderr) == (1, True)


def _unpack_sample(folder: Path) -> None:
    """The sample's release without what Python may have left beside it."""
    for path in (SAMPLE_APP / "2.2.0").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            target = folder / path.relative_to(SAMPLE_APP / "2.2.0")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
            target.chmod(path.stat().st_mode)
