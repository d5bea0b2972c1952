"""configuration.json on a real disk, beside writers that read, change and rewrite it in place."""

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pytest

from reconciler_agent.core.screen import Notice
from reconciler_agent.durable import Disk
from reconciler_agent.errors import ConfigurationUnreadable
from reconciler_agent.resources import configuration_file as file
from reconciler_agent.resources.configuration import Configuration
from reconciler_agent.system_calls import SYSTEM
from schemas.manifest import Loops, SiteManifest
from tests.support.box_configurations import TODAY, category, manifest, paths_of, sample, video
from tests.support.cut_off import Killed
from tests.support.hurried_clock import HurriedClock
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.usefixtures("process_life")

NIKE = video("nike")
WANTED = manifest(category(NIKE, blocks=["before"]), loops=Loops(sponsors=[NIKE]))
FACTOR = 20.0


@dataclass
class Screen:
    """Who is told; `answers` says whether it is there to hear it."""

    answers: bool = True
    told: int = 0

    def notify(self) -> Notice:
        self.told += self.answers
        return "told" if self.answers else "silent"


class Box:
    """A box's folder with a configuration, and the agent's part that looks after it."""

    def __init__(self, root: Path, factor: float = FACTOR) -> None:
        self.root, self.screen, self.factor = root, Screen(), factor
        self.live = root / "data/configuration.json"
        self.webapp = root / "releases/2.1.3-0a1b2c3d/webapp"
        self.webapp.mkdir(parents=True)
        (root / "data").mkdir()
        (root / "current").symlink_to("releases/2.1.3-0a1b2c3d")
        (root / "webapp").symlink_to("current/webapp")
        self.place = self.webapp / "configuration.json"
        self.place.symlink_to("../../../data/configuration.json")
        self.save(sample("club-handball"))
        self.restart()

    def restart(self, calls: Any = SYSTEM) -> Configuration:
        """The agent, started anew."""
        self.clock = HurriedClock(self.factor)
        disk = Disk(self.root, "data/agent", os.urandom(4).hex(), calls=calls)
        disk.recover()
        self.agent = Configuration(disk, self.screen, self.clock)
        self.agent.recover()
        return self.agent

    def save(self, value: Any) -> None:
        """As the applications do: in place, without a lock."""
        self.live.write_text(json.dumps(value, indent=4), encoding="utf-8")

    def read(self) -> Any:
        return json.loads(self.live.read_bytes())

    def apply(self, wanted: SiteManifest = WANTED) -> Any:
        return self.agent.apply(wanted, TODAY, paths_of(wanted))

    def observe(self, wanted: SiteManifest = WANTED) -> Any:
        return self.agent.observe(wanted, TODAY, paths_of(wanted))

    def leftovers(self) -> list[str]:
        kept = {"configuration.good.json", "configuration.broken.json", "staging", "partial"}
        return sorted({path.name for path in (self.root / "data/agent").iterdir()} - kept)

    def observe_until_read(self) -> Any:
        """As the loop does in its rounds: until the file can be told."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.observe()
            except ConfigurationUnreadable:
                assert time.monotonic() < deadline
                time.sleep(0.02)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_configuration_is_merged_told_and_then_left_alone(box: Box) -> None:
    assert not box.observe().settled
    applied = box.apply()
    assert (applied.changed, applied.notice, box.screen.told) == (True, "told", 1)
    assert box.read()["categories"][0]["id"] == "annonces_neopro"
    assert box.observe().settled
    before = box.live.stat()
    assert box.apply().changed is False
    assert (box.live.stat().st_ino, box.live.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (box.screen.told, box.leftovers()) == (1, [])


def test_file_is_readable_by_the_web_server_and_still_behind_its_link(box: Box) -> None:
    box.apply()
    assert box.live.stat().st_mode & 0o777 == 0o644
    assert json.loads((box.root / "webapp/configuration.json").read_bytes()) == box.read()


def test_other_formatting_of_equal_values_is_not_rewritten(box: Box) -> None:
    box.apply()
    box.live.write_text(json.dumps(box.read(), indent=1, sort_keys=True))
    assert box.observe().settled


def test_unchanged_round_neither_reads_nor_merges_again(box: Box) -> None:
    box.apply()
    installed = paths_of(WANTED)
    seen = box.agent.observe(WANTED, TODAY, installed)
    box.clock.sleep(file.QUIET_S)
    seen = box.agent.observe(WANTED, TODAY, installed)
    assert box.agent.observe(WANTED, TODAY, installed).references is seen.references


def test_drift_is_reported_in_words_and_healed(box: Box) -> None:
    box.apply()
    drifted = box.read()
    drifted["categories"][0]["name"] = "Renamed by hand"
    box.save(drifted)
    (difference,) = box.observe().differences
    assert (difference.what, difference.observed) == ("categories/annonces_neopro/name", "Renamed by hand")
    box.apply()
    assert box.observe().settled


def test_every_referenced_file_is_named(box: Box) -> None:
    box.apply()
    assert box.agent.references() == {
        "videos/NEOPRO/nike.mp4",
        "videos/BOUCLE_PARTENAIRES/BOUCLE_PARTENAIRES_H264.mp4",
        "videos/FOCUS_PARTENAIRE/BOUCLE_PARTENAIRES_H265.mp4",
        "videos/INFOS_CLUB/OCTOBRE_ROSE.mp4",
    }


# Beside other writers


def rewriting(box: Box, number: int) -> None:
    """One save of the club's: read, add a category, rewrite in place, in two pieces as a slow writer does."""
    with box.live.open("r+", encoding="utf-8") as opened:
        value = json.load(opened)
        value["categories"].append({"id": f"club-{number}", "name": f"Club {number}", "videos": []})
        text = json.dumps(value)
        opened.seek(0)
        opened.truncate()
        opened.write(text[:100])
        opened.flush()
        opened.write(text[100:])


