"""The box's own Wi-Fi: the profile as NetworkManager reads it, and which device may open it (pure)."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from reconciler_agent.errors import HotspotNotOpened
from schemas.manifest import Instant
from schemas.names import Digest

NAME: Final = "neopro-hotspot"
UUID: Final = "2d7b6c2e-5b0f-5c0e-9d0a-0d6f7b1d2a11"
"""Of the profile, on every box."""
_PASSPHRASE: Final = re.compile(r"[\x20-\x7e]{8,63}|[0-9a-fA-F]{64}")
_INTERFACE: Final = re.compile(r"^interface-name=([A-Za-z0-9_.-]{1,15})$", re.MULTILINE)
_ESCAPES: Final = str.maketrans({"\\": "\\\\", " ": "\\s"})
MAX_TRIES: Final = 3
AGAIN: Final = timedelta(days=1)
_PROFILE: Final = """\
# Written by neopro-agent from `hotspot` in the fleet's state: what is changed here is set back.
[connection]
id={name}
uuid={uuid}
type=wifi
interface-name={interface}
autoconnect-priority=-999

[wifi]
mode=ap
ssid={ssid}

[wifi-security]
key-mgmt=wpa-psk
proto=rsn;
pairwise=ccmp;
group=ccmp;
psk={psk}

[ipv4]
method=shared

[ipv6]
method=ignore
"""


class Tried(Struct, frozen=True, kw_only=True):
    """The hotspot (ssid and encrypted passphrase, by digest) that was tried and is not known to have opened; when.

    `cut_off`: how it ended is not known, because the power went; so it was tried `count` times.
    """

    wanted: Digest
    at: Instant
    count: int = 1
    cut_off: bool = True

    def allows(self, wanted: Digest, now: datetime) -> bool:
        """Whether it may be tried now: another one at once, the same after a day, or after a power cut (twice more)."""
        return self.wanted != wanted or now - self.at >= AGAIN or (self.cut_off and self.count < MAX_TRIES)


class Device(Struct, frozen=True, kw_only=True):
    """A Wi-Fi device as NetworkManager tells of it; `uuid`: of the profile that is active on it, `mode`: its mode."""

    name: str
    state: str
    uuid: str = ""
    mode: str = ""

    @property
    def is_free(self) -> bool:
        """Whether opening a hotspot on it takes nothing from anybody."""
        return self.state == "disconnected" or self.uuid == UUID or (self.state == "connected" and self.mode == "ap")


def profile(ssid: str, passphrase: str, interface: str) -> str:
    """The keyfile. HotspotNotOpened for a passphrase that no Wi-Fi has; it is never repeated.

    Any known Wi-Fi goes before it at boot (priority): the hotspot never keeps the box from its way to the network.
    """
    if not _PASSPHRASE.fullmatch(passphrase):
        raise HotspotNotOpened(
            "cannot open the hotspot: its passphrase must have 8 to 63 printable ASCII characters, or be 64 "
            "hexadecimal digits; encrypt another: neopro secret encrypt"
        )
    return _PROFILE.format(
        name=NAME,
        uuid=UUID,
        interface=interface,
        ssid="".join(f"{byte};" for byte in ssid.encode()),
        psk=passphrase.translate(_ESCAPES),
    )


def interface_of(text: str) -> str | None:
    """The device that a profile of ours is for."""
    found = _INTERFACE.search(text)
    return found[1] if found else None


def choose(devices: Sequence[Device], uplink: str | None) -> Device:
    """The Wi-Fi device to open it on: where it is open already, else the first free one that is not the way out.

    HotspotNotOpened, with what a person can do, where there is none.
    """
    if uplink is None:
        raise HotspotNotOpened(
            "cannot open the hotspot: the box has no other way to the network now, and would have none then"
        )
    others = [device for device in devices if device.name != uplink]
    free = sorted((d for d in others if d.is_free), key=lambda d: (d.uuid != UUID, d.name))
    if free:
        return free[0]
    if not others and devices:
        why = f"{uplink} is how the box reaches the network; connect a cable, or a second Wi-Fi adapter"
    elif others:
        why = f"{others[0].name} is {_state(others[0])}"
    else:
        why = "NetworkManager knows no Wi-Fi device here"
    raise HotspotNotOpened(f"cannot open the hotspot: {why}")


def _state(device: Device) -> str:
    if device.state == "connected":
        return "connected to another Wi-Fi, which may be the box's way to the network"
    if device.state == "unmanaged":
        return "not managed by NetworkManager; something else (hostapd?) may hold it"
    return f"{device.state} (by NetworkManager); is Wi-Fi switched off (rfkill)?"
