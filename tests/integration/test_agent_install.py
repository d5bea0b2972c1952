"""The installer on the files of a box as the field has it: it takes over, can be cut off anywhere, and gives back."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler_agent.errors import AgentError, ServiceFailed, SettingsInvalid, TrustRefused
from reconciler_agent.install.installer import UNIT_FILE, WANTED, Wish, plan_install, plan_uninstall
from reconciler_agent.install.steps import Step, run_steps
from reconciler_agent.install.target import Target
from reconciler_agent.services import UnitState
from reconciler_agent.settings import load_settings
from reconciler_agent.system_calls import SYSTEM, Calls
from tests.support import trust_world

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="files of several users are made only by root"),
    pytest.mark.usefixtures("process_life"),
]

PROGRAM = Path(sys.executable).parent / "neopro-agent"
CONF = "etc/neopro/site.conf"
FIELD = """\
# NEOPRO Site Configuration
CENTRAL_SERVER_URL=https://fleet.example
CENTRAL_SERVER_ENABLED=true
SITE_ID=brest
SITE_API_KEY=cle-api-unique
CLUB_NAME=BREST BRETAGNE FÉMININ
NEOPRO_ROOT=/home/pi/neopro
AUTO_UPDATE_ENABLED=false
"""
NODE = "[Service]\nUser=pi\nExecStart=/usr/bin/node /home/pi/neopro/sync-agent/src/index.js\n"
KEYS = ("etc/neopro/site.key", "etc/neopro/site.key.age")
BACKUP = "home/pi/neopro/webapp/configuration.backup.json"
DROP_IN = "etc/systemd/system/neopro-sync-agent.service.d/limits.conf"
ADMIN = "etc/systemd/system/neopro-admin.service"
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\npi:x:1000:1000::/home/pi:/bin/bash\n",
    CONF: FIELD,
    "etc/systemd/system/neopro-sync-agent.service": NODE,
    DROP_IN: "[Service]\nUser=pi\n",
    ADMIN: "[Service]\nEnvironment=NODE_ENV=production\nEnvironment=NEOPRO_DIR=/home/pi/neopro\n",
    "home/pi/neopro/webapp/configuration.json": "{}",
    BACKUP: '{"auth": {"password": "of the club"}}',
    "home/pi/neopro/sync-agent/package.json": '{"version": "1.0.0"}',
}


class Units:
    """The service manager of a machine that is up, with one unit that matters."""

    def __init__(self, active: bool = True) -> None:
        self.active, self.calls, self.starts = active, list[str](), True

    def state(self, unit: str) -> UnitState:
        return UnitState(active=self.active)

    def start(self, unit: str) -> UnitState:
        self.calls.append("start")
        self.active = self.starts
        return UnitState(active=self.active)

    def stop(self, unit: str) -> UnitState:
        self.calls.append("stop")
        self.active = False
        return UnitState(active=False)

    def reload(self) -> None:
        self.calls.append("reload")


class Box:
    """A box of the field in a folder."""

    def __init__(self, folder: Path, calls: Calls = SYSTEM) -> None:
        self.folder, self.units, self.said = folder / "box", Units(), list[str]()
        for path, text in FILES.items():
            self.write(path, text)
        os.chown(self.folder / BACKUP, 1000, 1000)
        (self.folder / CONF).chmod(0o640)
        wanted = self.folder / WANTED.relative_to("/")
        wanted.parent.mkdir()
        wanted.symlink_to(UNIT_FILE)
        (self.folder / "var/lib").mkdir(parents=True)
        self.trust = folder / "root-1.json"
        self.trust.write_bytes(trust_world.sign_root(trust_world.root()))
        self.before = self.tree()

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def install(self, calls: Calls = SYSTEM, **wish: Any) -> None:
        usual = {"conf": Path("/", CONF), "program": PROGRAM, "trust": self.trust, "given": {}}
        steps, _ = plan_install(Wish(**(usual | wish)), Target(self.folder, calls), self.units)
        run_steps(self.watched(steps), self.said.append, dry_run=False)

    def uninstall(self, calls: Calls = SYSTEM) -> None:
        steps = plan_uninstall(Target(self.folder, calls), self.units)
        run_steps(self.watched(steps), self.said.append, dry_run=False)

    def watched(self, steps: list[Step]) -> Iterator[Step]:
        """The steps; at each one the box could be switched off, and its agent would start."""
        for step in steps:
            self.require_startable()
            yield step
        self.require_startable()

    def require_startable(self) -> None:
        unit = (self.folder / UNIT_FILE.relative_to("/")).read_text()
        if unit != NODE:
            settings = load_settings(self.folder / CONF)
            assert settings.site == "brest"
            assert all((self.folder / path).is_file() for path in (*KEYS, str(settings.trust)[1:]))
        else:
            assert (self.folder / CONF).read_text() == FIELD

    def tree(self) -> dict[str, tuple[Any, ...]]:
        """Everything but the agent's own folder, and the key: which it has for good."""
        found: dict[str, tuple[Any, ...]] = {}
        for path in sorted(self.folder.rglob("*")):
            name, is_link = str(path.relative_to(self.folder)), path.is_symlink()
            state = path.lstat()
            content = str(path.readlink()) if is_link else path.read_bytes() if path.is_file() else b""
            if not name.startswith("var/lib/neopro-agent") and name not in KEYS:
                found[name] = (stat.filemode(state.st_mode), state.st_uid, content)
        return found


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_agent_takes_the_place_of_the_one_that_was_there(box: Box) -> None:
    box.install()

    after = box.tree()
    changed = {path for path in {**after, **box.before} if after.get(path) != box.before.get(path)}
    assert changed == {CONF, "etc/neopro/root.json", "etc/systemd/system/neopro-sync-agent.service", DROP_IN, BACKUP}
    assert (DROP_IN in after, BACKUP in after) == (False, False)
    assert box.units.calls == ["stop", "reload", "start"]
    assert (
        f"ExecStart={PROGRAM} --conf /etc/neopro/site.conf run"
        in after["etc/systemd/system/neopro-sync-agent.service"][2].decode()
    )
    assert {(box.folder / key).stat().st_mode & 0o777 for key in KEYS} == {0o600}
    assert (box.folder / "var/lib/neopro-agent").stat().st_mode & 0o777 == 0o700


