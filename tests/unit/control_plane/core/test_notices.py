"""What people are told: which channel hears of what, and one message of many notices."""

from itertools import product
from typing import get_args

import pytest

from control_plane.core.alerts import Firing
from control_plane.core.notices import MAX_LINES, Channel, Notice, is_for, message_of
from schemas.alerts import Severity

SEVERITIES: tuple[Severity, ...] = get_args(Severity)


def notice(number: int, severity: Severity = "warning", **fields: object) -> Notice:
    firing = Firing(
        kind="disk", subject=f"site-{number}", severity=severity, values={"name": f"Site {number}", "percent": 90}
    )
    return Notice(**{"id": number, "what": "fired", "firing": firing, **fields})  # type: ignore[arg-type]


def test_channel_hears_of_its_severities_and_of_its_tenants_sites_alone() -> None:
    tenants = [None, "kalon", "other"]
    for own, heard, severity, tenant in product(tenants, [["critical"], [*SEVERITIES]], SEVERITIES, tenants):
        channel = Channel(name="a", url="json://x", tenant=own, severities=heard)
        assert is_for(channel, severity, tenant) is (severity in heard and own in (None, tenant))


def test_message_names_the_gravest_first_and_what_cleared_last() -> None:
    notices = [notice(1), notice(2, "critical", what="cleared"), notice(3, "critical", link="https://x/sites/site-3")]
    told = message_of(notices, Channel(name="a"))
    assert told.title == "[critical] Disk nearly full: Site 3 (and 2 more)"
    assert [line for line in told.body.splitlines() if not line.startswith("  →")] == [
        "critical: The disk of Site 3 is 90 % full.",
        "  https://x/sites/site-3",
        "warning: The disk of Site 1 is 90 % full.",
        "cleared: The disk of Site 2 is 90 % full.",
    ]


def test_message_speaks_the_language_of_its_channel() -> None:
    told = message_of([notice(1)], Channel(name="a", language="fr"))
    assert told.title == "[avertissement] Disque presque plein: Site 1"
    assert told.body.startswith("avertissement: Le disque de Site 1 est plein à 90 %.")


@pytest.mark.parametrize("count", [1, MAX_LINES, MAX_LINES + 1, 300])
def test_message_of_many_counts_those_that_it_does_not_name(count: int) -> None:
    body = message_of([notice(number) for number in range(count)], Channel(name="a")).body
    assert body.count("warning:") == min(count, MAX_LINES)
    assert (f"and {count - MAX_LINES} more" in body) == (count > MAX_LINES)
