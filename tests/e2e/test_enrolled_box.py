"""From a one-time token to a converged box: real server, real Git, the real commands on both sides."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from control_plane.api.enrolments import MAX_A_MINUTE
from control_plane.store.tokens import add_token
from reconciler_agent.install.enrol import Enrolment, enrol
from reconciler_agent.install.target import Target
from schemas.enrolment import read_token
from tests.integration.test_agent_install import Cut, dying
from tests.support.command_line import environment, git, neopro
from tests.support.handles import life_of_a_process
from tests.support.live_box import LiveBox, application, release_changes
from tests.support.patience import wait_for
from tests.support.world import ServedWorld, served_world

SITE = "quimper"


@dataclass
class Desk:
    """An operator's clone beside a control plane that serves the fleet; `quimper` is planned."""

    served: ServedWorld
    clone: Path
    env: dict[str, str]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return neopro(*words, cwd=self.clone, env=self.env)

    def says(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def standing(self) -> str:
        """How the site stands, by what its box reported."""
        sites = json.loads(self.run("status", "--json").stdout)["sites"]
        return str(next(site["standing"] for site in sites if site["site"] == SITE))

    def push(self) -> None:
        git(self.clone, "push", "-q", "origin", "HEAD:main")
        assert self.served.ingest().verdict == "published"


@pytest.fixture
def desk(tmp_path: Path, database: str) -> Iterator[Desk]:
    with served_world(tmp_path / "world", database) as served:
        planned = {f"sites/{SITE}.yaml": served.world.site_file(SITE, identity=False)}
        served.publish(release_changes(served.world, "1.1.0", application("1.1.0")) | planned, "Plan Quimper")
        clone = tmp_path / "clone"
        git(tmp_path, "clone", "-q", str(served.world.remote), str(clone))
        git(clone, "config", "user.name", "Ada")
        git(clone, "config", "user.email", "ada@example.org")
        token = served.run(read_write_token(served))
        yield Desk(served, clone, environment(tmp_path, NEOPRO_URL=served.url, NEOPRO_TOKEN=token))


async def read_write_token(served: ServedWorld) -> str:
    """An operator's personal token."""
    now = served.world.clock()
    async with served.world.connection() as conn:
        return await add_token(conn, "ada", ["read", "write"], now=now, expires_at=now + timedelta(days=1))


@pytest.fixture
def box(tmp_path: Path, desk: Desk) -> Iterator[LiveBox]:
    with LiveBox(tmp_path / "box", SITE, url=desk.served.url).switched_on() as live:
        yield live


def test_new_box_goes_from_its_token_to_converged_while_its_agent_runs(desk: Desk, box: LiveBox) -> None:
    token = desk.says("enrol", "token", SITE)

    asked = box.run("enrol", desk.served.url, token)
    assert asked.returncode == 0, asked.stderr
    assert f"neopro enrol accept {SITE}" in asked.stdout
    identity = next(line for line in asked.stdout.splitlines() if line.startswith("identity: "))
    assert f"{identity.removeprefix('identity: ')}" in desk.says("enrol", "list")
    assert token not in asked.stdout + asked.stderr

    with box.agent():
        wait_for(lambda: "AwaitingAcceptance" in box.run("status", "--json").stdout, "the box says that it waits")
        waiting = box.run("status").stdout
        assert "waits to be let in" in waiting and "something is wrong" not in waiting
        again = box.run("enrol", desk.served.url, token)
        assert (again.returncode, again.stdout) == (0, asked.stdout), "it may be called again, beside the agent too"

        desk.says("enrol", "accept", SITE, "--commit")
        desk.push()
        wait_for(lambda: desk.standing() == "Synced", "the box is as desired, and has said so")

    assert box.active() == "1.1.0"
    assert box.shown() == {"clip-a", "clip-b"}
    assert json.loads(box.run("status", "--json").stdout)["release"] == "1.1.0"
    known = box.run("enrol", desk.served.url, token)
    assert (known.returncode, f"knows this box as {SITE}" in known.stdout) == (0, True)
    assert "let in" in desk.says("enrol", "list", "--all")


def test_box_takes_no_trust_root_but_the_one_that_its_token_pins(desk: Desk, box: LiveBox) -> None:
    token = desk.says("enrol", "token", SITE)
    other = read_token(token)._replace(root_sha256="A" * 43).text

    refused = box.run("enrol", desk.served.url, other)

    assert refused.returncode == 2
    assert refused.stderr.startswith("neopro-agent: cannot accept trust root 1: it is not the one that the token names")
    assert not (box.folder / "root.json").exists()
    assert "no box has used it" in desk.says("enrol", "list"), "nothing was sent"


def test_second_card_of_a_site_is_told_the_way_of_a_replacement(desk: Desk, box: LiveBox) -> None:
    first = desk.says("enrol", "token", SITE)
    assert box.run("enrol", desk.served.url, first).returncode == 0
    desk.says("enrol", "accept", SITE, "--commit")
    desk.push()
    second = desk.says("enrol", "token", SITE)
    for name in ("site.key", "site.key.age"):
        (box.folder / "etc" / name).unlink()
    used = box.run("enrol", desk.served.url, first)
    assert (used.returncode, "was revoked" in used.stderr) == (2, True)
    assert box.run("enrol", desk.served.url, second).returncode == 0

    refused = desk.run("enrol", "accept", SITE)

    assert refused.returncode == 2
    assert f"neopro site replace {SITE} --identity ed25519:" in refused.stderr
    command = (
        refused.stderr.strip().partition(": neopro ")[2].replace("--recovery-key FILE", "--without-backup --commit")
    )
    desk.says(*command.split())
    desk.push()
    assert box.run("once").returncode == 0
    assert box.active() == "1.1.0"


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("nonsense", "it is no enrolment token"),
        (f"enrol.{SITE}.{'x' * 32}.1", "copy it again, whole"),
        (f"enrol.brest.{'x' * 32}.1.{'A' * 43}", "site.conf"),
        (f"enrol.{SITE}.{'x' * 32}.7.{'A' * 43}", "trust root 7"),
    ],
)
def test_token_that_is_no_good_is_told_in_one_sentence(desk: Desk, box: LiveBox, token: str, words: str) -> None:
    refused = box.run("enrol", desk.served.url, token)
    assert refused.returncode == 2
    assert words in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not (box.folder / "root.json").exists()


