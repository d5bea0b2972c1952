"""What Prometheus is told by a real server, and whether its rules and its dashboard ask for nothing else."""

import asyncio
import json
import re
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import msgspec
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from cli.verbs.monitoring import FILES
from control_plane.monitoring import families
from control_plane.monitoring.families import FLEET, PROCESS, Family
from control_plane.store import reports
from control_plane.store.binaries import Programs
from control_plane.watching import Watch
from schemas.status import Metrics
from tests.support.authority import Authority
from tests.support.patience import wait_for
from tests.support.postgres import PostgresServer, newest_and_oldest
from tests.support.promql import FROM_SCRAPING, Asked, Expression
from tests.support.published import report
from tests.support.server_process import server_process
from tests.support.world import SITES, World, as_yaml, open_world

FOLDER: Final = Path(families.__file__).parent
RULES: Final = FOLDER / FILES["rules"]
RULES_TEST: Final = Path(__file__).with_name("neopro.rules.test.yml")
SECRET: Final = "s3cret-of-the-hook"
PROMTOOL: Final = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"
OF_PROCESS: Final = re.compile(r"process_\w+")
OF_PROMETHEUS: Final = {"up"}
"""What Prometheus itself writes down of each scrape."""


class Scraped(NamedTuple):
    """An answer of /metrics as text, and as OpenMetrics; what must not be in it."""

    text: str
    openmetrics: str
    secrets: list[str]

    def samples(self) -> list[Sample]:
        return [sample for family in text_string_to_metric_families(self.text) for sample in family.samples]


