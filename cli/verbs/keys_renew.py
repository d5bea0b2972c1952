"""`neopro keys renew`: the trust root and the release list for another while."""

from datetime import UTC, datetime
from pathlib import Path

from cli.checked import land_checked
from cli.errors import CommandFailed
from cli.flags import Flag, Several
from cli.landing import WRITTEN, Landing
from cli.trust_changes import load_keys, next_list, next_root
from cli.trust_folder import newest_release_list, newest_root
from schemas.trust import read_root


def keys_renew(
    *,
    sign: Several[Path] = None,
    root: Flag = False,
    list: Flag = False,
    landing: Landing = WRITTEN,
) -> None:
    """Make the next trust root and the next release list: the same in them, and new dates.

    The root is signed by root keys, the list by release keys. Do it before they expire (neopro keys show).

    Examples:

    - `neopro keys renew --list --sign ~/neopro-keys/release.key --commit`
    - `neopro keys renew --sign /media/safe/root.key --sign ~/neopro-keys/release.key --branch renewal`

    Parameters
    ----------
    sign
        A private key that signs; can be given several times.
    root
        Only the root.
    list
        Only the release list.
    """
    checkout = landing.checkout()
    keys = load_keys(sign or [])
    now = datetime.now(UTC)
    trusted = newest_root(checkout)
    listed = newest_release_list(checkout, trusted)
    both = root == list
    files: dict[str, str | bytes | None] = {}
    if root or both:
        envelope = next_root(trusted, keys, now)
        trusted = read_root(envelope, trusted)
        files[f"trust/root-{trusted.version}.json"] = envelope
    if list or both:
        if listed is None:
            raise CommandFailed("cannot renew the release list: there is none; neopro release add makes it")
        files[f"trust/release-list-{listed.version + 1}.json"] = next_list(listed, trusted, keys, now)
    names = " and ".join(path.removeprefix("trust/").removesuffix(".json") for path in files)
    land_checked(landing, checkout, files, f"Renew {names}")