def test_settings_of_the_field_say_the_same_after_they_were_converted(box: Box) -> None:
    before = load_settings(box.folder / CONF)

    box.install()

    assert load_settings(box.folder / CONF) == before
    assert (before.site, before.auto_update) == ("brest", False)
    assert "cle-api-unique" not in (box.folder / CONF).read_text()


def test_second_installation_changes_nothing(box: Box) -> None:
    box.install()
    box.units.calls.clear()
    before = {path: (p.st_ino, p.st_ctime_ns) for path in box.folder.rglob("*") for p in [path.lstat()]}

    box.said.clear()
    box.install()

    assert {path: (p.st_ino, p.st_ctime_ns) for path in box.folder.rglob("*") for p in [path.lstat()]} == before
    assert box.units.calls == []
    assert all(line.startswith("  as it should be: ") for line in box.said)


def test_uninstalling_puts_everything_back_and_starts_the_agent_of_before(box: Box) -> None:
    box.install()
    box.install()
    box.units.calls.clear()

    box.uninstall()

    assert box.tree() == box.before
    assert box.units.calls == ["stop", "reload", "start"]
    assert plan_uninstall(Target(box.folder), box.units) == []


def test_agent_that_did_not_run_before_is_not_started_by_uninstalling(box: Box) -> None:
    box.units.active = False
    box.install()

    box.uninstall()

    assert (box.tree(), box.units.active) == (box.before, False)


def test_what_is_written_over_our_own_unit_stays(box: Box) -> None:
    box.install()
    ours = "etc/systemd/system/neopro-sync-agent.service.d/override.conf"
    box.write(ours, "[Service]\nNice=5\n")

    box.install()

    assert (box.folder / ours).exists()


