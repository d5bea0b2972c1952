"""`neopro site replace`: a new box, or a new SD card, takes the place of a dead one."""

import os
from pathlib import Path
from typing import Any

import msgspec

from cli.checked import land_checked
from cli.checkout import Checkout
from cli.edits import SCHEMA_LINE, Edit
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.fleet_view import FleetView, read_fleet
from cli.landing import WRITTEN, Landing
from cli.output import Output
from control_plane.core.sites import SiteRecord
from schemas.backup import Restore, VideoIndex
from schemas.desired import AgeRecipient
from schemas.dsse import Refused, load_public
from schemas.names import PublicKeyLine, SiteId, digest_of

REVOKED = "revoked.yaml"


def site_replace(
    site: str,
    /,
    *,
    identity: str,
    recipient: str | None = None,
    recovery_key: Path | None = None,
    without_backup: Flag = False,
    landing: Landing = WRITTEN,
) -> None:
    """Give a site to a new box: its keys into the site's file, the old identity revoked, the club's configuration back.

    The new box prints its two keys: `neopro-agent identity`. The newest backup is fetched from the control plane,
    decrypted with the team's recovery key and encrypted to the new box, all in memory, and uploaded; the new box puts
    it back once. So does it with the club's videos, where they were kept: of them only the index passes through here.
    Nothing else of the site changes: groups, videos and releases come to the new box as they came to the old one.

    Examples:

    - `neopro site replace rennes-fc --identity ed25519:… --recipient age1… --recovery-key /media/safe/recovery.txt`
    - `neopro site replace rennes-fc --identity ed25519:… --without-backup --commit`

    Parameters
    ----------
    site
        Its id.
    identity
        The new box's public key: ed25519:…
    recipient
        The new box's key for secrets: age1…
    recovery_key
        The file of the recovery key that fleet.yaml names as `recovery`, as age-keygen wrote it.
    without_backup
        Go on with the keys alone: the club begins with an empty configuration.
    """
    checkout = landing.checkout()
    view = read_fleet(checkout)
    record = view.site(site)
    _check_keys(site, record, identity, recipient)
    files = {record.path: "", **_revoked(checkout, record.document.identity)}
    backup = None if without_backup else _backup_for(checkout, view, site, recipient, recovery_key)
    restore = digest_of(backup) if backup else None
    edit = Edit(checkout.read(record.path), record.path)
    for key, value in {"identity": identity, "recipient": recipient, "restore": restore}.items():
        edit.delete((key,)) if value is None else edit.set((key,), value)
    files[record.path] = edit.text
    if backup and not landing.dry_run:
        _upload(checkout, backup)
    _warn_of_secrets(Output(landing.json), record)
    data = {"site": site, "restore": restore, "revoked": record.document.identity}
    land_checked(landing, checkout, files, f"Replace the box of {site}", data)


def _check_keys(site: SiteId, record: SiteRecord, identity: str, recipient: str | None) -> None:
    """CommandFailed for keys that no new box has."""
    try:
        load_public(msgspec.convert(identity, PublicKeyLine))
    except msgspec.ValidationError:
        raise CommandFailed(
            f"cannot replace the box of {site}: --identity is no ed25519:… with a key in base64; "
            "neopro-agent identity prints it on the box"
        ) from None
    except Refused as problem:
        raise CommandFailed(f"cannot replace the box of {site}: --identity: {problem}") from None
    if identity == record.document.identity:
        raise CommandFailed(
            f"cannot replace the box of {site}: it has this identity already; a new card has a new key, which "
            "neopro-agent identity prints on the box"
        )
    try:
        msgspec.convert(recipient, AgeRecipient | None)
    except msgspec.ValidationError:
        raise CommandFailed(f"cannot replace the box of {site}: --recipient is no age1… of 62 characters") from None


def _revoked(checkout: Checkout, old: PublicKeyLine | None) -> dict[str, str]:
    """revoked.yaml with the old identity, so that a card that turns up again is refused."""
    if old is None:
        return {}
    if not checkout.has(REVOKED):
        schema = SCHEMA_LINE.format(kind="revoked").replace("../../", "../")
        why = "# What must stop at once, even when the rest of a commit is refused."
        return {REVOKED: f"{schema}\n{why}\nidentities:\n  - {old}\n"}
    edit = Edit(checkout.read(REVOKED), REVOKED)
    edit.append(("identities",), old)
    return {REVOKED: edit.text}


def _backup_for(
    checkout: Checkout, view: FleetView, site: SiteId, recipient: str | None, recovery_key: Path | None
) -> bytes:
    """The newest backup of the club's configuration and the index of its videos, for the new box's eyes.

    Their plain text is in memory alone.
    """
    from cli.remote import Remote, find_target
    from cli.secrets import decrypt, encrypt, read_identity

    if recipient is None or recovery_key is None:
        wanted = "--recipient, the new box's age1…" if recipient is None else "--recovery-key FILE"
        raise CommandFailed(f"cannot put the configuration of {site} back without {wanted}; or say --without-backup")
    key = read_identity(recovery_key)
    if view.fleet.recovery and view.fleet.recovery != str(key.to_public()):
        raise CommandFailed(f"cannot use {recovery_key}: fleet.yaml names another recovery key ({view.fleet.recovery})")
    with Remote(find_target(os.environ, checkout)) as remote:
        found, index = remote.backup(site), remote.video_index(site)
    if found is None and index is None:
        raise CommandFailed(
            f"cannot put the configuration of {site} back: its box never left a backup; --without-backup goes on "
            "with the keys alone",
            status=1,
        )
    configuration = decrypt(found, key, f"the backup of {site}") if found else b"{}"
    videos = decrypt(index, key, f"what is kept of the videos of {site}") if index else None
    return encrypt(_restore(site, configuration, videos), [recipient])


def _restore(site: SiteId, configuration: bytes, videos: bytes | None) -> bytes:
    """What the new box puts back; CommandFailed where one of the two is none (and nothing of it is repeated)."""
    try:
        known = msgspec.json.decode(configuration, type=dict[str, Any])
        index = msgspec.json.decode(videos, type=VideoIndex) if videos else None
    except msgspec.DecodeError:
        raise CommandFailed(
            f"cannot put the backup of {site} back: what its box left is no backup; --without-backup goes on with the "
            "keys alone"
        ) from None
    return msgspec.json.encode(Restore(configuration=known, videos=index))


def _upload(checkout: Checkout, body: bytes) -> None:
    from cli.remote import Remote, find_target
    from cli.transfers import Blob

    blob = Blob(digest_of(body), len(body), body)
    with Remote(find_target(os.environ, checkout)) as remote:
        remote.upload_all([blob], lambda _: None)


def _warn_of_secrets(output: Output, record: SiteRecord) -> None:
    if record.resolved.hotspot is not None:
        output.note(
            "warning: the hotspot's passphrase is encrypted to the old box; neopro secret encrypt --set hotspot"
        )
