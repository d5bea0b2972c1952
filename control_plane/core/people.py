"""Who asks, and what each may see and do (pure)."""

import re
import unicodedata
from collections.abc import Iterable
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from schemas.names import DocumentId

Role = Literal["viewer", "operator", "admin"]
Scope = Literal["read", "write"]
Step = Literal["code", "password", "totp"]
"""What is still to be done before somebody is let in: give a code, choose a password, set up one-time codes."""
Audience = Literal["everyone", "boxes", "neighbours", "known", "readers", "team", "operators", "writers", "admins"]
"""Whom a route is for: whoever asks; boxes with their own tokens; programs on the server's machine, also when people
there must log in; whoever said who they are; whoever may read, a tenant's people too; the team alone; its operators;
those of them who may change what the server keeps; its admins."""
MIN_PASSWORD: Final = 12
MAX_PASSWORD: Final = 200
MIN_DIFFERENT: Final = 5
"""Characters of a password that must differ from each other."""
STEPS_LAST: Final = timedelta(minutes=10)
"""For so long somebody may be on the way in."""
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,62}")


class Reader(Struct, frozen=True, kw_only=True):
    """Somebody who was let in. `tenant`: of whose sites alone they may know; None: of the team.

    `account`: its number; None: a neighbour, or a token that nobody owns. `session`: the number of the browser's.
    """

    name: str
    role: Role = "viewer"
    tenant: DocumentId | None = None
    scopes: frozenset[Scope] = frozenset({"read"})
    account: int | None = None
    session: int | None = None


NEIGHBOUR: Final = Reader(name="", role="operator")
"""Whoever sits at the machine of a server that listens on loopback only and has no accounts."""


class Standing(NamedTuple):
    """Of an account and one session of it, what decides about the way in."""

    role: Role
    has_totp: bool
    one_time_password: bool
    second_factor: bool
    """In this session: a code was right, or the provider that knows the account answers for it."""


def may_see(reader: Reader, audience: Audience) -> bool:
    """Whether a route for `audience` is for this reader. A tenant's people never belong to the team."""
    scope, team = scope_for(audience), reader.tenant is None
    if scope is not None and scope not in reader.scopes:
        return False
    match audience:
        case "neighbours":
            return reader == NEIGHBOUR
        case "team":
            return team
        case "operators" | "writers":
            return team and reader.role in ("operator", "admin")
        case "admins":
            return team and reader.role == "admin"
        case _:
            return audience != "boxes"


def scope_for(audience: Audience) -> Scope | None:
    """The scope that a personal token needs for a route; None: any token will do."""
    match audience:
        case "everyone" | "known" | "boxes" | "neighbours":
            return None
        case "writers":
            return "write"
        case _:
            return "read"


def scopes_of(role: Role, tenant: DocumentId | None) -> frozenset[Scope]:
    """What tokens of such an account may do at most."""
    return frozenset({"read"}) if tenant is not None or role == "viewer" else frozenset({"read", "write"})


def next_step(standing: Standing) -> Step | None:
    """What comes next on the way in; None: all is done. The code goes first: nothing is changed without it."""
    if standing.has_totp and not standing.second_factor:
        return "code"
    if standing.one_time_password:
        return "password"
    if standing.role == "admin" and not standing.second_factor:
        return "totp"
    return None


def folded(name: str) -> str:
    """A name as accounts are found by: what people type differs in case and spaces around it."""
    return unicodedata.normalize("NFKC", name).replace("\0", "").strip().lower()


def plain(password: str) -> str:
    """A password as it is hashed: keyboards compose the same letter differently."""
    return unicodedata.normalize("NFKC", password)


PasswordFault = Literal["short", "long", "plain", "name", "same"]


def fault_of(password: str, name: str) -> PasswordFault | None:
    """Why a password will not do for the account of that name; that it is not the one before is for others to see."""
    given = plain(password)
    if len(given) < MIN_PASSWORD:
        return "short"
    if len(given) > MAX_PASSWORD:
        return "long"
    if len(set(given)) < MIN_DIFFERENT:
        return "plain"
    return "name" if name in given.lower() else None


def local_path(asked: str) -> str:
    """Where to go on: a path of ours with its query; `/` in the place of anything that might lead elsewhere."""
    sound = asked.startswith("/") and not asked.startswith(("//", "/\\", "/login", "/logout")) and len(asked) <= 500
    return asked if sound and asked.isascii() and asked.isprintable() and "\\" not in asked else "/"


class Bucket(NamedTuple):
    """Failed attempts that count together, and how many there may be within a quarter of an hour."""

    key: str
    most: int


ATTEMPTS_WITHIN: Final = timedelta(minutes=15)
MOST_BY_NAME: Final = 10
MOST_BY_ADDRESS: Final = 30


def neighbourhood(address: str) -> str:
    """What counts as one address: one of IPv4, the network of IPv6 that a household or office has to itself (/64)."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network(f"{parsed}/64", strict=False)) if isinstance(parsed, IPv6Address) else str(parsed)


def buckets(name: str, address: str, *, known: bool) -> tuple[Bucket, Bucket]:
    """What an attempt counts against.

    `known`: this account came in from that address lately. Such an address has a bucket of its own for the account, so
    that whoever guesses from elsewhere cannot keep its owner out.
    """
    near = neighbourhood(address)
    own = f"name {name[:64]} {near}" if known else f"name {name[:64]}"
    return Bucket(own, MOST_BY_NAME), Bucket(f"address {near}", MOST_BY_ADDRESS)


def is_full(counts: Iterable[tuple[Bucket, int]]) -> bool:
    """Whether an attempt more would be too many."""
    return any(count >= bucket.most for bucket, count in counts)