@pytest.fixture(scope="module")
def scraped(
    postgres_servers: Callable[[Programs], PostgresServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scraped]:
    """The real program over TLS on a real database, after some work: it served, refused, and failed to tell."""
    folder = tmp_path_factory.mktemp("scraped")
    server = postgres_servers(newest_and_oldest()[0])
    database = server.create_database()
    authority = Authority(folder, "scraped")
    (folder / "notifications.toml").write_text(
        f"[[channel]]\nname = 'team'\nurl = 'json://user:{SECRET}@127.0.0.1:1/hook'\npause_s = 0\n"
    )
    (folder / "database-url").touch(mode=0o600)
    (folder / "database-url").write_text(database)
    world = asyncio.run(_furnished(folder / "world", database))
    settings = world.settings_file(
        database_url_file=folder / "database-url",
        notifications=folder / "notifications.toml",
        tls_certificate=authority.server_file,
        tls_key=authority.server_file,
    )
    trusting = ssl.create_default_context(cafile=str(authority.ca_file))
    try:
        with server_process(settings) as process, httpx.Client(verify=trusting, trust_env=False) as http:
            yield _worked(http, process.url, world, database)
    finally:
        server.drop_database(database)


async def _furnished(folder: Path, database: str) -> World:
    """A fleet with an alert that is to be told, and a release on its way."""
    folder.mkdir()
    async with open_world(folder, database) as world:
        await world.ingest()
        policies = {"rollouts": {"standard": {"waves": ["50%", "100%"]}}}
        defaults = {"release": "1.1.0", "rollout": "standard", "video_sets": ["national"]}
        fleet = {"schema": 1, "defaults": defaults} | policies
        world.commit({"fleet.yaml": as_yaml(fleet)} | world.add_release("1.1.0", {"VERSION": b"1.1.0\n"}))
        assert (await world.ingest()).verdict == "published"
        hot = report(at=world.clock(), metrics=Metrics(temperature_celsius=91))
        async with world.connection() as conn:
            await reports.record(conn, [reports.Received("brest", hot, world.clock())])
        await Watch(world.opened.pool, world.clock).look()
    return world


def _worked(http: httpx.Client, url: str, world: World, database: str) -> Scraped:
    """Ask the server for what boxes ask for, also wrongly, and wait until its jobs have run."""
    wait_for(lambda: http.get(f"{url}/v1/sites/brest/head", headers=world.headers("brest")).status_code == 200)
    said = msgspec.json.encode(report(sequence=2, at=world.clock()))
    kept = http.post(f"{url}/v1/sites/brest/status", headers=world.headers("brest"), content=said)
    refused = http.post(f"{url}/v1/sites/brest/status", headers=world.headers("brest"), content=b"{}")
    assert (kept.status_code, refused.status_code) == (204, 400)
    assert http.request("BREW", f"{url}/sites-secret-path").status_code in (404, 405)

    def scrape(accept: str = "text/plain") -> str:
        answer = http.get(f"{url}/metrics", headers={"Accept": accept})
        assert answer.status_code == 200, answer.text
        return answer.text

    wait_for(lambda: 'neopro_notifications_total{channel="team",outcome="failed"} 1.0' in scrape())
    wait_for(lambda: not re.search(r"^neopro_job_last_success_timestamp_seconds{.*} 0.0$", scrape(), re.MULTILINE))
    secrets = [*SITES, SECRET, "neopro@", database, str(world.folder), "Start the fleet", world.token("brest")[:20]]
    return Scraped(scrape(), scrape(OPENMETRICS), secrets)


def told(scraped: Scraped) -> dict[str, Any]:
    """Each metric that was scraped, by its whole name."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: family
        for family in text_string_to_metric_families(scraped.text)
    }


@pytest.mark.parametrize("family", [*FLEET, *PROCESS], ids=lambda family: family.name)
def test_every_metric_is_told_with_its_kind_its_words_and_its_labels(scraped: Scraped, family: Family) -> None:
    found = told(scraped)[family.name]
    assert (found.type, found.documentation) == (family.kind, family.help)
    assert found.samples, "nothing was counted"
    assert {frozenset(sample.labels) - {"le"} for sample in found.samples} == {frozenset(family.labels)}


def test_nothing_else_is_told_but_of_the_process(scraped: Scraped) -> None:
    others = told(scraped).keys() - {family.name for family in (*FLEET, *PROCESS)}
    assert others
    assert not [name for name in others if not OF_PROCESS.fullmatch(name)]


@pytest.mark.parametrize("family", [*FLEET, *PROCESS], ids=lambda family: family.name)
def test_name_follows_the_rules_of_prometheus(family: Family) -> None:
    """https://prometheus.io/docs/practices/naming: one prefix, base units as suffixes, `_total` of counters alone."""
    assert re.fullmatch(r"neopro_[a-z]+(_[a-z]+)*", family.name)
    assert (family in FLEET) == family.name.startswith("neopro_fleet_")
    assert (family.kind == "counter") == family.name.endswith("_total")
    words = set(family.name.split("_"))
    assert not words & {"ms", "milliseconds", "minutes", "hours", "days", "kb", "mb", "megabytes", "percent", "celsius"}
    assert ("timestamp" in words) <= family.name.endswith("_timestamp_seconds")
    assert (family.kind == "histogram") == bool(family.buckets)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", label) for label in family.labels)
    assert not {*family.labels} & {"site", "identity", "tenant", "le", *FROM_SCRAPING}
    assert len(family.help) > 10 and not family.help.endswith(".")


def test_no_site_no_secret_and_no_path_is_told(scraped: Scraped) -> None:
    for text in (scraped.text, scraped.openmetrics):
        assert [secret for secret in scraped.secrets if secret in text] == []
        assert "sites-secret-path" not in text and "BREW" not in text


def test_openmetrics_is_told_to_whoever_asks_for_it_and_says_the_same(scraped: Scraped) -> None:
    names = {family.name for family in parse_openmetrics(scraped.openmetrics)}
    assert names == {family.name for family in text_string_to_metric_families(scraped.text)}


def test_series_are_as_many_for_a_thousand_sites_as_for_three(scraped: Scraped) -> None:
    labels = {label for sample in scraped.samples() for label in sample.labels}
    assert labels == {label for family in (*FLEET, *PROCESS) for label in family.labels} | {"le"}
    assert len(scraped.samples()) < 1500


# -- rules and dashboard ----------


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / FILES["dashboard"]).read_text())
    return document


def targets() -> list[tuple[dict[str, Any], str, str]]:
    """Each panel, with an expression and the legend of what comes out of it."""
    return [
        (panel, target["expr"], target["legendFormat"])
        for panel in dashboard()["panels"]
        for target in panel.get("targets", ())
    ]


def missing(scraped: Scraped, expression: Expression) -> list[Asked]:
    """What an expression reads that was never scraped, or chooses by labels that it does not have."""
    labels: dict[str, set[str]] = {}
    for sample in scraped.samples():
        labels.setdefault(sample.name, set()).update(sample.labels, FROM_SCRAPING)
    return [
        asked
        for asked in expression.asked
        if (asked.metric not in OF_PROMETHEUS and not asked.labels <= labels.get(asked.metric, set()))
        or asked.metric not in labels.keys() | OF_PROMETHEUS
    ]


