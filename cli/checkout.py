"""A checkout of a fleet-state repository on this machine: found, read, and written so that no interrupt halves it."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
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

    @classmethod
    def find_if_any(cls, start: Path | None) -> "Checkout | None":
        """As `find`, but None where `start` is not given and there is none around the current folder."""
        if start:
            return cls.find(start)
        try:
            return cls.find(None)
        except CommandFailed:
            return None

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return (self.root / path).is_file()

    def read(self, path: str) -> str:
        """A file's text; CommandFailed where it cannot be read."""
        try:
            return (self.root / path).read_bytes().decode("utf-8")  # line ends as they are
        except FileNotFoundError:
            raise CommandFailed(f"cannot read {path}: there is no such file in {self.root}") from None
        except (OSError, UnicodeDecodeError) as problem:
            raise CommandFailed(f"cannot read {self.root / path}: {problem}") from None

    def ids(self, folder: str) -> list[str]:
        """The ids of the documents in `folder` and below it, sorted."""
        return sorted(self.documents(folder))

    def documents(self, folder: str) -> dict[str, str]:
        """Id -> path of the documents in `folder`, which may have folders of its own."""
        found = (path for path in (self.root / folder).rglob("*.yaml") if not path.name.startswith("."))
        return {path.name.removesuffix(".yaml"): path.relative_to(self.root).as_posix() for path in found}

    def path_of(self, folder: str, name: str) -> str:
        """The path of a document that must be there; CommandFailed, with the nearest name, where it is not."""
        direct = f"{folder}/{name}.yaml"
        if self.has(direct):
            return direct
        known = self.documents(folder)
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"{folder}/ has {len(known)} documents"
            raise CommandFailed(f"cannot find {folder}/{name}.yaml in {self.root}: {hint}")
        return known[name]

    def write(self, files: Mapping[str, str | bytes | None]) -> None:
        """Write all of these files or none, and delete those that are None; CommandFailed on a fault.

        New content is staged first; the renames and deletions happen while signals wait.
        """
        staged: dict[Path, Path] = {}
        try:
            for path, content in files.items():
                if content is None:
                    continue
                target = self.root / path
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
                staged[temporary] = target
                temporary.write_bytes(content.encode() if isinstance(content, str) else content)
            with signals_wait():
                for temporary, target in staged.items():
                    temporary.replace(target)
                for path in (path for path, content in files.items() if content is None):
                    (self.root / path).unlink(missing_ok=True)
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


@contextmanager
def signals_wait() -> Iterator[None]:
    """Ctrl-C, a closed terminal and SIGTERM are heard after the block, not in it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
