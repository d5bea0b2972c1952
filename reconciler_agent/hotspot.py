"""The box's own Wi-Fi, as the manifest wants it: opened in a window, never over the box's way out, or as it was before.

What is tried is on disk before it is tried. It is tried again after a day, or at once when the manifest names another
one (the same passphrase encrypted anew is another one).
"""

import base64
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from reconciler_agent import age_key
from reconciler_agent.core.hotspot import UUID, Device, Tried, choose, interface_of, profile
from reconciler_agent.core.report import Failure
from reconciler_agent.core.trust import latest_instant
from reconciler_agent.errors import AgentError, BackupUnreadable, HotspotNotOpened
from reconciler_agent.gate import Gatekeeper
from reconciler_agent.metrics import default_interface
from reconciler_agent.network_manager import NetworkManager
from reconciler_agent.observe import SystemClock
from reconciler_agent.resources.profiles import Profiles
from reconciler_agent.state import Store
from schemas.manifest import ManifestHotspot, SiteManifest
from schemas.names import Digest, digest_of
from schemas.status import Difference, Reason, Waiting

LOOK_S: Final = 900.0
"""Between two looks whether it still is open."""
STEP: Final = "Opening the hotspot"
Say = Callable[[Literal["info", "warning", "error"], Reason, str], None]


class Network(Protocol):
    """Who manages the box's network; each call raises HotspotNotOpened when it was not done."""

    def wifi(self) -> list[Device]:
        """Every Wi-Fi device."""

    def load(self, path: str) -> None:
        """Have a profile's file read anew."""

    def reload(self) -> None:
        """Have all profiles read anew."""

    def open(self, uuid: str = UUID) -> None:
        """Activate a profile (ours) and wait until it is up."""


class Wifi(NamedTuple):
    """The box's own: where profiles lie, who manages them, and which interface is the way out (None: there is none)."""

    profiles: Profiles
    network: Network
    uplink: Callable[[], str | None]


