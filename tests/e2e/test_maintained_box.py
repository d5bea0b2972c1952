"""From Git to a box that waits for its moment, goes at its pace, and does what it is asked once; over the real wire."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zstandard

from control_plane.store import operation_logs, reports
from tests.support.live_box import LiveBox, application, release_changes
from tests.support.operators import Operator
from tests.support.world import ServedWorld, as_yaml, served_world

RESTARTS = [("restart", unit) for unit in ("neopro-app", "neopro-admin", "neopro-kiosk")]
LATER = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


@pytest.fixture
def served(tmp_path: Path, database: str) -> Iterator[ServedWorld]:
    with served_world(tmp_path / "world", database) as world:
        yield world


@pytest.fixture
def box(served: ServedWorld, tmp_path: Path) -> Iterator[LiveBox]:
    """A box that runs release 1.1.0."""
    with LiveBox(tmp_path / "brest").switched_on() as live:
        served.publish(release_changes(served.world, "1.1.0", application("1.1.0")), "Release 1.1.0")
        live.provision(served.world, served.url)
        live.converge()
        live.services.calls.clear()
        yield live


def events(served: ServedWorld) -> list[str]:
    async def read() -> list[str]:
        async with served.world.connection() as conn:
            return [f"{event.reason}: {event.message}" for event in await reports.events_of(conn, "brest")]

    return [event for event in served.run(read()) if event.startswith("Operation")]


def text_of(served: ServedWorld, operation: str) -> str | None:
    async def read() -> bytes | None:
        async with served.world.connection() as conn:
            return await operation_logs.log_of(conn, "brest", operation)

    packed = served.run(read())
    return None if packed is None else zstandard.ZstdDecompressor().decompress(packed).decode()


def operation(action: str, not_after: datetime = LATER, **more: Any) -> str:
    return as_yaml({"target": {"site": "brest"}, "action": action, "not_after": not_after.isoformat()} | more)


def test_release_waits_for_its_window_on_the_box_and_on_the_page(
    served: ServedWorld, box: LiveBox, tmp_path: Path
) -> None:
    maintained = served.world.site_file("brest", maintenance={"windows": [{"idle": "300d"}], "max_deferral": "400d"})
    served.publish(
        {"sites/brest.yaml": maintained} | release_changes(served.world, "1.2.0", application("1.2.0")), "Release 1.2.0"
    )

    box.converge()

    assert (box.active(), box.services.calls) == ("1.1.0", [])
    status = box.run("status")
    assert "Activating release 1.2.0 waits for a maintenance window" in status.stdout
    Operator(served, tmp_path).reads("Activating release 1.2.0 waits for a maintenance window", path="/sites/brest")

    served.publish({"sites/brest.yaml": served.world.site_file("brest")}, "Let Brest go")
    box.converge()
    assert (box.active(), box.services.calls) == ("1.2.0", RESTARTS)


def test_operations_are_done_once_and_their_results_arrive(served: ServedWorld, box: LiveBox) -> None:
    served.publish(
        {
            "operations/kiosk.yaml": operation("restart_service", service="neopro-kiosk"),
            "operations/look.yaml": operation("self_test"),
            "operations/late.yaml": operation("reboot", datetime(2026, 1, 1, tzinfo=UTC)),
        },
        "Ask for this and that",
    )

    for _ in range(3):
        box.converge()

    assert box.services.calls == [("restart", "neopro-kiosk")]
    said = events(served)
    assert len(said) == 2
    assert "OperationSucceeded: Operation kiosk (restart_service): neopro-kiosk was started anew." in said
    assert any(event.startswith("OperationSucceeded: Operation look (self_test): all ") for event in said)
    text = text_of(served, "look")
    assert text is not None and "ok   link: the control plane answers" in text
    assert (text_of(served, "kiosk"), text_of(served, "late")) == (None, None)


def test_download_over_the_wire_keeps_the_limit(served: ServedWorld, box: LiveBox) -> None:
    """Only that it is not faster: waiting is never shorter than it says."""
    limited = served.world.site_file("brest", bandwidth={"limit": "60kB/s"})
    added = served.world.add_video("clip-c", bytes(range(256)) * 1200)  # 307 kB
    sets = served.world.file("video-sets/national.yaml").replace("clip-b", "clip-c")
    served.publish({"sites/brest.yaml": limited, "video-sets/national.yaml": sets} | added, "A limit, and a clip")
    started = time.monotonic()

    box.converge()

    assert "clip-c" in box.shown()
    assert time.monotonic() - started >= 307_200 / 60_000 - 0.25
