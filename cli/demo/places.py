"""Where the demo keeps everything: one folder, which `neopro demo --clean` removes."""

from pathlib import Path
from typing import Final, NamedTuple

from cli.errors import CommandFailed

SITES: Final = ("rennes-fc", "brest-handball", "vannes-rugby", "nantes-basket", "lyon-handball", "paris-volley")
"""The sites of the sample that get a box, in the order in which they get one."""

RELEASES: Final = ("2.1.3", "2.2.0")
BROKEN_RELEASE: Final = "2.2.1-broken"
MAX_SOCKET_BYTES: Final = 107  # unix(7): sun_path
HERE: Final = Path(__file__).resolve().parent
CHECKOUT: Final = HERE.parent.parent
SAMPLE_FLEET: Final = CHECKOUT / "fleet-state"
SAMPLE_APP: Final = HERE / "sample_app"
CLUB: Final = HERE / "club"


class Box(NamedTuple):
    """The folders and files of one box: its root, as /home/pi/neopro; the agent's state and settings."""

    folder: Path

    @property
    def root(self) -> Path:
        """As /home/pi/neopro."""
        return self.folder / "neopro"

    @property
    def state(self) -> Path:
        """As /var/lib/neopro-agent."""
        return self.folder / "agent"

    @property
    def settings(self) -> Path:
        """As /etc/neopro: site.conf, site.key, root.json."""
        return self.folder / "etc"

    @property
    def conf(self) -> Path:
        """The agent's settings."""
        return self.settings / "site.conf"


class Places(NamedTuple):
    """The demo's folder, by what is in it."""

    root: Path

    @classmethod
    def at(cls, root: Path) -> "Places":
        """The demo at `root`; CommandFailed where a socket's path would not fit into the kernel's 107 bytes."""
        places = cls(root.resolve())
        longest = max(len(str(places.socket(site)).encode()) for site in SITES)
        if longest > MAX_SOCKET_BYTES:
            raise CommandFailed(
                f"cannot run the demo in {places.root}: its path is {longest - MAX_SOCKET_BYTES} bytes too long for "
                "the sockets in it; set NEOPRO_DEMO_DIR to a shorter one"
            )
        return places

    @property
    def lock(self) -> Path:
        """Held while the demo runs; names its process."""
        return self.root / "lock"

    @property
    def remote(self) -> Path:
        """The bare Git repository that the control plane watches."""
        return self.root / "fleet.git"

    @property
    def working_copy(self) -> Path:
        """Where the operator commits."""
        return self.root / "fleet-state"

    @property
    def keys(self) -> Path:
        """The fleet's private keys."""
        return self.root / "keys"

    @property
    def server(self) -> Path:
        """The control plane's data."""
        return self.root / "server"

    @property
    def server_settings(self) -> Path:
        """The control plane's settings."""
        return self.root / "server.toml"

    @property
    def token(self) -> Path:
        """The operator's personal token."""
        return self.root / "operator.token"

    @property
    def clips(self) -> Path:
        """Videos, as they were made."""
        return self.root / "clips"

    @property
    def releases(self) -> Path:
        """Releases to try."""
        return self.root / "releases"

    @property
    def logs(self) -> Path:
        """What every process says."""
        return self.root / "logs"

    @property
    def units(self) -> Path:
        """What the supervisor runs."""
        return self.root / "units.json"

    def socket(self, name: str) -> Path:
        """Where the supervisor answers for a site, or for `server`."""
        return self.root / "run" / f"{name}.sock"

    def box(self, site: str) -> Box:
        """The box of a site."""
        return Box(self.root / "boxes" / site)
