"""`neopro import`: an export of the existing central database becomes a fleet-state repository."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from cli.errors import CommandFailed
from cli.exports import read_export
from cli.flags import Flag
from cli.output import Output
from cli.takeover import Takeover, take_over
from cli.words import count
from control_plane.core.compile import TreeEntry, compile_commit


def import_(path: Path, /, *, to: Path, dry_run: Flag = False, json: Flag = False) -> None:
    """Make a fleet-state repository of an export: sites, groups, videos and the sets of their categories.

    PATH is a folder with sites.csv, groups.csv, site_groups.csv and videos.csv (or .json), or one JSON file with these
    lists. Columns are taken by their usual names, in any order: id, site_name, club_name, location or city, region,
    country, lat, lon, sports, status, hardware_model, timezone, email; groups: id, name, type, members or criteria
    (sport, region, city …); videos: filename, title, category, subcategory, size, checksum (SHA-256), duration,
    sponsor. What cannot be taken over is told with its line. Keys and passwords never are.

    Then: neopro keys init FOLDER --keys …, git init, and each box's identity as it is installed anew.

    Examples:

    - `neopro import export/ --to fleet-state`
    - `neopro import export.json --to fleet-state --dry-run`

    Parameters
    ----------
    path
        The export.
    to
        The folder of the new repository; it must be empty or not be there.
    dry_run
        Say what would be taken over, and write nothing.
    json
        Print what was taken over, and what was not, as JSON.
    """
    output = Output(json)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise CommandFailed(f"cannot import into {to}: it is not empty; name a new folder")
    taken = take_over(read_export(path))
    _require_valid(taken)
    if not dry_run:
        _write(taken, to)
    notes = [{"place": place, "what": what} for place, what in taken.notes]
    output.data({**taken.counts, "notes": notes, "folder": None if dry_run else str(to)})
    for place, what in taken.notes:
        output.note(f"{place}: {what}")
    numbers = ", ".join(count(number, word.removesuffix("s")) for word, number in taken.counts.items())
    output.say(f"{numbers}; {count(len(taken.notes), 'remark')}")
    if dry_run:
        output.say("nothing was written (--dry-run)")
    else:
        if taken.counts["video sets"]:
            output.say("no layer names the video sets yet: write video_sets: […] into fleet.yaml or a group")
        output.say(f"wrote {to}; make its keys next: neopro keys init {to} --keys A-FOLDER-ELSEWHERE")


def _require_valid(taken: Takeover) -> None:
    """What is written is what `neopro validate` takes, but for the keys that are made next."""
    data = {path: text.encode() for path, text in taken.files.items()}
    blobs = {hashlib.sha1(content, usedforsecurity=False).hexdigest(): content for content in data.values()}
    entries = [
        TreeEntry(path, hashlib.sha1(content, usedforsecurity=False).hexdigest(), 0o100644, len(content))
        for path, content in data.items()
    ]
    wrong = [
        problem
        for problem in compile_commit(entries, blobs).problems
        if problem.severity == "error" and problem.code != "TrustMissing"
    ]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise CommandFailed(f"cannot import: {wrong[0].file}: {wrong[0].message}{more}; mend it in the export")


def _write(taken: Takeover, to: Path) -> None:
    """All of it or nothing: written beside the folder, and then named."""
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=f".{to.name}-", dir=to.parent))
        try:
            for path, text in taken.files.items():
                (staged / path).parent.mkdir(parents=True, exist_ok=True)
                (staged / path).write_text(text, "utf-8")
            staged.chmod(0o755)
            if to.exists():
                to.rmdir()
            staged.rename(to)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    except OSError as problem:
        raise CommandFailed(f"cannot write {problem.filename}: {problem.strerror}") from None
