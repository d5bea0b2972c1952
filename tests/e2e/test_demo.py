"""The demo as a process: commit to converged, taken back, gone on with, and nothing left behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli.demo.places import Places
from tests.support.command_line import environment, git, neopro
from tests.support.patience import PATIENCE_S, promised, wait_for

ROOT = Path(__file__).resolve().parents[2]
SITES = ("rennes-fc", "brest-handball")


class Session:
    """A terminal in which `neopro demo` runs with two boxes, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.places = Places.at(folder / "d")
        self.env = environment(folder, NEOPRO_DEMO_DIR=str(self.places.root), PYTHONPATH=str(ROOT))
        self._log = folder / "said"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._log.write_text("")
        command = [sys.executable, "-m", "cli", "demo", "--boxes", str(len(SITES)), "--port", "18470"]
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out, env=self.env, cwd=ROOT)
        self.hears("Ctrl-C stops all of it")

    @property
    def said(self) -> str:
        return self._log.read_text("utf-8")

    def hears(self, pattern: str, within_s: float = PATIENCE_S) -> None:
        def heard() -> bool:
            assert self._process is None or self._process.poll() is None, self.said
            return re.search(pattern, self.said) is not None

        try:
            wait_for(heard, pattern, within_s)
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{self.said[-3000:]}") from None

    def signal(self, number: signal.Signals) -> int:
        """The status with which it ended, within the five seconds that are promised."""
        assert self._process
        self._process.send_signal(number)
        return self._process.wait(promised(5))

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for this demo: its own, and what works in its folder or was told to."""
        found = []
        for process in psutil.process_iter(["cmdline", "environ", "status", "cwd"]):
            info = process.info
            told = " ".join(info["cmdline"] or [])
            folder = str(self.places.root)
            ours = folder in told or str(info["cwd"]).startswith(folder)
            if ours and info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found

    def push(self, message: str) -> str:
        """Commit and push all of the working copy; the revision, as the demo names it."""
        folder = self.places.working_copy
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", message)
        git(folder, "push", "-q")
        return git(folder, "rev-parse", "HEAD")[:7]

    def videos(self, site: str) -> set[str]:
        return {path.name for path in (self.places.box(site).root / "videos").rglob("*.mp4")}

    def running_release(self, site: str) -> str:
        return (self.places.box(site).root / "VERSION").read_text().strip()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    session = Session(tmp_path_factory.mktemp("demo"))
    session.start()
    yield session
    neopro("demo", "--clean", cwd=ROOT, env=session.env)


def test_boxes_converge_from_nothing_and_the_page_is_there(session: Session) -> None:
    import httpx

    for site in SITES:
        assert f"{site} Synced at" in session.said
        assert session.running_release(site) == "2.1.3"
    url = re.search(r"http://127\.0\.0\.1:\d+/", session.said)
    assert url
    for path, words in (("", "sites as desired"), ("sites", "Club Rennes FC")):
        page = httpx.get(url[0] + path, trust_env=False)
        assert page.status_code == 200
        assert words in page.text


def test_pushed_video_reaches_every_box_and_a_revert_takes_it_back(session: Session) -> None:
    copy = session.places.working_copy
    words = ("../clips/noel-2026.mp4", "--set", "annonces-nationales")
    added = neopro("video", "add", *words, cwd=copy, env=session.env)
    assert added.returncode == 0, added.stderr
    revision = session.push("Add the Christmas clip")
    for site in SITES:
        session.hears(f"{site} Synced at {revision}")
        assert any(name.startswith("noel-2026-") for name in session.videos(site))
    git(copy, "revert", "--no-edit", "HEAD")
    git(copy, "push", "-q")
    back = git(copy, "rev-parse", "HEAD")[:7]
    for site in SITES:
        session.hears(f"{site} Synced at {back}")
        configuration = (session.places.box(site).root / "data" / "configuration.json").read_text()
        assert "noel-2026" not in configuration


def test_typo_is_refused_whole_and_said(session: Session) -> None:
    site = session.places.working_copy / "sites" / "rennes-fc.yaml"
    before = site.read_text()
    site.write_text(before.replace("sports:", "sprots:"))
    revision = session.push("Mistype")
    session.hears(rf"commit {revision} “Mistype” refused, nothing changes:\n.*sites/rennes-fc\.yaml:5:1")
    site.write_text(before)
    session.push("Correct it")


def test_broken_release_is_rolled_back_and_the_reason_told(session: Session) -> None:
    copy = session.places.working_copy
    words = ("--version", "2.2.1", "--service", "neopro-app", "--within", "5s", "--settle", "1s")
    added = neopro("release", "add", "../releases/2.2.1-broken", *words, cwd=copy, env=session.env)
    assert added.returncode == 0, added.stderr
    premium = copy / "groups" / "premium.yaml"
    before = premium.read_text()
    premium.write_text(before + "release: 2.2.1\n")
    session.push("Release 2.2.1 to premium clubs")
    session.hears("rennes-fc Degraded: Release 2.2.1 failed")
    assert session.running_release("rennes-fc") == "2.1.3"
    status = json.loads(neopro("status", "--json", cwd=copy, env=session.env).stdout)
    [site] = [site for site in status["sites"] if site["site"] == "rennes-fc"]
    assert site["release"]["version"] == "2.1.3"
    premium.write_text(before)
    revision = session.push("Take it back")
    session.hears(f"rennes-fc Synced at {revision}")


def test_second_demo_in_the_same_folder_is_refused(session: Session) -> None:
    done = neopro("demo", cwd=ROOT, env=session.env)
    assert (done.returncode, "it is running already" in done.stderr) == (2, True)


def test_folder_that_the_demo_did_not_make_is_never_forgotten(session: Session, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    env = {**session.env, "NEOPRO_DEMO_DIR": str(tmp_path)}
    done = neopro("demo", "--clean", cwd=ROOT, env=env)
    assert (done.returncode, "was not made by it" in done.stderr) == (2, True)
    assert (tmp_path / "thesis.txt").exists()


def test_no_process_is_left_however_it_ends_and_the_next_start_goes_on(session: Session) -> None:
    assert len(session.processes()) > 3 * len(SITES), "the test must be able to see them"
    assert session.signal(signal.SIGINT) == 0
    assert session.processes() == []
    started = time.monotonic()
    session.start()
    assert time.monotonic() - started < promised(30)
    assert "keys, 2 boxes" not in session.said, "nothing is made anew"
    session.signal(signal.SIGKILL)
    wait_for(lambda: session.processes() == [], "everything is gone")


def test_clean_stops_and_forgets(session: Session) -> None:
    session.start()
    done = neopro("demo", "--clean", cwd=ROOT, env=session.env)
    assert (done.returncode, done.stdout) == (0, "forgotten\n"), done.stderr
    assert not session.places.root.exists()
    assert session.processes() == []
    assert os.listdir(session.places.root.parent) == ["said"]  # noqa: PTH208
