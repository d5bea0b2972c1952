"""The sites and groups of a checkout, as the compiler sees them: who is in which group, and what a site resolves to."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import NamedTuple, TypeVar

from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.parsed import known_documents
from cli.verbs.validate import read_folder
from control_plane.core.reading import EMPTY, Reading, read_tree
from control_plane.core.sites import NO_SITES, SiteRecord, take_sites
from control_plane.core.trees import folder_of
from schemas.desired import Fleet, Group
from schemas.names import DocumentId, SiteId

T = TypeVar("T")


class FleetView(NamedTuple):
    """Every site and group that could be read; `unread`: files that could not."""

    reading: Reading
    sites: Mapping[SiteId, SiteRecord]
    groups: Mapping[DocumentId, Group]
    unread: list[str]

    @property
    def fleet(self) -> Fleet:
        """fleet.yaml; CommandFailed where it cannot be read."""
        document = self.reading.document("", "fleet.yaml")
        if not isinstance(document, Fleet):
            raise CommandFailed("cannot read fleet.yaml: it has errors; neopro validate says which")
        return document

    def site(self, name: SiteId) -> SiteRecord:
        """A site; CommandFailed with the nearest name."""
        return _known("sites", name, self.sites, self.unread)

    def group(self, name: DocumentId) -> Group:
        """A group; CommandFailed with the nearest name."""
        return _known("groups", name, self.groups, self.unread)

    def members(self, group: DocumentId) -> list[SiteId]:
        """The sites in a group, sorted."""
        return sorted(name for name, record in self.sites.items() if group in groups_of(record))


def read_fleet(checkout: Checkout) -> FleetView:
    """Read the checkout as it lies on disk; CommandFailed where it cannot be."""
    entries, blobs = read_folder(checkout.root)
    with known_documents(len(entries)) as documents:
        reading, changes = read_tree(folder_of(entries), blobs, EMPTY, documents)
    sites, _ = take_sites(reading, changes, NO_SITES)
    unread = sorted(path for path, file in reading.files.items() if file.document is None)
    return FleetView(reading, dict(sorted(sites.records.items())), dict(sorted(sites.groups.items())), unread)


def groups_of(record: SiteRecord) -> list[DocumentId]:
    """The groups of a site, the lowest layer first."""
    return [name for _, name in record.groups]


def _known(folder: str, name: str, known: Mapping[str, T], unread: list[str]) -> T:
    if name in known:
        return known[name]
    path = f"{folder}/{name}.yaml"
    if path in unread:
        raise CommandFailed(f"cannot read {path}: it has errors; neopro validate says which")
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"{folder}/ has {len(known)} documents"
    raise CommandFailed(f"cannot find {path}: {hint}")
