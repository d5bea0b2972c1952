"""`neopro site edit`: change what is written of a site, by KEY=VALUE or in an editor."""

import os
import shlex
import subprocess
from pathlib import Path

from cli.checked import land_checked, new_problems
from cli.checkout import Checkout
from cli.edits import Edit
from cli.errors import CommandFailed
from cli.landing import WRITTEN, Landing
from cli.output import Output
from cli.values import Assignment, as_written, read_assignment, typed
from schemas.desired import Site


def site_edit(site: str, /, *changes: str, landing: Landing = WRITTEN) -> int:
    """Change a site by KEY=VALUE; without any, open its file in $EDITOR and check it afterwards.

    Values are read as the key wants them: text as it is typed, lists as a,b or [a, b], maps as {a: b}. KEY= takes the
    key away. Comments and order stay. An edit with a mistake is kept beside the repository, its problems are told with
    status 1, and the same command goes on with it.

    Examples:

    - `neopro site edit rennes-fc state=suspended labels.offer=gold`
    - `neopro site edit rennes-fc sports=football,futsal location.lat=48.11 contact.phone=`
    - `neopro site edit rennes-fc --commit`

    Parameters
    ----------
    site
        Its id.
    changes
        KEY=VALUE; a key within another as location.city.
    """
    checkout = landing.checkout()
    path = checkout.path_of("sites", site)
    before, draft = checkout.read(path), None
    if changes:
        after = _changed(before, path, [read_assignment(word) for word in changes])
    else:
        draft = _draft_file(checkout, site)
        after = _edited(before, draft)
        if problems := [str(p) for p in new_problems(checkout, {path: after}) if p.severity == "error"]:
            return _keep(landing, site, draft, problems)
    land_checked(landing, checkout, {path: after}, f"Edit the site {site}", {"site": site})
    if draft is not None and not landing.dry_run:
        draft.unlink(missing_ok=True)
    return 0


def _changed(text: str, path: str, changes: list[Assignment]) -> str:
    edit = Edit(text, path)
    for change in changes:
        value = typed(Site, change)
        if not change.text:
            edit.delete(change.path)
        else:
            edit.set(change.path, as_written(value))
    return edit.text


def _draft_file(checkout: Checkout, site: str) -> Path:
    """Where an unfinished edit is kept: in Git's own folder, or in one that the compiler does not look into."""
    asked = ["git", "-C", str(checkout.root), "rev-parse", "--absolute-git-dir"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    folder = Path(answer.stdout.strip()) if answer.returncode == 0 else checkout.root
    return folder / ".neopro" / f"{site}.yaml"


def _edited(before: str, draft: Path) -> str:
    """What the operator makes of it in the editor; of an earlier draft where there is one."""
    if not draft.exists():
        draft.parent.mkdir(exist_ok=True)
        draft.write_text(before, "utf-8")
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        status = subprocess.run([*shlex.split(editor), str(draft)], check=False).returncode
        after = draft.read_text("utf-8")
    except (OSError, ValueError) as problem:
        raise CommandFailed(f"cannot open the editor {editor}: {problem}; set EDITOR") from None
    if status:
        draft.unlink(missing_ok=True)
        raise CommandFailed(f"cannot take the edit: {editor} ended with status {status}; nothing was changed")
    if after == before:
        draft.unlink(missing_ok=True)
    return after


def _keep(landing: Landing, site: str, draft: Path, problems: list[str]) -> int:
    output = Output(landing.json)
    output.data({"site": site, "draft": str(draft), "problems": problems})
    for problem in problems:
        output.say(problem)
    output.say(f"nothing was changed; the edit is kept: neopro site edit {site} goes on with it (or delete {draft})")
    return 1
