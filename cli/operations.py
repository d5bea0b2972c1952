"""One-shot operations as documents: what the verbs of `neopro op` share."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
from cyclopts import Parameter

from cli.checked import land_checked
from cli.checkout import Checkout
from cli.edits import SCHEMA_LINE, flow
from cli.errors import CommandFailed
from cli.fleet_view import read_fleet
from cli.landing import Landing
from cli.output import Output
from schemas.desired import OperationAction
from schemas.names import Duration, duration_s

MAX_ID: Final = 63
WORDS: Final[dict[OperationAction, str]] = {
    "reboot": "reboot",
    "restart_service": "restart",
    "fetch_logs": "logs",
    "self_test": "self-test",
    "retry": "retry",
}
"""Action -> the verb's word, which names the file."""

_SUBJECTS: Final[dict[OperationAction, str]] = {
    "reboot": "Reboot",
    "restart_service": "Restart a service of",
    "fetch_logs": "Fetch the logs of",
    "self_test": "Ask for a self-test of",
    "retry": "Ask for another try of",
}

Site = Annotated[str | None, Parameter(help="For this site.")]
Group = Annotated[str | None, Parameter(help="For every site that is in this group now and until it expires.")]
Within = Annotated[str, Parameter(help="It expires after this time, such as 30m, 24h, 7d; then it is inert.")]
NotAfter = Annotated[
    str | None, Parameter(help="It expires at this instant, such as 2026-11-24T06:00+01:00, instead of --within.")
]


def add_operation(
    landing: Landing,
    action: OperationAction,
    *,
    site: str | None,
    group: str | None,
    within: str,
    not_after: str | None,
    **parameters: str | None,
) -> None:
    """Write operations/ID.yaml; CommandFailed where the target or the time makes no sense."""
    if (site is None) == (group is None):
        raise CommandFailed(f"cannot {WORDS[action]}: say whom it is for, --site S or --group G")
    checkout = landing.checkout()
    boxes = _boxes(checkout, site, group)
    now = datetime.now(UTC).replace(microsecond=0)
    target = {"site": site} if site is not None else {"group": group}
    name = _free_id(checkout, f"{now:%Y-%m-%d}-{WORDS[action]}-{site or group}")
    document = {
        "target": target,
        "action": action,
        **{key: value for key, value in parameters.items() if value is not None},
        "not_after": _expiry(now, within, not_after).isoformat(),
    }
    lines = [SCHEMA_LINE.format(kind="operation"), *(f"{key}: {_written(value)}" for key, value in document.items())]
    path = f"operations/{name}.yaml"
    data = {"operation": name, "sites": boxes, "not_after": document["not_after"]}
    subject = f"{_SUBJECTS[action]} {site or f'the group {group}'}"
    land_checked(landing, checkout, {path: "\n".join(lines) + "\n"}, subject, data)
    if not landing.dry_run:
        count = "one box, once" if len(boxes) == 1 else f"{len(boxes)} boxes, each once"
        Output(landing.json).say(f"{count}; what came of it: neopro logs {name}")


def _written(value: object) -> str:
    return flow(value) if isinstance(value, dict) else str(value)


def _boxes(checkout: Checkout, site: str | None, group: str | None) -> list[str]:
    view = read_fleet(checkout)
    if site is not None:
        view.site(site)
        return [site]
    view.group(group or "")
    members = view.members(group or "")
    if not members:
        raise CommandFailed(f"cannot reach any box: no site is in the group {group}", status=1)
    return members


def _free_id(checkout: Checkout, wanted: str) -> str:
    """The id, with a number where it is taken: an operation of a known id would never run again."""
    known = checkout.documents("operations")
    numbered = (f"-{number}" if number > 1 else "" for number in range(1, len(known) + 2))
    return next(name for end in numbered if (name := wanted[: MAX_ID - len(end)].rstrip("-") + end) not in known)


def _expiry(now: datetime, within: str, not_after: str | None) -> datetime:
    if not_after is None:
        try:
            return now + timedelta(seconds=duration_s(msgspec.convert(within, Duration)))
        except msgspec.ValidationError:
            raise CommandFailed(f"cannot read --within {within}: write a number and a unit: 30m, 24h, 7d") from None
    try:
        expires_at = msgspec.convert({"at": not_after}, dict[str, datetime])["at"]
    except msgspec.ValidationError:
        expires_at = None
    if expires_at is None or expires_at.tzinfo is None:
        raise CommandFailed(f"cannot read --not-after {not_after}: write it with its zone: 2026-11-24T06:00:00+01:00")
    if expires_at <= now:
        raise CommandFailed(f"cannot let it expire at {not_after}: that is past; no box would do it")
    return expires_at
