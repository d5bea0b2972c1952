"""Both ends of a plan as an operator names them, and what the control plane knows of the boxes."""

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cli.checkout import Checkout
from cli.commits import Commit, Commits
from cli.errors import CommandFailed
from cli.parsed import known_documents
from cli.verbs.validate import read_folder
from control_plane.core.compile import CompiledFleet, changed_sites, compile_commit
from control_plane.core.parse import Documents
from control_plane.core.plan_load import Observed
from control_plane.core.rollout_info import rollout_of
from control_plane.git_objects import Tree
from schemas.api import Observations
from schemas.manifest import SiteManifest

if TYPE_CHECKING:
    from cli.remote import Remote

WORKING_TREE = "the working tree"
NOTHING = "nothing"


class Ends(NamedTuple):
    """The two ends; None: nothing was there yet (`base`), the working tree (`head`)."""

    base: Commit | None
    head: Commit | None

    @property
    def names(self) -> tuple[str, str]:
        """What they are called."""
        return str(self.base or NOTHING), str(self.head or WORKING_TREE)


class Compiled(NamedTuple):
    """Both ends compiled, and the messages of the commits between them; `base` None: nothing was published yet."""

    base: CompiledFleet | None
    head: CompiledFleet
    messages: list[str]


def find_ends(commits: Commits, text: str | None, told: Observations | None) -> Ends:
    """`BASE..HEAD`, `BASE...HEAD` (from where they parted), `BASE` (to the working tree), or nothing of it.

    Without a base: what is published, as the control plane `told`, else what the upstream branch has.
    """
    left, dots, right = (text or "").partition("...")
    if not dots:
        left, dots, right = (text or "").partition("..")
    head = commits.named(right or "HEAD") if dots else None
    base = commits.named(left) if left else _default_base(commits, told)
    if dots == "..." and base and head:
        base = commits.fork(base, head)
    return Ends(base, head)


def _default_base(commits: Commits, told: Observations | None) -> Commit | None:
    if told is None:
        return commits.usual_base()
    published = told.commit
    if published is None:
        return None
    if not commits.has(published):
        raise CommandFailed(
            f"cannot compare with what is published: this repository does not have {published[:12]}; "
            "run git fetch, or name a base: neopro plan origin/HEAD"
        )
    return Commit("published", published)


def compile_ends(checkout: Checkout, commits: Commits, ends: Ends) -> Compiled:
    """Compile both, the second from the first; CommandFailed where the base has errors or an end no fleet."""
    tree = commits.tree(ends.base) if ends.base else None
    with known_documents(tree.entries.size if tree else 0) as documents:
        return _compile_ends(checkout, commits, ends, tree, documents)


def _compile_ends(
    checkout: Checkout, commits: Commits, ends: Ends, tree: Tree | None, documents: Documents | None
) -> Compiled:
    base = compile_commit(tree.entries, tree.blobs, None, documents) if tree else None
    if base is not None and base.has_errors:
        first = next(str(problem) for problem in base.problems if problem.severity == "error")
        raise CommandFailed(f"cannot plan from {ends.base}: it has errors and was never published; first: {first}")
    if ends.head is None:
        entries, blobs = read_folder(checkout.root)
        head = compile_commit(entries, blobs, base, documents)
    else:
        files = commits.tree(ends.head, tree.entries if tree else None)
        if files is None:
            raise CommandFailed(f"cannot plan {ends.head}: it has no fleet.yaml in this folder")
        head = compile_commit(files.entries, files.blobs, base, documents)
    tip = ends.head or commits.named("HEAD")
    return Compiled(base, head, commits.messages(tip, ends.base) if ends.base else [])


def observe(told: Observations, ends: Ends, compiled: Compiled, remote: "Remote") -> Observed:
    """What boxes reported, with the manifests that they reported about, and what clubs own where something changes.

    Manifests that BASE has are not fetched. The rollouts under way count where BASE is what they go by.
    """
    base = compiled.base
    changed = compiled.head.sites.keys() if base is None else changed_sites(base, compiled.head)
    sites = {one.site: one for one in told.sites}
    wanted = {one.manifest for site in changed if (one := sites.get(site)) and one.manifest}
    here = {site.manifest: site for site in base.sites.values()} if base else {}
    known = {digest: msgspec.json.decode(here[digest].body, type=SiteManifest) for digest in wanted if digest in here}
    goes_on = ends.base is not None and ends.base.revision == told.commit
    return Observed(
        at=told.at,
        sites=sites,
        manifests=known | remote.manifests(wanted - known.keys()),
        clubs=remote.clubs(sorted(changed)),
        rollouts=[rollout_of(remote.rollout(one.number)) for one in remote.rollouts()] if goes_on else [],
    )
