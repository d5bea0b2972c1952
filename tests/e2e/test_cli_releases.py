"""Releases from an operator's desk: every kind of archive, patches that a box can apply, the agent, and revoking."""

import json
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zstandard

from cli.deltas import apply_delta
from schemas.frames import decode_delta
from schemas.manifest import FileTree
from schemas.trust import read_release_list, read_root
from tests.e2e.test_cli_online import Desk, _unpack_sample
from tests.support.command_line import git, neopro
from tests.support.world import ServedWorld, served_world


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedWorld]:
    with served_world(tmp_path_factory.mktemp("world"), "") as world:
        yield world


@pytest.fixture
def desk(served: ServedWorld, tmp_path: Path) -> Desk:
    return Desk(served, tmp_path)


def build(desk: Desk, version: str) -> Path:
    """The sample's release under another version; a file of it grows with every release."""
    folder = desk.folder / f"build-{version}"
    _unpack_sample(folder)
    (folder / "release.json").write_text(json.dumps({"version": version}))
    lines = [f"// line {number}, which every release has" for number in range(3000)]
    lines[1500] = f"// {version}"
    (folder / "server" / "long.js").write_text("\n".join(lines))
    return folder


def add(desk: Desk, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return neopro("release", "add", *words, "--key", desk.key, cwd=desk.checkout, env=desk.env())


def added(desk: Desk, *words: str | Path) -> dict[str, object]:
    done = add(desk, *words, "--json")
    assert done.returncode == 0, done.stderr
    printed: dict[str, object] = json.loads(done.stdout)
    return printed


def newest_list(desk: Desk) -> dict[tuple[str, str], str]:
    root = read_root((desk.checkout / "trust" / "root-1.json").read_bytes(), None)
    files = sorted((desk.checkout / "trust").glob("release-list-*.json"), key=lambda file: int(file.stem.split("-")[2]))
    return {(r.kind, r.version): r.tree for r in read_release_list(files[-1].read_bytes(), root).releases}


def listing(desk: Desk, tree: str) -> FileTree:
    return msgspec.json.decode(desk.download(tree), type=FileTree)


def test_box_that_runs_the_old_release_makes_the_new_one_from_the_patch(desk: Desk) -> None:
    first = added(desk, build(desk, "3.0.0"), "--version", "3.0.0")
    assert desk.push("Add 3.0.0") == "published"
    git(desk.checkout, "config", "user.name", "Ada")
    git(desk.checkout, "config", "user.email", "ada@example.org")
    second = added(desk, build(desk, "3.1.0"), "--version", "3.1.0", "--patch-from", "3.0.0", "--commit")
    git(desk.checkout, "push", "-q", "origin", "HEAD:main")
    assert desk.served.ingest().verdict == "published"

    document = (desk.checkout / "releases" / "3.1.0.yaml").read_text()
    [(since, base, index)] = re.findall(r"- from: (\S+)\n +base: (\S+)\n +index: (\S+)\n +size_bytes: \d+", document)
    assert (since, base) == ("3.0.0", first["tree"])
    delta = decode_delta(desk.download(index))
    pack = desk.download(delta.pack)
    old, new = listing(desk, str(first["tree"])), listing(desk, str(second["tree"]))
    body, files = apply_delta(delta, pack, old, desk.download)
    assert body == desk.download(str(second["tree"]))
    had = {file.digest for file in old.files}
    assert {file.digest for file in new.files} <= had | files.keys()
    long = next(file for file in new.files if file.path == "server/long.js")
    assert files[long.digest] == (desk.folder / "build-3.1.0" / "server" / "long.js").read_bytes()
    assert len(pack) < 1000 < long.size_bytes


def test_release_is_patched_from_what_layers_name_and_again_changes_nothing(desk: Desk) -> None:
    folder = build(desk, "4.0.0")
    first = added(desk, folder, "--version", "4.0.0", "--changelog", "Shorter.")
    assert [patch["from"] for patch in first["patches"]] == ["1.0.0"]  # type: ignore[attr-defined]
    document = desk.checkout / "releases" / "4.0.0.yaml"
    document.write_text(document.read_text() + "# mine\n")
    before = {
        path: path.read_bytes() for path in desk.checkout.rglob("*") if ".git" not in path.parts and path.is_file()
    }
    again = added(desk, folder, "--version", "4.0.0")
    assert (again["uploaded_bytes"], again["files"], again["patches"]) == (0, [], [])
    assert before == {
        path: path.read_bytes() for path in desk.checkout.rglob("*") if ".git" not in path.parts and path.is_file()
    }


def test_patch_is_made_from_files_on_this_machine(desk: Desk) -> None:
    old = build(desk, "5.0.0")
    added(desk, old, "--version", "5.0.0", "--no-patches")
    done = added(desk, build(desk, "5.1.0"), "--version", "5.1.0", "--patch-from", old)
    assert [patch["from"] for patch in done["patches"]] == ["5.0.0"]  # type: ignore[attr-defined]
    (old / "server" / "long.js").write_text("not what was released")
    refused = add(desk, build(desk, "5.2.0"), "--version", "5.2.0", "--patch-from", old)
    assert (refused.returncode, "no release of this repository has these files" in refused.stderr) == (2, True)
    unknown = add(desk, build(desk, "5.2.0"), "--version", "5.2.0", "--patch-from", "4.9.9")
    assert (unknown.returncode, "it is no release" in unknown.stderr) == (2, True)


def test_release_whose_base_is_not_there_is_added_without_a_patch(desk: Desk) -> None:
    text = (desk.checkout / "releases" / "1.0.0.yaml").read_text()
    missing = "sha256:" + "0" * 64
    (desk.checkout / "releases" / "0.9.0.yaml").write_text(
        re.sub(r"sha256:[0-9a-f]+", missing, text).replace("1.0.0", "0.9.0")
    )
    done = add(desk, build(desk, "6.0.0"), "--version", "6.0.0", "--patch-from", "0.9.0")
    assert done.returncode == 0, done.stderr
    assert f"no patch from 0.9.0: cannot download {missing}" in done.stderr


def test_every_kind_of_archive_is_the_same_release(desk: Desk) -> None:
    folder = build(desk, "7.0.0")
    (folder / "server" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "server" / "run.sh").chmod(0o755)
    archives = [desk.folder / f"release.tar{suffix}" for suffix in ("", ".gz", ".xz", ".bz2")]
    for archive in archives:
        with tarfile.open(archive, f"w:{archive.suffix[1:]}" if archive.suffix != ".tar" else "w") as tar:
            tar.add(folder, ".")
    zst = desk.folder / "release.tar.zst"
    zst.write_bytes(zstandard.compress(archives[0].read_bytes()))
    zipped = Path(shutil.make_archive(str(desk.folder / "release"), "zip", folder))
    trees = {added(desk, path, "--version", "7.0.0")["tree"] for path in (folder, *archives, zst, zipped)}
    assert len(trees) == 1
    modes = {file.path: file.mode for file in listing(desk, str(trees.pop())).files}
    assert (modes["server/run.sh"], modes["server/long.js"]) == ("0755", "0644")


def test_archive_that_is_unsound_is_refused_and_says_why(desk: Desk) -> None:
    evil = desk.folder / "evil.zip"
    with zipfile.ZipFile(evil, "w") as archive:
        archive.writestr("webapp/index.html", "")
        archive.writestr("../../etc/cron.d/x", "")
        link = zipfile.ZipInfo("server/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    done = add(desk, evil, "--version", "8.0.0")
    assert (done.returncode, done.stdout) == (1, "")
    assert "../../etc/cron.d/x: its path leads out of the package" in done.stderr
    assert "server/link: it is a link" in done.stderr
    for name, content in (("a.zip", b"PK\x03\x04broken"), ("a.tar.zst", b"\x28\xb5\x2f\xfdbroken"), ("a.tar", b"text")):
        (desk.folder / name).write_bytes(content)
        done = add(desk, desk.folder / name, "--version", "8.0.0")
        assert (done.returncode, "no readable tar or zip" in done.stderr) == (2, True), done.stderr
    assert git(desk.checkout, "status", "--porcelain") == ""


def test_dry_run_of_a_release_shows_its_document_and_sends_nothing(desk: Desk) -> None:
    words = (build(desk, "9.0.0"), "--version", "9.0.0", "--dry-run", "--key", desk.key)
    env = desk.env(NEOPRO_URL="http://127.0.0.1:9")
    done = neopro("release", "add", *words, cwd=desk.checkout, env=env)
    assert done.returncode == 0, done.stderr
    assert "+version: 9.0.0" in done.stdout
    assert git(desk.checkout, "status", "--porcelain") == ""


def test_agent_has_a_document_and_a_place_in_the_list_of_its_own(desk: Desk) -> None:
    folder = desk.folder / "agent"
    (folder / "data").mkdir(parents=True)
    (folder / "neopro_agent.pyz").write_bytes(b"code")
    (folder / "data" / "units.txt").write_text("unit")
    done = added(desk, folder, "--agent", "--version", "1.2.0", "--changelog", "Quieter.")
    assert newest_list(desk)["agent", "1.2.0"] == done["tree"]
    assert "changelog: |\n  Quieter.\n" in (desk.checkout / "agents" / "1.2.0.yaml").read_text()
    assert [file.path for file in listing(desk, str(done["tree"])).files] == ["data/units.txt", "neopro_agent.pyz"]
    assert desk.push("Add an agent") == "published"
    listed = neopro("release", "list", "--agent", "--json", cwd=desk.checkout, env=desk.env())
    assert [release["standing"] for release in json.loads(listed.stdout)["releases"]] == ["allowed"]


def test_revoked_release_is_in_no_list_any_more_and_its_layers_name_another(desk: Desk) -> None:
    added(desk, build(desk, "10.0.0"), "--version", "10.0.0")
    fleet = desk.checkout / "fleet.yaml"
    before = fleet.read_text()
    fleet.write_text(before.replace('"1.0.0"', '"10.0.0"') + "# why\n")
    assert desk.push("Take 10.0.0") == "published"
    words = ("release", "revoke", "10.0.0", "--key", desk.key)
    refused = neopro(*words, cwd=desk.checkout, env=desk.env())
    assert (refused.returncode, "fleet.yaml names it, for 3 sites" in refused.stderr) == (2, True)
    assert git(desk.checkout, "status", "--porcelain") == ""
    done = neopro(*words, "--to", "1.0.0", "--now", cwd=desk.checkout, env=desk.env())
    assert done.returncode == 0, done.stderr
    assert ("app", "10.0.0") not in newest_list(desk)
    assert ("app", "1.0.0") in newest_list(desk)
    assert json.loads(fleet.read_text().splitlines()[1].partition(": ")[2])["release"] == "1.0.0"
    assert fleet.read_text().endswith("# why\n")
    assert (desk.checkout / "revoked.yaml").read_text().endswith("releases: [10.0.0]\n")
    git(desk.checkout, "commit", "-qam", "Revoke 10.0.0")
    git(desk.checkout, "add", "-A")
    git(desk.checkout, "commit", "-q", "--amend", "--no-edit")
    git(desk.checkout, "push", "-q", "origin", "HEAD:main")
    assert desk.served.ingest().verdict == "published"
    again = neopro("release", "revoke", "1.0.0", "--to", "10.0.0", "--key", desk.key, cwd=desk.checkout, env=desk.env())
    assert (again.returncode, "cannot put layers on 10.0.0: it is revoked" in again.stderr) == (2, True)
