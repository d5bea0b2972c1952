"""The hotspot's profile beside the real nmcli and a real NetworkManager, which has no Wi-Fi device here."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler_agent.core.hotspot import UUID, Device, profile
from reconciler_agent.errors import HotspotNotOpened
from reconciler_agent.network_manager import NetworkManager

NMCLI = shutil.which("nmcli")
SETUP = Path(__file__).parents[1] / "support" / "network_manager.sh"
needs_nmcli = pytest.mark.skipif(NMCLI is None, reason="nmcli is not installed")
needs_manager = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("NetworkManager", "dbus-daemon", "unshare", "ip"))),
    reason="needs root, NetworkManager, dbus-daemon and unshare",
)
passphrases = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=8, max_size=63)
names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8)


def read_by_nmcli(text: str) -> dict[str, str]:
    """The profile as NetworkManager's own parser and writer give it back, by key and section."""
    command = [NMCLI or "nmcli", "--offline", "connection", "modify", "connection.autoconnect-retries", "7"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False, env={"LC_ALL": "C"})
    assert done.returncode == 0, done.stderr
    found, section = {}, ""
    for line in done.stdout.decode().split("\n"):
        if line.startswith("["):
            section = line
        elif "=" in line:
            key, _, value = line.partition("=")
            found[f"{section}{key}"] = value
    return found


def unescaped(value: str) -> str:
    """A text of a keyfile (GKeyFile)."""
    out, rest = "", value
    while rest:
        taken = rest[:2] if rest[0] == "\\" else rest[:1]
        out += {"\\s": " ", "\\\\": "\\", "\\;": ";"}.get(taken, taken)
        rest = rest[len(taken) :]
    return out


@needs_nmcli
@settings(max_examples=60, deadline=None)
@given(passphrases, names)
@example(" leading and trailing ", "a;b")
@example("\\s\\n\\\\;#[x]=", " ")
@example("f" * 64, "é")
def test_networkmanagers_own_parser_reads_the_passphrase_and_the_name_as_they_are(passphrase: str, ssid: str) -> None:
    found = read_by_nmcli(profile(ssid, passphrase, "wlan0"))
    assert unescaped(found["[wifi-security]psk"]) == passphrase
    written = found["[wifi]ssid"]
    parts = written.rstrip(";").split(";")
    as_bytes = bytes(int(p) for p in parts) if all(p.isdecimal() for p in parts) and written.endswith(";") else None
    assert ssid.encode() in (as_bytes, unescaped(written).replace("\\;", ";").encode())
    assert (found["[wifi]mode"], found["[connection]interface-name"]) == ("ap", "wlan0")
    assert (found["[connection]uuid"], found["[ipv4]method"]) == (UUID, "shared")
    assert found["[connection]autoconnect-priority"] == "-999"


TRY = """
import sys
from pathlib import Path
from reconciler_agent.core.hotspot import profile
from reconciler_agent.errors import HotspotNotOpened
from reconciler_agent.network_manager import NetworkManager
from reconciler_agent.resources.profiles import Profiles
profiles, network = Profiles(), NetworkManager()

def shown():
    import subprocess
    command = ["nmcli", "-s", "-t", "-f", "802-11-wireless-security.psk", "connection", "show", "neopro-hotspot"]
    for _ in range(100):  # it takes a moment for NetworkManager to know the secrets of what it has just loaded
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            return None
        if (found := done.stdout.strip().rpartition(":")[2]):
            return found
    return ""

print("wifi", network.wifi())
profiles.put(profile("One", "the first one", "wlan0"))
network.load(profiles.path)
print("first", shown())
profiles.settle()
profiles.put(profile("Two", "the second one", "wlan0"))
network.load(profiles.path)
network.reload()
print("second", shown())
try:
    network.open()
except HotspotNotOpened as problem:
    print("refused", problem)
print("back", profiles.put_back())
network.load(profiles.path)
print("first again", shown())
Path(profiles.path).unlink()
network.reload()
print("gone", shown())
"""


@needs_manager
def test_real_networkmanager_takes_a_profile_refuses_to_open_it_and_takes_the_old_one_back(tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    command = ["unshare", "-n", "-m", "bash", str(SETUP), str(folder), sys.executable, "-c", TRY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=SETUP.parents[2])
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "wifi []"
    assert lines[1] == "first the first one"
    assert lines[2] == "second the second one", "and what lies under names with a dot is no profile"
    assert lines[3].startswith("refused cannot open the hotspot: nmcli says: Error: Connection activation failed")
    assert "second one" not in lines[3]
    assert lines[4:] == ["back True", "first again the first one", "gone None"]
    assert list(folder.iterdir()) == []


@pytest.fixture
def nmcli(tmp_path: Path) -> Path:
    """A command that prints what nmcli 1.42 printed on machines with Wi-Fi."""
    script = tmp_path / "nmcli"
    script.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        "*device*status) printf 'eth0:ethernet:connected:1111\\nwlan0:wifi:connected:2222\\n"
        "p2p-dev-wlan0:wifi-p2p:disconnected:\\nwlan\\\\:1:wifi:disconnected:\\nlo:loopback:unmanaged:\\n' ;;\n"
        "*802-11-wireless.mode*2222) echo infrastructure ;;\n"
        "*) echo 'Error: unknown' >&2; exit 10 ;;\n"
        "esac\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


def test_devices_are_read_with_what_is_active_on_them(nmcli: Path) -> None:
    assert NetworkManager([str(nmcli)]).wifi() == [
        Device(name="wlan0", state="connected", uuid="2222", mode="infrastructure"),
        Device(name="wlan:1", state="disconnected"),
    ]


def test_what_nmcli_says_of_a_failure_is_said_in_one_sentence(nmcli: Path) -> None:
    with pytest.raises(HotspotNotOpened, match="nmcli says: Error: unknown"):
        NetworkManager([str(nmcli)]).open()
    with pytest.raises(HotspotNotOpened, match="no NetworkManager on this box"):
        NetworkManager(["/nowhere/nmcli"]).reload()
