"""Publications made by hand: sites with keys, signed heads and reports, without a Git remote or a compiler."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from control_plane.core.number import Mark
from control_plane.store import publications
from control_plane.store.news import News, SignedHead
from control_plane.store.pool import Connection
from control_plane.store.publications import CommitLook, Published, TrustRow
from schemas import dsse, site_token
from schemas.desired import SiteState
from schemas.manifest import HEAD_TYPE, ListRef, SiteHead, SiteManifest, encode_canonical
from schemas.names import Digest, SiteId, digest_of
from schemas.status import Condition, StatusReport

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LIST_DIGEST = digest_of(b"release list")
_revisions = (f"{number:040x}" for number in itertools.count(0xABC000))


@dataclass
class Box:
    """A box with its key, able to speak for `site`."""

    site: SiteId
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def identity(self) -> str:
        return dsse.public_line(self.key.public_key())

    def token(self, now: datetime = NOW) -> str:
        return site_token.make(self.site, self.key, now)

    def headers(self, now: datetime = NOW) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(now)}"}


@dataclass
class Wanted:
    """What a publication says of one site."""

    identity: str | None
    manifest: SiteManifest = field(default_factory=lambda: manifest())
    state: SiteState = "active"
    gone: bool = False
    name: str = ""
    release: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    generation: int | None = None


def manifest(**fields: Any) -> SiteManifest:
    """A manifest; with no fields the smallest one."""
    return SiteManifest(schema=1, poll_interval_s=60, timezone="Europe/Paris", **fields)


async def publish(
    conn: Connection,
    sites: Mapping[SiteId, Wanted],
    *,
    now: datetime = NOW,
    subject: str = "Change something",
    author: str = "Ada <ada@example.org>",
    revoked: Sequence[str] = (),
    trust: Sequence[TrustRow] = (),
) -> Published:
    """Publish these sites on top of what is served; a generation is the time in milliseconds unless it is given."""
    key = Ed25519PrivateKey.generate()
    revision = next(_revisions)
    heads = {site: _head(site, wanted, revision, key, now) for site, wanted in sites.items()}
    bodies = {digest_of(encode_canonical(w.manifest)): encode_canonical(w.manifest) for w in sites.values()}
    return await publications.publish(
        conn,
        await publications.current(conn),
        CommitLook(revision=revision, author=author, subject=subject, committed_at=now),
        News(heads, {}, bodies),
        now=now,
        trust=trust,
        revoked=revoked,
    )


def _head(
    site: SiteId, wanted: Wanted, revision: str, key: Ed25519PrivateKey, now: datetime
) -> tuple[Mark, SignedHead]:
    mark = Mark(
        generation=wanted.generation or int(now.timestamp() * 1000),
        manifest=digest_of(encode_canonical(wanted.manifest)),
        state=wanted.state,
        gone=wanted.gone,
        identity=wanted.identity,
        name=wanted.name or site.title(),
        release=wanted.release,
        agent=None,
        facts=msgspec.json.encode(dict(wanted.facts)),
    )
    head = SiteHead(
        site=site,
        generation=mark.generation,
        manifest=mark.manifest,
        state="retired" if wanted.gone else wanted.state,
        commit=revision,
        issued_at=now,
        expires_at=now + timedelta(days=7),
        root_version=1,
        release_list=ListRef(version=1, sha256=LIST_DIGEST),
    )
    signed = SignedHead(
        envelope=dsse.sign(HEAD_TYPE, msgspec.json.encode(head), [key]),
        issued_at=head.issued_at,
        expires_at=head.expires_at,
        root_version=1,
        release_list=LIST_DIGEST,
    )
    return mark, signed


def report(generation: int | None = None, *, sequence: int = 1, run_id: str = "0" * 32, **fields: Any) -> StatusReport:
    """A report of a box that is as desired at `generation`, unless `fields` say otherwise."""
    synced = Condition(type="Synced", status="True", reason="Synced", since=NOW)
    defaults: dict[str, Any] = {
        "at": NOW,
        "agent_version": "0.1.0",
        "generation": generation,
        "head_generation": generation,
        "conditions": [synced] if generation else [],
    }
    return StatusReport(run_id=run_id, sequence=sequence, **{**defaults, **fields})


def manifest_digest(wanted: Wanted) -> Digest:
    """The digest of a site's manifest."""
    return digest_of(encode_canonical(wanted.manifest))
