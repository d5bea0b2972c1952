"""A box and what surrounds it, in memory: a control plane that signs, a screen, a service manager, a fast clock.

world = AgentWorld(tmp_path)
world.central.publish(manifest(…))
with world.agent() as agent:
    agent.loop.settle(world.central.head().envelope)
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from reconciler_agent.app import Agent, Outside, assemble, open_files
from reconciler_agent.client import HeadAnswer
from reconciler_agent.core.report import Round
from reconciler_agent.core.screen import Notice, ScreenState, Signal
from reconciler_agent.download import Throttle
from reconciler_agent.draft import Draft
from reconciler_agent.errors import AccessDenied, NetworkTrouble, ServiceFailed, UploadRefused
from reconciler_agent.hotspot import Wifi
from reconciler_agent.journal import Journal
from reconciler_agent.observe import SystemClock
from reconciler_agent.services import UnitState
from reconciler_agent.settings import Settings, parse_settings
from reconciler_agent.state import Store
from reconciler_agent.sticks import Sticks
from reconciler_agent.system_calls import SYSTEM, Calls
from schemas.analytics import Batch, Playback
from schemas.api import UploadState
from schemas.backup import KeptVideos
from schemas.club import ClubMirror
from schemas.manifest import (
    AgentTarget,
    Category,
    CategoryVideo,
    ContentFile,
    FileTree,
    ListRef,
    Loops,
    ReleaseHealth,
    ReleaseTarget,
    SiteManifest,
    TreeFile,
    encode_canonical,
)
from schemas.names import Digest, digest_of
from schemas.status import StatusReport
from schemas.trust import AllowedRelease
from tests.support import trust_world
from tests.support.box_configurations import sample
from tests.support.patience import PATIENCE_S
from tests.support.slots import listing_of
from tests.support.trust_world import NOW, SITE


class FastClock(SystemClock):
    """Time that passes only when somebody waits.

    The machine was started a day ago (`booted_s`). `reliable`: it follows a time server; `off` is how wrong it is.
    """

    def __init__(self, at: datetime = NOW) -> None:
        super().__init__("auto")
        self._start = at
        self.elapsed_s = 0.0
        self.booted_s = -86_400.0
        self.reliable = True
        self.off = timedelta()
        self.life = "a life of the machine"

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.elapsed_s) + self.off

    def uptime(self) -> float:
        return self.elapsed_s - self.booted_s

    def set_to(self, at: datetime) -> None:
        """Wait until then."""
        self.elapsed_s += (at - self.now()).total_seconds()

    def boot(self) -> str:
        return self.life

    def start_anew(self) -> None:
        """What a new process knows of the time: nothing."""
        self._known = None

    def _follows(self) -> bool:
        return self.reliable

    def monotonic(self) -> float:
        return self.elapsed_s

    def sleep(self, seconds: float) -> None:
        self.elapsed_s += seconds


class Central:
    """A control plane for one site: what it was told to publish, and the reports that it got."""

    def __init__(self) -> None:
        self.root = trust_world.sign_root(trust_world.root())
        self.blobs: dict[Digest, bytes] = {}
        self.lists: dict[int, bytes] = {}
        self.roots: dict[int, bytes] = {}
        self.allowed: list[AllowedRelease] = []
        self.reports: list[StatusReport] = []
        self.generation = trust_world.GENERATION
        self.envelope: bytes | None = None
        self.offline = False
        self.knows_us = True
        self.logs: dict[str, str] = {}
        self.batches: list[Batch] = []
        self.refuses_analytics = False
        self.backups: list[bytes] = []
        self.mirrors: list[ClubMirror] = []
        self.takes_mirrors = True
        self.videos: dict[Digest, bytes] = {}
        self.unfinished: dict[Digest, bytes] = {}
        self.told_videos: list[KeptVideos] = []
        self.takes_videos = True
        self.on_piece: Callable[[], object] = lambda: None
        self.fetched: list[Digest] = []
        self.throttle: Throttle | None = None
        self.on_download: Callable[[Digest], None] | None = None
        self._allow()

    # What operators do

    def add(self, data: bytes) -> Digest:
        digest = digest_of(data)
        self.blobs[digest] = data
        return digest

    def add_release(self, version: str, files: Mapping[str, bytes], **health: Any) -> ReleaseTarget:
        """Upload and allow a release."""
        target = self.add_secret_release(version, files, **health)
        self.allowed.append(AllowedRelease(kind="app", version=version, tree=target.tree))
        self._allow()
        return target

    def add_secret_release(self, version: str, files: Mapping[str, bytes], **health: Any) -> ReleaseTarget:
        """Upload a release that no list allows."""
        listed = [
            TreeFile(path=p, mode="0755" if p.startswith("scripts/") else "0644", size_bytes=len(d), digest=self.add(d))
            for p, d in sorted(files.items())
        ]
        tree = self.add(encode_canonical(FileTree(schema=1, files=listed)))
        limits = ReleaseHealth(**({"within_s": 20, "settle_s": 2} | health))
        size_bytes = sum(len(data) for data in files.values())
        return ReleaseTarget(
            version=version, tree=tree, size_bytes=size_bytes, services=["neopro-app", "neopro-admin"], health=limits
        )

    def add_agent(self, version: str, files: Mapping[str, bytes], allowed: bool = True) -> AgentTarget:
        """Upload a release of the agent, and allow it."""
        for data in files.values():
            self.add(data)
        tree = self.add(listing_of(files))
        if allowed:
            self.allowed.append(AllowedRelease(kind="agent", version=version, tree=tree))
            self._allow()
        return AgentTarget(version=version, tree=tree, size_bytes=sum(map(len, files.values())))

    def publish(self, manifest: SiteManifest, **head: Any) -> bytes:
        """Sign a head of the next generation for this manifest."""
        self.generation += 1
        newest = max(self.lists)
        body = self.add(encode_canonical(manifest))
        given = {
            "generation": self.generation,
            "manifest": body,
            "release_list": ListRef(version=newest, sha256=digest_of(self.lists[newest])),
        }
        self.envelope = trust_world.head(**(given | head))
        return self.envelope

    def _allow(self) -> None:
        version = len(self.lists) + 1
        self.lists[version] = trust_world.release_list(version, releases=list(self.allowed))

    # What the agent asks

    def head(self, etag: str = "", wait_s: float = 0.0) -> HeadAnswer | None:
        self._require_network()
        assert self.envelope is not None
        tag = digest_of(self.envelope)
        return None if tag == etag else HeadAnswer(self.envelope, tag)

    def trust(self, version: int) -> bytes | None:
        self._require_network()
        return self.roots.get(version)

    def release_list(self, version: int) -> bytes | None:
        self._require_network()
        return self.lists.get(version)

    def blob(self, digest: Digest, max_bytes: int) -> bytes:
        self._require_network()
        if digest not in self.blobs:
            raise NetworkTrouble(f"cannot fetch {digest}: there is no such blob")
        return self.blobs[digest]

    def download(
        self, digest: Digest, size_bytes: int, sink: Draft, on_bytes: Callable[[int], None] | None = None
    ) -> None:
        data = self.blob(digest, size_bytes)
        if self.on_download is not None:
            self.on_download(digest)
        self.fetched.append(digest)
        half = len(data) // 2
        for part in (data[sink.size_bytes : half], data[max(half, sink.size_bytes) :]):
            if part:
                sink.write(part)
                if on_bytes is not None:
                    on_bytes(len(part))
                if self.throttle is not None:
                    self.throttle.take(len(part), on_bytes)

    def report(self, report: StatusReport) -> None:
        self._require_network()
        self.reports.append(msgspec.json.decode(msgspec.json.encode(report), type=StatusReport))

    def log(self, operation: str, packed: bytes) -> None:
        self._require_network()
        self.logs[operation] = zstandard.ZstdDecompressor().decompress(packed).decode()

    def backup(self, body: bytes) -> None:
        self._require_network()
        self.backups.append(body)

    def mirror(self, packed: bytes) -> None:
        self._require_network()
        if not self.takes_mirrors:
            raise UploadRefused("cannot tell what the club owns: as the test has it")
        self.mirrors.append(msgspec.json.decode(zstandard.ZstdDecompressor().decompress(packed), type=ClubMirror))

    def video_state(self, blob: Digest) -> UploadState:
        self._require_network()
        done = self.videos.get(blob)
        there = done if done is not None else self.unfinished.get(blob, b"")
        return UploadState(digest=blob, offset_bytes=len(there), complete=done is not None)

    def send_video(self, blob: Digest, offset_bytes: int, total_bytes: int, piece: bytes) -> UploadState:
        self._require_network()
        if not self.takes_videos:
            raise UploadRefused("cannot leave a video of the club's: as the test has it")
        whole = self.unfinished.get(blob, b"")[:offset_bytes] + piece
        self.unfinished[blob] = whole
        if len(whole) == total_bytes:
            assert digest_of(whole) == blob
            self.videos[blob] = self.blobs[blob] = self.unfinished.pop(blob)
        answer = self.video_state(blob)
        self.on_piece()
        return answer

    def tell_videos(self, kept: KeptVideos) -> None:
        self._require_network()
        if not {*kept.blobs} <= self.videos.keys():
            raise UploadRefused("cannot keep the index: it names what was never left")
        self.told_videos.append(kept)
        self.videos = {blob: data for blob, data in self.videos.items() if blob in kept.blobs}

    def analytics(self, packed: bytes) -> None:
        self._require_network()
        batch = msgspec.json.decode(zstandard.ZstdDecompressor().decompress(packed), type=Batch)
        if self.refuses_analytics:
            raise UploadRefused("cannot hand over what was played: as the test has it")
        self.batches.append(batch)

    @property
    def playbacks(self) -> list[Playback]:
        """What was played, each once, as the control plane counts it."""
        keyed = {
            (b.kind, p.played_at, p.video_filename, p.session_id, p.duration_played): p
            for b in self.batches
            for p in b.playbacks
        }
        return list(keyed.values())

    def _require_network(self) -> None:
        if self.offline:
            raise NetworkTrouble("cannot reach the control plane: no route")
        if not self.knows_us:
            raise AccessDenied("cannot go on: the control plane refuses: no box may speak for that site")


class Units:
    """A service manager: what it was asked, what runs; `broken` units cannot be restarted, `crashing` ones restart."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.running: set[str] = set()
        self.broken: set[str] = set()
        self.on_reboot: Callable[[], object] = lambda: None
        self.sick: Callable[[], bool] = lambda: False
        self.restarts = 0
        self.environments: dict[str, dict[str, str]] = {}

    def environment(self, unit: str) -> dict[str, str] | None:
        return self.environments.get(unit)

    def restart(self, unit: str) -> UnitState:
        return self.start(unit, "restart")

    def start(self, unit: str, verb: str = "start") -> UnitState:
        self.calls.append((verb, unit))
        if unit in self.broken:
            raise ServiceFailed(f"cannot {verb} {unit}: it does not start")
        self.running.add(unit)
        return UnitState(active=True)

    def stop(self, unit: str) -> UnitState:
        self.calls.append(("stop", unit))
        self.running.discard(unit)
        return UnitState(active=False)

    def reboot(self) -> None:
        self.calls.append(("reboot", "the box"))
        self.on_reboot()

    def state(self, unit: str) -> UnitState:
        return UnitState(active=unit in self.running and not self.sick(), restarts=self.restarts)


