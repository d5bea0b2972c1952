"""What browsers post: fields, from our own pages alone."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from litestar import Request
from litestar.exceptions import ClientException

from control_plane.errors import Forbidden

Asked = Request[Any, Any, Any]
MAX_FIELDS: Final = 20
_FORM: Final = "application/x-www-form-urlencoded"


async def fields_of(request: Asked) -> Mapping[str, str]:
    """The fields of a form, the last of each name; Forbidden where another site's page sent it."""
    _require_own_page(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise ClientException(f"cannot read the form: send it as {_FORM}")
    try:
        text = (await request.body()).decode()
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"))
    except ValueError:
        raise ClientException("cannot read the form: too many fields, or not UTF-8") from None


def _require_own_page(request: Asked) -> None:
    """Browsers say from where a form comes, by Fetch Metadata or by Origin; what says neither is refused.

    The cookie, which is SameSite=Lax, does not come with another site's form in the first place.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        own = site == "same-origin"
    else:
        origin = urlsplit(request.headers.get("origin", ""))
        own = bool(origin.netloc) and origin.netloc.lower() == request.headers.get("host", "").lower()
    if not own:
        raise Forbidden("cannot take this form: it was not sent by a page of this server; open the page and try again")
