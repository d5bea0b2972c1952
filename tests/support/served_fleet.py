"""The small fleet, published: a clone of it beside a control plane that answers, with boxes that reported.

`rennes-fc` is as it is to be, `brest-handball` waits for the end of a match, has a key by hand and told what its club
owns, `lyon-handball` has been silent for three hours and never said what it runs. What the verbs need is in HOME:
`release.key`, `recovery.txt` (the recovery key of the backup that `rennes-fc` left), `server.toml`, `clip.mp4`; both
boxes of the group sent the log of an operation, an old film waits to be swept, and a box has used the enrolment token
of `quimper-basket`. What should worry somebody was looked at once. What `main` of the remote holds is looked at after
each command, as the server's job does.
"""

import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyrage
import zstandard
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cli.demo.clips import Clip, make_clip
from cli.new_repository import schema_files
from control_plane.store import backups, clubs, enrolments, operation_logs, publications, reports, tokens
from control_plane.store.pool import Connection
from control_plane.watching import Watch
from schemas.club import ClubBlock, ClubCategory, ClubFile, ClubMirror, ClubVideo
from schemas.enrolment import EnrolmentRequest
from schemas.manifest import encode_canonical
from schemas.names import digest_of
from schemas.status import (
    Boot,
    Condition,
    Difference,
    Event,
    History,
    Metrics,
    RunningRelease,
    Sample,
    Waiting,
)
from schemas.trust import AllowedRelease
from tests.support.command_line import git
from tests.support.published import NOW, report
from tests.support.transcripts import SMALL
from tests.support.trust_keys import Changes
from tests.support.world import ServedWorld, World, file_tree, served_world

LOG: Final = "2026-02-28-logs-bretagne"
FRESH: Final = timedelta(minutes=10)
"""Ahead of the clock, so that a report stays as fresh as can be, however long a transcript takes."""


LOTO: Final = ClubVideo(name="Loto", path="videos/LOTO.mp4")
CLUB: Final = ClubMirror(
    title="Télécommande Brest",
    language="fr",
    categories=[
        ClubCategory(
            id="annonces_neopro", name="Nos annonces", videos=[ClubVideo(name="Loto", path="videos/LOTO.mp4")]
        ),
        ClubCategory(id="match", name="Match \x1b[31m SM1"),
    ],
    blocks=[ClubBlock(id="before", categories=["match"])],
    loop=[ClubVideo(name="Partenaires", path="videos/PARTENAIRES.mp4")],
    files=[
        ClubFile(path="videos/PARTENAIRES.mp4", size_bytes=93_000_000),
        ClubFile(path="videos/LOTO.mp4", size_bytes=7),
    ],
    file_count=2,
    file_bytes=93_000_007,
)


class Given(NamedTuple):
    """What a transcript on the served fleet runs with."""

    env: Mapping[str, str]
    names: Mapping[str, str]
    look: Callable[[], object]
    served: ServedWorld


@contextmanager
def served_fleet(folder: Path, database: str) -> Iterator[Given]:
    """The fleet's clone in `folder` (parent: HOME), until the context is left."""
    home = folder.parent
    with served_world(home / "server", database, files=small_files) as served:
        git(home, "clone", "-q", str(served.world.remote), str(folder))
        token = served.run(_furnish(served, home))
        _settings(served, home, database)
        make_clip(Clip("clip.mp4", "Rail", (200, 40, 90), 1.0), home)
        env = {"NEOPRO_URL": served.url, "NEOPRO_TOKEN": token}
        yield Given(env, _names(), served.ingest, served)


def _settings(served: ServedWorld, home: Path, database: str) -> None:
    """The server's settings; the database's address stands apart, because it holds a password."""
    url = home / "database-url"
    url.touch(mode=0o600)
    url.write_text(database)
    served.world.settings_file(database_url_file=url).rename(home / "server.toml")


def small_files(world: World) -> Changes:
    """The files of the small fleet; videos and releases have bytes of ours, and the trust is the world's."""
    files = {str(path.relative_to(SMALL)): path.read_text("utf-8") for path in SMALL.rglob("*") if path.is_file()}
    files |= {path: data.decode() for path, data in schema_files().items()}
    changes: Changes = {path: text for path, text in files.items() if not path.startswith("trust/")}
    for path, text in files.items():
        folder, _, name = path.removesuffix(".yaml").partition("/")
        if folder == "videos":
            changes[path] = _with(text, digest=world.upload(_filled(name, text)))
        elif folder == "releases":
            changes[path] = _with(text, tree=_release(world, name, text))
    recovery = pyrage.x25519.Identity.generate()
    (world.folder.parent / "recovery.txt").write_text(f"{recovery}\n")
    (world.folder.parent / "recovery.txt").chmod(0o600)
    changes["fleet.yaml"] = f"{files['fleet.yaml']}\nrecovery: {recovery.to_public()}\n"
    return changes | world.keys.next_root() | world.keys.next_list()


def _filled(name: str, text: str) -> bytes:
    """As many bytes as the document says."""
    size = int(_value(text, "size_bytes"))
    return (name.encode() * size)[:size]


