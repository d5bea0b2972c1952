"""The account of whoever is in: their password, one-time codes, sessions and personal tokens."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Literal

from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect
from msgspec import Struct

from control_plane.core.people import Scope, scopes_of
from control_plane.errors import NotAuthenticated
from control_plane.store import audit, sessions, tokens, users
from control_plane.store.pool import connection
from control_plane.store.sessions import Session
from control_plane.store.tokens import Token
from control_plane.web.codes import Offer, offer_of
from control_plane.web.entrance import Entrance, done_by
from control_plane.web.forms import fields_of
from control_plane.web.frame import Frame
from control_plane.web.visit import Shown, open_to
from control_plane.web.words import Words

Asked = Request[Any, Any, Any]
Answer = Response[Any]
MAX_DAYS: Final = 366
MAX_LABEL: Final = 60
Part = Literal["", "password", "totp", "tokens"]


class AccountPage(Struct, frozen=True, kw_only=True):
    """The page. `fault` stands at the `part` whose form was wrong; `made`: the text of a token, shown this once.

    `codes`: not theirs to set, off, on, or being set up with `offer`.
    """

    session: Session
    facts: Sequence[tuple[str, str]]
    codes: Literal["provider", "off", "on", "offered"]
    offer: Offer | None
    sessions: Sequence[Session]
    tokens: Sequence[Token]
    scopes: Sequence[Scope]
    max_days: int = MAX_DAYS
    part: Part = ""
    fault: str = ""
    made: str = ""
    done: bool = False


class Account:
    """The routes of the account."""

    def __init__(self, entrance: Entrance, frame: Frame) -> None:
        self._entrance, self._frame = entrance, frame

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        forms = {
            "password": self.change_password,
            "totp": self.offer_totp,
            "totp/take": self.take_totp,
            "totp/remove": self.remove_totp,
            "sessions/end": self.end_sessions,
            "tokens": self.make_token,
            "tokens/revoke": self.revoke_token,
        }
        whom: dict[str, Any] = {"include_in_schema": False, **open_to("known")}
        return [
            get("/account", **whom)(self.show),
            *(post(f"/account/{path}", **whom)(form) for path, form in forms.items()),
        ]

    async def show(self, request: Asked) -> Answer:
        """The page."""
        return await self._page(request, await self._session(request), done="done" in request.query_params)

    async def change_password(self, request: Asked) -> Answer:
        """Another password; every other session ends."""
        fields, session = await fields_of(request), await self._session(request)
        fault: str | None = await self._entrance.prove(request, session, fields.get("now", ""))
        if fault is None and fields.get("password", "") != fields.get("again", ""):
            fault = "again"
        if fault is not None:
            return await self._page(request, session, part="password", fault=fault)
        found = await self._entrance.choose_password(request, session, fields.get("password", ""))
        if isinstance(found, Cookie):
            return _done(found)
        return await self._page(request, session, part="password", fault=found)

    async def offer_totp(self, request: Asked) -> Answer:
        """Show a secret of one-time codes."""
        fields, session = await fields_of(request), await self._session(request)
        if fault := await self._entrance.prove(request, session, fields.get("now", "")):
            return await self._page(request, session, part="totp", fault=fault)
        await self._entrance.offered_totp(session)
        return Redirect("/account#codes", status_code=303)

    async def take_totp(self, request: Asked) -> Answer:
        """The first code by the secret that was shown."""
        fields, session = await fields_of(request), await self._session(request)
        found = await self._entrance.take_totp(request, session, fields.get("code", ""))
        if isinstance(found, Cookie):
            return _done(found)
        return await self._page(request, session, part="totp", fault=found)

    async def remove_totp(self, request: Asked) -> Answer:
        """No one-time codes any more; an admin sets them up anew at once."""
        fields, session = await fields_of(request), await self._session(request)
        if fault := await self._entrance.prove(request, session, fields.get("now", "")):
            return await self._page(request, session, part="totp", fault=fault)
        if session.user.role == "admin":
            return await self._page(request, session, part="totp", fault="needed")
        async with connection(self._entrance.pool) as conn:
            await users.set_totp(conn, session.user.id, None, None)
            await audit.record(conn, done_by(request, "totp_removed"), self._entrance.clock())
        return _done()

    async def end_sessions(self, request: Asked) -> Answer:
        """End one session by its number, or all but this one."""
        fields, session = await fields_of(request), await self._session(request)
        number = _number(fields)
        async with connection(self._entrance.pool) as conn:
            if number is None:
                ended = bool(await sessions.end_others(conn, session.user.id, session.id))
            else:
                ended = await sessions.end_session(conn, session.user.id, number)
            if ended:
                await audit.record(conn, done_by(request, "session_ended"), self._entrance.clock())
        return _done()

    async def make_token(self, request: Asked) -> Answer:
        """A personal token; its text is on the answer, and nowhere else."""
        fields, session = await fields_of(request), await self._session(request)
        user, now = session.user, self._entrance.clock()
        label, days = " ".join(fields.get("label", "").split()), _number(fields, "days") or 0
        allowed = scopes_of(user.role, user.tenant)
        scopes = [scope for scope in sorted(allowed) if f"scope-{scope}" in fields]
        fault: str | None = _token_fault(label, days, scopes)
        fault = fault or await self._entrance.prove(request, session, fields.get("now", ""))
        if fault is not None:
            return await self._page(request, session, part="tokens", fault=fault)
        async with connection(self._entrance.pool) as conn:
            expires_at = now + timedelta(days=days)
            made = await tokens.add_token(conn, label, scopes, now=now, expires_at=expires_at, owner=user.id)
            await audit.record(conn, done_by(request, "token_added", f"{label} {' '.join(scopes)}"), now)
        return await self._page(request, session, made=made)

    async def revoke_token(self, request: Asked) -> Answer:
        """Revoke one of their tokens by its number."""
        fields, session = await fields_of(request), await self._session(request)
        number, now = _number(fields), self._entrance.clock()
        if number is not None:
            async with connection(self._entrance.pool) as conn:
                name = await tokens.revoke_own_token(conn, session.user.id, number, now)
                if name is not None:
                    await audit.record(conn, done_by(request, "token_revoked", name), now)
        return _done()

    async def _session(self, request: Asked) -> Session:
        session = await self._entrance.session(request)
        if session is None:
            raise NotAuthenticated("cannot show an account: log in by a browser")
        return session

    async def _page(
        self,
        request: Asked,
        session: Session,
        *,
        part: Part = "",
        fault: str = "",
        made: str = "",
        done: bool = False,
    ) -> Answer:
        words, user, now = self._frame.words(request), session.user, self._entrance.clock()
        async with connection(self._entrance.pool) as conn:
            listed = await sessions.sessions_of(conn, user.id, self._entrance.lasting, now)
            own = await tokens.tokens_of(conn, user.id, now)
        offered = session.totp_offered
        page = AccountPage(
            session=session,
            facts=_facts(session, words),
            codes="provider" if user.password is None else "offered" if offered else "on" if user.totp else "off",
            offer=offer_of(offered, user.name) if offered else None,
            sessions=listed,
            tokens=own,
            scopes=sorted(scopes_of(user.role, user.tenant)),
            part=part,
            fault=f"fault.{fault}" if fault else "",
            made=made,
            done=done,
        )
        answer = self._frame.page(request, words, session.reader, Shown("account.html", page, kept=False))
        answer.status_code = {"": 200, "limited": 429}.get(fault, 422)
        return answer


def _facts(session: Session, words: Words) -> list[tuple[str, str]]:
    user = session.user
    whose = words("account.tenant.own", tenant=user.tenant) if user.tenant else words("account.tenant.all")
    return [
        (words("login.name"), user.name),
        (words("account.role"), words(f"role.{user.role}")),
        (words("account.tenant"), whose),
        (words("account.since"), words.instant(user.created_at)),
        (words("account.login"), words.instant(user.last_login_at) if user.last_login_at else "—"),
    ]


def _token_fault(label: str, days: int, scopes: Sequence[Scope]) -> str | None:
    if not 1 <= len(label) <= MAX_LABEL or not label.isprintable():
        return "label"
    if not 1 <= days <= MAX_DAYS:
        return "days"
    return None if scopes else "scopes"


def _number(fields: Mapping[str, str], key: str = "id") -> int | None:
    """A number of a form; None where there is none that could be one of ours."""
    text = fields.get(key, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None


def _done(cookie: Cookie | None = None) -> Answer:
    return Redirect("/account?done", status_code=303, cookies=[cookie] if cookie else None)
