"""Which sites get a new generation: a compiled commit against what is published (pure)."""

from collections.abc import Iterator, Mapping, Set

import msgspec
from msgspec import Struct

from control_plane.core.compile import CompiledSite
from schemas.desired import SiteState
from schemas.names import Digest, PublicKeyLine, SiteId, Version


class Mark(Struct, frozen=True, kw_only=True, gc=False):
    """What is published for a site: the words of its head, and what the server itself needs to know of it."""

    generation: int
    manifest: Digest
    state: SiteState
    gone: bool = False
    identity: PublicKeyLine | None
    name: str
    release: Version | None
    agent: Version | None
    facts: bytes
    """Canonical JSON."""


class Numbering(Struct, frozen=True, kw_only=True):
    """The rows that a commit changes: `heads` have a new generation, `rows` only new facts, name or identity."""

    heads: dict[SiteId, Mark]
    rows: dict[SiteId, Mark]


def number(
    compiled: Mapping[SiteId, CompiledSite],
    published: Mapping[SiteId, Mark],
    now_ms: int,
    *,
    changed: Set[SiteId] | None = None,
) -> Numbering:
    """The sites whose manifest or state differ get generation max(previous + 1, `now_ms`); milliseconds since 1970.

    It still rises after a rebuild from Git alone, because time does. A site that is no longer in Git is told once, by
    a head with the state `retired`. `changed`: all others are known to be what is published already.
    """
    heads: dict[SiteId, Mark] = {}
    rows: dict[SiteId, Mark] = {}
    for site in compiled.keys() | published.keys() if changed is None else changed:
        wanted, old = compiled.get(site), published.get(site)
        if wanted is None:
            if old is not None and not old.gone:
                heads[site] = msgspec.structs.replace(
                    old, generation=max(old.generation + 1, now_ms), state="retired", gone=True
                )
            continue
        mark = _mark(wanted, old.generation if old else 0)
        if old is None or (old.manifest, old.state, old.gone) != (mark.manifest, mark.state, False):
            heads[site] = msgspec.structs.replace(mark, generation=max(mark.generation + 1, now_ms))
        elif old != mark:
            rows[site] = mark
    return Numbering(heads=heads, rows=rows)


class Bodies(Mapping[Digest, bytes]):
    """The manifests that the new heads name, each joined when it is asked for: all at once they fill a gigabyte.

    That of a site that is gone was published before.
    """

    def __init__(self, numbering: Numbering, compiled: Mapping[SiteId, CompiledSite]) -> None:
        self._sites = {mark.manifest: compiled[s] for s, mark in numbering.heads.items() if not mark.gone}

    def __getitem__(self, digest: Digest) -> bytes:
        return self._sites[digest].body

    def __iter__(self) -> Iterator[Digest]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)


def _mark(site: CompiledSite, generation: int) -> Mark:
    return Mark(
        generation=generation,
        manifest=site.manifest,
        state=site.state,
        identity=site.identity,
        name=site.name,
        release=site.release,
        agent=site.agent,
        facts=msgspec.json.encode(site.facts, order="deterministic"),
    )
