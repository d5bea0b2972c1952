"""`neopro diff`: what a site is to be beside what its box reported."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output

if TYPE_CHECKING:
    from schemas.api import ClubState, SiteDetail
    from schemas.club import ClubMirror
    from schemas.manifest import SiteManifest

UNTOLD = (
    "club-owned: its box has not told what the club owns; where it is in the way of ours, it says so above. Nothing of "
    "a club's is ever changed or removed"
)
NAMED = 20
"""Files of a club that are listed."""
Row = tuple[str, str, str, str]


def diff(site: str, /, *, repository: Path | None = None, json: Flag = False) -> int:
    """Show what a site is to be beside what its box last reported, and what keeps them apart.

    DESIRED is what is published, not what lies on disk (that is `neopro plan --site SITE`). What the club owns on the
    box stands beside it, and where both use one name, what becomes of the club's. What boxes do not report is said, and
    never guessed.

    Exit status 0: the box reported that it is as desired; 1: it differs, or did not report; 2: it could not be asked.

    Examples:

    - `neopro diff rennes-fc`
    - `neopro diff rennes-fc --json`

    Parameters
    ----------
    site
        Its id.
    repository
        The checkout whose settings to use; without it, the one around the current folder, if any.
    json
        Print it as JSON.
    """
    from cli.remote import Remote, find_target

    output = Output(json)
    with Remote(find_target(os.environ, Checkout.find_if_any(repository))) as remote:
        found = remote.site(site)
        manifest = remote.manifests([found.manifest]).get(found.manifest)
        club = remote.club(site)
    if manifest is None:
        raise CommandFailed(f"cannot compare {site}: the control plane does not have its manifest {found.manifest}")
    rows = [*_targets(found, manifest), *_differences(found)]
    output.data(
        {
            "site": site,
            "standing": found.standing,
            "desired": {"generation": found.generation, "commit": found.commit, "manifest": found.manifest},
            "observed": {"generation": found.reported_generation, "last_report_at": found.last_report_at},
            "rows": [dict(zip(("what", "desired", "observed", "owner"), row, strict=True)) for row in rows],
            "conditions": found.conditions,
            "waiting": found.waiting,
            "rollouts": found.rollouts,
            "club_owned": club,
        }
    )
    _tell(output, found, rows)
    _tell_club(output, club, manifest)
    return 0 if found.standing == "Synced" else 1


def _targets(found: "SiteDetail", manifest: "SiteManifest") -> Iterator[Row]:
    """What is compared whatever the box says: the generation, the release."""
    reported = "not reported" if found.reported_generation is None else str(found.reported_generation)
    yield "generation", str(found.generation), reported, "fleet"
    release = manifest.release.version if manifest.release else "not managed"
    running = found.release.version if found.release else "not reported"
    by_hand = " (installed by hand)" if found.release and found.release.tree is None else ""
    yield "release", release, running + by_hand, "fleet"


def _differences(found: "SiteDetail") -> Iterator[Row]:
    for one in found.differences:
        yield f"{one.kind} {one.what}", one.desired or "-", one.observed or "-", "fleet"


def _tell(output: Output, found: "SiteDetail", rows: list[Row]) -> None:
    from cli.rollouts import of_site

    at = found.last_report_at
    age = "its box has never reported" if at is None else f"reported {_ago(at)}"
    output.say(f"{found.site} · {found.name}: {found.standing}, {age}{f': {found.message}' if found.message else ''}")
    output.table(("WHAT", "DESIRED", "OBSERVED"), [row[:3] for row in rows])
    if at is not None and not found.differences:
        output.say("the box reported no difference in content, configuration, release or services")
    for one in found.rollouts:
        output.say(f"rollout {one.number}: {of_site(one)}; neopro rollout show {one.number}")
    for waiting in found.waiting:
        until = f" until {waiting.until:%Y-%m-%d %H:%M} UTC" if waiting.until else ""
        output.say(f"waits: {waiting.step}: {waiting.message or waiting.reason}{until}")
    for condition in found.conditions:
        why = condition.message or (condition.reason if condition.reason != condition.type else "")
        output.say(f"{condition.type} is {condition.status}" + (f": {why}" if why else ""))


def _tell_club(output: Output, state: "ClubState | None", manifest: "SiteManifest") -> None:
    if state is None:
        output.say(UNTOLD)
        return
    output.say(f"club-owned, told {_ago(state.received_at)}; nothing of it is ever changed or removed:")
    output.table(("THE CLUB'S", "IS", "BESIDE OURS"), [*_club(state.club, manifest)])
    if state.club.omitted:
        output.say(f"its box left out what was too much to tell: {state.club.omitted:,} things")


def _club(club: "ClubMirror", manifest: "SiteManifest") -> Iterator[tuple[str, str, str]]:
    """What the club has, in words, and what becomes of it where the fleet wants the same name."""
    from control_plane.core.plan_words import count, megabytes
    from schemas.club import id_beside

    ours, paths = {c.id for c in manifest.categories}, {file.path for file in manifest.content}
    taken = ours | {c.id for c in club.categories}
    for key in ("title", "language", "timezone"):
        if (text := getattr(club, key)) is not None:
            yield key, text, ""
    for one in club.categories:
        videos = len(one.videos) + sum(len(sub.videos) for sub in one.subcategories)
        kept = f"is kept as {id_beside(one.id, taken)}" if one.id in ours else ""
        yield f"category {one.id}", f"{one.name}: {count(videos, 'video')}", kept
    for block in club.blocks:
        if block.categories or block.loop:
            shown = count(len(block.categories), "category", "categories")
            yield f"block {block.id}", f"{shown}, {count(len(block.loop), 'video')} in its loop", ""
    if club.loop:
        yield "loop", count(len(club.loop), "video"), ""
    for file in [f for f in club.files if f.path in paths or f in club.files[:NAMED]]:
        stays = "stays; ours comes only if it is the same" if file.path in paths else ""
        yield f"file {file.path}", megabytes(file.size_bytes), stays
    yield "files", f"{count(club.file_count, 'file')}, {megabytes(club.file_bytes)}", ""


def _ago(at: datetime) -> str:
    from control_plane.core.plan_words import span

    return f"{span((datetime.now(UTC) - at).total_seconds())} ago"
