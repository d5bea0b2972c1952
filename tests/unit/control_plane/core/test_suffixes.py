"""What of a manifest is a site's own: agent, fixtures, operations, secrets; and whom a change of them concerns."""

from typing import Any

import msgspec
import pytest

from control_plane.core.compile import CompiledFleet, changed_sites
from schemas.manifest import SiteManifest, encode_canonical
from tests.support.calendars import MATCH, STAMP, calendar, event
from tests.support.commits import (
    FLEET,
    RECIPIENT,
    RECOVERY,
    SECRET,
    agent,
    changed,
    compiled,
    operation,
    release,
    site,
    small_fleet,
)
from tests.support.fleet_generator import tree_of

RENNES, VANNES = "sites/rennes.yaml", "sites/vannes.yaml"
MATCHES = "maintenance: {windows: [at_boot], calendars: [matches]}\n"
BACKUP = "sha256:" + "be" * 32
Files = dict[str, bytes | None]


def manifest(changes: Files, name: str = "rennes") -> dict[str, Any]:
    body = compiled(changed(small_fleet(), changes)).sites[name].body
    assert encode_canonical(msgspec.json.decode(body, type=SiteManifest)) == body
    found: dict[str, Any] = msgspec.json.decode(body)
    return found


def bodies(fleet: CompiledFleet) -> dict[str, bytes]:
    return {name: one.body for name, one in fleet.sites.items()}


def concerned(before: Files, after: Files) -> set[str]:
    """The sites that the change from one to the other compiles anew; each comes out as it does from nothing."""
    first = compiled(changed(small_fleet(), before))
    files = changed(small_fleet(), {**before, **after})
    second = compiled(files, first)
    assert not first.has_errors and not second.has_errors, [*first.problems, *second.problems]
    cold = compiled(files)
    assert bodies(second) == bodies(cold)
    assert set(second.blobs) == set(cold.blobs)
    return set(changed_sites(first, second))


def test_agent_is_named_with_its_tree() -> None:
    files: Files = {RENNES: site("rennes", "agent: 1.2.0\n"), "agents/1.2.0.yaml": agent("1.2.0")}
    tree = tree_of("agent-1.2.0")
    assert manifest(files)["agent"] == {"version": "1.2.0", "tree": tree, "size_bytes": 50}
    assert tree in compiled(changed(small_fleet(), files)).blobs
    assert tree not in compiled(changed(small_fleet(), {"agents/1.2.0.yaml": agent("1.2.0")})).blobs


def test_release_says_what_it_may_follow_and_what_may_be_fetched_instead() -> None:
    base, index = "sha256:" + "aa" * 32, "sha256:" + "bb" * 32
    more = f"patches: [{{from: 2.1.3, base: '{base}', index: '{index}', size_bytes: 7}}]\nrequires: {{from: '>=2.1'}}\n"
    files: Files = {"releases/2.1.3.yaml": release("2.1.3", more)}
    found = manifest(files)["release"]
    assert found["requires_from"] == ">=2.1"
    assert found["patches"] == [{"base": base, "index": index, "size_bytes": 7}]
    assert index in compiled(changed(small_fleet(), files)).blobs
    assert base not in compiled(changed(small_fleet(), files)).blobs


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("", {}),
        ("connectivity: always\n", {}),
        ("connectivity: matchdays\n", {"connectivity": "matchdays"}),
        (f"hotspot: {{ssid: Club, passphrase: '{SECRET}'}}\n", {"hotspot": {"ssid": "Club", "passphrase": SECRET}}),
        ("backup: {}\n", {"backup": {"recipient": RECOVERY}}),
        (
            "backup: {videos: true, configuration: false}\n",
            {"backup": {"recipient": RECOVERY, "configuration": False, "videos": True}},
        ),
        (f"restore: {BACKUP}\n", {"restore": BACKUP}),
        (
            "maintenance: {windows: [at_boot], bind_visible: true}\n",
            {"maintenance": {"windows": [{"kind": "at_boot"}], "bind_visible": True}},
        ),
    ],
)  # fmt: skip
def test_own_words_become_what_the_box_reads(extra: str, expected: dict[str, object]) -> None:
    files: Files = {
        "fleet.yaml": FLEET + f"recovery: {RECOVERY}\n".encode(),
        RENNES: site("rennes", f"recipient: {RECIPIENT}\n{extra}"),
    }
    found = manifest(files)
    own = ("maintenance", "bandwidth", "connectivity", "agent", "operations", "hotspot", "backup", "restore")
    assert {key: found[key] for key in own if key in found} == expected
    assert (BACKUP in compiled(changed(small_fleet(), files)).blobs) is ("restore" in expected)


def test_fixtures_are_worked_out_in_the_zone_of_each_site() -> None:
    floating = event("UID:day", STAMP, "DTSTART;VALUE=DATE:20260913")
    files: Files = {
        "calendars/matches.ics": calendar(MATCH, floating),
        RENNES: site("rennes", MATCHES),
        VANNES: site("vannes", MATCHES + "timezone: Indian/Reunion\n", sports="rugby"),
    }
    match = ["2026-09-05T18:00:00Z", "2026-09-05T20:00:00Z"]
    found = manifest(files)["maintenance"]
    assert found["busy"] == [match, ["2026-09-12T22:00:00Z", "2026-09-13T22:00:00Z"]]
    assert found["busy_until"] == "2027-10-19T00:00:00Z"
    assert manifest(files, "vannes")["maintenance"]["busy"] == [match, ["2026-09-12T20:00:00Z", "2026-09-13T20:00:00Z"]]


