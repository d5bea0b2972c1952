"""`neopro plan` beside a control plane: what boxes reported is used, and both judge a commit alike."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from control_plane.store import clubs, publications, reports, tokens
from schemas.club import ClubCategory, ClubMirror
from schemas.manifest import SiteManifest
from schemas.status import Difference, Metrics, RunningRelease, Waiting
from tests.support.command_line import environment, git, neopro
from tests.support.published import report
from tests.support.world import ServedWorld, as_yaml, served_world

pytestmark = pytest.mark.timeout(180)
GUARDED = {
    "schema": 1,
    "defaults": {"release": "1.0.0", "video_sets": ["national"]},
    "guards": {"max_sites": "40%", "allow_removals": False},
}


class Desk:
    """An operator's clone, with a token."""

    def __init__(self, served: ServedWorld, folder: Path) -> None:
        self.served, self.clone = served, folder / "clone"
        git(folder, "clone", "-q", str(served.world.remote), str(self.clone))
        self.env = environment(folder, NEOPRO_URL=served.url, NEOPRO_TOKEN=served.run(self._token()))

    async def _token(self) -> str:
        now = self.served.world.clock()
        async with self.served.world.connection() as conn:
            return await tokens.add_token(conn, "ada", ["read"], now=now, expires_at=now + timedelta(days=1))

    def plan(self, *words: str, status: int = 1) -> dict[str, Any]:
        """What `neopro plan --json` prints."""
        done = neopro("plan", *words, "--json", cwd=self.clone, env=self.env)
        assert done.returncode == status, done.stderr + done.stdout
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def write(self, path: str, text: str | None) -> None:
        if text is None:
            (self.clone / path).unlink()
        else:
            (self.clone / path).write_text(text)

    def report(self, site: str, **facts: Any) -> None:
        """As if the site's box had reported that it is as published."""
        self.served.run(self._report(site, facts))

    async def _report(self, site: str, facts: dict[str, Any]) -> None:
        world = self.served.world
        async with world.connection() as conn:
            heads = {row.site: row.generation for row in await publications.all_heads(conn)}
            said = report(heads[site], **facts)
            await reports.record(conn, [reports.Received(site, said, world.clock())])


@pytest.fixture
def desk(tmp_path: Path, database: str) -> Iterator[Desk]:
    with served_world(tmp_path, database) as served:
        served.publish({"fleet.yaml": as_yaml(GUARDED)}, "Guard the fleet")
        yield Desk(served, tmp_path)


def test_boxes_hold_what_they_reported_and_the_rest_is_fetched(desk: Desk) -> None:
    world = desk.served.world
    size = len(b"new clip" * 50)
    change = world.add_video("clip-c", b"new clip" * 50) | {
        "video-sets/national.yaml": world.file("video-sets/national.yaml").replace('"clip-b"', '"clip-b","clip-c"')
    }
    for path, text in change.items():
        desk.write(path, text)
    disk = Metrics(disk_total_bytes=10_000, disk_free_bytes=1_100)
    desk.report("brest", release=RunningRelease(version="1.0.0"), metrics=disk)
    desk.report("nantes", release=RunningRelease(version="1.0.0"))
    made = desk.plan(status=2)
    assert made["base"].startswith("published (") and made["head"] == "the working tree"
    loads = {site: one.get("download_bytes", 0) for site, one in made["sites"].items()}
    assert loads["brest"] == loads["nantes"] == size and loads["rennes"] > size, "rennes never reported"
    told = {caution["code"]: caution["sites"] for caution in made["cautions"]}
    assert told == {"DiskTooSmall": {"brest": "needs 400 B, has 100 B to spare"}, "NeverReported": {"rennes": ""}}
    (unknown,) = made["unknown"]
    assert "on 3 boxes: it was not told" in unknown and made["observed_at"]


