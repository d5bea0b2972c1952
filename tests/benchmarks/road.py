"""The whole road as real processes (`neopro demo`, six boxes): from a pushed video to the last report.

`commit-to-converged` runs from the moment that the control plane publishes the commit until the last of the boxes has
reported it converged. Its floor is the second after which the box looks again at a configuration that it exchanged, to
take up what another writer still wrote (`docs/box.md`).
"""

import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec

from cli.demo.places import Places
from schemas.api import FleetStatus
from tests.benchmarks.measure import Row, row
from tests.support.command_line import environment, git, neopro

ROOT = Path(__file__).resolve().parents[2]
TIMES = 5
PORT = 18_600
SETTLED = "Ctrl-C stops all of it"
CLIP = ("../clips/noel-2026.mp4", "--set", "annonces-nationales")


@contextmanager
def demo(folder: Path) -> Iterator[tuple[Places, dict[str, str], str]]:
    """A demo that has settled: its places, the environment of its operator, its address."""
    places = Places.at(folder / "d")
    env = environment(folder, NEOPRO_DEMO_DIR=str(places.root), PYTHONPATH=str(ROOT))
    command = [sys.executable, "-m", "cli", "demo", "--port", str(PORT)]
    log = folder / "said"
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=env, cwd=ROOT)
    try:
        wait_until(lambda: SETTLED in log.read_text(), log)
        yield places, env, f"http://127.0.0.1:{PORT}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        neopro("demo", "--clean", cwd=ROOT, env=env)


def wait_until(condition: Callable[[], bool], log: Path, within_s: float = 120) -> None:
    """Wait for `condition`, or end with what the demo said."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"cannot measure: the demo did not get there:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)


def measure(names: list[str]) -> list[Row]:
    """The one figure of this module."""
    with tempfile.TemporaryDirectory(prefix="neopro-bench-", dir="/tmp") as name, demo(Path(name)) as running:
        rows = [commit_to_converged(*running)]
    return [r for r in rows if r.name in names]


def commit_to_converged(places: Places, env: dict[str, str], url: str) -> Row:
    """Seconds from publication to the last report: a video added to a national set, and taken back, in turn."""
    copy = places.working_copy
    added = neopro("video", "add", *CLIP, cwd=copy, env=env)
    assert added.returncode == 0, added.stderr
    git(copy, "add", "-A")
    git(copy, "commit", "-qm", "Add a clip")
    token = places.token.read_text().strip()
    taken = [pushed(copy, token, url)]
    for _ in range(TIMES - 1):
        git(copy, "revert", "--no-edit", "HEAD")
        taken.append(pushed(copy, token, url))
    note = f"six boxes, median of {TIMES}: {', '.join(f'{s:.2f}' for s in taken)}; floor: the wait for other writers"
    return row("commit-to-converged", statistics.median(taken), "s", 1.0, note)


def pushed(copy: Path, token: str, url: str) -> float:
    """Push; seconds from the publication to convergence of all boxes (sites without a box cannot converge)."""
    revision = git(copy, "rev-parse", "HEAD")
    git(copy, "push", "-q")
    deadline = time.monotonic() + 60
    with httpx.Client(trust_env=False) as client:
        while time.monotonic() < deadline:
            fleet = read_fleet(client, token, url)
            change = next((c for c in fleet.changes if c.commit == revision and c.published_at), None)
            if change and change.published_at and change.converged >= 6:
                last = max(s.last_report_at for s in fleet.sites if s.last_report_at)
                return (last - change.published_at).total_seconds()
            time.sleep(0.02)
    raise SystemExit(f"cannot measure: {revision[:7]} did not converge")


def read_fleet(client: httpx.Client, token: str, url: str) -> FleetStatus:
    """What the control plane knows."""
    answer = client.get(f"{url}/v1/fleet", headers={"Authorization": f"Bearer {token}"})
    return msgspec.json.decode(answer.content, type=FleetStatus)
