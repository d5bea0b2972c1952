"""`neopro status --change` and `neopro logs` against a real control plane, with boxes that report."""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from control_plane.store import reports
from control_plane.store.tokens import add_token
from schemas.names import SiteId
from tests.support.command_line import environment, git, neopro
from tests.support.published import report
from tests.support.world import SITES, ServedWorld, served_world


class Desk:
    """An operator's clone, and boxes that can be told to say that they are there."""

    def __init__(self, served: ServedWorld, folder: Path) -> None:
        self.served, self.folder, self.checkout = served, folder, folder / "checkout"
        self._sequence = 0
        git(folder, "clone", "-q", str(served.world.remote), str(self.checkout))
        token = served.run(self._token())
        self.env = environment(folder, NEOPRO_URL=served.url, NEOPRO_TOKEN=token)

    async def _token(self) -> str:
        now = datetime.now(UTC)
        async with self.served.world.connection() as conn:
            return await add_token(conn, "ada", ["read"], now=now, expires_at=now + timedelta(days=1))

    def neopro(self, *words: str) -> subprocess.CompletedProcess[str]:
        return neopro(*words, cwd=self.checkout, env=self.env)

    def commit(self, text: str, message: str) -> str:
        """Push a commit that adds `text` to Brest's file; what the control plane decides about it."""
        git(self.checkout, "pull", "-q", "--ff-only")
        site = self.checkout / "sites" / "brest.yaml"
        site.write_text(site.read_text() + text)
        git(self.checkout, "commit", "-qam", message)
        git(self.checkout, "push", "-q", "origin", "HEAD:main")
        return self.served.ingest().verdict

    def converge(self, *sites: SiteId) -> None:
        """These boxes report that they have what is published."""
        self.served.run(self._report(sites))

    async def _report(self, sites: tuple[SiteId, ...]) -> None:
        self._sequence += 1
        async with self.served.world.connection() as conn:
            rows = await (await conn.execute("select site, generation from sites")).fetchall()
            current = dict(rows)
            now = datetime.now(UTC)
            said = [(site, report(current[site], sequence=self._sequence, at=now)) for site in sites]
            await reports.record(conn, [reports.Received(site, what, now) for site, what in said])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with served_world(tmp_path / "world", "") as served:
        yield Desk(served, tmp_path)


def test_change_is_followed_from_unknown_to_everywhere(desk: Desk) -> None:
    desk.converge(*SITES)
    unknown = desk.neopro("status", "--change", "f" * 40)
    assert (unknown.returncode, unknown.stdout) == (
        1,
        "the control plane has not looked at this commit yet; was it pushed?\n",
    )
    assert desk.commit("labels: {channel: beta}\nconfig: {liveScoreEnabled: true}\n", "Try scores") == "published"

    waiting = desk.neopro("status", "--change", "HEAD")
    lines = waiting.stdout.splitlines()
    assert (waiting.returncode, waiting.stderr) == (1, "")
    assert lines[0].endswith("'Try scores', Ada Operator <ada@example.org>: 0 of 1 sites are there")
    assert [line.split()[:2] for line in lines[2:]] == [["SITE", "STATE"], ["brest", "Progressing"]]

    desk.converge("brest")
    there = desk.neopro("status", "--change", "main", "--json")
    assert there.returncode == 0
    printed = json.loads(there.stdout)
    assert (printed["change"]["converged"], printed["change"]["sites"], printed["missing"]) == (1, 1, [])


def test_watching_a_change_ends_when_the_last_box_is_there(desk: Desk) -> None:
    desk.converge(*SITES)
    desk.commit("config: {liveScoreEnabled: true}\n", "Try scores")
    words = [*_command(), "status", "--change", "HEAD", "--watch"]
    with subprocess.Popen(
        words, cwd=desk.checkout, env=desk.env | {"PYTHONPATH": _root()}, stdout=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        assert "0 of 1 sites are there" in watching.stdout.readline()
        desk.converge("brest")
        rest, _ = watching.communicate(timeout=60)
    assert "1 of 1 sites are there" in rest
    assert watching.returncode == 0


def test_change_that_was_refused_is_told_with_its_problems_and_not_waited_for(desk: Desk) -> None:
    assert desk.commit("sprots: [rugby]\n", "Slip") == "refused"
    done = desk.neopro("status", "--change", "HEAD", "--watch")
    assert done.returncode == 1
    assert "refused; boxes keep what was published before" in done.stdout
    assert "sites/brest.yaml:" in done.stdout
    assert "UnknownKey" in done.stdout


def test_nobody_waits_for_a_site_that_has_no_box_yet(desk: Desk) -> None:
    desk.served.publish({"sites/quimper.yaml": desk.served.world.site_file("quimper", identity=False)}, "Plan Quimper")
    git(desk.checkout, "pull", "-q", "--ff-only")
    done = desk.neopro("status", "--change", "HEAD", "--watch")
    assert (done.returncode, "1 have no box yet: quimper" in done.stdout) == (0, True)


def test_sites_that_need_attention_come_first(desk: Desk) -> None:
    desk.converge("brest", "nantes")
    done = desk.neopro("status")
    assert [line.split()[0] for line in done.stdout.splitlines()[-3:]] == ["rennes", "brest", "nantes"]


def test_log_that_a_box_sent_is_printed_and_cannot_steer_the_terminal(desk: Desk) -> None:
    none = desk.neopro("logs", "fetch-1")
    assert (none.returncode, none.stdout) == (1, "")
    assert "no site has sent any (yet)" in none.stderr
    _leave(desk, "brest", b"12:00\tstarted\n12:01 \x1b[2J\xff\n")
    one = desk.neopro("logs", "fetch-1")
    assert (one.returncode, one.stdout) == (0, "12:00   started\n12:01 \\x1b[2J\\xff\n")

    _leave(desk, "nantes", b"quiet\n")
    listed = desk.neopro("logs", "fetch-1")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["SITE", "brest", "nantes", "to"]
    assert json.loads(desk.neopro("logs", "fetch-1", "--site", "nantes", "--json").stdout)["text"] == "quiet\n"
    absent = desk.neopro("logs", "fetch-1", "--site", "rennes")
    assert (absent.returncode, "its box has sent none (yet)" in absent.stderr) == (1, True)


def _leave(desk: Desk, site: SiteId, body: bytes) -> None:
    answer = httpx.post(
        f"{desk.served.url}/v1/sites/{site}/logs/fetch-1",
        headers=desk.served.world.headers(site),
        content=body,
        trust_env=False,
    )
    assert answer.status_code == 204, answer.text


def _command() -> list[str]:
    import sys

    return [sys.executable, "-m", "cli"]


def _root() -> str:
    return str(Path(__file__).resolve().parents[2])
