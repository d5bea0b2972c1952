"""A secret that `neopro secret encrypt` wrote is read by the boxes it is for, and by nobody else."""

import io
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec
import pyrage
import pytest

from cli.__main__ import run
from control_plane.core.yaml_strict import load_plain
from schemas.desired import Fleet
from schemas.dsse import decode_base64
from tests.support.transcripts import SMALL

SECRET = b"Allez les verts"


@pytest.fixture
def boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Each site's key for secrets, in a fleet around the current folder; the secret is typed into standard input."""
    fleet = Path(shutil.copytree(SMALL, tmp_path / "fleet"))
    monkeypatch.chdir(fleet)
    keys = {path.stem: pyrage.x25519.Identity.generate() for path in sorted((fleet / "sites").glob("*.yaml"))}
    for site, key in keys.items():
        with (fleet / "sites" / f"{site}.yaml").open("a") as file:
            file.write(f"recipient: {key.to_public()}\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SECRET + b"\n")))
    return keys


def opened(text: str, key: Any) -> bytes:
    return bytes(pyrage.decrypt(decode_base64(text.removeprefix("age:")), [key]))


def test_boxes_of_a_group_read_the_secret_and_no_other_box_does(
    boxes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["secret", "encrypt", "--group", "bretagne", "--json"]) == 0
    said = msgspec.json.decode(capsys.readouterr().out)
    assert said["sites"] == ["brest-handball", "rennes-fc"]
    assert [opened(said["secret"], boxes[site]) for site in said["sites"]] == [SECRET, SECRET]
    with pytest.raises(pyrage.DecryptError):
        opened(said["secret"], boxes["lyon-handball"])


def test_hotspot_of_the_fleet_holds_the_passphrase_for_every_box(
    boxes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["secret", "encrypt", "--all-sites", "--set", "hotspot", "--ssid", "Tribune: 2"]) == 0
    text = Path("fleet.yaml").read_bytes()
    hotspot = msgspec.convert(load_plain(text), Fleet).defaults.hotspot
    assert hotspot is not None and hotspot.ssid == "Tribune: 2"
    assert {opened(hotspot.passphrase, key) for key in boxes.values()} == {SECRET}
    said = capsys.readouterr()
    assert SECRET not in text and SECRET.decode() not in said.out + said.err
    assert run(["validate", "."]) == 0


def test_club_that_is_planned_or_has_left_is_left_out_and_told(
    boxes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["site", "add", "quimper", "--name", "Quimper", "--city", "Quimper", "--region", "Bretagne"]) == 0
    gone = Path("sites/brest-handball.yaml")
    gone.write_text(gone.read_text().split("recipient:")[0].replace("state: active", "state: retired"))
    capsys.readouterr()
    assert run(["secret", "encrypt", "--all-sites", "--json"]) == 0
    said = capsys.readouterr()
    assert msgspec.json.decode(said.out)["sites"] == ["lyon-handball", "rennes-fc"]
    assert said.err == "left out, since no `recipient` is written there: brest-handball, quimper\n"
