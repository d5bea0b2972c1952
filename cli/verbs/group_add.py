"""`neopro group add`: sites chosen by what they are or by name, and a layer for them."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from cli.checked import land_checked
from cli.edits import SCHEMA_LINE, flow, scalar
from cli.errors import CommandFailed
from cli.flags import Several
from cli.landing import WRITTEN, Landing
from cli.output import Output
from cli.values import free_value
from schemas.names import DocumentId

GroupType = Literal["sport", "geography", "version", "custom"]


def group_add(
    group: str,
    /,
    *,
    name: str,
    priority: int,
    select: Several[str] = None,
    site: Several[str] = None,
    type: GroupType = "custom",
    release: str | None = None,
    video_set: Several[str] = None,
    landing: Landing = WRITTEN,
) -> None:
    """Add a group: write groups/GROUP.yaml.

    Choose its sites by --select, of which every one must hold, or by --site. KEY=A,B is any of them, KEY!=A none of
    them. Keys: id, name, club, city, region, country, sports, hardware, timezone, state, tenant, labels.NAME.

    Examples:

    - `neopro group add rugby-west --name "Rugby" --select region=Bretagne --select sports=rugby --priority 150`
    - `neopro group add canary --name "First to try" --site rennes-fc --priority 950 --release 2.2.0`
    - `neopro group add paying --name Paying --select labels.offer!=free --priority 120 --video-set annonces-nationales`

    Parameters
    ----------
    group
        Its id: small letters, digits and hyphens.
    name
        The name that people see.
    priority
        From 0 to 1000; the group with the highest wins.
    select
        What its sites have: KEY=VALUE; can be given several times.
    site
        A site by its id; can be given several times.
    type
        How pages file it.
    release
        The release that its sites are to run.
    video_set
        A video set that its sites get; can be given several times.
    """
    checkout = landing.checkout()
    _require_new(group, f"groups/{group}.yaml" if checkout.has(f"groups/{group}.yaml") else None)
    if bool(select) == bool(site):
        raise CommandFailed(f"cannot add the group {group}: choose its sites by --select or by --site, one of the two")
    lines = [
        SCHEMA_LINE.format(kind="group"),
        f"name: {scalar(name)}",
        f"type: {type}",
        f"select: {flow(read_selector(select))}" if select else f"sites: {flow(list(dict.fromkeys(site or ())))}",
        f"priority: {priority}",
        *([f"release: {release}"] if release else []),
        *([f"video_sets: {flow(video_set)}"] if video_set else []),
    ]
    text = "\n".join(lines) + "\n"
    land_checked(landing, checkout, {f"groups/{group}.yaml": text}, f"Add the group {group}", {"group": group})
    if not landing.dry_run:
        Output(landing.json).say(f"its sites: neopro group members {group}")


def read_selector(words: Sequence[str]) -> dict[str, Any]:
    """`KEY=VALUE`, `KEY=A,B`, `KEY!=VALUE` as a selector; a key that is given twice is any of its values."""
    selector: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        turned = key.endswith("!")
        key = key.removesuffix("!")
        if not (equals and key and text):
            raise CommandFailed(f"cannot read the selector {word!r}: write KEY=VALUE, such as region=Bretagne")
        read = free_value(key, text) if text[0] in "[\"'" else text
        values = read if isinstance(read, list) else [read] if text[0] in "\"'" else text.split(",")
        known = selector.get(key, {"not": []} if turned else [])
        if isinstance(known, dict) != turned:
            raise CommandFailed(f"cannot select by {key} in two ways; write either {key}=… or {key}!=…")
        (known["not"] if turned else known).extend(value.strip() for value in values)
        selector[key] = known
    return {key: _short(wanted) for key, wanted in selector.items()}


def _short(wanted: Any) -> Any:
    """One value instead of a list of one."""
    if isinstance(wanted, dict):
        return {"not": _short(wanted["not"])}
    return wanted[0] if len(wanted) == 1 else wanted


def _require_new(group: str, there: str | None) -> None:
    try:
        msgspec.convert(group, DocumentId)
    except msgspec.ValidationError:
        raise CommandFailed(f"cannot add {group!r}: an id has small letters, digits and hyphens, at most 63") from None
    if there:
        raise CommandFailed(f"cannot add the group {group}: {there} is there already")
