"""The way in: name and password, then what is still missing: a code, a password of one's own, one-time codes set up.

One address, `/login`, shows the step that comes next; each form of it is posted to an address of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect
from msgspec import Struct

from control_plane.core.people import Step, local_path
from control_plane.store.sessions import Session
from control_plane.web.codes import Offer, offer_of
from control_plane.web.entrance import Entrance
from control_plane.web.forms import fields_of
from control_plane.web.frame import Frame
from control_plane.web.visit import Shown, open_to

Asked = Request[Any, Any, Any]
Answer = Response[Any]


class Provider(NamedTuple):
    """Another way in: the address that begins it, what it is called, and where its own session is ended."""

    path: str
    name: str
    farewell: str


class LoginPage(Struct, frozen=True, kw_only=True):
    """The step that is to be done. `fault`: a key of the catalog, of what was wrong with the last try.

    `left`: a session that a provider had opened was just ended, and the provider's own may go on.
    """

    step: Step | None
    next: str
    fault: str = ""
    name: str = ""
    offer: Offer | None = None
    providers: Sequence[Provider] = ()
    left: bool = False


class Login:
    """The routes of the way in and out."""

    def __init__(self, entrance: Entrance, frame: Frame, providers: Sequence[Provider] = ()) -> None:
        self._entrance, self._frame, self._providers = entrance, frame, providers

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        forms = {
            "/login": self.log_in,
            "/login/code": self.give_code,
            "/login/password": self.choose_password,
            "/login/totp": self.take_totp,
            "/logout": self.leave,
        }
        whom: dict[str, Any] = {"include_in_schema": False, **open_to("everyone")}
        return [get("/login", **whom)(self.show), *(post(path, **whom)(form) for path, form in forms.items())]

    async def show(self, request: Asked) -> Answer:
        """The next step; whoever is in is sent on."""
        asked = local_path(request.query_params.get("next", "/"))
        session = await self._entrance.session(request)
        if session is not None and session.step is None:
            return _see(asked)
        return await self._step(request, session, asked)

    async def log_in(self, request: Asked) -> Answer:
        """Name and password."""
        fields = await fields_of(request)
        asked, name = local_path(fields.get("next", "/")), fields.get("name", "")
        found = await self._entrance.log_in(request, name, fields.get("password", ""))
        if isinstance(found, Cookie):
            return _see(f"/login?{urlencode({'next': asked})}", found)
        return await self._step(request, None, asked, fault=found, name=name[:64])

    async def give_code(self, request: Asked) -> Answer:
        """A one-time code."""
        return await self._on(request, "code")

    async def choose_password(self, request: Asked) -> Answer:
        """A password of their own, in the place of the one that they were given."""
        return await self._on(request, "password")

    async def take_totp(self, request: Asked) -> Answer:
        """The first code by the secret that was shown."""
        return await self._on(request, "totp")

    async def leave(self, request: Asked) -> Answer:
        """End the session."""
        await fields_of(request)
        session = await self._entrance.session(request)
        by_provider = session is not None and session.by_provider
        answer = _see("/login?left=1" if by_provider else "/login", await self._entrance.leave(request))
        answer.headers["Clear-Site-Data"] = '"cache"'  # the way back shows nothing to whoever sits down next
        return answer

    async def _on(self, request: Asked, step: Step) -> Answer:
        """Take the form of a step, if that is the one that comes next, and go on to the one after it."""
        fields = await fields_of(request)
        asked = local_path(fields.get("next", "/"))
        session = await self._entrance.session(request)
        if session is None or session.step != step:
            return _see(f"/login?{urlencode({'next': asked})}")
        found = await self._take(request, session, step, fields)
        if isinstance(found, Cookie):
            return _see(f"/login?{urlencode({'next': asked})}", found)
        return await self._step(request, session, asked, fault=found)

    async def _take(self, request: Asked, session: Session, step: Step, fields: Mapping[str, str]) -> Cookie | str:
        code = fields.get("code", "")
        match step:
            case "code":
                return await self._entrance.give_code(request, session, code)
            case "totp":
                return await self._entrance.take_totp(request, session, code)
            case "password":
                if fields.get("password", "") != fields.get("again", ""):
                    return "again"
                return await self._entrance.choose_password(request, session, fields.get("password", ""))

    async def _step(
        self, request: Asked, session: Session | None, asked: str, *, fault: str = "", name: str = ""
    ) -> Answer:
        step = session.step if session else None
        offer = None
        if session is not None and step == "totp":
            offer = offer_of(await self._entrance.offered_totp(session), session.user.name)
        page = LoginPage(
            step=step,
            next=asked,
            fault=f"fault.{fault}" if fault else "",
            name=session.user.name if session else name,
            offer=offer,
            providers=self._providers,
            left="left" in request.query_params,
        )
        answer = self._frame.page(request, self._frame.words(request), None, Shown("login.html", page, kept=False))
        answer.status_code = {"": 200, "limited": 429}.get(fault, 422)
        return answer


def _see(path: str, cookie: Cookie | None = None) -> Answer:
    """On to another page, by GET."""
    return Redirect(path, status_code=303, cookies=[cookie] if cookie else None, headers={"Cache-Control": "no-store"})
