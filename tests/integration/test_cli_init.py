"""`neopro init`: what it writes is a repository that validates, that editors understand, and that forges check."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from cli.new_repository import FORGES, SCHEMAS, scaffold, schema_files, schema_line
from schemas.desired import SINGLES
from tests.support.command_line import environment, git, neopro
from tests.support.scripted_http import Say, ScriptedServer
from tests.support.transcripts import ROOT, command_folder, small

SAMPLE = ROOT / "fleet-state"
CHECKS = {"github": ".github/workflows/fleet.yml", "gitlab": ".gitlab-ci.yml", "gitea": ".gitea/workflows/fleet.yml"}


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A new repository with keys, committed."""
    done = neopro("init", "fleet", "--keys", "keys", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    git(tmp_path / "fleet", "init", "-q", "-b", "main")
    git(tmp_path / "fleet", "add", "-A")
    git(tmp_path / "fleet", "commit", "-qm", "Begin the fleet")
    return tmp_path / "fleet"


def add_first_site(fleet: Path) -> None:
    """A group and a site in it: a site in no group would need a release."""
    west = ("--name", "West", "--select", "region=Y", "--priority", "200")
    assert neopro("group", "add", "west", *west, cwd=fleet).returncode == 0
    assert neopro("site", "add", "x", "--name", "X", "--city", "X", "--region", "Y", cwd=fleet).returncode == 0


def test_new_repository_is_good_to_publish_and_its_first_site_too(fleet: Path) -> None:
    assert neopro("validate", cwd=fleet).stdout == "0 sites, 0 warnings: good to publish\n"
    add_first_site(fleet)
    assert neopro("validate", cwd=fleet).stdout.startswith("1 site, ")
    assert git(fleet, "status", "--porcelain").splitlines() == ["?? groups/west.yaml", "?? sites/x.yaml"]


def test_private_keys_are_not_in_the_repository_and_would_not_be_committed(fleet: Path) -> None:
    assert sorted(path.name for path in (fleet.parent / "keys").iterdir()) == [
        "manifest.key",
        "release.key",
        "root.key",
    ]
    (fleet / "release.key").write_text("secret")
    assert git(fleet, "status", "--porcelain") == ""


def test_second_run_changes_nothing_and_an_older_one_is_brought_up_to_date(fleet: Path) -> None:
    add_first_site(fleet)
    (fleet / "README.md").write_text("ours\n")
    assert neopro("init", cwd=fleet).stdout == "nothing to write: everything is there, and of this version\n"
    site = fleet / "sites" / "x.yaml"
    moved = fleet / "sites" / "west" / "x.yaml"
    moved.parent.mkdir()
    site.rename(moved)
    (fleet / ".neopro" / "schemas" / "site.json").write_text("{}")
    (fleet / "CODEOWNERS").unlink()
    printed = json.loads(neopro("init", "--json", cwd=fleet).stdout)
    assert printed["wrote"] == [".neopro/schemas/site.json", "CODEOWNERS", "sites/west/x.yaml"]
    assert moved.read_text().splitlines()[0] == "# yaml-language-server: $schema=../../.neopro/schemas/site.json"
    assert (fleet / "README.md").read_text() == "ours\n"


@pytest.mark.parametrize("words", [("fleet", "--keys", "fleet/keys"), ("full",), ("file",), ("new", "--forge", "svn")])
def test_what_cannot_be_begun_leaves_nothing_behind(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    (tmp_path / "file").touch()
    done = neopro("init", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full", "thesis.tex"]


def test_sample_is_a_repository_as_init_would_bring_it_up_to_date(tmp_path: Path) -> None:
    """After a change of the schemas: `make schema`; after one of the scaffold: `neopro init fleet-state`."""
    before = {path: path.read_bytes() for path in SAMPLE.rglob("*") if path.is_file()}
    assert neopro("init", SAMPLE, cwd=tmp_path).stdout.startswith("nothing to write")
    assert {path: path.read_bytes() for path in SAMPLE.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("path", sorted({*SINGLES, "sites/x.yaml", "sites/west/x.yaml", "video-sets/x.yaml"}))
def test_editor_line_of_a_document_leads_to_its_schema(path: str, tmp_path: Path) -> None:
    line = schema_line(path)
    target = (tmp_path / path).parent / line.partition("$schema=")[2]
    relative = os.path.relpath(target, tmp_path)
    assert json.loads(schema_files()[relative])["$schema"].startswith("https://json-schema.org/")


def test_editor_accepts_every_document_of_the_sample() -> None:
    """As an editor does it: by the schema that the first line names."""
    yaml = YAML(typ="safe", pure=True)
    checked = 0
    for path in SAMPLE.rglob("*.yaml"):
        first = path.read_text().splitlines()[0]
        if path.relative_to(SAMPLE).parts[0].startswith("."):
            continue
        schema = json.loads((path.parent / first.partition("$schema=")[2]).read_text())
        document = json.loads(json.dumps(yaml.load(path), default=str))
        assert list(Draft202012Validator(schema).iter_errors(document)) == [], path
        checked += 1
    assert checked > 30


def test_settings_of_vs_code_name_schemas_that_are_there_for_every_kind() -> None:
    files = scaffold("1.2.3", FORGES)
    globs = json.loads(files[".vscode/settings.json"])["yaml.schemas"]
    assert {*globs} == {*schema_files()}
    assert sorted(glob.partition("/")[0] for glob in globs.values()) == sorted(SCHEMAS)


@pytest.mark.parametrize("forge", FORGES)
def test_checks_of_a_forge_are_yaml_and_install_the_version_that_wrote_them(forge: str) -> None:
    files = scaffold("1.2.3", FORGES)
    text = files[CHECKS[forge]]
    assert "NEOPRO_PACKAGE: neopro-fleet[cli]==1.2.3" in text
    assert any("neopro validate" in line for line in shell_lines(forge, text))
    assert any("neopro plan" in line for line in shell_lines(forge, text))


@pytest.mark.parametrize("forge", FORGES)
def test_shell_lines_of_the_checks_run_on_a_pull_request(forge: str, tmp_path: Path) -> None:
    fleet = a_pull_request(tmp_path)
    with ScriptedServer(lambda _: Say(201, {}, b"{}")).serving() as server:
        run_checks(forge, fleet, server.url)
        comments = [asked for asked in server.asked if asked.method == "POST"]
    plan = (fleet / ".neopro" / "plan.md").read_text()
    assert "rennes-fc" in plan or "site" in plan
    if forge == "github":
        assert plan in (tmp_path / "summary").read_text()
        assert "pr comment 7 --body-file .neopro/plan.md" in (tmp_path / "gh.log").read_text()
    else:
        assert len(comments) == 1
        assert comments[0].path.endswith(
            {"gitlab": "/projects/5/merge_requests/7/notes"}.get(forge, "/issues/7/comments")
        )
    assert (tmp_path / "pip.log").read_text().startswith("install neopro-fleet[cli]==")


@pytest.mark.parametrize("forge", FORGES)
def test_shell_lines_of_the_checks_fail_on_a_mistake(forge: str, tmp_path: Path) -> None:
    fleet = a_pull_request(tmp_path)
    site = fleet / "sites" / "rennes-fc.yaml"
    site.write_text(site.read_text().replace("sports:", "sprots:"))
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run_checks(forge, fleet, "http://127.0.0.1:9")
    said = failed.value.stdout + failed.value.stderr
    assert failed.value.returncode == 1
    if forge == "github":
        assert "::error file=sites/rennes-fc.yaml,line=5,col=1,title=UnknownKey::" in said
    if forge == "gitlab":
        report = json.loads((fleet / ".neopro" / "code-quality.json").read_text())
        assert [entry["location"]["path"] for entry in report] == ["sites/rennes-fc.yaml"]


def a_pull_request(home: Path) -> Path:
    """The small fleet with the files of init, and a commit that changes one box."""
    fleet = home / "fleet"
    fleet.mkdir()
    small(fleet)
    assert neopro("init", fleet, cwd=home).returncode == 0
    git(fleet, "add", "-A")
    git(fleet, "commit", "-qm", "Bring the checks")
    site = fleet / "sites" / "rennes-fc.yaml"
    site.write_text(site.read_text().replace("{position: bottom}", "{position: top-left}"))
    git(fleet, "commit", "-qam", "Move the score in Rennes")
    return fleet


def run_checks(forge: str, fleet: Path, url: str) -> None:
    """Every shell line of the forge's file, as its runner would run it; pip and gh only take notes."""
    home = fleet.parent
    tools = command_folder(home)
    for name in ("pip", "gh"):
        (tools / name).write_text(f'#!/bin/sh\necho "$*" >> "{home}/{name}.log"\n')
        (tools / name).chmod(0o755)
    values = {
        "github.event.pull_request.base.sha": git(fleet, "rev-parse", "HEAD~1"),
        "github.event.pull_request.number": "7",
        "github.token": "a-token",
        "secrets.GITHUB_TOKEN": "a-token",
    }
    runner = {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "GITHUB_STEP_SUMMARY": str(home / "summary"),
        "GITHUB_API_URL": url,
        "GITHUB_REPOSITORY": "club/fleet",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": values["github.event.pull_request.base.sha"],
        "CI_MERGE_REQUEST_IID": "7",
        "CI_PROJECT_ID": "5",
        "CI_API_V4_URL": url,
        "NEOPRO_COMMENT_TOKEN": "a-token",
        "NO_PROXY": "127.0.0.1",
    }
    for line, env in steps(forge, (fleet / CHECKS[forge]).read_text()):
        given = {name: re.sub(r"\$\{\{ (.+?) \}\}", lambda found: values[found[1]], text) for name, text in env.items()}
        subprocess.run(
            ["bash", "-eo", "pipefail", "-c", line],
            cwd=fleet,
            env=environment(home, **runner) | given,
            capture_output=True,
            text=True,
            check=True,
        )


def steps(forge: str, text: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each piece of shell of a file of checks, with the variables that the file gives it."""
    document = YAML(typ="safe", pure=True).load(text)
    if forge == "gitlab":
        job = document["fleet"]
        yield "\n".join(job["script"]), job["variables"]
        return
    for job in document["jobs"].values():
        for step in job["steps"]:
            if "run" in step:
                yield step["run"], {**job.get("env", {}), **step.get("env", {})}


def shell_lines(forge: str, text: str) -> list[str]:
    return [line for piece, _ in steps(forge, text) for line in piece.splitlines()]
