"""`neopro keys init`: the keys of a new fleet, and the trust documents that name them."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output
from cli.trust_documents import make_release_list, make_root
from control_plane.errors import KeyUnusable
from control_plane.signer import write_private_key
from schemas.dsse import public_line

ROLES: Final = ("root", "release", "manifest")


def keys_init(
    directory: Path = Path(),
    /,
    *,
    keys: Path,
    json: Flag = False,
) -> None:
    """Make the root, release and manifest keys of a new fleet, and the trust folder of its repository.

    Keep the root key offline and the release key with whoever signs releases; the manifest key goes to the control
    plane. Commit the trust folder; give boxes trust/root-1.json when they are installed.

    Example:

    - `neopro keys init fleet-state --keys ~/neopro-keys`

    Parameters
    ----------
    directory
        The fleet-state repository.
    keys
        The folder for the private keys; outside of any repository.
    json
        Print the public keys as JSON.
    """
    output = Output(json)
    if not (directory / "fleet.yaml").exists():
        raise CommandFailed(
            f"cannot make keys for {directory}: it is no fleet-state repository; begin one, with its keys: "
            f"neopro init {directory} --keys {keys}"
        )
    made = init(Checkout.find(directory), keys)
    lines = {role: public_line(key.public_key()) for role, key in made.items()}
    output.data({"keys": {role: {"file": str(keys / f"{role}.key"), "public": lines[role]} for role in ROLES}})
    for role in ROLES:
        output.say(f"{role:<9} {lines[role]}  {keys / f'{role}.key'}")
    output.say(f"wrote {directory / 'trust'}: commit it; keep root.key offline, give manifest.key to the control plane")


def init(checkout: Checkout, keys: Path) -> Mapping[str, Ed25519PrivateKey]:
    """Make the three keys in `keys` and the first trust documents in `checkout`: all of it or nothing."""
    _require_absent(checkout, keys)
    made: dict[str, Ed25519PrivateKey] = {}
    try:
        for role in ROLES:
            made[role] = write_private_key(keys / f"{role}.key")
        now = datetime.now(UTC)
        checkout.write(
            {
                "trust/root-1.json": make_root(made["root"], made["release"], made["manifest"], now),
                "trust/release-list-1.json": make_release_list(None, [], made["release"], now),
            }
        )
    except (KeyUnusable, CommandFailed, KeyboardInterrupt):
        for role in made:
            (keys / f"{role}.key").unlink(missing_ok=True)
        with suppress(OSError):
            keys.rmdir()
        raise
    return made


def _require_absent(checkout: Checkout, keys: Path) -> None:
    if keys.resolve().is_relative_to(checkout.root):
        raise CommandFailed(f"cannot make keys in {keys}: it is inside the repository; choose a folder outside of it")
    if any((checkout.root / "trust").glob("root-*.json")):
        raise CommandFailed(
            f"cannot make keys for {checkout.root}: it has a trust folder already; boxes that trust it would refuse "
            "another one"
        )
    for role in ROLES:
        if (keys / f"{role}.key").exists():
            raise CommandFailed(
                f"cannot make keys in {keys}: {role}.key is there already, and a key is never replaced; name another "
                "folder, or delete it if it is all that an interrupted run left"
            )
