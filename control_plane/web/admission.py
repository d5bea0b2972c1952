"""What the word of an OpenID provider makes of an account: found, or made at first, and kept to what is granted now."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from control_plane.core.openid import Claims, Person, Rules, Trouble, person_of
from control_plane.core.people import NAME, folded
from control_plane.store import audit, identities
from control_plane.store.audit import Act, Entry
from control_plane.store.pool import Connection, Pool, connection
from control_plane.store.users import User


class Admitted(NamedTuple):
    """Whose session may be opened; whether two factors were proved at the provider."""

    account: int
    second_factor: bool


class Admission:
    """Decides about accounts, and writes down what becomes of them."""

    def __init__(self, rules: Rules, pool: Pool, clock: Callable[[], datetime]) -> None:
        self._rules, self._pool, self._clock = rules, pool, clock

    async def admit(self, claims: Claims, address: str) -> Admitted | Trouble:
        """The account of whoever these verified claims tell of; a Trouble where they may not come in.

        An account is found by issuer and subject alone, never by a name or an address, which people may choose. Whoever
        is granted nothing any more loses sessions and tokens too; whoever was disabled here stays so.
        """
        person = person_of(claims, self._rules)
        async with connection(self._pool) as conn:
            user = await identities.account_of(conn, claims["iss"], claims["sub"])
            if isinstance(person, Trouble):
                if user is not None and person.reason in {"grant", "email"}:
                    await identities.shut_out(conn, user.id, self._clock())
                return person
            found = user or await self._newcomer(conn, person, address)
            if isinstance(found, Trouble):
                return found
            if found.disabled_at is not None:
                return Trouble(reason="disabled", detail=found.name)
            if await identities.follow(conn, found.id, person):
                await self._record(conn, "user_changed", found, _rights(person), address)
            return Admitted(found.id, person.second_factor)

    async def _newcomer(self, conn: Connection, person: Person, address: str) -> User | Trouble:
        name = folded(person.name)
        if not NAME.fullmatch(name):
            return Trouble(reason="name", detail=f"no account can be named {person.name[:80]!r}")
        user = await identities.add_account(conn, person, name, self._clock())
        if user is not None:
            await self._record(conn, "user_added", user, _rights(person), address)
            return user
        # Two logins at once: the other one made it.
        found = await identities.account_of(conn, person.issuer, person.subject)
        return found or Trouble(reason="taken", detail=f"{name} is another account; subject {person.subject}")

    async def _record(self, conn: Connection, act: Act, user: User, about: str, address: str) -> None:
        await audit.record(conn, Entry(act, user.name, user.id, about, address), self._clock())


def _rights(person: Person) -> str:
    return person.role if person.tenant is None else f"{person.role}, {person.tenant}"
