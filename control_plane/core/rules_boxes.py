"""Rules of what a box is told to do or to keep: operations, secrets, keys."""

import base64
from collections.abc import Iterator
from typing import Final

from control_plane.core.problems import Finding, KeyPath
from schemas.desired import Hotspot, Operation, OperationAction

MAX_SSID_BYTES: Final = 32
_AGE: Final = b"age-encryption.org/v1\n"
_TAKES: Final[dict[OperationAction, tuple[str, ...]]] = {
    "reboot": (),
    "restart_service": ("service",),
    "fetch_logs": ("service", "since"),
    "self_test": (),
    "retry": (),
}
"""Parameters of each action."""


def of_operation(file: str, operation: Operation) -> Iterator[Finding]:
    """Its target and its parameters. An expired one is inert, and never a reason to refuse anything."""
    if (operation.target.site is None) == (operation.target.group is None):
        message = "a target is exactly one of `site` and `group`"
        yield Finding(file=file, path=("target",), code="BadValue", message=message)
    if operation.action == "restart_service" and operation.service is None:
        message = "`service` is missing; say which service is to be restarted"
        yield Finding(file=file, path=("action",), code="MissingKey", message=message)
    for key in ("service", "since"):
        if getattr(operation, key) is not None and key not in _TAKES[operation.action]:
            fitting = [action for action, keys in _TAKES.items() if key in keys]
            message = f"`{key}` means nothing to {operation.action}, only to {' and '.join(fitting)}; delete it"
            yield Finding(file=file, path=(key,), code="Contradiction", message=message, at_key=True)


def of_hotspot(file: str, hotspot: Hotspot, at: KeyPath) -> Iterator[Finding]:
    """Its name and its passphrase, of which only the form can be seen."""
    size = len(hotspot.ssid.encode())
    if size > MAX_SSID_BYTES:
        message = f"the name of a Wi-Fi has at most {MAX_SSID_BYTES} bytes, this one has {size}; shorten it"
        yield Finding(file=file, path=(*at, "ssid"), code="BadValue", message=message)
    if not _is_encrypted(hotspot.passphrase):
        message = "this is nothing that age encrypted; write what `neopro secret encrypt` prints"
        yield Finding(file=file, path=(*at, "passphrase"), code="BadValue", message=message)


def _is_encrypted(secret: str) -> bool:
    try:
        return base64.b64decode(secret.removeprefix("age:"), validate=True).startswith(_AGE)
    except ValueError:
        return False


def of_recipient(file: str, recipient: str, at: KeyPath) -> Iterator[Finding]:
    """A key for secrets must be one to the last letter: what is encrypted to another is lost."""
    # Brings a native library that a fleet without secrets need not wait for.
    from pyrage import RecipientError, x25519

    try:
        x25519.Recipient.from_str(recipient)
    except RecipientError:
        message = "this is no age key: a letter is wrong or missing; copy the whole line again"
        yield Finding(file=file, path=at, code="BadValue", message=message)
