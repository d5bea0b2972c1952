"""A large checkout: what one command parsed is known to the next, and costs no more than time when it is lost."""

from pathlib import Path

import pytest

from tests.support.command_line import environment, neopro
from tests.support.fleet_generator import make_fleet


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("large")
    for path, data in make_fleet(600, 3).items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return root


def cached(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file() and "neopro" in path.parts]


@pytest.mark.parametrize("variables", [{}, {"XDG_CACHE_HOME": "caches"}])
def test_commands_share_what_they_parsed_in_the_cache_of_the_user(
    large: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    given = {name: str(tmp_path / value) for name, value in variables.items()}
    env = environment(tmp_path, **given)
    first = neopro("validate", large, cwd=tmp_path, env=env)
    assert (first.returncode, first.stderr) == (0, "") and "600 sites" in first.stdout
    (file,) = cached(Path(given.get("XDG_CACHE_HOME", tmp_path / ".cache")))
    assert file.stat().st_mode & 0o777 == 0o600
    written = file.read_bytes()
    again = neopro("validate", large, cwd=tmp_path, env=env)
    assert again.stdout == first.stdout
    assert file.read_bytes() == written, "something was parsed again"
    listed = neopro("site", "list", "--json", cwd=large, env=env)
    assert listed.returncode == 0 and listed.stdout.count('"name"') >= 600


def test_a_broken_cache_is_said_and_changes_no_answer(large: Path, tmp_path: Path) -> None:
    env = environment(tmp_path)
    first = neopro("validate", large, cwd=tmp_path, env=env)
    (file,) = cached(tmp_path / ".cache")
    file.write_bytes(b"nothing of use")
    broken = neopro("validate", large, cwd=tmp_path, env=env)
    assert (broken.returncode, broken.stdout) == (0, first.stdout)
    assert broken.stderr.count("\n") == 1 and "they are parsed again" in broken.stderr
    healed = neopro("validate", large, cwd=tmp_path, env=env)
    assert (healed.returncode, healed.stdout, healed.stderr) == (0, first.stdout, "")


def test_a_small_repository_leaves_nothing_behind(tmp_path: Path) -> None:
    root = tmp_path / "small"
    for path, data in make_fleet(20, 3).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    neopro("validate", root, cwd=tmp_path, env=environment(tmp_path))
    assert not cached(tmp_path)
