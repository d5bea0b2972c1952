"""The box's own Wi-Fi on a box of files beside a network manager in memory: in a window, in its place, or as before."""

import base64
import itertools
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyrage
import pytest

from reconciler_agent.age_key import make_recipient, path_of
from reconciler_agent.core.hotspot import UUID, Device, interface_of
from reconciler_agent.errors import HotspotNotOpened
from reconciler_agent.hotspot import LOOK_S, Wifi
from reconciler_agent.resources.profiles import BEFORE, FILE, Profiles
from schemas.manifest import ManifestHotspot, ManifestMaintenance, ManifestWindow
from tests.support.agent_world import AgentWorld, manifest_of
from tests.support.cut_off import Killed, Recorder

PASSPHRASE = "allez les bleus"
DAY_S = 86_400


class Air:
    """NetworkManager in memory: it reads the profile's file, and has devices on which profiles are active."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE
        self.devices = {"wlan0": Device(name="wlan0", state="disconnected")}
        self.uplink: str | None = "eth0"
        self.calls: list[str] = []
        self.loaded = ""
        self.opened = ""
        self.opens: Callable[[str], bool] = lambda _text: True
        self.on_open: Callable[[], object] = lambda: None

    def wifi(self) -> list[Device]:
        return list(self.devices.values())

    def load(self, path: str) -> None:
        self.calls.append("load")
        assert path == str(self.file)
        self.loaded = self.file.read_text()

    def reload(self) -> None:
        self.calls.append("reload")
        self.loaded = self.file.read_text() if self.file.exists() else ""
        if not self.loaded:
            self.opened = ""
            self.devices = {n: Device(name=n, state="disconnected") for n in self.devices}

    def open(self, uuid: str = UUID) -> None:
        self.calls.append(f"open {uuid[:4]}")
        self.on_open()
        if uuid == UUID and not self.opens(self.loaded):
            self.opened = ""
            raise HotspotNotOpened("cannot open the hotspot: nmcli says: it does not come up")
        text = self.loaded if uuid == UUID else uuid
        name = (interface_of(text) if uuid == UUID else None) or "wlan0"
        self.devices[name] = Device(name=name, state="connected", uuid=uuid, mode="ap")
        self.opened = text


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    return box(tmp_path)


def box(folder: Path) -> AgentWorld:
    made = AgentWorld(folder)
    profiles = folder / "system-connections"
    profiles.mkdir()
    air = Air(profiles)
    made.wifi = Wifi(Profiles(profiles), air, lambda: air.uplink)
    return made


def air(world: AgentWorld) -> Air:
    assert world.wifi is not None and isinstance(world.wifi.network, Air)
    return world.wifi.network


def hotspot(world: AgentWorld, passphrase: str = PASSPHRASE, ssid: str = "Neopro é;") -> ManifestHotspot:
    recipient = pyrage.x25519.Recipient.from_str(make_recipient(path_of(world.settings.key)))
    secret = base64.b64encode(pyrage.encrypt(passphrase.encode(), [recipient])).decode()
    return ManifestHotspot(ssid=ssid, passphrase=f"age:{secret}")


def want(world: AgentWorld, passphrase: str = PASSPHRASE, **changed: Any) -> None:
    world.central.publish(manifest_of([], **{"hotspot": hotspot(world, passphrase)} | changed))


def files(world: AgentWorld) -> dict[str, str]:
    folder = air(world).file.parent
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def said(world: AgentWorld) -> str:
    """Everything that left the box, and its state."""
    state = b"".join((world.folder / "state" / name).read_bytes() for name in ("state-a", "state-b"))
    return f"{world.central.reports} {world.central.logs} {state!r}"


def degraded(world: AgentWorld) -> str:
    return next(c.message for c in world.central.reports[-1].conditions if c.type == "Degraded")


def test_hotspot_is_opened_once_and_nothing_is_asked_again_soon(world: AgentWorld) -> None:
    want(world)
    with world.agent() as agent:
        world.settle(agent)
        assert "psk=allez\\sles\\sbleus\n" in air(world).opened
        assert "interface-name=wlan0\n" in air(world).opened
        assert world.conditions()["Synced"] == ("True", "Converged")
        assert files(world).keys() == {FILE}
        assert air(world).file.stat().st_mode & 0o777 == 0o600
        calls = list(air(world).calls)
        for _ in range(5):
            world.clock.sleep(LOOK_S)
            world.settle(agent)
    world.converge()
    assert air(world).calls == calls == ["load", "open 2d7b"]


def test_passphrase_is_in_no_log_no_report_and_no_state(world: AgentWorld, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    want(world)
    world.converge()
    air(world).opens = lambda text: "second" not in text
    want(world, "the second one")
    world.converge()
    want(world, "short")
    world.converge()
    for secret in (PASSPHRASE, "the second one", "short", "allez\\s"):
        assert secret not in said(world) + caplog.text


def test_hotspot_that_is_not_in_the_manifest_is_left_as_it_is(world: AgentWorld) -> None:
    want(world)
    world.converge()
    before = air(world).opened
    world.central.publish(manifest_of([]))
    world.converge()
    assert (air(world).opened, air(world).calls) == (before, ["load", "open 2d7b"])


def test_hotspot_waits_for_the_window_and_for_the_end_of_a_match(world: AgentWorld) -> None:
    world.tv.match = True
    want(world)
    with world.agent() as agent:
        world.settle(agent)
        assert [w.reason for w in world.central.reports[-1].waiting] == ["MatchInProgress"]
        assert air(world).calls == []
        world.tv.match = False
        world.clock.sleep(60)
        world.settle(agent)
    assert air(world).opened
    window = ManifestWindow(kind="idle", idle_s=100_000)
    want(world, "another passphrase", maintenance=ManifestMaintenance(windows=[window]))
    world.converge()
    assert [w.reason for w in world.central.reports[-1].waiting] == ["OutsideWindow"]
    assert "another" not in air(world).opened


def test_hotspot_that_does_not_open_gives_way_to_the_one_before_until_another_is_wanted(world: AgentWorld) -> None:
    want(world)
    world.converge()
    good = air(world).opened
    air(world).opens = lambda text: "wrong" not in text
    want(world, "wrong channel")
    with world.agent() as agent:
        world.settle(agent)
        assert (air(world).opened, files(world)) == (good, {FILE: good})
        assert world.conditions()["Degraded"] == ("True", "HotspotNotOpened")
        assert "does not come up" in degraded(world)
        calls = len(air(world).calls)
        world.clock.sleep(DAY_S / 2)
        world.settle(agent)
        assert len(air(world).calls) == calls, "it is not tried again at once"
    world.converge()
    assert len(air(world).calls) == calls, "nor after a restart"
    want(world, "right channel")
    world.converge()
    assert "right" in air(world).opened
    assert world.conditions()["Degraded"][0] == "False"


def test_hotspot_that_did_not_open_is_tried_again_a_day_later(world: AgentWorld) -> None:
    air(world).opens = lambda _text: False
    want(world)
    with world.agent() as agent:
        world.settle(agent)
        assert files(world) == {}
        air(world).opens = lambda _text: True
        world.clock.sleep(DAY_S)
        world.settle(agent)
    assert air(world).opened


def test_hotspot_of_somebody_else_is_open_again_when_ours_does_not_open(world: AgentWorld) -> None:
    air(world).devices["wlan0"] = Device(name="wlan0", state="connected", uuid="9999-club", mode="ap")
    air(world).opens = lambda _text: False
    want(world)
    world.converge()
    assert (air(world).opened, files(world)) == ("9999-club", {})


def test_hotspot_that_takes_the_way_to_the_network_is_closed_again(world: AgentWorld) -> None:
    air(world).on_open = lambda: setattr(air(world), "uplink", None)
    want(world)
    world.converge()
    assert "lost its way to the network" in degraded(world)
    assert (air(world).opened, files(world)) == ("", {})


@pytest.mark.parametrize(
    ("devices", "uplink", "words"),
    [
        ({"wlan0": ("connected", "home", "infrastructure")}, "wlan0", "wlan0 is how the box reaches the network"),
        ({"wlan0": ("disconnected", "", "")}, None, "no other way to the network"),
        ({"wlan0": ("connected", "home", "infrastructure")}, "eth0", "connected to another Wi-Fi"),
        ({"wlan0": ("unmanaged", "", "")}, "eth0", "not managed by NetworkManager"),
        ({"wlan0": ("unavailable", "", "")}, "eth0", "switched off"),
        ({}, "eth0", "knows no Wi-Fi device"),
    ],
)
def test_way_to_the_network_is_never_taken(
    world: AgentWorld, devices: dict[str, tuple[str, str, str]], uplink: str | None, words: str
) -> None:
    air(world).devices = {n: Device(name=n, state=s, uuid=u, mode=m) for n, (s, u, m) in devices.items()}
    air(world).uplink = uplink
    want(world)
    world.converge()
    assert words in degraded(world)
    assert (air(world).calls, files(world)) == ([], {})
    assert world.conditions()["Synced"][0] == "False"


def test_second_adapter_carries_the_hotspot_while_the_first_is_the_way_out(world: AgentWorld) -> None:
    air(world).devices = {
        "wlan0": Device(name="wlan0", state="connected", uuid="home", mode="infrastructure"),
        "wlan1": Device(name="wlan1", state="disconnected"),
    }
    air(world).uplink = "wlan0"
    want(world)
    world.converge()
    assert "interface-name=wlan1\n" in air(world).opened


def test_hotspot_that_was_closed_on_the_box_is_opened_again(world: AgentWorld) -> None:
    want(world)
    with world.agent() as agent:
        world.settle(agent)
        air(world).devices["wlan0"] = Device(name="wlan0", state="disconnected")
        world.clock.sleep(LOOK_S)
        world.settle(agent)
    assert air(world).calls == ["load", "open 2d7b", "open 2d7b"]


def test_profile_that_was_changed_on_the_box_is_set_back(world: AgentWorld) -> None:
    want(world)
    world.converge()
    good = air(world).opened
    air(world).file.write_text(good.replace("allez", "changed"))
    world.converge()
    assert files(world) == {FILE: good}


@pytest.mark.parametrize("passphrase", ["1234567", "x" * 64, "é" * 10, "with\ttab1", "two\nlines"])
def test_passphrase_that_no_wifi_has_is_said_and_not_repeated(world: AgentWorld, passphrase: str) -> None:
    want(world, passphrase)
    world.converge()
    assert "8 to 63 printable" in degraded(world)
    assert passphrase not in said(world)
    assert air(world).calls == []


def test_passphrase_for_another_box_is_said_with_what_to_do(world: AgentWorld) -> None:
    secret = pyrage.encrypt(b"a passphrase", [pyrage.x25519.Identity.generate().to_public()])
    wanted = ManifestHotspot(ssid="x", passphrase="age:" + base64.b64encode(secret).decode())
    make_recipient(path_of(world.settings.key))
    world.central.publish(manifest_of([], hotspot=wanted))
    world.converge()
    assert "neopro secret encrypt" in degraded(world)


def test_box_without_network_manager_says_so_and_does_the_rest(world: AgentWorld, tmp_path: Path) -> None:
    from reconciler_agent.network_manager import NetworkManager

    world.wifi = Wifi(Profiles(tmp_path / "nowhere"), NetworkManager(["/nowhere/nmcli"]), lambda: "eth0")
    want(world)
    world.converge()
    assert "no NetworkManager on this box" in degraded(world)


def test_box_of_the_demo_leaves_the_machines_wifi_alone(world: AgentWorld) -> None:
    world.wifi = None
    want(world)
    world.converge()
    assert "not systemd's" in degraded(world)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_power_cut_at_any_call_leaves_the_old_hotspot_or_the_new_one_and_ends_with_the_new_one(tmp_path: Path) -> None:
    points = 0
    for after in (False, True):
        for last in itertools.count(1):
            world = box(tmp_path / f"{after}{last}") if (tmp_path / f"{after}{last}").mkdir() is None else None
            assert world is not None and world.wifi is not None
            want(world)
            world.converge()
            old, network = air(world).opened, air(world)
            want(world, "the second one")
            recorder = Recorder(last, after)
            world.wifi = Wifi(Profiles(network.file.parent, recorder.calls), network, world.wifi.uplink)
            with suppress(Killed), world.agent(recorder.calls) as agent:
                world.settle(agent)
            lying = files(world).get(FILE)
            assert lying == old or (lying is not None and "second" in lying), (after, last)
            world.wifi = Wifi(Profiles(network.file.parent), network, world.wifi.uplink)
            world.converge()
            assert "second" in network.opened, (after, last)
            assert files(world).keys() == {FILE}, (after, last)
            if recorder.count < last:
                break
            points += 1
    print(f"hotspot: the power cut before and after every call of a change: {points} points, 0 boxes without a hotspot")
    assert points > 40


def test_hotspot_that_takes_the_box_down_with_it_is_tried_three_times_in_all(world: AgentWorld) -> None:
    want(world)
    world.converge()
    old = air(world).opened
    want(world, "kernel panic")

    def down() -> None:
        if "panic" in air(world).loaded:
            raise Killed

    air(world).on_open = down
    for _ in range(5):
        with suppress(Killed):
            world.converge()
    assert files(world) == {FILE: old}
    assert BEFORE not in files(world)
    assert world.conditions()["Degraded"] == ("True", "HotspotNotOpened")
    assert air(world).calls.count("open 2d7b") == 1 + 3 + 3, "three tries, and after each the one before"