@pytest.mark.parametrize("saves", [30])
def test_every_save_of_a_concurrent_writer_survives(tmp_path: Path, saves: int) -> None:
    box = Box(tmp_path, factor=50.0)

    def save_all() -> None:
        for number in range(saves):
            rewriting(box, number)
            time.sleep(0.003 * (number % 20))

    club = threading.Thread(target=save_all)
    club.start()
    versions = [manifest(category(NIKE), config={"version": f"1.{n}"}) for n in range(1000)]
    rounds = 0
    while club.is_alive():
        try:
            box.apply(versions[rounds])
        except ConfigurationUnreadable:
            continue
        rounds += 1
    box.apply(versions[rounds])
    ids = [c["id"] for c in box.read()["categories"]]
    assert rounds > 1, "the agent never wrote in between"
    assert [number for number in range(saves) if f"club-{number}" not in ids] == []
    assert ids.count("annonces_neopro") == 1
    assert box.leftovers() == []


def meddling(box: Box, after_exchange: Callable[[], None]) -> Any:
    """System calls in which something happens right after the exchange of the configuration, once."""
    done: list[bool] = []

    def exchange(folder_a: int, name_a: str, folder_b: int, name_b: str) -> None:
        SYSTEM.exchange(folder_a, name_a, folder_b, name_b)
        if not done:
            done.append(True)
            after_exchange()

    return SYSTEM._replace(exchange=exchange)


def overwrite(opened: TextIO, value: Any) -> None:
    """What a writer does that had the file open all along."""
    opened.truncate(0)
    opened.write(json.dumps(value))
    opened.close()


def add(value: Any, id: str) -> Any:
    return value | {"categories": [*value["categories"], {"id": id, "name": id}]}


def test_writer_that_had_the_file_open_when_it_was_exchanged_is_not_lost(box: Box) -> None:
    late = box.live.open("r+")
    base = box.read()

    def write_late() -> None:
        box.save(add(box.read(), "in-the-new-one"))
        overwrite(late, add(base, "in-the-displaced-one"))

    box.restart(meddling(box, write_late))
    box.apply()
    ids = [c["id"] for c in box.read()["categories"]]
    assert {"annonces_neopro", "in-the-new-one", "in-the-displaced-one"} <= set(ids)
    assert box.observe().settled


def test_half_a_file_in_the_displaced_one_is_kept_aside(box: Box) -> None:
    late = box.live.open("r+")

    def write_half() -> None:
        late.truncate(0)
        late.write('{"half')
        late.close()

    box.restart(meddling(box, write_half))
    box.apply()
    assert (box.root / "data/agent/configuration.broken.json").read_bytes() == b'{"half'
    assert box.observe().settled


def test_late_writer_is_not_lost_when_the_agent_ends_after_the_exchange(box: Box) -> None:
    late, base = box.live.open("r+"), box.read()

    def die() -> None:
        overwrite(late, add(base, "late"))
        raise Killed

    agent = box.restart(meddling(box, die))
    with pytest.raises(Killed):
        agent.apply(WANTED, TODAY, paths_of(WANTED))
    box.restart()
    assert not box.observe().settled
    box.apply()
    assert {"annonces_neopro", "late"} <= {c["id"] for c in box.read()["categories"]}
    assert (box.screen.told, box.leftovers()) == (1, [])


CALLS = ("create", "write", "fsync", "rename", "exchange", "chmod", "unlink")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("nth", range(12))
def test_agent_that_ends_anywhere_is_taken_up(tmp_path: Path, call: str, nth: int) -> None:
    box = Box(tmp_path, factor=50.0)
    count = iter(range(1000))

    def ending(*args: Any, **options: Any) -> Any:
        if next(count) == nth:
            raise Killed
        return getattr(SYSTEM, call)(*args, **options)

    agent = box.restart(SYSTEM._replace(**{call: ending}))
    try:
        agent.apply(WANTED, TODAY, paths_of(WANTED))
    except Killed:
        assert {"Info-club", "Match_SM1"} <= {c["id"] for c in box.read()["categories"]}  # whole, at any instant
    box.restart()
    if not box.observe().settled:
        box.apply()
    assert box.observe().settled
    assert box.read()["categories"][0]["id"] == "annonces_neopro"
    assert (box.screen.told >= 1, box.leftovers()) == (True, [])