class Television:
    """The screen: how often it was told, whether it hears, whether a match is on."""

    def __init__(self) -> None:
        self.notices = 0
        self.hears = True
        self.match = False
        self.connections = 1

    def notify(self) -> Notice:
        self.notices += self.hears
        heard: Notice = "nobody" if self.connections == 0 else "told"
        return heard if self.hears else "silent"

    def state(self) -> ScreenState | None:
        return ScreenState(match=self.match, stale=False, signal=Signal(), connections=self.connections)


class AgentWorld:
    """A box in `folder`, with the club's own configuration and videos, and everything around it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "neopro"
        self.central, self.units, self.tv, self.clock = Central(), Units(), Television(), FastClock()
        self.targets: dict[str, ReleaseTarget] = {}
        self.wifi: Wifi | None = None
        self.sticks: Sticks | None = None
        self.slot: Path | None = None
        self.club = sample("club-handball")
        (self.root / "data").mkdir(parents=True)
        (self.root / "data" / "configuration.json").write_text(json.dumps(self.club, indent=2))
        self.club_video = self.root / "videos" / "MATCH" / "club.mp4"
        self.club_video.parent.mkdir(parents=True)
        self.club_video.write_bytes(b"the club's own")
        (folder / "root.json").write_bytes(self.central.root)
        (folder / "site.key").write_bytes(b"")
        self.settings = self.read_settings()

    def read_settings(self) -> Settings:
        text = (
            f"[site]\nid = {SITE}\nroot = {self.root}\nstate = {self.folder / 'state'}\n"
            f"key = {self.folder / 'site.key'}\n"
            f"trust = {self.folder / 'root.json'}\n[box]\nservices = unix:/nowhere\nowner =\nadmin_url =\npage_url =\n"
            "clock = trusted\n[central]\nurl = http://127.0.0.1:1\n[agent]\ndownloads = 1\n"
        )
        return msgspec.structs.replace(parse_settings(text, Path("site.conf")), app_url="")

    @contextmanager
    def agent(self, calls: Calls = SYSTEM) -> Iterator[Agent]:
        """The agent, started anew on this box."""
        if isinstance(self.clock, FastClock):
            self.clock.start_anew()
        with open_files(self.settings, calls, self.slot) as files:
            self.central.throttle = Throttle(self.clock)
            journal = Journal([str(self.folder / "journalctl")], within_s=PATIENCE_S)
            parts = (self.central, self.tv, self.units, self.clock, self.central.throttle, journal)
            outside = Outside(*parts, sticks=self.sticks, wifi=self.wifi)
            yield assemble(self.settings, files, Store(files.state), outside)

    def settle(self, agent: Agent) -> Round:
        """Let the agent hear the newest head and go on until it is at rest."""
        try:
            answer = self.central.head()
        except NetworkTrouble as problem:
            return agent.loop.settle(None, problem)
        return agent.loop.settle(answer.envelope if answer is not None else None)

    def converge(self) -> Round:
        """A fresh agent that goes on until it is at rest."""
        with self.agent() as agent:
            return self.settle(agent)

    # What is on the box

    def configuration(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / "data" / "configuration.json").read_bytes())
        return found

    def active(self) -> str:
        """The version that the box's services would start."""
        return (self.root / "VERSION").read_text().strip()

    def conditions(self) -> dict[str, tuple[str, str]]:
        """What the last report said: type to status and reason."""
        return {c.type: (c.status, c.reason) for c in self.central.reports[-1].conditions}


