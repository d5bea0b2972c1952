"""The agent as a process through TLS: our own listener, and a proxy that ends it; and an unknown authority."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.authority import Authority
from tests.support.live_box import LiveBox
from tests.support.tls_proxy import tls_proxy
from tests.support.world import ServedWorld, as_yaml, served_world

Front = Callable[[Path, str, Authority], AbstractContextManager[tuple[ServedWorld, str]]]


@contextmanager
def our_own(folder: Path, database: str, authority: Authority) -> Iterator[tuple[ServedWorld, str]]:
    """The server's own listener."""
    file = authority.server_file
    with served_world(folder, database, tls_certificate=file, tls_key=file) as served:
        assert served.url.startswith("https://")
        yield served, served.url


@contextmanager
def proxy(folder: Path, database: str, authority: Authority) -> Iterator[tuple[ServedWorld, str]]:
    """A proxy before a server that speaks plain HTTP on loopback."""
    with served_world(folder, database, trusted_proxy=["127.0.0.1"]) as served:
        port = httpx.URL(served.url).port
        assert port
        with served.within(tls_proxy(port, authority.server_context())) as front:
            yield served, f"https://localhost:{front}"


@pytest.mark.parametrize("front", [our_own, proxy], ids=lambda front: front.__name__)
def test_box_converges_and_reports_through_tls_and_speaks_to_no_authority_that_it_was_not_given(
    front: Front, tmp_path: Path, database: str
) -> None:
    authority, stranger = Authority(tmp_path, "front"), Authority(tmp_path, "stranger")
    with LiveBox(tmp_path / "brest").switched_on() as box, front(tmp_path / "world", database, authority) as at:
        served, url = at
        served.publish({"fleet.yaml": as_yaml({"schema": 1, "defaults": {"video_sets": ["national"]}})}, "No release")
        box.provision(served.world, url)
        box.write(ca=str(stranger.ca_file))
        refused = box.run("once")
        assert refused.returncode == 1
        assert "certificate" in connection(box)
        assert reports(served) == 0

        box.write(ca=str(authority.ca_file))
        ended = box.run("once")

        assert (ended.returncode, ended.stdout) == (0, "Converged: The box is as desired.\n"), ended.stderr
        assert box.shown() == {"clip-a", "clip-b"}
        assert reports(served) == 1


def connection(box: LiveBox) -> str:
    """What the box says of its way to the control plane."""
    said = json.loads(box.run("status", "--json").stdout)
    [found] = [c for c in said["conditions"] if c["type"] == "Connected"]
    assert found["status"] == "False"
    return f"{found['reason']}: {found['message']}"


def reports(served: ServedWorld) -> int:
    """How many boxes have reported."""

    async def count() -> int:
        async with served.world.connection() as conn:
            row = await (await conn.execute("select count(*) from reports")).fetchone()
        assert row
        return int(row[0])

    return served.run(count())