def test_notice_that_was_not_delivered_is_sent_later_even_by_another_run(box: Box) -> None:
    box.screen.answers = False
    applied = box.apply()
    assert (applied.changed, applied.notice) == (True, "silent")
    assert not box.observe().settled
    box.restart()
    assert not box.observe().settled
    box.screen.answers = True
    assert box.apply().notice == "told"
    assert box.observe().settled
    assert (box.screen.told, box.leftovers()) == (1, [])


# Missing, broken, elsewhere


@pytest.mark.parametrize("content", [None, b"", b"{", b"\x00" * 100, b"[]", b'{"a": NaN}', '{"é"'.encode("latin-1")])
def test_lost_file_is_waited_for_and_then_comes_back(tmp_path: Path, content: bytes | None) -> None:
    box = Box(tmp_path)
    box.apply()
    box.clock.sleep(file.QUIET_S)
    box.observe()
    before = box.read()
    box.clock.run_at(200.0)
    box.live.unlink() if content is None else box.live.write_bytes(content)
    with pytest.raises(ConfigurationUnreadable, match="last good copy"):
        box.observe()
    observed = box.observe_until_read()
    assert not observed.settled
    box.clock.run_at(FACTOR)
    box.apply()
    assert box.read() == before
    broken = box.root / "data/agent/configuration.broken.json"
    assert (broken.read_bytes() if broken.exists() else None) == content
    assert (box.observe().settled, box.leftovers()) == (True, [])


def test_file_that_comes_back_by_itself_is_left_as_it_is(box: Box) -> None:
    box.apply()
    text = box.live.read_bytes()
    box.live.unlink()
    with pytest.raises(ConfigurationUnreadable):
        box.observe()
    box.live.write_bytes(text)
    assert box.observe().settled
    assert box.leftovers() == []


def test_loss_is_counted_across_runs_of_one_round_each(box: Box) -> None:
    box.live.unlink()
    with pytest.raises(ConfigurationUnreadable):
        box.observe()
    box.clock.sleep(file.LOST_S)
    box.restart()
    assert not box.observe().settled
    box.apply()
    assert [c["id"] for c in box.read()["categories"]] == ["annonces_neopro"]  # there never was a good copy


def test_regular_file_where_the_link_was_is_taken_over(box: Box) -> None:
    box.apply()
    newer = add(box.read(), "by-the-updater")
    box.place.unlink()
    box.place.write_text(json.dumps(newer))
    assert "lost, or not where it belongs" in [d.observed for d in box.observe().differences]
    box.apply()
    assert box.place.is_symlink()
    assert "by-the-updater" in [c["id"] for c in box.read()["categories"]]
    assert json.loads(box.place.read_bytes()) == box.read()
    assert (box.observe().settled, box.leftovers()) == (True, [])


def test_missing_link_is_made_again_without_disturbing_the_screen(box: Box) -> None:
    box.apply()
    box.place.unlink()
    assert not box.observe().settled
    assert box.apply().changed is False
    assert (box.place.is_symlink(), box.screen.told) == (True, 1)


def test_real_webapp_folder_before_the_first_release_is_served_too(tmp_path: Path) -> None:
    box = Box(tmp_path)
    (tmp_path / "webapp").unlink()
    (tmp_path / "webapp").mkdir()
    place = tmp_path / "webapp/configuration.json"
    place.write_bytes(box.live.read_bytes())
    box.live.unlink()
    box.apply()
    assert str(place.readlink()) == "../data/configuration.json"
    assert json.loads(place.read_bytes())["categories"][0]["id"] == "annonces_neopro"


def test_link_planted_in_its_place_is_not_followed(box: Box, tmp_path: Path) -> None:
    secret = tmp_path.parent / f"{tmp_path.name}-secret.json"
    secret.write_text('{"categories": [], "secret": 1}')
    box.live.unlink()
    box.live.symlink_to(secret)
    with pytest.raises(ConfigurationUnreadable):
        box.observe()
    assert secret.read_text() == '{"categories": [], "secret": 1}'


def test_pipe_planted_in_its_place_does_not_hold_the_agent_up(box: Box) -> None:
    box.live.unlink()
    os.mkfifo(box.live)
    with pytest.raises(ConfigurationUnreadable):
        box.observe()


def test_writer_that_never_pauses_is_given_way_to(tmp_path: Path) -> None:
    box = Box(tmp_path, factor=30.0)
    stop = threading.Event()

    def save_on() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            (tmp_path / "new").write_text(json.dumps(sample("example") | {"n": number}))
            (tmp_path / "new").replace(box.live)

    club = threading.Thread(target=save_on)
    club.start()
    try:
        with pytest.raises(ConfigurationUnreadable, match="others have been writing"):
            box.apply()
    finally:
        stop.set()
        club.join()
    assert box.read()["n"] > 0
