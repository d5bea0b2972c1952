"""The settings of an operator's machine, and where each comes from: one order for all of them.

First the environment, then the checkout (`git config neopro.NAME`), then the client's file. `neopro help environment`
prints the table.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from cli.checkout import Checkout
from cli.errors import CommandFailed

CLIENT_FILE: Final = Path("neopro", "client.toml")
"""Under XDG_CONFIG_HOME or ~/.config."""


class Place(NamedTuple):
    """Where a setting may stand: a variable, a key of `git config` in the checkout, of the client's file."""

    variable: str
    git: str
    file: str
    what: str


class Setting(NamedTuple):
    """A setting as it is in force; `source` says where it stands, in words. Both empty: nowhere."""

    value: str = ""
    source: str = ""


PLACES: Final[Mapping[str, Place]] = {
    "url": Place("NEOPRO_URL", "neopro.url", "url", "the control plane: https://…, or http:// on this machine"),
    "token_file": Place("NEOPRO_TOKEN_FILE", "neopro.tokenfile", "token_file", "a file that holds your token"),
    "ca": Place("NEOPRO_CA", "neopro.ca", "ca", "a PEM file of whom to trust beside the system's authorities"),
    "release_key": Place("NEOPRO_RELEASE_KEY", "neopro.releasekey", "", "the key that signs releases"),
}
"""Name -> where it may stand. A token itself may stand in NEOPRO_TOKEN, and nowhere else."""


def settings_of(env: Mapping[str, str], checkout: Checkout | None) -> dict[str, Setting]:
    """Every setting by its name, each from the first place that has it; CommandFailed where a place cannot be read."""
    git = checkout.git_settings() if checkout else {}
    path, file = client_file(env)
    found: dict[str, Setting] = {}
    for name, place in PLACES.items():
        candidates = (
            Setting(env.get(place.variable, ""), place.variable),
            Setting(git.get(place.git.removeprefix("neopro."), ""), f"git config {place.git}"),
            Setting(file.get(place.file, ""), str(path)),
        )
        found[name] = next((one for one in candidates if one.value), Setting())
    return found


def client_file(env: Mapping[str, str]) -> tuple[Path, Mapping[str, str]]:
    """The client's file, and what it holds: nothing where it is not there; CommandFailed where it cannot be read."""
    folder = Path(env.get("XDG_CONFIG_HOME") or Path(env.get("HOME", "/")) / ".config")
    path = folder / CLIENT_FILE
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return path, {}
    except (OSError, ValueError) as problem:
        raise CommandFailed(f"cannot read {path}: {problem}") from None
    return path, {key: value if isinstance(value, str) else json.dumps(value) for key, value in document.items()}
