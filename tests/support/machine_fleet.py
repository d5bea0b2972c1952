"""A fleet for a machine under systemd: signed, served by a control plane in the machine itself."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from schemas.manifest import AgentTarget, ListRef, ReleaseHealth, ReleaseTarget, SiteManifest, encode_canonical
from schemas.names import digest_of
from schemas.trust import AllowedRelease
from tests.support import trust_world
from tests.support.booted import Machine
from tests.support.slots import listing_of

PORT = 8099
URL = f"http://127.0.0.1:{PORT}"
FOLDER = "/srv/central"
UNIT = (
    f"[Service]\nWorkingDirectory={Path.cwd()}\n"
    f"ExecStart={sys.executable} -m tests.support.folder_control_plane {FOLDER} {PORT}\n"
)


class Fleet:
    """Releases that a key allows, and a head for each manifest; news never goes back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs").mkdir(parents=True)
        self.now = datetime.now(UTC)
        self.allowed: list[AllowedRelease] = []

    def blob(self, data: bytes) -> str:
        """Keep bytes where boxes can fetch them; their digest."""
        digest = digest_of(data)
        (self.folder / "blobs" / digest.partition(":")[2]).write_bytes(data)
        return digest

    def add_agent(self, version: str, files: Mapping[str, bytes]) -> AgentTarget:
        """A release of the agent."""
        tree = self._add(AllowedRelease(kind="agent", version=version, tree=""), files)
        return AgentTarget(version=version, tree=tree, size_bytes=sum(map(len, files.values())))

    def add_release(self, version: str, files: Mapping[str, bytes], health: ReleaseHealth) -> ReleaseTarget:
        """A release of the applications, of which one service is restarted."""
        tree = self._add(AllowedRelease(kind="app", version=version, tree=""), files)
        size_bytes = sum(map(len, files.values()))
        return ReleaseTarget(version=version, tree=tree, size_bytes=size_bytes, services=["neopro-app"], health=health)

    def _add(self, allowed: AllowedRelease, files: Mapping[str, bytes]) -> str:
        for data in files.values():
            self.blob(data)
        tree = self.blob(listing_of(files))
        self.allowed.append(AllowedRelease(kind=allowed.kind, version=allowed.version, tree=tree))
        return tree

    def publish(self, *manifests: SiteManifest) -> None:
        """Sign a head for each; the first one is in force."""
        dates = {"issued_at": self.now - timedelta(hours=1), "expires_at": self.now + timedelta(days=7)}
        listed = trust_world.release_list(1, releases=self.allowed, **dates)
        (self.folder / "root-1").write_bytes(trust_world.sign_root(trust_world.root(**dates)))
        (self.folder / "list-1").write_bytes(listed)
        for number, manifest in enumerate(manifests):
            body = self.blob(encode_canonical(manifest))
            generation = int(self.now.timestamp() * 1000) - 1000 + number
            ref = ListRef(version=1, sha256=digest_of(listed))
            head = trust_world.head(generation=generation, manifest=body, release_list=ref, **dates)
            (self.folder / f"head-{number}").write_bytes(head)
        (self.folder / "current").write_text("0")


class Desk:
    """The control plane in a machine, as its operator sees it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def want(self, number: int) -> None:
        """Put this head in force."""
        assert self.machine.run("sh", "-c", f"echo {number} > {FOLDER}/current").returncode == 0

    def wanted(self) -> int:
        """The head in force."""
        return int(self.machine.run("cat", f"{FOLDER}/current").stdout)

    def last(self) -> dict[str, Any]:
        """The newest report; empty while there is none."""
        text = self.machine.run("tail", "-n1", f"{FOLDER}/reports").stdout
        found: dict[str, Any] = json.loads(text) if text.endswith("\n") else {}
        return found

    def reasons(self) -> set[str]:
        """Of the conditions, and of what waits, in the newest report."""
        said = self.last()
        return {entry["reason"] for entry in (*said.get("conditions", []), *said.get("waiting", []))}

    def events(self, beginning: str) -> list[str]:
        """The reasons of all events that begin so, in their order."""
        return [event["reason"] for event in self._events() if event["reason"].startswith(beginning)]

    def passed(self) -> list[str]:
        """The releases that passed their test, in their order."""
        return [event["message"].split()[1] for event in self._events() if event["reason"] == "ReleaseHealthy"]

    def _events(self) -> list[dict[str, Any]]:
        lines = self.machine.run("cat", f"{FOLDER}/reports").stdout.splitlines()
        events = {event["number"]: event for line in lines for event in json.loads(line).get("events", [])}
        return [event for _, event in sorted(events.items())]