def test_several_calendars_come_together_whatever_their_order() -> None:
    late = event("UID:late", STAMP, "DTSTART:20260905T193000Z", "DURATION:PT1H")
    calendars: Files = {"calendars/a.ics": calendar(MATCH), "calendars/b.ics": calendar(late)}
    found = [
        manifest({**calendars, RENNES: site("rennes", f"maintenance: {{windows: [at_boot], calendars: [{order}]}}\n")})
        for order in ("a, b", "b, a", "a, b, a")
    ]
    assert found[0]["maintenance"]["busy"] == [["2026-09-05T18:00:00Z", "2026-09-05T20:30:00Z"]]
    assert found[0] == found[1] == found[2]


def test_operations_are_those_of_the_site_and_of_its_groups_by_id() -> None:
    files: Files = {
        "operations/c.yaml": operation("group: rugby"),
        "operations/a.yaml": operation("site: vannes", "action: fetch_logs\nservice: nginx\nsince: 2h"),
        "operations/b.yaml": operation("site: rennes", "action: restart_service\nservice: neopro-app"),
        "operations/old.yaml": operation("site: vannes", "action: retry", until="1999-01-01T01:00:00+01:00"),
    }
    at = "2026-11-24T05:00:00Z"
    assert manifest(files, "vannes")["operations"] == [
        {"id": "a", "action": "fetch_logs", "service": "nginx", "since_s": 7200, "not_after": at},
        {"id": "c", "action": "reboot", "not_after": at},
        {"id": "old", "action": "retry", "not_after": "1999-01-01T00:00:00Z"},
    ]
    assert [found["id"] for found in manifest(files)["operations"]] == ["b"]


def test_operation_concerns_its_target_alone() -> None:
    to_rennes: Files = {"operations/x.yaml": operation("site: rennes")}
    assert concerned({}, to_rennes) == {"rennes"}
    assert concerned(to_rennes, {"operations/x.yaml": None}) == {"rennes"}
    assert concerned(to_rennes, {"operations/x.yaml": operation("site: rennes", "action: retry")}) == {"rennes"}
    assert concerned(to_rennes, {"operations/x.yaml": operation("site: vannes")}) == {"rennes", "vannes"}
    assert concerned(to_rennes, {"operations/x.yaml": operation("group: rugby")}) == {"rennes", "vannes"}
    assert concerned({}, {"operations/x.yaml": operation("group: rugby")}) == {"vannes"}


def test_change_that_was_refused_is_made_up_for_later() -> None:
    files = changed(small_fleet(), {"operations/x.yaml": operation("site: rennes")})
    broken = changed(files, {"operations/x.yaml": operation("site: vannes"), "groups/x.yaml": b"nope: 1\n"})
    mended = changed(broken, {"groups/x.yaml": None})
    last = compiled(mended, compiled(broken, compiled(files)))
    assert bodies(last) == bodies(compiled(mended))


def test_change_of_an_agent_a_calendar_or_the_recovery_key_concerns_those_who_have_them() -> None:
    files: Files = {
        "fleet.yaml": FLEET + f"recovery: {RECOVERY}\n".encode(),
        "agents/1.2.0.yaml": agent("1.2.0"),
        "agents/1.1.0.yaml": agent("1.1.0"),
        "calendars/matches.ics": calendar(MATCH),
        "calendars/others.ics": calendar(MATCH),
        RENNES: site("rennes", MATCHES + "agent: 1.2.0\nbackup: {}\n"),
    }
    assert concerned(files, {"agents/1.2.0.yaml": agent("1.2.0").replace(b"50", b"51")}) == {"rennes"}
    assert concerned(files, {"agents/1.1.0.yaml": agent("1.1.0").replace(b"50", b"51")}) == set()
    moved = calendar(MATCH.replace("T20", "T19"))
    assert concerned(files, {"calendars/matches.ics": moved}) == {"rennes"}
    assert concerned(files, {"calendars/others.ics": moved}) == set()
    assert concerned(files, {"fleet.yaml": FLEET + f"recovery: {RECIPIENT}\n".encode()}) == {"rennes"}


def test_sites_that_want_the_same_still_share_one_manifest() -> None:
    everywhere = b"name: All\npriority: 1\nsites: [rennes, vannes]\n"
    files: Files = {VANNES: site("vannes"), "groups/rugby.yaml": None, "groups/all.yaml": everywhere}
    shared = compiled(changed(small_fleet(), {**files, "operations/x.yaml": operation("group: all")})).sites
    assert shared["rennes"].manifest == shared["vannes"].manifest
    apart = compiled(changed(small_fleet(), {**files, "operations/x.yaml": operation("site: rennes")})).sites
    assert apart["rennes"].manifest != apart["vannes"].manifest
    assert b"rennes" not in apart["rennes"].body


def test_facts_say_who_may_see_the_site_and_when_its_box_is_expected() -> None:
    files: Files = {
        "fleet.yaml": FLEET + b"tenants: {kalon: {name: Kalon}}\n",
        RENNES: site("rennes", "tenant: kalon\nconnectivity: rare\n"),
    }
    sites = compiled(changed(small_fleet(), files)).sites
    assert (sites["rennes"].facts["tenant"], sites["rennes"].facts["connectivity"]) == ("kalon", "rare")
    assert not {"tenant", "connectivity"} & sites["vannes"].facts.keys()
