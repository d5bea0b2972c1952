"""A box that was installed by hand, and its first managed release: adopted, then replaced; and back again."""

import json
from pathlib import Path
from typing import Any

from schemas.manifest import ReleaseTarget
from tests.crash.scenario import Scenario
from tests.support.agent_world import application, manifest_of
from tests.support.hand_installed import BY_HAND, CLUB_VIDEO, SECRET, install_by_hand, plays

NEW = application("2.0.0") | {"admin/admin-server.js": b"// admin 2\n", "webapp/main-NEW456.js": b"new page\n"}
OWN = {"webapp/videos/MATCH/old.mp4": CLUB_VIDEO}
"""What the page has of the club's, whatever release it is of."""
OLD_PLAYS = {**BY_HAND, "server/.env": SECRET, **OWN}
"""All of it; the link in `node_modules/.bin` leads to one more."""
LINK = "server/node_modules/.bin/mime"


class Adoption(Scenario):
    """The first managed release of a box that was installed by hand, with its configuration inside the page."""

    name = "adoption"

    def _prepare(self) -> None:
        self.before = self.world.club
        install_by_hand(self.world.root, self.world.club)
        self.target: ReleaseTarget = self.world.central.add_release("2.0.0", NEW)
        self.world.central.publish(manifest_of([], self.target, config={"liveScoreEnabled": False}))

    def look(self) -> dict[str, Any]:
        """What the applications read, where they look for it."""
        root = self.work / "neopro"
        configuration = json.loads((root / "webapp/configuration.json").read_bytes())
        return {"configuration": configuration, "version": (root / "VERSION").read_text().strip()}

    def require_playable(self) -> None:
        """Each name of a release leads to what was there or to the new one, whole; the club has everything."""
        root = self.work / "neopro"
        configuration = self.look()["configuration"]
        assert configuration in (self.before, self.after), "the applications read neither the old nor the new one"
        self._require_club(root)
        old, new = OLD_PLAYS | {LINK: BY_HAND["server/node_modules/mime/cli.js"]}, NEW | OWN
        found = plays(root)
        for top in ("webapp", "server", "admin", "scripts", "VERSION", "release.json"):
            here = {path: data for path, data in found.items() if path.partition("/")[0] == top}
            assert here in (_below(top, old), _below(top, new)), f"{top} is neither the old nor the new one"
        if found.get("VERSION") == NEW["VERSION"]:
            assert found == new, "the names lead to two releases"
            assert self._adopted(), "there is no way back"

    def require_converged(self) -> None:
        self.require_playable()
        root = self.work / "neopro"
        assert self.look() == {"configuration": self.after, "version": self.ends_on}
        assert all((root / name).is_symlink() for name in ("webapp", "server", "admin", "scripts", "VERSION"))
        adopted = self._adopted()
        assert adopted
        for path, data in OLD_PLAYS.items():
            assert (adopted / path).read_bytes() == data, f"{path} of what was adopted is not whole"
        assert str((adopted / LINK).readlink()) == "../mime/cli.js"
        assert not (adopted / "data").is_symlink(), "the adoption is not over"
        left = [path for path in (root / "data/agent").rglob("*") if path.is_file() and "partial" in path.parts]
        assert not left, f"left behind: {left}"

    def _adopted(self) -> Path | None:
        return next((self.work / "neopro/releases").glob("1.0.8-*"), None)

    def _require_club(self, root: Path) -> None:
        assert (root / "videos/MATCH/club.mp4").read_bytes() == b"the club's own"
        assert (root / "thumbnails/club.jpg").read_bytes() == b"jpg"
        assert (root / "sync-agent/package.json").read_bytes() == b"{}"


class FailedAdoption(Adoption):
    """The same with a release that is not healthy: the box ends where it began, but for what is not of a release."""

    name = "adoption and back"
    ends_on = "v1.0.8"

    def begin(self) -> None:
        self.world.units.sick = lambda: (self.work / "neopro/VERSION").read_bytes() == NEW["VERSION"]


def _below(top: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {path: data for path, data in files.items() if path.partition("/")[0] == top}
