"""`neopro` as a process, on a checkout, without a control plane."""

import json
import shutil
import stat
from pathlib import Path

import pytest

from cli.__main__ import run
from cli.catalogue import SUBJECTS, VERBS
from schemas.desired import Site
from schemas.trust import read_release_list, read_root
from tests.support.command_line import environment, git, neopro

SAMPLE = Path(__file__).resolve().parents[2] / "fleet-state"
IDENTITY = "ed25519:PaoemJ+IOwOl8zvMMAlYwW1Hf7D9Q31fAN7AdHbO8f0="


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A copy of the sample."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "fleet"))


def test_sample_is_good_to_publish_without_a_warning(fleet: Path, tmp_path: Path) -> None:
    done = neopro("validate", fleet, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "12 sites, 0 warnings: good to publish\n"


def test_every_problem_is_told_with_its_place_and_status_1(fleet: Path, tmp_path: Path) -> None:
    site = fleet / "sites" / "rennes-fc.yaml"
    site.write_text(site.read_text().replace("sports:", "sprots:"))
    (fleet / "groups" / "beta.yaml").write_text(
        "name: Beta\npriority: 900\nselect: {labels.channel: beta}\nrelease: 9.9.9\n"
    )
    done = neopro("validate", cwd=fleet)
    assert done.returncode == 1
    assert "sites/rennes-fc.yaml:5:1: error" in done.stdout
    assert "groups/beta.yaml:4:" in done.stdout
    assert "would be refused whole" in done.stdout


def test_problems_as_json_are_data_alone(fleet: Path, tmp_path: Path) -> None:
    (fleet / "sites" / "broken.yaml").write_text("name: [\n")
    done = neopro("validate", fleet, "--json", cwd=tmp_path)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["errors"] == len(report["problems"]) == 1
    assert report["problems"][0]["file"] == "sites/broken.yaml"
    assert done.stderr == ""


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_what_is_no_repository_cannot_be_checked(tmp_path: Path, folder: str) -> None:
    done = neopro("validate", folder, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("neopro: cannot check ")
    assert done.stderr.count("\n") == 1


def test_file_that_git_ignores_is_not_looked_at(fleet: Path) -> None:
    git(fleet, "init", "-q", "-b", "main")
    (fleet / ".gitignore").write_text("*.swp\n")
    (fleet / "sites" / ".rennes-fc.yaml.swp").write_bytes(b"\0\1")
    assert neopro("validate", cwd=fleet).returncode == 0


def test_new_fleet_has_keys_outside_and_trust_inside(fleet: Path, tmp_path: Path) -> None:
    shutil.rmtree(fleet / "trust")
    assert neopro("validate", fleet, cwd=tmp_path).returncode == 1
    done = neopro("keys", "init", fleet, "--keys", "keys", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)["keys"]
    root = read_root((fleet / "trust" / "root-1.json").read_bytes(), None)
    assert sorted(root.keys.values()) == sorted(key["public"] for key in printed.values())
    assert read_release_list((fleet / "trust" / "release-list-1.json").read_bytes(), root).releases == []
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()}
    assert modes == {"root.key": 0o600, "release.key": 0o600, "manifest.key": 0o600}
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_keys_are_never_made_twice_nor_inside_the_repository(fleet: Path, tmp_path: Path) -> None:
    again = neopro("keys", "init", fleet, "--keys", "keys", cwd=tmp_path)
    assert (again.returncode, "has a trust folder already" in again.stderr) == (2, True)
    shutil.rmtree(fleet / "trust")
    inside = neopro("keys", "init", fleet, "--keys", fleet / "keys", cwd=tmp_path)
    assert (inside.returncode, "inside the repository" in inside.stderr) == (2, True)
    (tmp_path / "keys").mkdir(mode=0o700)
    (tmp_path / "keys" / "release.key").write_text("mine")
    taken = neopro("keys", "init", fleet, "--keys", "keys", cwd=tmp_path)
    assert (taken.returncode, "release.key is there already" in taken.stderr) == (2, True)
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["release.key"]
    assert not (fleet / "trust").exists()


def test_added_site_is_valid_and_chosen_by_its_groups(fleet: Path) -> None:
    place = ("--city", "Quimper", "--region", "Bretagne", "--sport", "handball", "--identity", IDENTITY)
    (fleet / "sites" / "rennes-fc.yaml").unlink()
    (fleet / "groups" / "premium.yaml").unlink()
    done = neopro("site", "add", "quimper", "--name", "HB: l'Odet", *place, "--hardware", "rpi4-4gb", cwd=fleet)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "wrote sites/quimper.yaml; commit and push to publish\n"
    text = (fleet / "sites" / "quimper.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=")
    assert "#" in text.splitlines()[-1], "it explains what can be written"
    assert neopro("validate", cwd=fleet).returncode == 0
    assert _read_site(text).name == "HB: l'Odet"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("rennes-fc", "--name", "X"), "is there already"),
        (("Rennes FC", "--name", "X"), "small letters"),
        (("../x", "--name", "X"), "small letters"),
        (("x", "--name", "X", "--timezone", "Europe/Pari"), "no time zone Europe/Pari"),
        (("x", "--name", "X", "--lat", "91", "--lon", "0"), "lat"),
        (("x", "--name", ""), "name"),
        (("x", "--name", "X", "--identity", "ed25519:" + "A" * 43 + "="), "small order"),
    ],
)
def test_site_that_would_be_refused_is_not_written(fleet: Path, words: tuple[str, ...], says: str) -> None:
    before = sorted((fleet / "sites").iterdir())
    done = neopro("site", "add", *words, "--city", "X", "--region", "Y", cwd=fleet)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert sorted((fleet / "sites").iterdir()) == before