def box_wifi() -> Wifi:
    """That of the box we run on."""
    return Wifi(Profiles(), NetworkManager(), default_interface)


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of it in a round."""

    difference: Difference | None = None
    failure: Failure | None = None
    waiting: tuple[Waiting, ...] = ()


class Hotspot:
    """Keeps it as `manifest.hotspot` says; `key` is the file of the box's age key. `wifi`: None off a real box."""

    def __init__(
        self, *, wifi: Wifi | None, store: Store, gates: Gatekeeper, clock: SystemClock, say: Say, key: Path
    ) -> None:
        self._wifi, self._store, self._gates, self._clock = wifi, store, gates, clock
        self._say, self._key = say, key
        self._read: tuple[ManifestHotspot | None, str] = (None, "")
        self._wanted_at: datetime | None = None
        self._look_s = float("-inf")
        self._failure: Failure | None = None
        self._recovered = False

    def advance(self, manifest: SiteManifest, *, steady: bool, online: bool) -> Outcome:
        """All that can be done now. `steady`: nothing else is being tried on the box."""
        wanted, wifi = manifest.hotspot, self._wifi
        try:
            if wifi is None:
                if wanted is not None:
                    raise HotspotNotOpened("cannot open the hotspot: this box's services are not systemd's")
                return Outcome()
            if not self._recovered:
                self._recover(wifi)
                self._recovered = True
            if wanted is None:
                return Outcome()
            return self._keep(wifi, wanted, manifest, may_try=steady and online)
        except AgentError as problem:
            return self._failed(wanted, problem)

    def _recover(self, wifi: Wifi) -> None:
        """A try that was cut off has not opened: what was there before comes back."""
        wifi.profiles.tidy()
        if wifi.profiles.is_undecided:
            _go_back(wifi)

    def _keep(self, wifi: Wifi, wanted: ManifestHotspot, manifest: SiteManifest, *, may_try: bool) -> Outcome:
        passphrase, standing = self._passphrase(wanted), wifi.profiles.read()
        device = interface_of(standing) if standing is not None else None
        if standing is not None and device is not None and standing == profile(wanted.ssid, passphrase, device):
            return self._stay_open(wifi, wanted, manifest, may_try=may_try)
        tried, now = self._store.state.hotspot, self._now()
        if tried is not None and not tried.allows(_digest(wanted), now):
            why = self._failure or Failure(
                reason="HotspotNotOpened",
                message="cannot open the hotspot: it was tried and did not open; tried again a day later, or at once "
                "when the manifest names another",
            )
            return replace(_differs(wanted), failure=why)
        self._wanted_at = self._wanted_at or now
        if not may_try:
            return _differs(wanted)
        chosen = choose(wifi.network.wifi(), wifi.uplink())
        if waiting := self._waits(manifest):
            return replace(_differs(wanted), waiting=(waiting,))
        self._try(wifi, wanted, profile(wanted.ssid, passphrase, chosen.name), chosen.uuid)
        return Outcome()

    def _stay_open(self, wifi: Wifi, wanted: ManifestHotspot, manifest: SiteManifest, *, may_try: bool) -> Outcome:
        """The profile is the right one: see now and then that it is open, too."""
        if not may_try or self._clock.monotonic() < self._look_s:
            return Outcome() if self._failure is None else replace(_differs(wanted), failure=self._failure)
        devices = wifi.network.wifi()
        if any(device.uuid == UUID for device in devices):
            self._done()
            return Outcome()
        choose(devices, wifi.uplink())
        self._wanted_at = self._wanted_at or self._now()
        if waiting := self._waits(manifest):
            return replace(_differs(wanted), waiting=(waiting,))
        self._look_s = self._clock.monotonic() + LOOK_S
        wifi.network.open()
        self._done()
        return Outcome()

    def _try(self, wifi: Wifi, wanted: ManifestHotspot, text: str, other: str) -> None:
        """Open it; what was there before (`other`) comes back when it does not open, or takes the box's way out."""
        uplink, tried, digest = wifi.uplink(), self._store.state.hotspot, _digest(wanted)
        count = tried.count + 1 if tried is not None and tried.wanted == digest and tried.cut_off else 1
        trying = Tried(wanted=digest, at=self._now(), count=count)
        self._store.keep(replace(self._store.state, hotspot=trying))
        try:
            wifi.profiles.put(text)
            wifi.network.load(wifi.profiles.path)
            wifi.network.open()
            if wifi.uplink() != uplink:
                raise HotspotNotOpened("cannot open the hotspot: with it the box lost its way to the network")
        except AgentError as problem:
            self._store.keep(replace(self._store.state, hotspot=replace(trying, cut_off=False)))
            try:
                _go_back(wifi, other)
            except AgentError as again:
                raise HotspotNotOpened(f"{problem}; what was there before did not come back: {again}") from None
            raise
        wifi.profiles.settle()
        self._done()
        self._say("info", "HotspotOpened", f"The hotspot {wanted.ssid!r} is open.")

    def _done(self) -> None:
        self._store.keep(replace(self._store.state, hotspot=None))
        self._failure, self._wanted_at = None, None
        self._look_s = self._clock.monotonic() + LOOK_S

    def _failed(self, wanted: ManifestHotspot | None, problem: AgentError) -> Outcome:
        self._failure = Failure(reason=problem.reason, message=str(problem))
        self._look_s = self._clock.monotonic() + LOOK_S
        found = _differs(wanted) if wanted is not None else Outcome()
        return replace(found, failure=self._failure)

    def _waits(self, manifest: SiteManifest) -> Waiting | None:
        hold = self._gates.hold(manifest, "disruptive", self._wanted_at or self._now())
        if hold is None:
            return None
        return Waiting(step=STEP, reason=hold.reason, message=f"{STEP} waits {hold.why}.", until=hold.until)

    def _passphrase(self, wanted: ManifestHotspot) -> str:
        """Decrypted once for each manifest; held in memory alone."""
        if self._read[0] is not wanted:
            try:
                plain = age_key.decrypt(self._key, base64.b64decode(wanted.passphrase.removeprefix("age:")))
            except (BackupUnreadable, ValueError):
                raise HotspotNotOpened(
                    "cannot open the hotspot: its passphrase is not encrypted to this box; encrypt it anew for the "
                    "`recipient` that `neopro-agent identity` prints here: neopro secret encrypt"
                ) from None
            self._read = (wanted, plain.decode("utf-8", "replace"))
        return self._read[1]

    def _now(self) -> datetime:
        return latest_instant(self._store.state.trust, self._clock.now(), self._clock.synchronised())


def _go_back(wifi: Wifi, other: str = "") -> None:
    """What was there before the try is there again, and open: our profile, or the `other` one; or nothing is."""
    if wifi.profiles.put_back():
        wifi.network.load(wifi.profiles.path)
        wifi.network.open()
        return
    wifi.network.reload()
    if other and other != UUID:
        wifi.network.open(other)


def _digest(wanted: ManifestHotspot) -> Digest:
    """Of what the manifest says, the passphrase still encrypted."""
    return digest_of(msgspec.json.encode(wanted))


def _differs(wanted: ManifestHotspot) -> Outcome:
    return Outcome(difference=Difference(kind="hotspot", what="hotspot", desired=wanted.ssid, observed="not open"))
