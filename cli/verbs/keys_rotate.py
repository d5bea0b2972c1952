"""`neopro keys rotate`: a new key takes the place of an old one."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli.checked import land_checked
from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.flags import Flag, Several
from cli.landing import WRITTEN, Files, Landing
from cli.output import Output
from cli.trust_changes import load_keys, next_list, next_root, with_key
from cli.trust_folder import newest_release_list, newest_root
from schemas.dsse import public_line
from schemas.names import KeyId
from schemas.trust import RoleName, TrustRoot, read_root, role_keys


def keys_rotate(
    role: RoleName,
    /,
    *,
    new: Path,
    sign: Several[Path] = None,
    old: str | None = None,
    keep: Flag = False,
    threshold: int | None = None,
    landing: Landing = WRITTEN,
) -> None:
    """Make a new key for a role, and the trust root that names it in the place of the old one.

    Root N+1 is signed by the root keys of N and of N+1, so boxes follow it by themselves, wherever they stand. A new
    release key signs the release list anew. A new manifest key goes to the control plane together with the commit; what
    is published stays until it has it. Use it when a key was stolen, when somebody leaves, and once in a while.

    Examples:

    - `neopro keys rotate release --new ~/keys/release-2.key --sign /media/safe/root.key --commit`
    - `neopro keys rotate root --new /media/safe/root-2.key --sign /media/safe/root.key --branch new-root`
    - `neopro keys rotate root --keep --threshold 2 --new /media/safe/root-b.key --sign /media/safe/root.key`

    Parameters
    ----------
    role
        Whose key: root, release or manifest.
    new
        The file for the new private key; outside of any repository.
    sign
        A private key that signs; can be given several times.
    old
        The key that goes, by the first digits of its id (neopro keys show), where the role has several.
    keep
        No key goes: the new one stands beside the others.
    threshold
        How many of the role's keys must sign from now on; without it, as many as before.
    """
    checkout = landing.checkout()
    _require_outside(checkout, new)
    root = newest_root(checkout)
    _require_threshold(root, role, threshold, keep=keep)
    gone = None if keep else _old_key(root, role, old)
    keys = load_keys(sign or [])
    made, path = _make_key(new, landing)
    try:
        wanted = with_key(root, role, public_line(made.public_key()), gone, threshold)
        files = _documents(checkout, root, wanted, [*keys, made])
        subject = f"{'Add a' if keep else 'Rotate the'} {role} key: root {root.version + 1}"
        data = {"role": role, "public": public_line(made.public_key()), "file": str(path), "removed": gone}
        land_checked(landing, checkout, files, subject, data)
    except CommandFailed:
        path.unlink(missing_ok=True)  # nothing names it: a refused change leaves everything as it was
        raise
    if landing.dry_run:
        path.unlink()
        path.parent.rmdir()
        return
    _tell(Output(landing.json), role, path)


def _documents(checkout: Checkout, root: TrustRoot, wanted: TrustRoot, keys: list[Ed25519PrivateKey]) -> Files:
    """The next root, and the release list signed anew where another key must sign it now."""
    now = datetime.now(UTC)
    envelope = next_root(root, keys, now, keys=wanted.keys, roles=wanted.roles)
    files: dict[str, str | bytes | None] = {f"trust/root-{root.version + 1}.json": envelope}
    listed = newest_release_list(checkout, root)
    if listed is not None and wanted.roles.release != root.roles.release:
        signed = next_list(listed, read_root(envelope, root), keys, now)
        files[f"trust/release-list-{listed.version + 1}.json"] = signed
    return files


def _old_key(root: TrustRoot, role: RoleName, old: str | None) -> KeyId:
    """The id of the key that goes."""
    known = list(role_keys(root, role)[0])
    found = [name for name in known if name.startswith(old or "")]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(name[:12] for name in known)
    if old and not found:
        raise CommandFailed(f"cannot find a {role} key {old}: the role has {shown}")
    raise CommandFailed(f"cannot tell which {role} key goes: name it with --old ({shown}), or say --keep")


def _require_threshold(root: TrustRoot, role: RoleName, threshold: int | None, *, keep: bool) -> None:
    most = len(role_keys(root, role)[0]) + keep
    if threshold is not None and not 1 <= threshold <= most:
        raise CommandFailed(f"cannot ask for {threshold} signatures: the {role} role then has {most} keys")


def _require_outside(checkout: Checkout, new: Path) -> None:
    if new.expanduser().resolve().is_relative_to(checkout.root):
        raise CommandFailed(f"cannot make a key at {new}: it is inside the repository; choose a place outside of it")


def _make_key(new: Path, landing: Landing) -> tuple[Ed25519PrivateKey, Path]:
    """The new key and where it is; for a dry run only for the while."""
    from control_plane.signer import write_private_key

    path = Path(tempfile.mkdtemp(prefix="neopro-dry-run-"), "key") if landing.dry_run else new.expanduser()
    return write_private_key(path), path


def _tell(output: Output, role: RoleName, path: Path) -> None:
    after = {
        "root": "keep it offline, and the old one until every box has seen the new root",
        "release": "give it to whoever signs releases, and delete the old one",
        "manifest": "give it to the control plane (manifest_key) and restart that once the commit is pushed",
    }
    output.say(f"the new key is {path}: {after[role]}")
