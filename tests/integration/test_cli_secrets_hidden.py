"""No verb that shows a site's values shows what is encrypted in them."""

import base64
import shutil
from pathlib import Path

import pyrage
import pytest

from tests.support.command_line import git, neopro
from tests.support.transcripts import SMALL


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A site with a hotspot, committed, and then with another passphrase."""
    folder = tmp_path / "fleet"
    shutil.copytree(SMALL, folder)
    git(folder, "init", "-q", "-b", "main")
    _with_hotspot(folder, b"first words")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Begin")
    git(folder, "checkout", "-q", "--", ".")
    return folder


def _with_hotspot(folder: Path, passphrase: bytes) -> str:
    key = pyrage.x25519.Identity.generate().to_public()
    secret = "age:" + base64.b64encode(pyrage.encrypt(passphrase, [key])).decode()
    plain = (SMALL / "sites" / "rennes-fc.yaml").read_text()
    hotspot = f'recipient: {key}\nhotspot: {{ssid: Club Wi-Fi, passphrase: "{secret}"}}\n'
    (folder / "sites" / "rennes-fc.yaml").write_text(plain + hotspot)
    return secret


@pytest.mark.parametrize(
    "words",
    [
        ("plan",),
        ("plan", "--all"),
        ("plan", "--json"),
        ("plan", "--markdown"),
        ("plan", "--site", "rennes-fc"),
        ("why", "rennes-fc"),
        ("why", "rennes-fc", "hotspot", "--json"),
        ("show", "rennes-fc"),
        ("show", "rennes-fc", "--json"),
    ],
)
def test_passphrase_is_never_shown(fleet: Path, words: tuple[str, ...]) -> None:
    committed = (fleet / "sites" / "rennes-fc.yaml").read_text()
    secrets = [committed.partition('passphrase: "')[2].partition('"')[0], _with_hotspot(fleet, b"other words")]
    done = neopro(*words, cwd=fleet)
    assert done.returncode in (0, 1), done.stderr
    assert "secret)" in done.stdout, "it is said that there is one"
    for secret in secrets:
        assert secret[4:44] not in done.stdout + done.stderr
