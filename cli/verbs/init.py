"""`neopro init`: a new fleet-state repository, or the newest schemas in one that is there."""

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from cli.checkout import MARKER, Checkout
from cli.errors import CommandFailed
from cli.flags import Flag, Several
from cli.new_repository import FORGES, SCHEMAS, Forge, scaffold, schema_files, with_schema_line
from cli.output import Output

_WELCOME: Final = re.compile(r"\.|(?i:README|LICENSE|LICENCE|trust$)")
"""Names of what a folder may hold before it becomes a repository: what forges put there, and keys made before."""


def init(
    folder: Path = Path(),
    /,
    *,
    keys: Path | None = None,
    forge: Several[Forge] = None,
    json: Flag = False,
) -> None:
    """Start a fleet-state repository: its folders, schemas for editors, and checks of pull requests.

    In a repository that is there, it brings what is missing and the schemas of this version of neopro; what you wrote
    stays. GitHub, GitLab, Gitea and Forgejo each read their own file of checks; those of the others do no harm.

    Examples:

    - `neopro init fleet --keys ~/neopro-keys`
    - `neopro init --forge gitlab`

    Parameters
    ----------
    folder
        Where; it is made if it is not there.
    keys
        Make the fleet's keys, too, as `neopro keys init` does, and put them there; outside of the repository.
    forge
        Write checks for this forge only; can be given several times.
    json
        Print what was written as JSON.
    """
    output = Output(json)
    checkout, is_new = _checkout(folder)
    files = _wanted(checkout, forge or FORGES)
    # Keys first: where none can be made, nothing is written.
    trusted = _trust(checkout, keys)
    checkout.write(files)
    output.data({"folder": str(checkout.root), "new": is_new, "wrote": sorted([*files, *trusted])})
    for path in sorted([*files, *trusted]):
        output.say(f"wrote {path}")
    if not files and not trusted:
        output.say("nothing to write: everything is there, and of this version")
    elif is_new:
        output.say(_next(folder, trusted, keys))


def _checkout(folder: Path) -> tuple[Checkout, bool]:
    """The folder as a checkout, and whether it becomes one now."""
    if folder.exists() and not folder.is_dir():
        raise CommandFailed(f"cannot start a repository in {folder}: it is a file")
    is_new = not (folder / MARKER).is_file()
    others = sorted(path.name for path in folder.glob("*") if not _WELCOME.match(path.name)) if is_new else []
    if others:
        raise CommandFailed(f"cannot start a repository in {folder}: it holds {others[0]}; name a folder of its own")
    return Checkout(folder.resolve()), is_new


def _wanted(checkout: Checkout, forges: Sequence[Forge]) -> Mapping[str, str | bytes]:
    """What is to be written: what is missing, and what is ours and differs."""
    missing = {
        path: text
        for path, text in scaffold(version("neopro-fleet"), forges).items()
        if not (checkout.root / path).exists()
    }
    stale = {path: data for path, data in schema_files().items() if _bytes(checkout, path) != data}
    lines: dict[str, str] = {}
    for path in _documents(checkout):
        text = checkout.read(path)
        if (fresh := with_schema_line(text, path)) != text:
            lines[path] = fresh
    return {**missing, **stale, **lines}


def _documents(checkout: Checkout) -> list[str]:
    single = [name for name in SCHEMAS if name.endswith(".yaml") and checkout.has(name)]
    folders = [name for name in SCHEMAS if not name.endswith(".yaml")]
    return single + [path for folder in folders for path in checkout.documents(folder).values()]


def _bytes(checkout: Checkout, path: str) -> bytes | None:
    file = checkout.root / path
    return file.read_bytes() if file.is_file() else None


def _trust(checkout: Checkout, keys: Path | None) -> list[str]:
    if keys is None:
        return []
    from cli.verbs import keys_init

    keys_init.init(checkout, keys)
    return [f"trust/{path.name}" for path in sorted((checkout.root / "trust").glob("*.json"))]


def _next(folder: Path, trusted: list[str], keys: Path | None) -> str:
    cd = "" if folder == Path() else f"cd {folder} && "
    make_keys = [] if trusted else ["neopro keys init --keys ~/neopro-keys     # before anything is published"]
    kept = f" (keep {keys}/root.key offline, give {keys}/manifest.key to the control plane)" if keys else ""
    steps = [*make_keys, 'git init -b main && git add -A && git commit -m "Begin the fleet"', "neopro doctor"]
    return "\n".join([f"next{kept}:", f"  {cd}{steps[0]}", *(f"  {step}" for step in steps[1:])])