def clip(name: str, data: bytes, **changed: Any) -> tuple[ContentFile, CategoryVideo]:
    """A file of content and the item that shows it."""
    digest = digest_of(data)
    path = f"videos/ANNONCES/{name}-{digest[7:15]}.mp4"
    file = ContentFile(path=path, digest=digest, size_bytes=len(data))
    return file, CategoryVideo(**({"name": name.title(), "path": path, "video_id": name} | changed))


def manifest_of(
    clips: Sequence[tuple[ContentFile, CategoryVideo]], release: ReleaseTarget | None = None, **changed: Any
) -> SiteManifest:
    """A manifest that shows these clips in one category and in the default loop."""
    videos = [video for _, video in clips]
    return SiteManifest(
        **{
            "schema": 1,
            "poll_interval_s": 60,
            "timezone": "Europe/Paris",
            "release": release,
            "content": sorted((file for file, _ in clips), key=lambda file: file.path),
            "categories": [Category(id="annonces", name="ANNONCES", blocks=["before"], videos=videos)] if clips else [],
            "loops": Loops(sponsors=videos[:1]),
        }
        | changed
    )


def application(version: str, **more: bytes) -> dict[str, bytes]:
    """The files of a small release of the box's applications."""
    return {
        "VERSION": f"{version}\n".encode(),
        "release.json": f'{{"version":"{version}"}}\n'.encode(),
        "webapp/index.html": f"<app-root></app-root> {version}\n".encode(),
        "server/app.py": f"print('server {version}')\n".encode(),
        "server/shared.py": b"print('the same in every release')\n",
        "scripts/tool.sh": b"#!/bin/sh\ntrue\n",
    } | {path.replace("__", "/"): data for path, data in more.items()}


def unused_key() -> Ed25519PrivateKey:
    """A key that nothing trusts."""
    return trust_world.EVE