def test_club_that_has_the_name_of_what_comes_is_told_before_the_change_is_made(desk: Desk) -> None:
    world = desk.served.world
    shown = desk.plan("--site", "brest", "--all", status=0)
    assert shown["plan"] is None
    for site in ("brest", "nantes"):
        desk.report(site, release=RunningRelease(version="1.0.0"))
    manifest = desk.served.run(_manifest(desk.served, "brest"))
    club = ClubMirror(categories=[ClubCategory(id="spring", name="Printemps")], file_count=2, file_bytes=70)
    desk.served.run(_tell(desk.served, "brest", club))
    text = world.file("video-sets/national.yaml")
    desk.write("video-sets/spring.yaml", text.replace(manifest.categories[0].id, "spring"))
    desk.write("sites/brest.yaml", world.file("sites/brest.yaml") + 'video_sets: ["spring"]\n')
    desk.write("sites/nantes.yaml", world.file("sites/nantes.yaml") + 'video_sets: ["spring"]\n')
    made = desk.plan(status=2)
    told = {caution["code"]: caution["sites"] for caution in made["cautions"]}
    assert told["ClubHasCategory"] == {"brest": "spring is kept as spring_club"}
    assert any("on 1 box:" in sentence for sentence in made["unknown"]), "nantes has not told"
    git(desk.clone, "add", ".")
    git(desk.clone, "commit", "-qm", "Spring\n\nAllow-Impact: sites=2")
    git(desk.clone, "push", "-q", "origin", "HEAD:main")
    assert desk.served.ingest().verdict == "published"
    done = neopro("diff", "brest", cwd=desk.clone, env=desk.env)
    assert re.search(r"category spring +Printemps: 0 videos +is kept as spring_club", done.stdout), done.stdout
    told_json = json.loads(neopro("diff", "brest", "--json", cwd=desk.clone, env=desk.env).stdout)
    assert told_json["club_owned"]["club"]["file_bytes"] == 70


async def _manifest(served: ServedWorld, site: str) -> SiteManifest:
    async with served.world.connection() as conn:
        (digest,) = {head.manifest for head in await publications.all_heads(conn) if head.site == site}
        rows = await conn.execute("select body from manifests where digest = %s", (digest,))
        return msgspec.json.decode((await rows.fetchone() or [b""])[0], type=SiteManifest)


async def _tell(served: ServedWorld, site: str, club: ClubMirror) -> None:
    async with served.world.connection() as conn:
        await clubs.keep(conn, site, club, served.world.clock())


def test_box_that_is_behind_what_is_published_is_counted_by_what_it_has(desk: Desk) -> None:
    world = desk.served.world
    desk.report("brest")
    before = world.file("video-sets/national.yaml")
    shorter = before.replace('"clip-a","clip-b"', '"clip-a"')
    desk.served.publish({"video-sets/national.yaml": shorter}, "Shorter\n\nAllow-Impact: sites=3")
    git(desk.clone, "pull", "-q")
    desk.write("video-sets/national.yaml", before)
    loads = {site: one.get("download_bytes", 0) for site, one in desk.plan(status=2)["sites"].items()}
    assert loads["brest"] == 0, "it never let go of the video"


def test_without_asking_the_base_is_the_upstream_branch_and_what_is_unknown_is_said(desk: Desk) -> None:
    desk.write("sites/brest.yaml", desk.served.world.site_file("brest", state="suspended"))
    made = desk.plan("--offline")
    assert made["base"].startswith("origin/main (") and len(made["unknown"]) == 2


@pytest.mark.parametrize("lets_go", [False, True])
def test_command_line_and_server_judge_the_same_commit_alike(desk: Desk, lets_go: bool) -> None:
    desk.write("sites/brest.yaml", None)
    text = (desk.clone / "sites" / "nantes.yaml").read_text()
    desk.write("sites/nantes.yaml", text + 'poll: {"interval":"30s"}\n')
    message = "Brest leaves" + ("\n\nAllow-Impact: sites=2 removals=1" if lets_go else "")
    git(desk.clone, "commit", "-qam", message)
    made = desk.plan("origin/main..HEAD", status=1 if lets_go else 2)
    git(desk.clone, "push", "-q", "origin", "HEAD:main")
    outcome = desk.served.ingest()
    assert outcome.verdict == ("published" if lets_go else "held")
    change = desk.served.run(_change(desk.served, outcome.revision))
    assert (change.impact.sites, change.impact.removals, change.impact.total) == tuple(made["impact"].values())
    assert change.impact.trailer == made["guard"].get("trailer", "")
    status = neopro("status", cwd=desk.clone, env=desk.env)
    held = "is held:" in status.stdout and "Allow-Impact: sites=2 removals=1" in status.stdout
    assert held is not lets_go, status.stdout


