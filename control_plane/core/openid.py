"""What a provider's claims make of somebody: a name, a role, a tenant; or why they do not come in (pure).

OpenID Connect Core 1.0. The claims were verified before: this only reads them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from control_plane.core.people import Role
from schemas.names import DocumentId

Claims = Mapping[str, Any]
SecondFactor = Literal["told", "trusted"]
"""Who proved two factors there: those of whom the claims tell it, or all: the provider is trusted to ask for them."""
Reason = Literal[
    "unreachable",
    "unusable",
    "stale",
    "denied",
    "failed",
    "code",
    "token",
    "name",
    "email",
    "grant",
    "taken",
    "disabled",
    "limited",
]
"""Why a login through a provider ended; each has its words in `web/texts/openid.py`."""

SUBJECT: Final = re.compile(r"[\x20-\x7e]{1,255}")
"""Who somebody is at a provider (Core 2): at most 255 ASCII characters."""
FACTORS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("pwd", "pin", "kba"), "known"),
    **dict.fromkeys(("otp", "hwk", "swk", "sc", "pop", "sms", "tel"), "held"),
    **dict.fromkeys(("face", "fpt", "iris", "retina", "vbm"), "grown"),
}
"""Methods of RFC 8176 by what they prove: two of different kinds are two factors."""


class Grant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose claim is `value`, or holds it in its list, has this role. `tenant`: of whose sites alone."""

    claim: str
    value: str
    role: Role = "viewer"
    tenant: DocumentId | None = None


class Rules(Struct, frozen=True, kw_only=True):
    """How claims are read. Of the grants the first that matches decides: the order is the operator's."""

    grants: Sequence[Grant]
    name_claim: str
    second_factor: SecondFactor
    acr: Sequence[str]
    """Values of `acr` that stand for two factors at this provider."""


class Person(Struct, frozen=True, kw_only=True):
    """Somebody whom the provider told us about. Issuer and subject are who they are; the name is but a name."""

    issuer: str
    subject: str
    name: str
    role: Role
    tenant: DocumentId | None
    second_factor: bool
    """Two factors were proved at the provider. Whoever needs one and has not is asked for a code of ours."""


class Trouble(Struct, frozen=True, kw_only=True):
    """Why nobody comes in. `detail` is for the log and the audit, in English; never for the page."""

    reason: Reason
    detail: str


def person_of(claims: Claims, rules: Rules) -> Person | Trouble:
    """Who these claims make somebody, by `rules`."""
    name = claims.get(rules.name_claim)
    if not isinstance(name, str) or not name.strip():
        return Trouble(reason="name", detail=f"the claim {rules.name_claim} is missing or no text")
    if rules.name_claim == "email" and not _is_verified(claims):
        return Trouble(reason="email", detail="email_verified is not true")
    matching = [grant for grant in rules.grants if _matches(grant, claims)]
    granted = next((grant for grant in matching if grant.claim != "email" or _is_verified(claims)), None)
    if granted is None:
        if matching:
            return Trouble(reason="email", detail="a grant names the address, but email_verified is not true")
        return Trouble(reason="grant", detail=f"no grant matches {name[:80]!r}")
    return Person(
        issuer=claims["iss"],
        subject=claims["sub"],
        name=name.strip(),
        role=granted.role,
        tenant=granted.tenant,
        second_factor=has_two_factors(claims, rules),
    )


def has_two_factors(claims: Claims, rules: Rules) -> bool:
    """Whether the provider says that two factors were proved, or is trusted to have seen to it."""
    methods = {*_texts(claims.get("amr"))}
    kinds = {FACTORS[method] for method in methods if method in FACTORS}
    told = "mfa" in methods or len(kinds) > 1 or claims.get("acr") in rules.acr
    return told or rules.second_factor == "trusted"


def missing(claims: Claims, rules: Rules) -> set[str]:
    """The claims that the rules ask for and the ID token has not: the UserInfo endpoint may know them."""
    asked = {rules.name_claim, *(grant.claim for grant in rules.grants)}
    asked |= {"email_verified"} if "email" in asked else set()
    return {claim for claim in asked if _find(claim, claims) is None}


def is_safe_url(url: str) -> bool:
    """Whether secrets may be sent there: https, or http to a loopback address, without a user's name or a fragment."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _matches(grant: Grant, claims: Claims) -> bool:
    return grant.value in _texts(_find(grant.claim, claims))


def _find(claim: str, claims: Claims) -> Any:
    """The claim of this name; or, by `a.b`, what lies in an object: `realm_access.roles`."""
    if claim in claims:
        return claims[claim]
    found: Any = claims
    for part in claim.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, str))


def _is_verified(claims: Claims) -> bool:
    return claims.get("email_verified") is True