def labels_of(expression: Expression) -> set[str]:
    """Labels that the metrics of an expression have."""
    suffix = re.compile("_(bucket|sum|count)$")
    known = {family.name: {*family.labels, "le"} for family in (*FLEET, *PROCESS)}
    metrics = [asked.metric for asked in expression.asked]
    return {
        label
        for metric in metrics
        for label in known.get(metric, known.get(suffix.sub("", metric), set())) | FROM_SCRAPING
    }


def test_a_misspelt_metric_and_label_would_be_found(scraped: Scraped) -> None:
    for text in ("neopro_fleet_sitez", 'neopro_fleet_sites{stand="x"}', "rate(neopro_reports_total{sort='a'}[5m])"):
        assert missing(scraped, Expression(text)), text
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        Expression("sum by (neopro_fleet_sites")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_rule_asks_for_what_is_told_and_says_what_to_do(scraped: Scraped, rule: dict[str, Any]) -> None:
    expression = Expression(rule["expr"])
    assert missing(scraped, expression) == []
    assert expression.grouped <= labels_of(expression)
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"].keys() == {"summary", "description"}
    shown = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert shown <= (expression.grouped if expression.aggregates else labels_of(expression))


def test_figures_of_the_fleet_are_never_added_up_over_control_planes() -> None:
    """Several of them tell the same: `sum` counts each site as often as there are servers; `max` first."""
    for text in [rule["expr"] for rule in rules()] + [expr for _, expr, _ in targets()]:
        assert not re.search(r"\b(sum|count|avg)( by \([^)]*\))? ?\(neopro_fleet_", text), text
        for found in re.finditer("neopro_fleet_", text):
            assert re.search(r"(max|min)( by \([^)]*\))? ?\($", text[: found.start()]), text


@pytest.mark.parametrize(("panel", "text", "legend"), targets(), ids=lambda value: str(value)[:40])
def test_panel_asks_for_what_is_told(scraped: Scraped, panel: dict[str, Any], text: str, legend: str) -> None:
    expression = Expression(text)
    assert missing(scraped, expression) == []
    assert expression.grouped <= labels_of(expression)
    shown = set(re.findall(r"{{\s*(\w+)\s*}}", legend))
    assert shown <= (expression.grouped if expression.aggregates else labels_of(expression))
    assert panel["title"] and panel["description"].endswith(".")
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_dashboard_can_be_imported_and_nothing_lies_on_anything_else() -> None:
    document = dashboard()
    assert document["uid"] == "neopro-fleet" and document["schemaVersion"] >= 39
    assert {variable["name"] for variable in document["templating"]["list"]} == {"datasource", "instance"}
    panels = document["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells


def test_every_metric_of_the_fleet_and_of_its_reports_is_on_the_dashboard_or_in_a_rule() -> None:
    asked = {asked.metric for rule in rules() for asked in Expression(rule["expr"]).asked}
    asked |= {
        re.sub("_(bucket|sum|count)$", "", one.metric) for _, text, _ in targets() for one in Expression(text).asked
    }
    forgotten = {family.name for family in (*FLEET, *PROCESS)} - asked
    assert forgotten == {
        "neopro_fleet_last_report_timestamp_seconds",
        "neopro_fleet_read_timestamp_seconds",
        "neopro_fleet_git_remote_last_success_timestamp_seconds",
        "neopro_database_pool_loans_total",
        "neopro_database_pool_errors_total",
        "neopro_database_pool_wait_seconds_total",
    }


@needs_promtool
def test_prometheus_own_tool_takes_the_metrics(scraped: Scraped) -> None:
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=scraped.text, text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs_promtool
def test_prometheus_own_tool_fires_the_rules_when_they_must(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    (tmp_path / RULES.name).write_text(RULES.read_text())
    (tmp_path / RULES_TEST.name).write_text(RULES_TEST.read_text())
    done = subprocess.run([PROMTOOL, "test", "rules", RULES_TEST.name], cwd=tmp_path, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_rule_is_tried_by_prometheus_own_tool() -> None:
    tried = {
        case["alertname"]
        for test in yaml.safe_load(RULES_TEST.read_text())["tests"]
        for case in test["alert_rule_test"]
    }
    assert tried == {rule["alert"] for rule in rules()}
