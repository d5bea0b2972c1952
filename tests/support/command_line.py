"""Runs `neopro` as a process, the way an operator does."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

HOME_VARIABLES = ("PATH", "LANG", "SSL_CERT_FILE", "PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")


ROOT = Path(__file__).resolve().parents[2]


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment in which nothing of the user's is found: no configuration, no token, no Git settings."""
    kept = {name: os.environ[name] for name in HOME_VARIABLES if name in os.environ}
    mine = {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": str(home / "gitconfig")}
    return {**kept, **mine, **more}


def neopro(
    *words: str | Path, cwd: Path, env: Mapping[str, str] | None = None, timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """One run of the command; its output as text."""
    command = [sys.executable, "-m", "cli", *map(str, words)]
    given = dict(env or environment(cwd)) | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command,
        cwd=cwd,
        env=given,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def git(folder: Path, *words: str) -> str:
    """One run of git in `folder` by somebody with a name; what it prints."""
    identity = ("-c", "user.name=Ada Operator", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *identity, *words], cwd=folder, env=environment(folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