class Cut(BaseException):
    """The power went."""


def dying(at: int) -> tuple[Calls, Callable[[], int]]:
    """System calls of which the `at`th never comes (and none after it), and how many came."""
    count = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count >= at:
                raise Cut
            return real(*given, **named)

        return call

    return Calls(*(counted(call) for call in SYSTEM)), lambda: count


def points(work: Callable[[Box, Calls], None], box: Box) -> int:
    calls, count = dying(1_000_000)
    work(box, calls)
    return count()


def test_installation_that_is_cut_off_anywhere_is_finished_by_the_next(tmp_path: Path, long: bool) -> None:
    whole = Box(tmp_path / "whole")
    number = points(Box.install, whole)
    for at in range(1, number + 1, 1 if long else 7):
        box = Box(tmp_path / str(at))
        with pytest.raises(Cut):
            box.install(dying(at)[0])
        box.require_startable()
        box.install()
        assert box.tree().keys() == whole.tree().keys()
        assert {**box.tree(), CONF: 0} == {**whole.tree(), CONF: 0}
        assert box.units.active
        box.uninstall()
        assert box.tree() == box.before, at
    assert number > 60


def test_uninstallation_that_is_cut_off_anywhere_is_finished_by_the_next(tmp_path: Path, long: bool) -> None:
    whole = Box(tmp_path / "whole")
    whole.install()
    number = points(Box.uninstall, whole)
    for at in range(1, number + 1, 1 if long else 7):
        box = Box(tmp_path / str(at))
        box.install()
        with pytest.raises(Cut):
            box.uninstall(dying(at)[0])
        box.require_startable()
        box.uninstall()
        assert (box.tree(), box.units.active) == (box.before, True), at
    assert number > 40


def test_agent_that_does_not_start_is_told_and_the_next_try_starts_it(box: Box) -> None:
    box.units.starts = False
    with pytest.raises(ServiceFailed, match="cannot start neopro-sync-agent: it ended at once"):
        box.install()
    box.units.starts = True
    box.install()

    assert box.units.active


# What keeps it from being installed


def without(path: str) -> Callable[[Box], dict[str, Any]]:
    def change(box: Box) -> dict[str, Any]:
        (box.folder / path).unlink()
        return {}

    return change


def with_text(path: str, text: str) -> Callable[[Box], dict[str, Any]]:
    def change(box: Box) -> dict[str, Any]:
        box.write(path, text)
        return {}

    return change


