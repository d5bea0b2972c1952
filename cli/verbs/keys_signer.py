"""`neopro keys signer add|remove`: who may sign commits of the fleet-state repository."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from cli.checked import land_checked
from cli.errors import CommandFailed
from cli.flags import Several
from cli.landing import WRITTEN, Landing
from cli.trust_changes import load_keys, next_root
from cli.trust_folder import newest_root

KIND: Final = "ssh-ed25519"


def keys_signer(
    action: Literal["add", "remove"], signer: str, /, *, sign: Several[Path] = None, landing: Landing = WRITTEN
) -> None:
    """Let somebody sign commits, or no longer: a new trust root with the list of signers.

    While the list is empty commits need no signature. From the first signer on, the server takes only commits that one
    of them signed with SSH (git config gpg.format ssh; git config commit.gpgsign true); the commit that brings the new
    root must be signed by a signer of the one before, if that has any.

    Examples:

    - `neopro keys signer add ~/.ssh/id_ed25519.pub --sign /media/safe/root.key --commit`
    - `neopro keys signer remove ada@example.org --sign /media/safe/root.key --branch ada-leaves`

    Parameters
    ----------
    action
        add or remove.
    signer
        A file with an SSH public key, or its line; for remove also its comment, such as ada@example.org.
    sign
        A private key of the root role; can be given several times.
    """
    checkout = landing.checkout()
    root = newest_root(checkout)
    if action == "add":
        line = _read_line(signer)
        if _blob(line) in map(_blob, root.commit_signers):
            raise CommandFailed(f"cannot add {signer}: it may sign commits already")
        signers = [*root.commit_signers, line]
    else:
        line = _find(signer, root.commit_signers)
        signers = [known for known in root.commit_signers if known != line]
    envelope = next_root(root, load_keys(sign or []), datetime.now(UTC), commit_signers=signers)
    who = line.partition(" ")[2].partition(" ")[2] or _blob(line)[-12:]
    subject = f"{'Let' if action == 'add' else 'No longer let'} {who} sign commits: root {root.version + 1}"
    files = {f"trust/root-{root.version + 1}.json": envelope}
    land_checked(landing, checkout, files, subject, {"commit_signers": signers})


def _read_line(signer: str) -> str:
    """The line `ssh-ed25519 BASE64 [comment]` that is meant, from a file or as it is."""
    text = signer
    if not signer.startswith(KIND):
        try:
            text = Path(signer).expanduser().read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            raise CommandFailed(
                f"cannot read {signer}: name a file with an SSH public key, or write its line"
            ) from None
    line = " ".join(text.split())
    try:
        key = load_ssh_public_key(line.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey) or "PRIVATE" in text:
        raise CommandFailed(f"cannot add {signer[:80]}: it is no public key of the kind {KIND}; ssh-keygen -t ed25519")
    return line


def _find(signer: str, signers: list[str]) -> str:
    """The signer that is meant; CommandFailed when it is none or several."""
    if Path(signer).expanduser().is_file():
        signer = _read_line(signer)
    found = [line for line in signers if signer in line.split() or _blob(line) == _blob(signer)]
    if len(found) == 1:
        return found[0]
    if not signers:
        raise CommandFailed(f"cannot remove {signer[:80]}: no signers are named, commits need no signature")
    known = ", ".join(line.partition(" ")[2].partition(" ")[2] or line[-12:] for line in signers)
    why = "several signers are called so; write the key's line" if found else f"the signers are {known}"
    raise CommandFailed(f"cannot remove {signer[:80]}: {why}")


def _blob(line: str) -> str:
    """The key itself, without its kind and comment."""
    return [*line.split(), "", ""][1]
