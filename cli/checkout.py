"""A checkout of a fleet-state repository on this machine: found, read, and written so that no interrupt halves it."""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cli.errors import CommandFailed

MARKER: Final = "fleet.yaml"


class Checkout:
    """The folder that holds `fleet.yaml`; paths given to it are relative to that folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def find(cls, start: Path | None) -> "Checkout":
        """The checkout at `start`, or the one around the current folder; CommandFailed where there is none."""
        here = (start or Path.cwd()).resolve()
        for folder in (here,) if start else (here, *here.parents):
            if (folder / MARKER).is_file():
                return cls(folder)
        raise CommandFailed(
            f"cannot find a fleet-state repository: there is no {MARKER} in {start or 'this folder or above it'}; "
            "name its folder with --repository"
        )

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return (self.root / path).is_file()

    def read(self, path: str) -> str:
        """A file's text; CommandFailed where it cannot be read."""
        try:
            return (self.root / path).read_text("utf-8")
        except FileNotFoundError:
            raise CommandFailed(f"cannot read {path}: there is no such file in {self.root}") from None
        except (OSError, UnicodeDecodeError) as problem:
            raise CommandFailed(f"cannot read {self.root / path}: {problem}") from None

    def ids(self, folder: str) -> list[str]:
        """The ids of the documents in `folder`, sorted."""
        return sorted(path.stem for path in (self.root / folder).glob("*.yaml"))

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write all of these files or none: staged first, then renamed while signals wait; CommandFailed on a fault."""
        staged: dict[Path, Path] = {}
        try:
            for path, content in files.items():
                target = self.root / path
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
                staged[temporary] = target
                temporary.write_bytes(content.encode() if isinstance(content, str) else content)
            self._rename_all(staged)
        except OSError as problem:
            raise CommandFailed(f"cannot write {problem.filename}: {problem.strerror}") from None
        finally:
            for temporary in staged:
                temporary.unlink(missing_ok=True)

    def git_settings(self) -> dict[str, str]:
        """What `git config neopro.NAME` holds in this checkout, by lower-case name; empty outside of Git.

        Such settings stay on this machine: a clone does not bring them, so a repository cannot send a token elsewhere.
        """
        asked = ["git", "-C", str(self.root), "config", "--local", "--null", "--get-regexp", r"^neopro\."]
        try:
            answer = subprocess.run(asked, capture_output=True, check=False)
        except FileNotFoundError:
            return {}
        pairs = (line.partition("\n") for line in answer.stdout.decode("utf-8", "replace").split("\0") if line)
        return {key.removeprefix("neopro."): value for key, _, value in pairs}

    @staticmethod
    def _rename_all(staged: Mapping[Path, Path]) -> None:
        held = {signal.SIGINT, signal.SIGTERM}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
        try:
            for temporary, target in staged.items():
                temporary.replace(target)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
