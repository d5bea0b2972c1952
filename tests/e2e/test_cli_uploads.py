"""Uploads as operators live them: interrupted, on lines that go dead, several at once, twice."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.test_cli_online import Desk
from tests.support.command_line import ROOT, git, neopro
from tests.support.patience import PATIENCE_S
from tests.support.stalling_proxy import stalling_proxy
from tests.support.world import ServedWorld, served_world

MB = 1 << 20


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedWorld]:
    with served_world(tmp_path_factory.mktemp("world"), "") as world:
        yield world


@pytest.fixture
def desk(served: ServedWorld, tmp_path: Path) -> Desk:
    return Desk(served, tmp_path)


def padded_clip(desk: Desk, name: str, megabytes: int) -> Path:
    """A film with a `free` box of random bytes at its end (ISO/IEC 14496-12, 8.1.2)."""
    clip = desk.clip(name)
    padding = megabytes * MB
    clip.write_bytes(clip.read_bytes() + (padding + 8).to_bytes(4, "big") + b"free" + os.urandom(padding))
    return clip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_upload_on_a_dead_line_stops_at_once_when_interrupted_and_the_next_goes_on(
    desk: Desk, number: signal.Signals
) -> None:
    clip = padded_clip(desk, f"dead line {number.name}", 20)
    port = urlsplit(desk.served.url).port
    assert port
    with stalling_proxy(port, 9 * MB) as proxy:
        env = desk.env(NEOPRO_URL=f"http://127.0.0.1:{proxy.port}", PYTHONPATH=str(ROOT))
        command = [sys.executable, "-m", "cli", "video", "add", str(clip), "--commit"]
        with subprocess.Popen(command, cwd=desk.checkout, env=env, stderr=subprocess.PIPE, text=True) as process:
            assert proxy.stalled.wait(PATIENCE_S)
            process.send_signal(number)
            _, said = process.communicate(timeout=10)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert said == ("neopro: interrupted\n" if number == signal.SIGINT else "")
    assert git(desk.checkout, "status", "--porcelain") == ""
    again = neopro("video", "add", clip, "--json", cwd=desk.checkout, env=desk.env())
    assert again.returncode == 0, again.stderr
    sent = json.loads(again.stdout)["uploaded_bytes"]
    assert sent <= clip.stat().st_size - 8 * MB, "what had arrived was not sent again"
    assert desk.download(json.loads(again.stdout)["videos"][0]["digest"]) == clip.read_bytes()


def test_several_files_and_twins_among_them_are_all_there_and_each_is_sent_once(desk: Desk) -> None:
    clips = [padded_clip(desk, f"one of {number}", 5) for number in range(6)]
    twin = desk.folder / "twin.mp4"
    twin.write_bytes(clips[0].read_bytes())
    done = neopro("video", "add", *clips, twin, "--set", "national", "--json", cwd=desk.checkout, env=desk.env())
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert len(printed["videos"]) == 7
    for video, clip in zip(printed["videos"], [*clips, twin], strict=True):
        assert desk.download(video["digest"]) == clip.read_bytes()
    pictures = {desk.thumbnail(video["id"]) for video in printed["videos"]}
    assert printed["uploaded_bytes"] == sum(clip.stat().st_size for clip in clips) + sum(map(len, pictures))
    assert desk.push("Add seven videos") == "published"


def test_same_file_again_changes_nothing_but_what_is_said_of_it_now(desk: Desk) -> None:
    clip = desk.clip("again")
    assert neopro("video", "add", clip, "--commit", cwd=desk.checkout, env=desk.env(**_PERSON)).returncode == 0
    document = desk.checkout / "videos" / "again.yaml"
    commented = document.read_text().replace("name: Again", "name: Again   # as the mayor wants it")
    document.write_text(commented)
    same = neopro("video", "add", clip, cwd=desk.checkout, env=desk.env())
    assert (same.returncode, document.read_text()) == (0, commented)
    assert "nothing to change" in same.stdout
    said = neopro("video", "add", clip, "--sponsor", "rail-france", cwd=desk.checkout, env=desk.env())
    assert (said.returncode, document.read_text()) == (0, commented + "sponsor: rail-france\n")


def test_replaced_video_keeps_what_people_wrote_of_it(desk: Desk) -> None:
    clip = desk.clip("changing", 1.0)
    words = ("--sponsor", "rail-france", "--name", "Le train")
    assert neopro("video", "add", clip, *words, cwd=desk.checkout, env=desk.env()).returncode == 0
    before = (desk.checkout / "videos" / "changing.yaml").read_text()
    desk.clip("longer", 2.0).replace(clip)
    done = neopro("video", "add", clip, "--replace", cwd=desk.checkout, env=desk.env())
    assert done.returncode == 0, done.stderr
    after = (desk.checkout / "videos" / "changing.yaml").read_text()
    kept = ("name: Le train", "sponsor: rail-france", "width: 640")
    assert all(words in before and words in after for words in kept)
    assert ("duration_s: 1.0" in before, "duration_s: 2.0" in after) == (True, True)
    assert desk.thumbnail("changing") not in before.encode()
    lines = [line.partition(":")[0] for line in after.splitlines()]
    assert len(lines) == len(set(lines))


def test_dry_run_shows_the_documents_and_sends_nothing(desk: Desk) -> None:
    clip = desk.clip("only shown")
    env = desk.env(NEOPRO_URL="http://127.0.0.1:9")
    done = neopro("video", "add", clip, "--set", "national", "--dry-run", cwd=desk.checkout, env=env)
    assert done.returncode == 0, done.stderr
    assert "+++ b/videos/only-shown.yaml" in done.stdout
    assert done.stdout.endswith("nothing was changed (--dry-run)\n")
    assert git(desk.checkout, "status", "--porcelain") == ""


_PERSON = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Ada Operator"), ("EMAIL", "ada@example.org"))
}


def test_gc_shows_what_would_go_and_deletes_only_what_is_old_and_not_named(desk: Desk) -> None:
    clip = desk.clip("orphan")
    assert neopro("video", "add", clip, cwd=desk.checkout, env=desk.env()).returncode == 0
    shown = neopro("gc", "--dry-run", cwd=desk.folder, env=desk.env())
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert lines[-2] == "would delete 0 files, 0 B"
    assert re.fullmatch(r"\d+ files looked at: [1-9]\d* needed, [1-9]\d* younger than 30 days", lines[-1])
    try:
        desk.served.world.clock.offset += timedelta(days=31)
        env = desk.env(NEOPRO_TOKEN=desk.new_token("read", "write", now=desk.served.world.clock()))
        done = neopro("gc", "--json", cwd=desk.folder, env=env)
        assert done.returncode == 0, done.stderr
        [report] = json.loads(done.stdout)["sweeps"]
        assert (report["dry_run"], report["fresh"], report["more"]) == (False, 0, False)
        assert report["swept"] == report["blobs"] - report["alive"] >= 2, "the clip and its picture"
    finally:
        desk.served.world.clock.offset -= timedelta(days=31)
    too_short = neopro("gc", "--grace-days", "0", cwd=desk.folder, env=desk.env())
    assert (too_short.returncode, too_short.stdout) == (2, "")
