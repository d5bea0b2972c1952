"""A box that needs nobody: at rest, without a control plane, and back after ten commits."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from schemas.manifest import encode_canonical
from schemas.names import Digest, digest_of
from tests.support.authority import Authority
from tests.support.live_box import LiveBox, application, release_changes
from tests.support.operators import Operator
from tests.support.patience import wait_for
from tests.support.tls_proxy import tls_proxy
from tests.support.world import ServedWorld, file_tree, served_world

REST_ROUNDS = 10


@pytest.fixture
def box(tmp_path: Path) -> Iterator[LiveBox]:
    with LiveBox(tmp_path / "brest").switched_on() as live:
        yield live


def converged(box: LiveBox) -> None:
    ended = box.run("once")
    assert (ended.returncode, ended.stdout) == (0, "Converged: The box is as desired.\n"), ended.stderr


def test_second_run_on_an_unchanged_box_writes_restarts_and_notifies_nothing(
    box: LiveBox, database: str, tmp_path: Path
) -> None:
    with served_world(tmp_path / "world", database) as served:
        served.publish(release_changes(served.world, "1.1.0", application("1.1.0")), "Release 1.1.0")
        box.provision(served.world, served.url)
        converged(box)
        traces, disturbed = box.traces(), box.disturbances()
        assert disturbed == ([("restart", unit) for unit in ("neopro-app", "neopro-admin", "neopro-kiosk")], 1)

        converged(box)
        assert (box.traces(), box.disturbances()) == (traces, disturbed)

        with box.agent():
            box.pass_rounds(REST_ROUNDS)
        assert (box.traces(), box.disturbances()) == (traces, disturbed)


def edit_locked_category(box: LiveBox) -> None:
    edited = box.configuration()
    [locked] = [category for category in edited["categories"] if category.get("owner") == "neopro"]
    locked["name"] = "CHEZ NOUS"
    locked["videos"] = locked["videos"][:1]
    (box.root / "data/configuration.json").write_text(json.dumps(edited, indent=2))


def delete_page_of_the_release(box: LiveBox) -> None:
    (box.root / "webapp/logo.svg").unlink()


def delete_program_of_the_release(box: LiveBox) -> None:
    (box.root / "server/shared.py").unlink()


def overwrite_page_of_the_release(box: LiveBox) -> None:
    (box.root / "webapp/logo.svg").write_bytes(b"<svg/> of the club's own, and longer than it was before\n")


def point_nowhere(box: LiveBox) -> None:
    (box.root / "current").unlink()
    (box.root / "current").symlink_to("releases/none")


DRIFT: dict[Callable[[LiveBox], None], tuple[int, int]] = {
    edit_locked_category: (0, 1),
    delete_page_of_the_release: (0, 0),
    overwrite_page_of_the_release: (0, 0),
    delete_program_of_the_release: (3, 0),
    point_nowhere: (3, 0),
}
"""What is done to the box -> how many restarts and notices its healing costs."""


def test_control_plane_that_is_stopped_changes_nothing_and_drift_is_healed(
    box: LiveBox, database: str, tmp_path: Path
) -> None:
    with ExitStack() as agent:
        with served_world(tmp_path / "world", database) as served:
            box.provision(served.world, served.url)
            for version in ("1.1.0", "1.2.0"):
                served.publish(release_changes(served.world, version, application(version)), f"Release {version}")
                converged(box)
            agent.enter_context(box.agent())
            box.pass_rounds(1)
        with pytest.raises(httpx.ConnectError):
            httpx.get(served.url, trust_env=False)

        before, disturbed = box.contents(), box.disturbances()
        box.pass_rounds(REST_ROUNDS)
        assert (box.contents(), box.disturbances()) == (before, disturbed)

        for drift, (restarts, notices) in DRIFT.items():
            drift(box)
            assert box.contents() != before
            wait_for(lambda: box.contents() == before, f"{drift.__name__} is healed")
            box.pass_rounds(2)
            calls, told = box.disturbances()
            assert (len(calls) - len(disturbed[0]), told - disturbed[1]) == (restarts, notices), drift.__name__
            disturbed = (calls, told)
            assert box.contents() == before
    converged(box)
    assert (box.contents(), box.disturbances()) == (before, disturbed)
    said = json.loads(box.run("status", "--json").stdout)
    assert said["release"] == "1.2.0"
    conditions = {c["type"]: c["status"] for c in said["conditions"]}
    assert (conditions["Synced"], conditions["Connected"]) == ("True", "False")


def test_box_that_was_stopped_for_ten_commits_fetches_only_what_the_newest_names(
    box: LiveBox, database: str, tmp_path: Path
) -> None:
    authority, seen = Authority(tmp_path, "front"), list[str]()
    with served_world(tmp_path / "world", database) as served:
        operator = Operator(served, tmp_path)
        port = httpx.URL(served.url).port
        assert port
        front = served.within(tls_proxy(port, authority.server_context(), seen=seen))
        served.publish(release_changes(served.world, "1.0.1", application("1.0.1")), "Release 1.0.1")
        with front as outside:
            box.provision(served.world, f"https://localhost:{outside}")
            box.write(ca=str(authority.ca_file))
            converged(box)
            revisions = [publish_week(served, week) for week in range(10)]
            before = len(box.services.calls)
            seen.clear()

            converged(box)

        assert fetched(seen) == newest(served, 9)
        assert box.shown() == {"clip-9"}
        assert box.active() == "1.9.0"
        assert len(box.services.calls) - before == 3, "each service was restarted once"
        assert [operator.progress(revision)[:2] for revision in revisions] == [(1, 3)] * 10


def publish_week(served: ServedWorld, week: int) -> str:
    """A clip that replaces the last week's, and a release."""
    changes = served.world.add_video(f"clip-{week}", clip(week))
    named = served.world.file("video-sets/national.yaml").splitlines()
    named = [f'videos: ["clip-{week}"]' if line.startswith("videos:") else line for line in named]
    changes |= {"video-sets/national.yaml": "\n".join(named) + "\n"}
    version = f"1.{week}.0"
    return served.publish(changes | release_changes(served.world, version, application(version)), f"Week {week}")


def clip(week: int) -> bytes:
    return f"the clip of week {week} ".encode() * 50


def fetched(seen: list[str]) -> set[Digest]:
    """The blobs that were asked for; each of them once."""
    asked = [path.partition("/v1/blobs/")[2] for path in seen if "/v1/blobs/" in path]
    assert len(asked) == len(set(asked)), asked
    return set(asked)


def newest(served: ServedWorld, week: int) -> set[Digest]:
    """The manifest, the clip, the release's listing, and those of its files that the release before has not."""
    files, known = application(f"1.{week}.0"), application("1.0.1")
    own = {digest_of(data) for data in files.values()} - {digest_of(data) for data in known.values()}
    return {manifest_of(served), digest_of(clip(week)), digest_of(encode_canonical(file_tree(files)))} | own


def manifest_of(served: ServedWorld) -> Digest:
    async def look() -> Digest:
        async with served.world.connection() as conn:
            row = await (await conn.execute("select manifest from sites where site = 'brest'")).fetchone()
        assert row
        return str(row[0])

    return served.run(look())
