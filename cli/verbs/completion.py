"""`neopro completion`: what a shell needs to complete verbs, options and ids."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from cli.checkout import Checkout
from cli.flags import Flag
from cli.output import Output

Shell = Literal["bash", "zsh", "fish"]
_SCRIPTS: Final = Path(__file__).parent.parent / "completions"
_AFTER: Final[Mapping[Shell, str]] = {
    "bash": "new shells have it, where the package bash-completion is; else: source {file} in ~/.bashrc",
    "zsh": "put before compinit in ~/.zshrc: fpath=({folder} $fpath)",
    "fish": "new shells have it",
}


def completion(shell: Shell, /, *, install: Flag = False, json: Flag = False) -> None:
    """Print what a shell needs to complete `neopro`: verbs, options, and the ids of your checkout.

    Examples:

    - `source <(neopro completion bash)`
    - `neopro completion zsh --install`

    Parameters
    ----------
    shell
        Which.
    install
        Write it to where the shell looks for it, and say where that is; no file of yours is changed.
    json
        Print the script, or where it was written, as JSON.
    """
    output = Output(json)
    script = (_SCRIPTS / f"neopro.{shell}").read_text("utf-8").replace("NEOPRO", _command())
    if not install:
        output.data({"shell": shell, "script": script})
        if not json:
            output.raw(script)
        return
    file = _file(shell, os.environ)
    file.parent.mkdir(parents=True, exist_ok=True)
    Checkout(file.parent).write({file.name: script})
    output.data({"shell": shell, "file": str(file)})
    output.say(f"wrote {file}")
    output.say(_AFTER[shell].format(file=file, folder=file.parent))


def _command() -> str:
    """This command, for where no `neopro` is on the path; quoted for all three shells."""
    found = shutil.which(sys.argv[0]) or sys.argv[0]
    return str(Path(found).absolute()).replace("'", "'\\''")


def _file(shell: Shell, env: Mapping[str, str]) -> Path:
    home = Path(env.get("HOME", "/"))
    if shell == "bash":
        data = Path(env.get("XDG_DATA_HOME") or home / ".local" / "share")
        return data / "bash-completion" / "completions" / "neopro"
    if shell == "zsh":
        return Path(env.get("ZDOTDIR") or home) / ".zsh" / "completions" / "_neopro"
    return Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "fish" / "completions" / "neopro.fish"
