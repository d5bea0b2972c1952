"""One-time codes by the clock (RFC 6238): six digits, a new one every thirty seconds (pure)."""

import hmac
from datetime import datetime
from typing import Final

import pyotp

PERIOD_S: Final = 30
DRIFT: Final = 1
"""Codes before and after the present one that are taken: a phone's clock is off by some seconds."""
ISSUER: Final = "NEOPRO Fleet"


def step_of(secret: str, code: str, now: datetime, used: int | None) -> int | None:
    """The step of time that the code is for; None when it is wrong, or not after the newest step that was used."""
    given = "".join(code.split())
    if not (given.isascii() and given.isdecimal()):
        return None
    present, codes = int(now.timestamp()) // PERIOD_S, pyotp.TOTP(secret)
    for step in range(present - DRIFT, present + DRIFT + 1):
        if hmac.compare_digest(codes.at(step * PERIOD_S), given) and (used is None or step > used):
            return step
    return None


def address_of(secret: str, name: str) -> str:
    """The otpauth:// address that an application reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def in_groups(secret: str) -> str:
    """The secret as a person types it: four characters at a time."""
    return " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
