"""Believable fleets of any size, made from a seed: for benchmarks, and for properties that must hold at scale.

`make_fleet` gives the files of a commit; `as_tree` turns files into what `compile_commit` takes. Keys are derived from
the seed, so that the trust documents verify and the same call gives the same bytes.
"""

import hashlib
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from control_plane.core.compile import TreeEntry
from schemas.dsse import key_id, public_line, sign
from schemas.names import Digest, PublicKeyLine, Version
from schemas.trust import RELEASE_LIST_TYPE, ROOT_TYPE, AllowedRelease, ReleaseList, Role, Roles, TrustRoot

REGIONS = {
    "Bretagne": ("Rennes", "Brest", "Vannes", "Quimper", "Lorient"),
    "Normandie": ("Rouen", "Caen", "Le Havre", "Évreux", "Dieppe"),
    "Occitanie": ("Toulouse", "Montpellier", "Nîmes", "Albi", "Béziers"),
    "Île-de-France": ("Paris", "Créteil", "Nanterre", "Évry", "Meaux"),
    "Grand Est": ("Strasbourg", "Metz", "Nancy", "Reims", "Épinal"),
    "Hauts-de-France": ("Lille", "Amiens", "Lens", "Dunkerque", "Arras"),
    "Nouvelle-Aquitaine": ("Bordeaux", "Pau", "Limoges", "Poitiers", "Agen"),
    "Pays de la Loire": ("Nantes", "Angers", "Le Mans", "Laval", "Cholet"),
}
SPORTS = ("football", "rugby", "handball", "basketball", "volleyball", "futsal", "hockey", "tennis")
OFFERS = ("premium", "gold", "basic")
RELEASES: tuple[Version, ...] = ("2.1.3", "2.2.0")
AGENTS: tuple[Version, ...] = ("1.1.0", "1.2.0")
"""Allowed by every release list; their files are for those who need them."""
ISSUED_AT = datetime(2026, 1, 1, tzinfo=UTC)


def make_fleet(sites: int, seed: int) -> dict[str, bytes]:
    """Path -> bytes of a fleet of `sites` sites with groups, video sets, releases and trust documents."""
    chance = random.Random(seed)
    files: dict[str, str] = {"fleet.yaml": _FLEET}
    files |= _videos_and_sets(chance)
    files |= {f"releases/{version}.yaml": _release(version) for version in RELEASES}
    files |= _groups()
    files |= dict(_site(number, chance, seed) for number in range(sites))
    return {path: text.encode() for path, text in files.items()} | trust_documents(seed)


def as_tree(files: Mapping[str, bytes]) -> tuple[list[TreeEntry], dict[str, bytes]]:
    """Entries (with the object ids that Git would give) and blobs."""
    entries, blobs = [], {}
    for path, data in sorted(files.items()):
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        entries.append(TreeEntry(path, blob, 0o100644, len(data)))
        blobs[blob] = data
    return entries, blobs


def private_key(name: str) -> Ed25519PrivateKey:
    """The key of that name, the same each time."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def public_key(name: str) -> PublicKeyLine:
    """The public half of `private_key`."""
    return public_line(private_key(name).public_key())


def tree_of(version: Version) -> Digest:
    """The digest that stands for a release's listing."""
    return "sha256:" + hashlib.sha256(version.encode()).hexdigest()


def trust_documents(seed: int, releases: tuple[Version, ...] = RELEASES) -> dict[str, bytes]:
    """Root 1 and release list 1, signed by keys named after the seed."""
    lines = {role: public_key(f"{role}-{seed}") for role in ("root", "release", "manifest")}
    expires_at = ISSUED_AT + timedelta(days=3650)
    roles = Roles(**{role: Role(keys=[key_id(line)], threshold=1) for role, line in lines.items()})
    keys = {key_id(line): line for line in lines.values()}
    root = TrustRoot(version=1, issued_at=ISSUED_AT, expires_at=expires_at, keys=keys, roles=roles)
    allowed = [AllowedRelease(kind="app", version=version, tree=tree_of(version)) for version in releases]
    allowed += [AllowedRelease(kind="agent", version=version, tree=tree_of(f"agent-{version}")) for version in AGENTS]
    listing = ReleaseList(version=1, issued_at=ISSUED_AT, expires_at=expires_at, releases=allowed)
    return {
        "trust/root-1.json": sign(ROOT_TYPE, msgspec.json.encode(root), [private_key(f"root-{seed}")]),
        "trust/release-list-1.json": sign(
            RELEASE_LIST_TYPE, msgspec.json.encode(listing), [private_key(f"release-{seed}")]
        ),
    }


