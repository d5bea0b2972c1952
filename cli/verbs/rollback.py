"""`neopro rollback`: a site or a group as it was before."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Final

from cli.checked import land_checked
from cli.checkout import Checkout
from cli.edits import Edit
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.git_history import Past, changes_of, content_at, content_before, require_committed
from cli.landing import WRITTEN, Landing
from cli.output import Output

FLEET: Final = "fleet"


def rollback(name: str, /, *, to: str | None = None, release: Flag = False, landing: Landing = WRITTEN) -> None:
    """Take back the last change of a site, a group or the fleet: write its file as it was before.

    Nothing is rewritten: it is a change like any other, which boxes converge on. With --release only the key
    `release` goes back to the value that it had before; the rest of the file stays.

    Examples:

    - `neopro rollback bretagne --release --commit`
    - `neopro rollback rennes-fc --dry-run`
    - `neopro rollback groups/beta --to HEAD~5 --branch back-to-monday`
    - `neopro rollback fleet --commit`

    Parameters
    ----------
    name
        A site or a group by its id (sites/ID or groups/ID where both have it), or `fleet` for fleet.yaml.
    to
        The commit whose version is wanted; without it, the one before the last change of the file.
    release
        Only the key `release`.
    """
    checkout = landing.checkout()
    path = _path_of(checkout, name)
    require_committed(checkout, path)
    now = checkout.read(path)
    if release:
        after, source = _with_old_release(checkout, path, now, to)
    else:
        after, source = _as_before(checkout, path, to)
    if not landing.json:
        Output().say(source)
    what = "the release of " if release else ""
    land_checked(landing, checkout, {path: after}, f"Roll back {what}{path}", {"file": path, "source": source})


def _path_of(checkout: Checkout, name: str) -> str:
    folder, slash, stem = name.removesuffix(".yaml").partition("/")
    if slash and folder in ("sites", "groups"):
        return checkout.path_of(folder, stem.rpartition("/")[2])
    sites, groups = checkout.documents("sites"), checkout.documents("groups")
    if name in sites and name in groups:
        raise CommandFailed(f"cannot tell what {name} is: there is a site and a group; write sites/{name} or groups/…")
    if name == FLEET and name not in sites and name not in groups:
        return "fleet.yaml"
    known = {**sites, **groups}
    if name not in known:
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else "neopro site list and neopro group list tell the ids"
        raise CommandFailed(f"cannot find the site or group {name}: {hint}")
    return known[name]


def _as_before(checkout: Checkout, path: str, to: str | None) -> tuple[str, str]:
    """The text before the last change, or that of a commit; and in words which it is."""
    if to is not None:
        found = content_at(checkout, to, path)
        if found is None:
            raise CommandFailed(f"cannot go back to {to}: it has no {path}")
        return found, f"{path} as it was in {to}"
    last = _history(checkout, path)[0]
    before = content_before(checkout, last, path)
    if before is None:
        raise CommandFailed(f"cannot go back: {path} was added by {last} and has not changed since")
    return before, f"{path} as it was before {last}"


def _with_old_release(checkout: Checkout, path: str, now: str, to: str | None) -> tuple[str, str]:
    """The text of now with the release of an earlier commit: the last one that had another."""
    key = ("defaults", "release") if path == "fleet.yaml" else ("release",)
    edit = Edit(now, path)
    current = edit.get(key)
    if to is None and current is None:
        raise CommandFailed(f"cannot take its release back: {path} sets none; another layer does, see: neopro why")
    if to is not None:
        wanted, source = _value(content_at(checkout, to, path), path, key), f"as in {to}"
    else:
        wanted, source = _release_before(checkout, path, key, current)
    if wanted is None:
        edit.delete(key)
    else:
        edit.set(key, wanted)
    return edit.text, f"{path}: release {current or 'not set'} -> {wanted or 'not set'}, {source}"


def _release_before(checkout: Checkout, path: str, key: Sequence[str], current: Any) -> tuple[Any, str]:
    for past in _history(checkout, path):
        before = content_before(checkout, past, path)
        if before is None:
            break
        if (value := _value(before, path, key)) != current:
            return value, f"as before {past}"
    raise CommandFailed(f"cannot take its release back: {path} never had another one than {current}")


def _value(text: str | None, path: str, key: Sequence[str]) -> Any:
    return None if text is None else Edit(text, path).get(key)


def _history(checkout: Checkout, path: str) -> list[Past]:
    found = list(changes_of(checkout, path))
    if not found:
        raise CommandFailed(f"cannot go back: {path} was never committed")
    return found