INI = "[site]\nid = brest\n[central]\nurl = https://fleet.example\n"
REFUSED: dict[str, tuple[Callable[[Box], dict[str, Any]], str]] = {
    "no site.conf": (without(CONF), "there is no such file; write it, or give --site and --central"),
    "broken site.conf": (with_text(CONF, "SITE_ID=Brest FC\n"), "[site] id is 'Brest FC'"),
    "site.conf says otherwise": (
        lambda box: with_text(CONF, INI)(box) | {"given": {"site": {"id": "rennes"}}},
        "a person wrote it; edit it there",
    ),
    "no user": (with_text("etc/passwd", "root:x:0:0::/:/bin/sh\n"), "there is no user 'pi'"),
    "no root": (with_text(CONF, FIELD.replace("/home/pi/neopro", "/srv/neopro")), "there is no folder /srv/neopro"),
    "no admin": (without(ADMIN), "there is no unit neopro-admin"),
    "admin without its root": (with_text(ADMIN, "[Service]\n"), "neopro-admin has no NEOPRO_DIR; write Environment="),
    "admin with another root": (
        with_text(f"{ADMIN}.d/x.conf", "[Service]\nEnvironment=NEOPRO_DIR=/home/pi\n"),
        "neopro-admin has NEOPRO_DIR=/home/pi; write",
    ),
    "no program": (lambda _box: {"program": Path("/none/neopro-agent")}, "there is no program /none/neopro-agent"),
    "no such authority": (lambda _box: {"given": {"central": {"ca": "/etc/ca.pem"}}}, "there is no file /etc/ca.pem"),
    "no trust root": (lambda _box: {"trust": None}, "give trust/root-1.json of the fleet with --trust"),
    "no such trust root": (lambda _box: {"trust": Path("/none")}, "cannot read the trust root /none"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_box_that_cannot_have_the_agent_is_told_why_and_left_as_it_is(box: Box, name: str) -> None:
    change, words = REFUSED[name]
    wish = change(box)
    before = box.tree()

    with pytest.raises(SettingsInvalid) as refused:
        box.install(**wish)

    assert words in str(refused.value)
    assert str(refused.value).startswith("cannot ") and "\n" not in str(refused.value)
    assert (box.tree(), box.units.calls) == (before, [])
    assert not (box.folder / "var/lib/neopro-agent").exists()


def test_trust_root_that_is_none_is_refused_before_anything_changes(box: Box) -> None:
    box.trust.write_text("{}")

    with pytest.raises(TrustRefused):
        box.install()

    assert box.tree() == box.before


def test_site_that_is_given_by_hand_goes_over_the_old_one(box: Box) -> None:
    box.write(CONF, FIELD.replace("SITE_ID=brest", "SITE_ID=5f0c1c1e-3a5b-4d6e-9f70-8a1b2c3d4e5f"))
    box.require_startable = lambda: None  # type: ignore[method-assign]

    box.install(given={"site": {"id": "quimper"}, "central": {"url": "https://new.example"}})

    settings = load_settings(box.folder / CONF)
    assert (settings.site, settings.central_url, settings.auto_update) == ("quimper", "https://new.example", False)


def test_box_without_site_conf_gets_the_one_that_is_given(box: Box) -> None:
    (box.folder / CONF).unlink()
    given = {"site": {"id": "brest"}, "central": {"url": "https://fleet.example"}}
    box.require_startable = lambda: None  # type: ignore[method-assign]

    box.install(given=given)
    box.install(given=given)

    assert load_settings(box.folder / CONF).site == "brest"


def test_site_conf_that_a_person_wrote_stays_as_it_is(box: Box) -> None:
    box.require_startable = lambda: None  # type: ignore[method-assign]
    box.write(CONF, text := f"# by hand\n{INI}\n[features]\ntelemetry = no\n")

    box.install(given={"site": {"id": "brest"}})

    assert (box.folder / CONF).read_text() == text


def test_record_that_was_changed_is_not_believed(box: Box) -> None:
    box.install()
    box.write("var/lib/neopro-agent/replaced.json", "{")

    with pytest.raises(AgentError, match=r"^cannot use /var/lib/neopro-agent/replaced\.json: "):
        box.uninstall()


# As it is called


def called(box: Box, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [str(PROGRAM), *words, "--root", str(box.folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_image_is_prepared_and_undone_from_the_command_line(box: Box) -> None:
    dry = called(box, "install", "--dry-run", "--trust", str(box.trust))
    assert (dry.returncode, box.tree()) == (0, box.before), dry.stderr
    assert dry.stdout.count("  would: ") == 9
    assert not (box.folder / "var/lib/neopro-agent").exists()

    done = called(box, "install", "--trust", str(box.trust))
    assert done.returncode == 0, done.stderr
    assert "\nDone.\nidentity: ed25519:" in done.stdout
    assert called(box, "install").stdout.count("  now: ") == 0

    assert called(box, "uninstall", "--dry-run").stdout.endswith("Nothing was changed.\n")
    assert called(box, "uninstall").returncode == 0
    assert box.tree() == box.before
    assert "There is nothing to put back" in called(box, "uninstall").stdout


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_image_that_is_not_there_is_named(tmp_path: Path, command: str) -> None:
    done = subprocess.run(
        [str(PROGRAM), command, "--root", str(tmp_path / "no")], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == f"neopro-agent: cannot use {tmp_path}/no: there is no such folder; --root names the root of an image\n"
    )
