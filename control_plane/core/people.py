"""Who reads, and what each may see (pure)."""

from typing import Final, Literal

from msgspec import Struct

from schemas.names import DocumentId

Role = Literal["viewer", "operator", "admin"]
Audience = Literal["everyone", "readers", "team", "admins"]
"""Whom a route is for: whoever asks; whoever may read, a tenant's people too; the team alone; its admins alone."""


class Reader(Struct, frozen=True, kw_only=True):
    """Somebody who was let in. `tenant`: of whose sites alone they may know; None: of the team."""

    name: str
    role: Role = "viewer"
    tenant: DocumentId | None = None


NEIGHBOUR: Final = Reader(name="", role="operator")
"""Whoever sits at the machine of a server that listens on loopback only."""


def may_see(reader: Reader, audience: Audience) -> bool:
    """Whether a route for `audience` is for this reader. A tenant's people never belong to the team."""
    match audience:
        case "everyone" | "readers":
            return True
        case "team":
            return reader.tenant is None
        case "admins":
            return reader.tenant is None and reader.role == "admin"
