"""The demo from nothing to converged: keys, videos, boxes, a Git remote, the control plane, the agents; and to an end.

Two children: the supervisor, and through it everything else. Whoever dies, dies downwards: the kernel tells the
supervisor when we are gone, and it stops what it runs; its own children are killed when it is.
"""

import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec

from cli.demo import boxes, fleet, supervisor
from cli.demo.children import Process, python, start, stop_all
from cli.demo.clips import Clip, make_clip
from cli.demo.live import Watcher
from cli.demo.lock import held
from cli.demo.places import BROKEN_RELEASE, CHECKOUT, RELEASES, SAMPLE_APP, SAMPLE_FLEET, SITES, Places
from cli.demo.tour import tour
from cli.errors import CommandFailed
from cli.output import Output
from cli.remote import Remote, Target

PORT: Final = 8470
ANSWER_WITHIN_S: Final = 60.0
CONVERGE_WITHIN_S: Final = 120.0
LOOK_S: Final = 0.4
STOP_WITHIN_S: Final = 4.5
SEASONAL_CLIP: Final = Clip("noel-2026.mp4", "Joyeux Noel 2026", (150, 20, 30), 5.0)


class Demo:
    """One run of the demo in its folder; `count` boxes where they are made for the first time."""

    def __init__(self, places: Places, output: Output, count: int = len(SITES), port: int = PORT) -> None:
        self._places, self._output = places, output
        self._sites = _sites(places, count)
        self._port = port
        self._supervisor: Process | None = None

    @property
    def url(self) -> str:
        """Where the control plane answers."""
        return f"http://127.0.0.1:{self._port}"

    def run(self) -> None:
        """Set up what is missing, start everything, say what happens until Ctrl-C, SIGTERM or SIGHUP; then stop it."""
        _require_sample()
        with held(self._places), _interrupted_by(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            try:
                self._take_port()
                self._prepare()
                self._start_processes()
                with Remote(Target(self.url, self._token())) as remote:
                    self._publish(remote)
                    watcher = Watcher(self._sites)
                    self._converge(remote, watcher)
                    self._output.say(tour(self._places, self.url, self._sites))
                    self._watch(remote, watcher)
            except KeyboardInterrupt:
                self._output.say()
            finally:
                self._stop()

    def _take_port(self) -> None:
        wanted, free = self._port, next(boxes.free_ports(self._port), None)
        if free is None:
            raise CommandFailed(f"cannot listen on port {wanted}: it is taken, and so is every one above it")
        self._port = free
        if self._port != wanted:
            self._output.say(f"port {wanted} is taken by something else: the control plane listens on {self._port}")

    def _prepare(self) -> None:
        places = self._places
        with self._output.step("videos: a dozen short ones, as MP4 files"):
            videos = fleet.make_videos(places)
            boxes.make_club_clips(places)
            make_clip(SEASONAL_CLIP, places.clips)
        if not (places.working_copy / ".git").exists():
            self._forget_half_made()
            with self._output.step(f"keys, {len(self._sites)} boxes, and a Git repository with the sample fleet"):
                self._make_fleet(videos)
        self._write_settings()

    def _forget_half_made(self) -> None:
        """The working copy comes last: without it, whatever else is there belongs to a set-up that was interrupted."""
        places = self._places
        for folder in (places.keys, places.root / "boxes", places.remote, places.server, self._staged):
            shutil.rmtree(folder, ignore_errors=True)
        places.token.unlink(missing_ok=True)

    @property
    def _staged(self) -> Path:
        return self._places.root / "fleet-state.new"

    def _make_fleet(self, videos: Mapping[str, Path]) -> None:
        places = self._places
        checkout = fleet.start_working_copy(self._staged, places.keys, videos, fleet.read_releases())
        names = fleet.sample_names("sites")
        root = (checkout.root / "trust" / "root-1.json").read_bytes()
        for site in self._sites:
            boxes.furnish(places.box(site), site, names[site], root, places.clips)
        self._write_settings()
        with ThreadPoolExecutor(2) as pool:
            identities = list(pool.map(lambda site: boxes.make_identity(places, site), self._sites))
        fleet.connect_boxes(checkout, dict(zip(self._sites, identities, strict=True)))
        fleet.make_remote(places.remote, checkout.root)
        # Editors complete and check YAML by the schemas that each file's first line names.
        (places.root / "schemas").unlink(missing_ok=True)
        (places.root / "schemas").symlink_to(CHECKOUT / "schemas")
        for files in (RELEASES[-1], BROKEN_RELEASE):  # the broken one is the newest with a few files exchanged
            shutil.copytree(SAMPLE_APP / files, places.releases / BROKEN_RELEASE, dirs_exist_ok=True)
        self._staged.rename(places.working_copy)

    def _write_settings(self) -> None:
        """What depends on the ports that are free now: written at every start."""
        places = self._places
        ports = boxes.choose_ports(places.root, self._sites)
        for site in self._sites:
            boxes.write_conf(places, site, ports[site], self.url)
        units = [boxes.server_units(places), *(boxes.units_of(places, site, ports[site]) for site in self._sites)]
        places.units.write_bytes(msgspec.json.encode(units))
        settings = {
            "data_dir": str(places.server),
            "remote": str(places.remote),
            "manifest_key": str(places.keys / "manifest.key"),
            "listen": f"127.0.0.1:{self._port}",
        }
        lines = [f"{key} = {msgspec.json.encode(value).decode()}\n" for key, value in settings.items()]
        places.server_settings.write_text("".join([*lines, "poll_s = 1\n"]), encoding="utf-8")
        for folder in (places.logs, places.socket(boxes.SERVER).parent):
            folder.mkdir(exist_ok=True, mode=0o700)

    def _start_processes(self) -> None:
        places = self._places
        with self._output.step("the control plane, with a PostgreSQL of its own"):
            command = python("cli.demo.supervisor", str(places.units))
            self._supervisor = start(command, places.logs / "supervisor.log", _clean_environment(), CHECKOUT)
            self._wait_for_server()

    def _wait_for_server(self) -> None:
        deadline = time.monotonic() + ANSWER_WITHIN_S
        with Remote(Target(self.url, "none")) as remote:
            while not remote.is_alive():
                self._require_supervisor()
                if self._server_restarts() > 0 or time.monotonic() > deadline:
                    raise CommandFailed(f"cannot start the control plane: {self._last_words('server.log')}")
                time.sleep(0.05)

    def _server_restarts(self) -> int:
        with suppress(OSError, msgspec.DecodeError):
            answer = supervisor.ask(self._places.socket(boxes.SERVER), "state", boxes.SERVER_UNIT)
            return answer.restarts or 0
        return 0

    def _require_supervisor(self) -> None:
        if self._supervisor is not None and self._supervisor.poll() is not None:
            raise CommandFailed(f"cannot go on: the supervisor ended: {self._last_words('supervisor.log')}")

    def _last_words(self, log: str) -> str:
        path = self._places.logs / log
        lines = path.read_text("utf-8", "replace").strip().splitlines() if path.exists() else []
        return (lines[-1][-500:] if lines else "it said nothing") + f" (more in {_shown(path)})"

    def _token(self) -> str:
        """The operator's token, made at the first start."""
        path = self._places.token
        if not path.exists() or not path.stat().st_size:
            from cli.demo.operator import make_token  # brings the whole server along, and is needed once

            make_token(self._places.server_settings, path)
        return path.read_text("utf-8").strip()

    def _publish(self, remote: Remote) -> None:
        places = self._places
        with self._output.step("the sample's videos and releases, uploaded"):
            blobs = fleet.video_blobs(fleet.make_videos(places))
            for tree in fleet.read_releases():
                blobs += tree.blobs
            remote.upload_all(blobs, lambda _: None)
        client = {
            "neopro.url": self.url,
            "neopro.tokenfile": str(places.token),
            "neopro.releasekey": str(places.keys / "release.key"),
        }
        fleet.configure_client(places.working_copy, client)
        fleet.push_first(places.remote, places.working_copy)
        for site in self._sites:
            supervisor.ask(places.socket(site), "start", boxes.AGENT_UNIT)

    def _converge(self, remote: Remote, watcher: Watcher) -> None:
        """Wait until every box is in sync, saying what happens; after a while, go on without."""
        deadline = time.monotonic() + CONVERGE_WITHIN_S
        with self._output.step(f"{len(self._sites)} boxes converge on the newest commit"):
            while True:
                self._require_supervisor()
                look = remote.fleet()
                for line in watcher.lines(look):
                    self._output.say(f"    {line}")
                if watcher.converged(look):
                    return
                if time.monotonic() > deadline:
                    self._output.say("    not all of them yet: the page says why")
                    return
                time.sleep(LOOK_S)

    def _watch(self, remote: Remote, watcher: Watcher) -> None:
        """Say what is new until a signal comes."""
        away = False
        while True:
            self._require_supervisor()
            try:
                lines = watcher.lines(remote.fleet())
                if away:
                    lines.insert(0, "the control plane answers again")
                away = False
            except CommandFailed:
                lines = [] if away else ["the control plane does not answer; the boxes go on without it"]
                away = True
            for line in lines:
                self._output.say(f"{time.strftime('%H:%M:%S')} {line}")
            time.sleep(LOOK_S)

    def _stop(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if self._supervisor is not None:
            with suppress(OSError), self._output.step("everything stopped"):
                stop_all([self._supervisor], STOP_WITHIN_S)


def _sites(places: Places, count: int) -> Sequence[str]:
    """The sites with a box: those that have one, or the first of the list."""
    made = [site for site in SITES if places.box(site).conf.exists()]
    prepared = (places.working_copy / ".git").exists()
    return tuple(made) if prepared and made else SITES[:count]


def _require_sample() -> None:
    if not (SAMPLE_FLEET / "fleet.yaml").is_file():
        raise CommandFailed(f"cannot start the demo: {SAMPLE_FLEET} is missing; run it from a checkout of NEOPRO Fleet")


def _clean_environment() -> dict[str, str]:
    """Ours without NEOPRO_*: those would go over the settings that the demo writes."""
    return {key: value for key, value in os.environ.items() if not key.startswith("NEOPRO_")}


def _shown(path: Path) -> str:
    return os.path.relpath(path)


@contextmanager
def _interrupted_by(*numbers: signal.Signals) -> Iterator[None]:
    """These signals end us as Ctrl-C does; also SIGINT in a shell's background, where it is ignored by default."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in numbers:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means what it says
            signal.signal(number, interrupt)
    yield
