"""`neopro keys show`: who may sign what, and until when."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cli.checkout import Checkout
from cli.flags import Flag
from cli.output import Output
from cli.trust_changes import ROLES
from cli.trust_folder import newest_release_list, newest_root
from schemas.trust import ReleaseList, TrustRoot, role_keys

SOON: Final = timedelta(days=60)


def keys_show(*, repository: Path | None = None, json: Flag = False) -> int:
    """Show the trust root and the release list: roles, keys, thresholds, commit signers, and when they expire.

    The chain of roots is verified from the first one on. Exit status 1: one of them has expired, so that boxes that
    were never on it refuse it.

    Examples:

    - `neopro keys show`
    - `neopro keys show --json`

    Parameters
    ----------
    repository
        The checkout; without it, the one around the current folder.
    json
        Print it as JSON.
    """
    output = Output(json)
    checkout = Checkout.find(repository)
    root = newest_root(checkout)
    listed = newest_release_list(checkout, root)
    now = datetime.now(UTC)
    output.data(_data(root, listed))
    output.say(f"trust root {root.version}, until {_until(root.expires_at, now)}")
    for role in ROLES:
        keys, threshold = role_keys(root, role)
        output.say(f"  {role:<9} {threshold} of {len(keys)}")
        for name, line in keys.items():
            output.say(f"            {name[:12]}  {line}")
    signers = root.commit_signers
    output.say(f"commits: {'signed by one of' if signers else 'need no signature (neopro keys signer add)'}")
    for signer in signers:
        output.say(f"            {signer}")
    if listed:
        count = f"{len(listed.releases)} releases allowed"
        output.say(f"release list {listed.version}, until {_until(listed.expires_at, now)}; {count}")
    dates = [root.expires_at, *([listed.expires_at] if listed else [])]
    if min(dates) < now + SOON:
        output.note("renew them in time: neopro keys renew")
    return 1 if min(dates) < now else 0


def _until(instant: datetime, now: datetime) -> str:
    days = (instant - now).days
    return f"{instant:%Y-%m-%d} ({'expired' if instant < now else f'{days} days'})"


def _data(root: TrustRoot, listed: ReleaseList | None) -> dict[str, object]:
    roles = {role: {"threshold": role_keys(root, role)[1], "keys": dict(role_keys(root, role)[0])} for role in ROLES}
    return {
        "root": {"version": root.version, "expires_at": root.expires_at, "roles": roles},
        "commit_signers": root.commit_signers,
        "release_list": None
        if listed is None
        else {"version": listed.version, "expires_at": listed.expires_at, "releases": listed.releases},
    }
