"""docs/prometheus.md: every metric and every alert rule, and how they get into Prometheus and Grafana."""

from collections.abc import Iterator, Sequence
from importlib.resources import files

import yaml

from cli.verbs.monitoring import FILES
from control_plane.monitoring.families import FLEET, PROCESS, Family

_HEAD = """\
# Prometheus and Grafana

<!-- Written by `make docs` from control_plane/monitoring/: change it there, or in cli/docs/prometheus.py. -->

The status page, its alerts and [notifications](notifications.md) need nothing of this. Whoever runs Prometheus
already gets the same from it: `/metrics` of every control plane, alert rules, and a dashboard.

## Set it up

```sh
neopro token add prometheus --days 365 > /etc/prometheus/neopro.token   # on the server; the scope read is enough
neopro monitoring rules > /etc/prometheus/rules/neopro.rules.yml
neopro monitoring dashboard > neopro.dashboard.json                     # Grafana: Dashboards, New, Import
```

```yaml
# a part of prometheus.yml
rule_files: [rules/neopro.rules.yml]
scrape_configs:
  - job_name: neopro                     # rules and dashboard go by this name
    scheme: https
    authorization: {credentials_file: /etc/prometheus/neopro.token}
    static_configs:
      - targets: [fleet-a.example.org:8470, fleet-b.example.org:8470]
```

Without a token `/metrics` is for a Prometheus on the same machine, where the server listens on loopback. Where
several control planes stand behind one address, name each of them and not the address. OpenMetrics is told to whoever
asks for it, as Prometheus does.

The files lie in the package, in [`control_plane/monitoring/`](../control_plane/monitoring/). The dashboard has two
variables: the data source, and which control planes to look at.

## What the names tell

- `neopro_fleet_…` is read from the database that all control planes share, so **it is the same from each of them**:
  take the greatest (`max by (standing) (neopro_fleet_sites)`), never the sum. A fleet of more than 500 sites is not
  read anew for each scrape, so two servers may be apart by as long as they rest;
  `neopro_fleet_read_timestamp_seconds` says when it was read.
- **Everything else counts what one process did** since it was started: add it up
  (`sum(rate(neopro_reports_total[5m]))`).
- **No label names a site.** A thousand clubs times seven standings would be more series than all else together, and
  which site it is stands on the page, in `neopro alerts` and in `GET /v1/fleet`. What boxes call themselves (reasons,
  releases) is told under names that Git or this version knows, else as `other`. A fleet of any size is some hundred
  series a server, and those of groups and releases.
- Instants are seconds since 1970: `time() - neopro_fleet_publication_timestamp_seconds` is an age. What is not known
  has no sample.
- Without a database a scrape from the same machine says so (`neopro_database_up 0`), tells what the process counted,
  and nothing of the fleet. A token cannot be checked then: a scrape that needs one is answered by 503, which Prometheus
  takes for `up 0`.
- `process_…` are those of every client of Prometheus.
"""

_RULES = """\
## Alert rules

What the control plane worries about by itself ([alerts.md](alerts.md)) comes as `NeoproFleetCritical` and
`NeoproFleetWarning` with its `kind`; what is silenced in Git does not. The other rules find what the control plane
cannot tell, or not any more. `severity` is `critical` or `warning`: route by it.
"""


def prometheus_page() -> str:
    """The page."""
    return "\n".join(
        [
            _HEAD,
            "### Of the fleet\n",
            *_metrics(FLEET),
            "\n### Of each process\n",
            *_metrics(PROCESS),
            "",
            _RULES,
            *_rules(),
            "",
        ]
    )


def _metrics(families: Sequence[Family]) -> Iterator[str]:
    yield "| metric | kind | labels | tells |"
    yield "|---|---|---|---|"
    for family in families:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        yield f"| `{family.name}` | {family.kind} | {labels} | {family.help} |"


def _rules() -> Iterator[str]:
    text = files("control_plane.monitoring").joinpath(FILES["rules"]).read_text("utf-8")
    yield "| alert | severity | after | what to do |"
    yield "|---|---|---|---|"
    for group in yaml.safe_load(text)["groups"]:
        for rule in group["rules"]:
            todo = rule["annotations"]["description"]
            yield f"| `{rule['alert']}` | {rule['labels']['severity']} | {rule['for']} | {todo} |"