_FLEET = """\
# yaml-language-server: $schema=https://example.org/schemas/fleet.json
schema: 1
defaults:
  release: 2.1.3
  video_sets: [annonces-nationales]
  config:
    liveScoreEnabled: true
    scoreOverlay: {position: top-left, offsetX: 12, offsetY: 12}
"""


def _release(version: Version) -> str:
    return f"""\
version: {version}
tree: {tree_of(version)}
size_bytes: 25000000
changelog: |
  Live score, and a fix for the clock.
requires: {{from: ">=2.0.0", hardware: [rpi4-4gb, rpi5-8gb]}}
services: [neopro-app, neopro-admin, neopro-kiosk]
health: {{within: 120s, settle: 30s}}
"""


def _videos_and_sets(chance: random.Random) -> dict[str, str]:
    files, names = {}, []
    for number in range(60):
        name = f"annonce-{number:03d}"
        names.append(name)
        digest = hashlib.sha256(f"{name}{chance.random()}".encode()).hexdigest()
        files[f"videos/{name}.yaml"] = (
            f"name: Annonce n° {number}\ndigest: sha256:{digest}\nsize_bytes: {chance.randrange(10**6, 10**8)}\n"
            f"media: {{duration_s: 20.5, width: 1920, height: 1080, codec: h264}}\nsponsor: sponsor-{number % 9}\n"
        )
    files["video-sets/annonces-nationales.yaml"] = _video_set("Annonces nationales", "NATIONALES", names[:20], True)
    for number, sport in enumerate(SPORTS):
        files[f"video-sets/annonces-{sport}.yaml"] = _video_set(
            f"Annonces {sport}", sport.upper(), names[20 + 3 * number : 32 + 3 * number], False
        )
    return files


def _video_set(name: str, category: str, videos: list[str], in_loop: bool) -> str:
    items = "".join(f"  - {video}\n" for video in videos[:-1])
    loop = "loop: sponsors\n" if in_loop else ""
    return f"""\
name: {name}
category: {{id: ANNONCES_{category}, name: ANNONCES {category}}}
blocks: [before, during, after]
{loop}videos:
{items}  - {{video: {videos[-1]}, from: 2026-01-01, until: 2026-02-28}}
"""


def _groups() -> dict[str, str]:
    files = {}
    for number, sport in enumerate(SPORTS):
        files[f"groups/{sport}.yaml"] = (
            f"name: Tous les clubs de {sport}\ntype: sport\nselect: {{sports: {sport}}}\npriority: {100 + number}\n"
            f"video_sets: [annonces-{sport}]\n"
        )
    for number, region in enumerate(REGIONS):
        files[f"groups/region-{number}.yaml"] = (
            f"name: {region}\ntype: geography\nselect: {{region: {region}}}\npriority: {200 + number}\n"
            f"config: {{region: {region}}}\n"
        )
    files["groups/beta.yaml"] = (
        "name: Beta\ntype: version\nselect: {labels.offer: [premium, gold], sports: {not: tennis}}\npriority: 500\n"
        "release: 2.2.0\n"
    )
    return files


def _site(number: int, chance: random.Random, seed: int) -> tuple[str, str]:
    region = chance.choice(list(REGIONS))
    city = chance.choice(REGIONS[region])
    sports = sorted(chance.sample(SPORTS, chance.choice((1, 1, 1, 2))))
    own = f"config:\n  remote:\n    title: Club {city} {number}\n" if number % 3 == 0 else ""
    return (
        f"sites/club-{number:06d}.yaml",
        f"""\
name: Club {city} {number}
club: {city} {sports[0].capitalize()} Club
location:
  city: {city}
  region: {region}
  country: France
  lat: {chance.uniform(43, 50):.4f}
  lon: {chance.uniform(-4, 7):.4f}
sports: [{", ".join(sports)}]
labels: {{offer: {chance.choice(OFFERS)}}}
hardware: {chance.choice(("rpi4-4gb", "rpi5-8gb"))}
timezone: Europe/Paris
identity: {public_key(f"site-{seed}-{number}")}
state: active
contact: {{email: club{number}@example.org}}
{own}""",
    )