def test_card_that_is_prepared_at_a_desk_has_all_that_the_agent_needs(desk: Desk, tmp_path: Path) -> None:
    """`--root`: an image without a site.conf; the second call finds everything done."""
    card, token = tmp_path / "card", desk.says("enrol", "token", SITE)
    card.mkdir()
    command = [*_agent(), "enrol", desk.served.url, "-", "--root", str(card)]
    asked = subprocess.run(command, input=f"{token}\n", capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr

    etc = card / "etc/neopro"
    modes = {path.name: path.stat().st_mode & 0o777 for path in etc.iterdir()}
    assert modes == {"site.key": 0o600, "site.key.age": 0o600, "root.json": 0o644, "site.conf": 0o644}
    assert (etc / "root.json").read_text() == desk.served.world.file("trust/root-1.json")
    assert f"id = {SITE}" in (etc / "site.conf").read_text()
    assert desk.served.url in (etc / "site.conf").read_text()
    before = {path: path.stat().st_mtime_ns for path in etc.iterdir()}
    again = subprocess.run(command, input=f"{token}\n", capture_output=True, text=True, check=False)
    assert (again.returncode, {path: path.stat().st_mtime_ns for path in etc.iterdir()}) == (0, before)


def test_enrolment_that_is_cut_off_anywhere_is_finished_by_the_next(desk: Desk, tmp_path: Path) -> None:
    """At every other call that changes a file (an address has so many attempts), but for those that make the keys."""
    card, token = tmp_path / "card", desk.says("enrol", "token", SITE)
    card.mkdir()
    etc, asked = card / "etc/neopro", Enrolment(Path("/etc/neopro/site.conf"), desk.served.url, token, None)
    calls, count = dying(1_000_000)
    enrol(asked, Target(card, calls), lambda _: None)
    whole = {path.name: path.read_bytes() for path in etc.iterdir()}
    for at in range(1, count() + 1, 2):
        for name in ("root.json", "site.conf"):
            (etc / name).unlink(missing_ok=True)
        with suppress(Cut), life_of_a_process(card):  # what an earlier one left in staging spares a call or two
            enrol(asked, Target(card, dying(at)[0]), lambda _: None)
            assert at > count() - 5
        left = {path.name: path.read_bytes() for path in etc.iterdir() if path.is_file()}
        assert left.items() <= whole.items(), f"what is there after call {at} is whole"
    assert 10 < count() < 2 * MAX_A_MINUTE - 2
    enrol(asked, Target(card), lambda _: None)
    assert {path.name: path.read_bytes() for path in etc.iterdir()} == whole, "nothing lies about"


def test_conf_of_the_former_agent_stays_and_the_way_to_convert_it_is_told(desk: Desk, tmp_path: Path) -> None:
    card, token = tmp_path / "card", desk.says("enrol", "token", SITE)
    conf = card / "etc/neopro/site.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text("SITE_ID=0b3c\nCENTRAL_SERVER_URL=https://old.example\nSITE_NAME=Salle Kerjestin\n")
    command = [*_agent(), "enrol", desk.served.url, token, "--root", str(card)]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    assert conf.read_text().startswith("SITE_ID=0b3c\n")
    assert f"install --site {SITE} --central {desk.served.url}" in asked.stdout


def test_box_without_a_network_is_told_so_and_has_nothing_but_keys(desk: Desk, box: LiveBox) -> None:
    token = desk.says("enrol", "token", SITE)
    box.write(url="http://127.0.0.1:9")
    refused = box.run("enrol", "http://127.0.0.1:9", token)
    assert (refused.returncode, refused.stderr.startswith("neopro-agent: cannot reach 127.0.0.1")) == (2, True)
    assert not (box.folder / "root.json").exists()


def _agent() -> list[str]:
    return [sys.executable, "-m", "reconciler_agent", "--conf", "/etc/neopro/site.conf"]
