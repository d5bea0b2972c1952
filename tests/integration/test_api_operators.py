"""What operators, programs and probes read; and every error as problem+json."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from control_plane.objects import FolderStore
from control_plane.store import publications, remotes
from control_plane.store.publications import CommitLook
from schemas.api import (
    Change,
    FleetStatus,
    Observations,
    ProblemDetails,
    SiteDetail,
    SiteGeneration,
    SiteSummary,
)
from schemas.status import Condition, Difference, Event, Metrics, RunningRelease
from tests.support.api import Api, until
from tests.support.postgres import PostgresServer
from tests.support.published import Box, Wanted, manifest_digest, report

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]


async def two_changes(api: Api) -> tuple[int, int]:
    """Three sites, two of them changed by a second commit; their first and second generation."""
    first = int(api.now.timestamp() * 1000)
    everyone = {site: Wanted(Box(site).identity, release="2.0.0") for site in ("brest", "nantes", "rennes")}
    await api.publish(everyone, subject="Start")
    api.now += timedelta(minutes=1)
    changed = {site: everyone[site] for site in ("brest", "nantes")}
    await api.publish(changed, subject="Change two")
    return first, first + 60_000


async def test_fleet_says_how_every_site_stands_and_how_far_changes_got(api: Api) -> None:
    first, second = await two_changes(api)
    await api.report("brest", report(second))
    await api.report("nantes", report(first))
    answer = await api.http.get("/v1/fleet", headers=await api.operator("read"))
    fleet = msgspec.json.decode(answer.content, type=FleetStatus)
    stands = {s.site: s.standing for s in fleet.sites}
    assert stands == {"brest": "Synced", "nantes": "Progressing", "rennes": "Unknown"}
    assert {k: v for k, v in fleet.standings.items() if v} == {"Synced": 1, "Progressing": 1, "Unknown": 1}
    assert [(c.subject, c.converged, c.sites, c.missing) for c in fleet.changes] == [
        ("Change two", 1, 2, ["nantes"]),
        ("Start", 2, 3, ["rennes"]),
    ]
    assert answer.headers["cache-control"] == "no-store"


async def test_box_that_jumps_over_changes_has_reached_them_all(api: Api) -> None:
    _, second = await two_changes(api)
    for site in ("brest", "nantes", "rennes"):
        await api.report(site, report(second))
    answer = await api.http.get("/v1/changes", headers=await api.operator("read"))
    assert [c.converged == c.sites for c in msgspec.json.decode(answer.content, type=list[Change])] == [True, True]


async def test_change_that_suspends_a_site_has_arrived_once_its_box_knows(api: Api) -> None:
    await api.publish({"brest": Wanted(Box("brest").identity, state="suspended", generation=9)})
    reader = await api.operator("read")
    assert (await api.http.get("/v1/changes", headers=reader)).json()[0].get("converged", 0) == 0
    await api.report("brest", report(head_generation=9))
    assert (await api.http.get("/v1/changes", headers=reader)).json()[0]["converged"] == 1


async def test_refused_commit_is_listed_with_its_problems(api: Api) -> None:
    await two_changes(api)
    async with api.connection() as conn:
        look = CommitLook(
            revision="f" * 40, author="Ada", subject="Oops", committed_at=api.now, problems=["a.yaml:1:1: error X: y"]
        )
        await publications.refuse(conn, await publications.current(conn), look, [], now=api.now + timedelta(seconds=9))
    newest = (await api.http.get("/v1/changes?limit=1", headers=await api.operator("read"))).json()
    assert [(c["verdict"], c["problems"]) for c in newest] == [("refused", ["a.yaml:1:1: error X: y"])]


async def test_sites_are_listed_page_by_page(api: Api) -> None:
    await two_changes(api)
    reader = await api.operator("read")
    first = (await api.http.get("/v1/sites?limit=2", headers=reader)).content
    ids = [s.site for s in msgspec.json.decode(first, type=list[SiteSummary])]
    rest = (await api.http.get(f"/v1/sites?limit=2&after={ids[-1]}", headers=reader)).json()
    assert (ids, [s["site"] for s in rest]) == (["brest", "nantes"], ["rennes"])
    assert (await api.http.get("/v1/sites?limit=0", headers=reader)).status_code == 400
    assert (await api.http.get("/v1/sites?limit=many", headers=reader)).status_code == 400


async def test_site_is_told_whole(api: Api) -> None:
    _, second = await two_changes(api)
    wrong = Difference(kind="content", what="videos/A/a.mp4", desired="there", observed="missing")
    happened = Event(number=1, at=api.now, severity="warning", reason="LocalOverride")
    await api.report("brest", report(second, differences=[wrong], events=[happened]))
    answer = await api.http.get("/v1/sites/brest/status", headers=await api.operator("read"))
    detail = msgspec.json.decode(answer.content, type=SiteDetail)
    assert (detail.differences, detail.events, detail.desired_release) == ([wrong], [happened], "2.0.0")
    assert detail.last_report_at == api.now
    missing = await api.http.get("/v1/sites/atlantis/status", headers=await api.operator("read"))
    assert missing.status_code == 404


async def test_observations_tell_what_each_box_has_and_under_which_manifest(api: Api) -> None:
    first, second = await two_changes(api)
    conflict = Condition(
        type="Degraded", status="True", reason="ContentNotOurs", message="videos/A/a.mp4 is the club's.", since=api.now
    )
    disk = Metrics(disk_total_bytes=1000, disk_free_bytes=300)
    running = RunningRelease(version="2.0.0")
    await api.report("brest", report(first, metrics=disk, release=running, conditions=[conflict]))
    await api.report("nantes", report(second + 7))
    answer = await api.http.get("/v1/observations", headers=await api.operator("read"))
    told = msgspec.json.decode(answer.content, type=Observations)
    brest, nantes, rennes = told.sites
    assert (brest.generation, brest.manifest) == (first, manifest_digest(Wanted(None)))
    assert (brest.disk_free_bytes, brest.release, brest.agent_version) == (300, running, "0.1.0")
    assert brest.conflicts == ["videos/A/a.mp4 is the club's."]
    assert (nantes.generation, nantes.manifest) == (second + 7, None), "a generation that was never given"
    assert (rennes.standing, rennes.last_report_at) == ("Unknown", None)
    async with api.connection() as conn:
        published = await publications.current(conn)
    assert published and (told.commit, told.at) == (published.revision, api.now)
    assert (await api.http.get("/v1/observations")).status_code == 401


async def test_history_lists_the_commits_that_changed_a_site(api: Api) -> None:
    first, second = await two_changes(api)
    await api.report("brest", report(first))
    reader = await api.operator("read")
    answer = await api.http.get("/v1/sites/brest/history", headers=reader)
    told = msgspec.json.decode(answer.content, type=list[SiteGeneration])
    assert [(g.generation, g.subject, g.converged) for g in told] == [
        (second, "Change two", False),
        (first, "Start", True),
    ]
    assert len((await api.http.get("/v1/sites/brest/history?limit=1", headers=reader)).json()) == 1
    assert [g["subject"] for g in (await api.http.get("/v1/sites/rennes/history", headers=reader)).json()] == ["Start"]
    assert (await api.http.get("/v1/sites/atlantis/history", headers=reader)).status_code == 404
    assert (await api.http.get("/v1/sites/brest/history")).status_code == 401


async def test_site_that_left_git_is_listed_until_its_box_knows(api: Api) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity, generation=1), "nantes": Wanted(None)})
    await api.report("brest", report(1))
    await api.publish({"brest": Wanted(box.identity, gone=True, generation=2)})
    reader = await api.operator("read")
    listed = {s["site"]: s["standing"] for s in (await api.http.get("/v1/sites", headers=reader)).json()}
    assert listed == {"brest": "Retired", "nantes": "Unknown"}
    await api.report("brest", report(2, sequence=2))
    assert [s["site"] for s in (await api.http.get("/v1/sites", headers=reader)).json()] == ["nantes"]


async def test_operator_reads_a_head_without_being_a_box(api: Api) -> None:
    await two_changes(api)
    reader = await api.operator("read")
    answer = await api.http.get("/v1/sites/brest/head", headers=reader)
    assert answer.status_code == 200
    same = await api.http.get("/v1/sites/brest/head", headers=reader | {"If-None-Match": answer.headers["etag"]})
    assert same.status_code == 304
    assert (await api.http.get("/v1/sites/atlantis/head", headers=reader)).status_code == 404


async def test_server_is_ready_once_something_is_published(api: Api) -> None:
    assert (await api.http.get("/healthz")).status_code == 200
    before = await api.http.get("/readyz")
    assert (before.status_code, before.json()["publication"]) == (503, "nothing was published yet")
    await two_changes(api)
    async with api.connection() as conn:
        await remotes.record_look(conn, api.now, None, "cannot reach git.example: refused")
    after = await api.http.get("/readyz")
    assert after.status_code == 200, "boxes can be served without the remote"
    assert after.json()["remote"] != "ok"


async def test_server_whose_objects_fail_is_not_ready_and_tells_no_paths(api: Api, tmp_path: Path) -> None:
    await two_changes(api)
    (tmp_path / "objects").mkdir(exist_ok=True)
    (tmp_path / "objects" / "staging").write_text("in the way of the folder")
    assert isinstance(api.objects, FolderStore)
    answer = await api.http.get("/readyz")
    assert (answer.status_code, answer.json()["objects"]) == (503, "the object store cannot be used")
    assert str(tmp_path) not in answer.text


async def test_database_that_is_away_gives_503_while_heads_are_still_served(api: Api, postgres: PostgresServer) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity)})
    reader = await api.operator("read")
    name = str(conninfo_to_dict(api.settings.database_url)["dbname"])
    api.pool.timeout = 0.2
    close = sql.SQL("alter database {} allow_connections false").format(sql.Identifier(name))
    end = sql.SQL("select pg_terminate_backend(pid) from pg_stat_activity where datname = {}").format(sql.Literal(name))
    postgres.execute(close, end)
    await until(lambda: not api.heads.listening)
    assert (await api.head(box)).status_code == 200
    assert (await api.http.get("/readyz")).json()["database"] == "it cannot be used"
    refused = await api.http.get("/v1/fleet", headers=reader)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert refused.json()["reason"] == "DatabaseUnavailable"
    assert name not in refused.text
    page = await api.http.get("/", headers={"Accept": "text/html"})
    assert (page.status_code, 'http-equiv="refresh"' in page.text) == (503, True)
    metrics = (await api.http.get("/metrics")).text
    assert "neopro_database_up 0.0" in metrics and "\nneopro_fleet" not in metrics
    assert 'route="/v1/sites/{site}/head"} 1.0' in metrics
    postgres.execute(sql.SQL("alter database {} allow_connections true").format(sql.Identifier(name)))
    await until(lambda: api.heads.listening)
    api.pool.timeout = 20  # the pool connects again at its own pace
    assert (await api.send(box, report(1))).status_code == 204


async def test_metrics_count_what_was_served(api: Api) -> None:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity)})
    tag = (await api.head(box)).headers["etag"]
    await api.head(box, **{"If-None-Match": tag})
    generation = int(tag.strip('"').partition("-")[0])
    await api.send(box, report(generation))
    async with api.connection() as conn:
        await remotes.record_look(conn, api.now, None, "away")
    api.now += timedelta(seconds=30)
    lines = (await api.http.get("/metrics")).text.splitlines()
    for line in (
        'neopro_http_requests_total{code="200",method="GET",route="/v1/sites/{site}/head"} 1.0',
        'neopro_http_requests_total{code="304",method="GET",route="/v1/sites/{site}/head"} 1.0',
        'neopro_reports_total{outcome="kept"} 1.0',
        'neopro_fleet_sites{standing="Synced"} 1.0',
        'neopro_fleet_sites{standing="Offline"} 0.0',
        "neopro_fleet_publication_timestamp_seconds 1.7723664e+09",
        "neopro_fleet_git_remote_up 0.0",
        "neopro_listening 1.0",
    ):
        assert line in lines


async def test_openapi_describes_every_call_and_no_viewer_is_served(api: Api) -> None:
    document = (await api.http.get("/v1/openapi.json")).json()
    paths = {path.replace("_", "-") for path in document["paths"]}
    assert {"/v1/sites/{site}/head", "/v1/blobs/{digest}", "/v1/sites/{site}/status", "/v1/fleet"} <= paths
    for viewer in ("redoc", "swagger", "elements", "rapidoc"):
        assert (await api.http.get(f"/v1/{viewer}")).status_code == 404
    report_body = document["paths"]["/v1/sites/{site}/status"]["post"]["requestBody"]
    assert "StatusReport" in str(report_body)


ERRORS = [
    ("GET", "/v1/nothing", 404),
    ("GET", "/nothing", 404),
    ("DELETE", "/v1/fleet", 405),
    ("GET", "/v1/fleet", 401),
    ("PUT", "/v1/blobs/" + "0" * 64, 401),
    ("GET", "/v1/blobs/short", 404),
    ("POST", "/v1/sites/brest/status", 401),
    ("GET", "/v1/sites/brest/head", 401),
]


async def test_error_is_a_problem_document(api: Api) -> None:
    for method, path, status in ERRORS:
        answer = await api.http.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        problem = msgspec.json.decode(answer.content, type=ProblemDetails)
        assert problem.status == status
        assert problem.reason
        assert ("www-authenticate" in answer.headers) == (status == 401)
        assert ("allow" in answer.headers) == (status == 405)
