"""Every text that a box, a club or an operator can set is a script here: on no page and in no export it becomes one."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from control_plane.store.binaries import Programs
from tests.support.hostile import SIGN
from tests.support.hostile_fleet import NEW_BOX, OPERATION, SITE, HostileFleet, hostile_fleet
from tests.support.hostile_html import require_no_script
from tests.support.page_addresses import addresses, pages
from tests.support.postgres import PostgresServer, newest_and_oldest

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, postgres_servers: Callable[[Programs], PostgresServer]
) -> Iterator[HostileFleet]:
    server = postgres_servers(newest_and_oldest()[0])
    database = server.create_database()
    with hostile_fleet(tmp_path_factory.mktemp("hostile"), database) as made:
        yield made
    server.drop_database(database)


@pytest.fixture(scope="module")
def reader(fleet: HostileFleet) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=fleet.url, cookies=dict(fleet.cookies), trust_env=False, timeout=30) as client:
        yield client


SILENT = {"/rollouts", "/reports", "/system", "/audit"}
"""Pages on which no text of anybody's stands."""


def test_no_page_makes_markup_of_a_text(fleet: HostileFleet, reader: httpx.Client) -> None:
    for address in pages(fleet.addresses):
        for query in ("", "?lang=fr", '?lang="><pwned>&q="><pwned onclick=pwned()>&sort="><pwned>&page=<pwned>'):
            answer = reader.get(address + query, headers={"Accept": "text/html"})
            assert answer.status_code == 200, (address, answer.text[:2000])
            require_no_script(answer.text, address + query)
        assert (SIGN in answer.text) or address in SILENT, f"{address} shows no text that somebody can set"


def test_filters_show_what_was_asked_as_text(fleet: HostileFleet, reader: httpx.Client) -> None:
    script = fleet.markers.text("query")
    for key in ("q", "standing", "state", "release", "sport", "region", "group", "tenant", "connectivity", "sort"):
        require_no_script(reader.get("/sites", params={key: script}).text, f"/sites {key}")


SHOWN = (
    *("Site.name", "Site.club", "Location.city", "Location.region", "Location.country"),
    *("Group.name", "Video.name", "VideoSet.name", "Release.changelog", "Commit.subject"),
    *("Site.key (refused)", "Commit.subject (refused)", "Event.message (operation)", "remote error"),
    *("Condition.message", "StatusReport.differences[].what", "StatusReport.waiting[].step", "Event.message"),
    *("ClubMirror.title", "ClubMirror.categories[].name", "ClubMirror.files[].path"),
)


def test_pages_show_the_scripts_that_these_fields_hold(fleet: HostileFleet, reader: httpx.Client) -> None:
    """What proves that the others prove something: the scripts get as far as the pages."""
    text = "\n".join(reader.get(address).text for address in pages(fleet.addresses))
    there = {fleet.markers.fields[int(number)] for number in re.findall(rf"{SIGN}\((\d+)\)", text)}
    assert not set(SHOWN) - there


def test_fragments_are_as_harmless_as_pages(fleet: HostileFleet, reader: httpx.Client) -> None:
    for address in pages(fleet.addresses):
        answer = reader.get(address, headers={"X-Fragment": "1"})
        require_no_script(answer.text, f"fragment of {address}")


def test_missing_pages_say_what_is_missing_as_text(fleet: HostileFleet, reader: httpx.Client) -> None:
    scripts = ("<pwned>", '"><svg onload=pwned()>', "javascript:pwned()", "%00<pwned>", "{{7*7}}")
    for address in (
        "/",
        "/sites/",
        "/groups/",
        "/library/",
        "/releases/",
        "/rollouts/",
        "/changes/",
        "/static/",
        "/nothing/",
    ):
        for script in scripts:
            answer = reader.get(address + script, headers={"Accept": "text/html"})
            assert answer.status_code == 404, address
            require_no_script(answer.text, address + script)
            program = reader.get(address + script)
            assert program.headers["content-type"].startswith("application/problem+json"), address


def test_no_cell_of_an_export_is_a_formula(fleet: HostileFleet, reader: httpx.Client) -> None:
    rows = list(csv.reader(io.StringIO(reader.get("/sites.csv").text)))
    assert len(rows) == 4
    cells = [cell for row in rows for cell in row]
    assert not [cell for cell in cells if cell.startswith(FORMULA)]
    assert sum(cell.startswith(("'=", "'+", "'-", "'@")) for cell in cells) >= 3


FILES = {".csv": "text/csv", ".json": "application/json", "/thumbnail": "application/octet-stream"}


def test_no_file_is_taken_for_a_page(fleet: HostileFleet, reader: httpx.Client) -> None:
    for path, address in addresses(fleet.addresses):
        for ending, kind in FILES.items():
            if path.endswith(ending):
                answer = reader.get(address, headers={"Accept": "text/html"})
                assert answer.headers["content-type"].partition(";")[0] == kind, address
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "default-src 'none'" in answer.headers["content-security-policy"]


CALLS = (
    *("/v1/fleet", "/v1/sites", f"/v1/sites/{SITE}/status", f"/v1/sites/{SITE}/history", "/v1/observations"),
    *("/v1/changes", "/v1/alerts", "/v1/enrolments", "/v1/token", f"/v1/sites/{SITE}/club", f"/v1/clubs?site={SITE}"),
    *(f"/v1/sites/{SITE}/conditions", f"/v1/sites/{SITE}/analytics", f"/v1/operations/{OPERATION}/logs"),
)


def test_the_api_answers_as_json_that_nobody_takes_for_a_page(fleet: HostileFleet, reader: httpx.Client) -> None:
    bearer = {"Authorization": f"Bearer {fleet.token}", "Accept": "text/html"}
    seen = ""
    for path in CALLS:
        answer = reader.get(path, headers=bearer)
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["content-type"] == "application/json", path
        seen += json.dumps(answer.json())
    for field in ("EnrolmentRequest.hostname", "Token.name", "Enrolment.made_by", "Batch.playbacks[].video_filename"):
        [number] = [number for number, name in fleet.markers.fields.items() if name == field]
        assert f"{SIGN}({number})" in seen, field
    log = reader.get(f"/v1/sites/{SITE}/logs/{OPERATION}", headers=bearer)
    assert log.headers["content-type"].startswith("text/plain")
    assert log.headers["x-content-type-options"] == "nosniff"
    assert f"{NEW_BOX}" in seen


def test_metrics_stay_metrics(fleet: HostileFleet, reader: httpx.Client) -> None:
    families = list(text_string_to_metric_families(reader.get("/metrics").text))
    assert len(families) > 3
    assert not [family.name for family in families if SIGN in family.name]