def test_box_is_shown_beside_what_it_is_to_be(desk: Desk) -> None:
    never = neopro("diff", "brest", cwd=desk.clone, env=desk.env)
    assert never.returncode == 1 and "Unknown, its box has never reported" in never.stdout
    wrong = Difference(kind="configuration", what="scoreOverlay.position", desired='"top"', observed='"bottom"')
    waits = Waiting(step="WriteConfiguration", reason="MatchInProgress", message="Waits for the end of the match.")
    desk.report("brest", release=RunningRelease(version="0.9.0"), differences=[wrong], waiting=[waits])
    done = neopro("diff", "brest", cwd=desk.clone, env=desk.env)
    rows = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "release 1.0.0 0.9.0 (installed by hand)" in rows
    assert 'configuration scoreOverlay.position "top" "bottom"' in rows
    assert "waits: WriteConfiguration: Waits for the end of the match." in rows
    assert any(row.startswith("club-owned: its box has not told") for row in rows)
    told = json.loads(neopro("diff", "brest", "--json", cwd=desk.clone, env=desk.env).stdout)
    assert told["club_owned"] is None and told["rows"][1]["observed"].startswith("0.9.0")
    missing = neopro("diff", "atlantis", cwd=desk.clone, env=desk.env)
    assert missing.returncode == 2 and "never published" in missing.stderr


def test_history_is_the_control_planes_and_git_s_where_it_is_not_asked(desk: Desk) -> None:
    text = desk.served.world.file("sites/brest.yaml")
    desk.served.publish({"sites/brest.yaml": text + 'poll: {"interval":"30s"}\n'}, "Poll more often")
    desk.served.publish({"sites/brest.yaml": text + '# a remark\npoll: {"interval":"30s"}\n'}, "A remark")
    git(desk.clone, "pull", "-q")
    desk.report("brest")
    told = neopro("history", "brest", cwd=desk.clone, env=desk.env).stdout
    assert "Poll more often" in told and "A remark" not in told and "there" in told
    by_git = neopro("history", "brest", "--offline", cwd=desk.clone, env=desk.env)
    assert "Poll more often" in by_git.stdout and "A remark" in by_git.stdout and "by Git alone" in by_git.stderr


async def _change(served: ServedWorld, revision: str) -> Any:
    from control_plane.store import views

    async with served.world.connection() as conn:
        return await views.change(conn, revision)


def test_published_commit_that_the_clone_lacks_asks_for_a_fetch(desk: Desk) -> None:
    desk.served.publish({"sites/brest.yaml": desk.served.world.site_file("brest", name="Other")})
    done = neopro("plan", cwd=desk.clone, env=desk.env)
    assert (done.returncode, done.stdout) == (2, "")
    assert "run git fetch" in done.stderr


def test_token_that_is_not_accepted_is_told_and_offline_goes_on(desk: Desk) -> None:
    env = desk.env | {"NEOPRO_TOKEN": "neopro_wrong"}
    done = neopro("plan", cwd=desk.clone, env=env)
    assert done.returncode == 2 and "cannot read what boxes reported" in done.stderr
    assert neopro("plan", "--offline", cwd=desk.clone, env=env).returncode == 0


def test_video_is_where_boxes_reported_a_manifest_with_it(desk: Desk) -> None:
    desk.report("brest")
    desk.served.publish(
        {"sites/brest.yaml": desk.served.world.site_file("brest", without_video_sets=["national"])}, "Less"
    )
    git(desk.clone, "pull", "-q")
    desk.report("nantes")
    done = neopro("video", "where", "clip-a", "--json", cwd=desk.clone, env=desk.env)
    told = json.loads(done.stdout)
    assert (told["there"], "brest" in told["sites"], "nantes" in told["sites"]) == (["brest", "nantes"], False, True)
    said = neopro("video", "where", "clip-a", cwd=desk.clone, env=desk.env).stdout
    assert "there   1 of 2: nantes\nstill   brest: there, and no longer wanted\n" in said
    alone = neopro("video", "where", "clip-a", "--offline", cwd=desk.clone, env=desk.env).stdout
    assert "there" not in alone
