"""`neopro show`: what a site is to be, as its box receives it."""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output

if TYPE_CHECKING:
    from control_plane.core.compile import CompiledSite
    from schemas.manifest import CategoryVideo, SiteManifest


def show(site: str, /, *, at: str | None = None, repository: Path | None = None, json: Flag = False) -> None:
    """Show what a site is to be: release, videos, categories, loops, configuration, windows, as its box receives it.

    It is the manifest that the control plane would publish for the files on disk, or for a commit. Secrets stay
    hidden. `neopro why SITE` tells where each value comes from, `neopro diff SITE` what its box reported.

    Examples:

    - `neopro show rennes-fc`
    - `neopro show rennes-fc --at HEAD~1`
    - `neopro show rennes-fc --json`

    Parameters
    ----------
    site
        Its id.
    at
        A commit; without it, the files as they lie on disk.
    repository
        The checkout; without it, the one around the current folder.
    json
        Print it as JSON.
    """
    import msgspec

    from control_plane.core.plan_changes import masked
    from schemas.manifest import SiteManifest

    output = Output(json)
    compiled = _compiled(Checkout.find(repository), site, at)
    manifest = msgspec.json.decode(compiled.body, type=SiteManifest)
    facts = {"site": site, "name": compiled.name, "state": compiled.state, "digest": compiled.manifest}
    output.data({**facts, "manifest": masked(msgspec.json.decode(compiled.body))})
    output.say(f"{site} · {compiled.name} ({compiled.state}), groups: {', '.join(compiled.facts['groups']) or 'none'}")
    output.say("\n".join(_lines(manifest)))


def _compiled(checkout: Checkout, site: str, at: str | None) -> "CompiledSite":
    """The site, compiled with its whole fleet; CommandFailed where that has errors or no such site."""
    from cli.commits import Commits
    from cli.verbs.validate import read_folder
    from control_plane.core.compile import compile_commit

    if at is None:
        fleet = compile_commit(*read_folder(checkout.root))
    else:
        commits = Commits(checkout)
        tree = commits.tree(commits.named(at))
        if tree is None:
            raise CommandFailed(f"cannot show {site} at {at}: that commit has no fleet.yaml")
        fleet = compile_commit(tree.entries, tree.blobs)
    if fleet.has_errors:
        raise CommandFailed(f"cannot show {site}: the fleet has errors; neopro validate tells them")
    found = fleet.sites.get(site)
    if found is None:
        near = get_close_matches(site, fleet.sites, 1)
        hint = f"did you mean {near[0]}?" if near else "neopro site list tells the ids"
        raise CommandFailed(f"cannot show {site}: there is no such site; {hint}")
    return found


def _lines(manifest: "SiteManifest") -> Iterator[str]:
    from control_plane.core.plan_changes import flat, masked, settings
    from control_plane.core.plan_details import value

    release = manifest.release
    yield f"release: {release.version}, restarts {', '.join(release.services)}" if release else "release: not managed"
    if manifest.agent:
        yield f"agent: {manifest.agent.version}"
    yield from _contents(manifest)
    for title, found in (("configuration", flat(manifest.config, "config")), ("settings", settings(manifest))):
        yield f"{title}:" if found else f"{title}: nothing is managed"
        yield from (f"  {key}: {value(masked(found[key]))}" for key in sorted(found))
    for operation in manifest.operations:
        yield f"once: {operation.action} ({operation.id}), not after {operation.not_after:%Y-%m-%d %H:%M} UTC"


def _contents(manifest: "SiteManifest") -> Iterator[str]:
    from control_plane.core.plan_words import count, megabytes

    total = megabytes(sum(file.size_bytes for file in manifest.content))
    yield f"content: {count(len(manifest.content), 'video')}, {total}"
    for category in manifest.categories:
        shown = f" ({'/'.join(category.blocks)})" if category.blocks else ""
        yield f"  {category.name}{shown}"
        yield from (f"    {_video(video)}" for video in category.videos)
        for inside in category.subcategories:
            yield f"    {inside.name}"
            yield from (f"      {_video(video)}" for video in inside.videos)
    for loop in ("sponsors", "before", "during", "after"):
        names = [video.name for video in getattr(manifest.loops, loop)]
        if names:
            yield f"  loop {loop}: {', '.join(names)}"


def _video(video: "CategoryVideo") -> str:
    days: list[Any] = [day for day in (video.from_, video.until) if day]
    return f"{video.name} ({video.from_ or '…'} to {video.until or '…'})" if days else video.name