def test_verb_without_a_control_plane_says_what_to_set(fleet: Path) -> None:
    done = neopro("status", cwd=fleet)
    assert (done.returncode, done.stdout) == (2, "")
    assert "set NEOPRO_URL" in done.stderr
    named = neopro("status", cwd=fleet, env=environment(fleet, NEOPRO_URL="http://127.0.0.1:9", NEOPRO_TOKEN="x"))
    assert (named.returncode, "cannot reach the control plane at http://127.0.0.1:9" in named.stderr) == (2, True)
    plain = neopro("status", cwd=fleet, env=environment(fleet, NEOPRO_URL="http://fleet.example", NEOPRO_TOKEN="x"))
    assert (plain.returncode, "it must be https://" in plain.stderr) == (2, True)


def test_token_on_a_machine_that_is_not_the_servers_is_refused_and_makes_no_database(tmp_path: Path) -> None:
    env = environment(tmp_path, NEOPRO_DATA_DIR=str(tmp_path / "data"))
    done = neopro("token", "add", "marie", cwd=tmp_path, env=env)
    assert (done.returncode, done.stdout) == (2, "")
    assert "has not run here" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("vidoe", "add"), "did you mean neopro video?"),
        (("video", "ad"), "did you mean neopro video add?"),
        (("frobnicate",), "see: neopro --help"),
        (("site", "add", "x", "--nme", "X"), "--name"),
        (("token", "add", "x", "--scope", "root"), "root"),
        (("demo", "--port", "many"), "many"),
    ],
)
def test_slip_of_the_pen_is_answered_with_one_sentence_and_status_2(
    tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    done = neopro(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("neopro: cannot ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_names_every_verb_and_imports_none(tmp_path: Path) -> None:
    done = neopro("--help", cwd=tmp_path, env={**environment(tmp_path), "PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "site" in imported, "what Python itself imports is told"
    assert not imported & {"control_plane", "litestar", "psycopg", "pygit2", "minio", "httpx", "ruamel"}
    assert done.returncode == 0
    assert all(f"  {words} " in done.stdout for words in VERBS)
    assert neopro(cwd=tmp_path).stdout == done.stdout


@pytest.mark.parametrize("words", [*VERBS, *SUBJECTS])
def test_help_of_every_verb_teaches(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words.split(), "--help"]) == 0
    shown = capsys.readouterr()
    assert f"neopro {words}" in shown.out
    assert shown.err == ""


def _read_site(text: str) -> Site:
    import msgspec
    from ruamel.yaml import YAML

    return msgspec.convert(YAML(typ="safe", pure=True).load(text), Site)