def _release(world: World, version: str, text: str) -> str:
    """Upload a release of that size, allow it; the digest of its listing."""
    head = b'{"version": "%s"}\n' % version.encode()
    body = b"// a line that every release has\n" * int(_value(text, "size_bytes"))
    files = {"release.json": head, "server/app.js": body[: int(_value(text, "size_bytes")) - len(head)]}
    listing = encode_canonical(file_tree(files))
    for data in (*files.values(), listing):
        world.upload(data)
    world.keys.allowed[version] = AllowedRelease(kind="app", version=version, tree=digest_of(listing))
    return digest_of(listing)


def _value(text: str, key: str) -> str:
    [line] = [line for line in text.splitlines() if line.startswith(f"{key}: ")]
    return line.split()[1]


def _with(text: str, **values: str) -> str:
    for key, value in values.items():
        text = text.replace(_value(text, key), value)
    return text


def _forget(world: World) -> None:
    """A film that nothing names, uploaded long ago."""
    world.upload(b"an old film")
    objects = world.settings.data_dir / "objects"
    [path] = [path for path in objects.rglob("*") if path.is_file() and path.read_bytes() == b"an old film"]
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))


async def _furnish(served: ServedWorld, home: Path) -> str:
    """Reports, a log, a backup, the release key; the operator's token."""
    world, now = served.world, served.world.clock()
    _forget(world)
    pem = world.keys.release.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (home / "release.key").touch(mode=0o600)
    (home / "release.key").write_bytes(pem)
    recovery = pyrage.x25519.Identity.from_str((home / "recovery.txt").read_text().strip())
    backup = pyrage.encrypt(b'{"auth": {}}', [recovery.to_public()])
    said = _said(now, RunningRelease(version="2.1.3", tree=world.keys.allowed["2.1.3"].tree))
    kept = backups.StoredBackup(world.upload(backup), len(backup), now)
    async with world.connection() as conn:
        heads = {row.site: row.generation for row in await publications.all_heads(conn)}
        await reports.record(
            conn,
            [reports.Received(site, report(heads[site], **facts), now + ago) for site, (ago, facts) in said.items()],
        )
        await clubs.keep(conn, "brest-handball", CLUB, now + FRESH)
        await backups.keep_backup(conn, "rennes-fc", kept)
        await _ask_for(conn, "quimper-basket", now)
        for site in ("brest-handball", "rennes-fc"):
            text = zstandard.compress(f"neopro-app: {site}: started\n".encode())
            await operation_logs.keep(conn, site, LOG, text, now - timedelta(hours=2))
        await Watch(world.opened.pool, world.clock, listens_since=now - timedelta(hours=1)).look()
        return await tokens.add_token(conn, "ada", ["read", "write"], now=now, expires_at=now + timedelta(days=90))


async def _ask_for(conn: Connection, site: str, now: datetime) -> None:
    """A new box has used the token that was made for a site."""
    secret = await enrolments.add(conn, site, "ada", now=now, expires_at=now + timedelta(days=90))
    token = await enrolments.find(conn, secret)
    assert token is not None
    asked = EnrolmentRequest(
        secret=secret,
        site=site,
        identity="ed25519:pVKqmuekcrdXKSUUNF68IlD8YsDLl/4c1bhA8LEpWoA=",
        recipient="age1an5uatfwksd0kq8fdfp3jz66dyr66q0mastfkfrmgy5wv9hy4fcq69djyh",
        hostname="neopro-17",
        model="Raspberry Pi 4 Model B Rev 1.5",
    )
    assert await enrolments.use(conn, token, asked, now)


def _names() -> dict[str, str]:
    """What differs from machine to machine, and the days that are counted from today (from tomorrow at midnight)."""
    today = datetime.now(UTC).date()
    days = {
        (today + timedelta(late + days)).isoformat(): (NOW.date() + timedelta(days)).isoformat()
        for late in (0, 1)
        for days in (0, 7, 90, 365)
    }
    git_version = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return {**days, git_version: "git version 2", f"Python {platform.python_version()}": "Python 3"}


def _said(now: datetime, release: RunningRelease) -> dict[str, tuple[timedelta, dict[str, Any]]]:
    """Site -> when its box reported, from now, and what."""
    alike = {
        "at": now + FRESH,
        "release": release,
        "metrics": Metrics(disk_total_bytes=32_000_000_000, disk_free_bytes=20_000_000_000),
    }
    life = Boot(id="life", started_at=now - timedelta(hours=2))
    samples = [
        Sample(boot=0, uptime_s=6900.0 + 60 * minute, span_s=60, cpu_percent=3, memory_percent=41, disk_percent=37)
        for minute in (1, 2, 3)
    ]
    hot = Sample(boot=0, uptime_s=7140.0, span_s=60, cpu_percent=7, temperature_celsius=81.5, strain=["throttled"])
    measured = History(boots=[life], samples=[*samples, hot])
    event = Event(number=1, at=now, severity="warning", reason="DigestMismatch", message="A file came otherwise.")
    busy = Waiting(step="WriteConfiguration", reason="MatchInProgress", message="Waits for the end of the match.")
    by_hand = Difference(kind="configuration", what="scoreOverlay.position", desired='"top-right"', observed='"bottom"')
    drifted = Condition(type="Synced", status="False", reason="Drifted", since=NOW)
    return {
        "rennes-fc": (FRESH, alike | {"history": measured, "events": [event]}),
        "brest-handball": (
            FRESH,
            alike | {"conditions": [drifted], "differences": [by_hand], "waiting": [busy]},
        ),
        "lyon-handball": (timedelta(hours=-3, minutes=-5), {}),
    }
