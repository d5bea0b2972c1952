"""Every metric: its name by Prometheus' rules (base units, `_total` of counters), its labels, and what it says.

No label names a site: thousands of sites times their states would be more series than all else together, and which
site it is stands on the page, in the alerts and behind `GET /v1/fleet`. What boxes name themselves (reasons, releases)
is told under names that Git or this program knows, else as `other`.
"""

from typing import Final, Literal, NamedTuple


class Family(NamedTuple):
    """A metric with all its labels; `buckets` of a histogram, in its unit."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


OTHER: Final = "other"
MAX_GROUPS: Final = 200
"""Groups that are told of, the largest first."""

# -- of the fleet, from the shared database ----------

SITES: Final = Family("neopro_fleet_sites", "gauge", "Sites by how they stand", ("standing",))
SITES_BY_REASON: Final = Family(
    "neopro_fleet_sites_by_reason",
    "gauge",
    "Sites that are not Synced, by standing and reason; `other`: a reason that this server does not know",
    ("standing", "reason"),
)
SITES_BY_GROUP: Final = Family(
    "neopro_fleet_sites_by_group",
    "gauge",
    f"Sites of each group by how they stand; of the {MAX_GROUPS} largest groups",
    ("group", "standing"),
)
RELEASE_DESIRED: Final = Family(
    "neopro_fleet_release_desired_sites", "gauge", "Active sites that are told to run a release", ("release",)
)
RELEASE_RUNNING: Final = Family(
    "neopro_fleet_release_running_sites",
    "gauge",
    "Active sites whose box last said that it runs a release; `other`: one that is not in Git, `none`: it said none",
    ("release",),
)
ROLLOUT_SITES: Final = Family(
    "neopro_fleet_rollout_sites",
    "gauge",
    "Sites of each open rollout, by how it goes there; `waiting`: they do not have it yet",
    ("kind", "version", "policy", "outcome"),
)
ROLLOUTS: Final = Family("neopro_fleet_rollouts", "gauge", "Open rollouts", ("phase",))
LAST_REPORT: Final = Family(
    "neopro_fleet_last_report_timestamp_seconds", "gauge", "When the newest report of any box came; absent before it"
)
READ: Final = Family(
    "neopro_fleet_read_timestamp_seconds",
    "gauge",
    "When the sites were read from the database: a large fleet is not read anew for each scrape",
)
PUBLICATION_INFO: Final = Family(
    "neopro_fleet_publication_info", "gauge", "1; the commit that is published", ("revision",)
)
PUBLICATION: Final = Family(
    "neopro_fleet_publication_timestamp_seconds", "gauge", "When something was last published; absent before it"
)
CHANGE_SITES: Final = Family("neopro_fleet_change_sites", "gauge", "Sites that the newest published commit changes")
CHANGE_CONVERGED: Final = Family(
    "neopro_fleet_change_converged_sites", "gauge", "Sites that the newest published commit changes and that are there"
)
NEWEST_COMMIT: Final = Family(
    "neopro_fleet_newest_commit", "gauge", "1 for what became of the newest commit on the remote, else 0", ("verdict",)
)
REMOTE_UP: Final = Family("neopro_fleet_git_remote_up", "gauge", "1 if the last look at the Git remote went well")
REMOTE_LOOK: Final = Family(
    "neopro_fleet_git_remote_last_look_timestamp_seconds", "gauge", "When the Git remote was last looked at"
)
REMOTE_SUCCESS: Final = Family(
    "neopro_fleet_git_remote_last_success_timestamp_seconds", "gauge", "When a look at the Git remote last went well"
)
EXPIRY: Final = Family(
    "neopro_fleet_expiry_timestamp_seconds",
    "gauge",
    "When the trust root, the release list, and the first signed head of a site with a box expire",
    ("of",),
)
ALERTS: Final = Family(
    "neopro_fleet_alerts",
    "gauge",
    "Alerts that are open and not silenced, by kind and severity: docs/alerts.md",
    ("kind", "severity"),
)
SILENCED: Final = Family("neopro_fleet_silenced_alerts", "gauge", "Alerts that are open and silenced in Git", ("kind",))
ENROLMENTS: Final = Family("neopro_fleet_enrolments_waiting", "gauge", "New boxes that wait to be let in")
LOGIN_FAILURES: Final = Family(
    "neopro_fleet_login_failures", "gauge", "Logins that failed or were not even tried, within a quarter of an hour"
)
NOTIFICATIONS_WAITING: Final = Family(
    "neopro_fleet_notifications_waiting", "gauge", "Notices that were not delivered yet, by channel", ("channel",)
)
NOTIFICATIONS_FAILING: Final = Family(
    "neopro_fleet_notifications_failing",
    "gauge",
    "Notices that wait after a delivery that failed, by channel",
    ("channel",),
)
DATABASE_SIZE: Final = Family("neopro_fleet_database_size_bytes", "gauge", "Size of the database on its disk")
CONTROL_PLANES: Final = Family(
    "neopro_fleet_control_planes", "gauge", "Control planes that said within a minute that they are there"
)

FLEET: Final = (
    *(SITES, SITES_BY_REASON, SITES_BY_GROUP, RELEASE_DESIRED, RELEASE_RUNNING, LAST_REPORT, READ),
    *(ROLLOUTS, ROLLOUT_SITES),
    *(PUBLICATION_INFO, PUBLICATION, CHANGE_SITES, CHANGE_CONVERGED, NEWEST_COMMIT),
    *(REMOTE_UP, REMOTE_LOOK, REMOTE_SUCCESS, EXPIRY, ALERTS, SILENCED, ENROLMENTS, LOGIN_FAILURES),
    *(NOTIFICATIONS_WAITING, NOTIFICATIONS_FAILING, DATABASE_SIZE, CONTROL_PLANES),
)

# -- of this process ----------

BUILD: Final = Family("neopro_build_info", "gauge", "1; the version of the control plane", ("version",))
REQUESTS: Final = Family(
    "neopro_http_requests_total",
    "counter",
    "Requests that were answered, by the template of their route; `unmatched`: there is no such route or method",
    ("method", "route", "code"),
)
REQUEST_DURATION: Final = Family(
    "neopro_http_request_duration_seconds",
    "histogram",
    "Seconds until the answer began; the time that a long poll was held is not in it",
    ("method", "route"),
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
LONG_POLLS: Final = Family("neopro_long_polls", "gauge", "Long polls that are open")
LISTENING: Final = Family("neopro_listening", "gauge", "1 while the database's news are listened for")
SIGNATURE_CHECKS: Final = Family(
    "neopro_token_signature_checks_total", "counter", "Signatures of boxes' tokens that were checked"
)
REPORTS: Final = Family(
    "neopro_reports_total",
    "counter",
    "Reports of boxes whose token is good: `kept`; `duplicate`, which were known or overtaken; `refused` by a 4xx;"
    " `unkept`, which the box is to send again because the database did not take them",
    ("outcome",),
)
SAMPLES: Final = Family(
    "neopro_samples_total",
    "counter",
    "Measurements that reports brought and that were kept; `late`: more than 15 minutes after they were made",
    ("late",),
)
REPORTS_WAITING: Final = Family("neopro_reports_waiting", "gauge", "Reports that wait to be written")
BATCH_SIZE: Final = Family(
    "neopro_report_batch_size",
    "histogram",
    "Reports that were written together",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
BATCH_DURATION: Final = Family(
    "neopro_report_batch_duration_seconds",
    "histogram",
    "Seconds that writing a batch of reports took",
    buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
CONVERGENCE: Final = Family(
    "neopro_convergence_seconds",
    "histogram",
    "Seconds from the publication of a site's generation to the report that it is reached",
    buckets=(10, 30, 60, 120, 300, 600, 1800, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600),
)
BLOB_BYTES_SENT: Final = Family(
    "neopro_blob_sent_bytes_total", "counter", "Bytes of blobs and manifests that were sent"
)
BLOB_BYTES_RECEIVED: Final = Family(
    "neopro_blob_received_bytes_total", "counter", "Bytes of blobs that operators uploaded"
)
BLOB_REDIRECTS: Final = Family(
    "neopro_blob_redirects_total", "counter", "Reads of blobs that were sent to the object store"
)
JOB_DURATION: Final = Family(
    "neopro_job_duration_seconds",
    "histogram",
    "Seconds that a run of a job took, well or not",
    ("task",),
    (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0),
)
JOB_FAILURES: Final = Family("neopro_job_failures_total", "counter", "Runs of a job that did not finish", ("task",))
JOB_SUCCESS: Final = Family(
    "neopro_job_last_success_timestamp_seconds", "gauge", "When a job last finished; 0: not yet", ("task",)
)
JOB_INTERVAL: Final = Family("neopro_job_interval_seconds", "gauge", "Seconds between two runs of a job", ("task",))
NOTIFICATIONS: Final = Family(
    "neopro_notifications_total", "counter", "Messages to people, by channel: sent or failed", ("channel", "outcome")
)
DATABASE_UP: Final = Family(
    "neopro_database_up", "gauge", "1 if the database answered this scrape; without it no neopro_fleet_ metric is told"
)
OBJECTS_UP: Final = Family("neopro_object_store_up", "gauge", "1 if the object store answered this scrape in time")
POOL: Final = Family(
    "neopro_database_pool_connections", "gauge", "Connections to the database, `in_use` or `idle`", ("state",)
)
POOL_MAX: Final = Family("neopro_database_pool_max_connections", "gauge", "Connections to the database at most")
POOL_WAITING: Final = Family("neopro_database_pool_waiting", "gauge", "Who waits for a connection to the database")
POOL_LOANS: Final = Family("neopro_database_pool_loans_total", "counter", "Connections that were asked for")
POOL_ERRORS: Final = Family(
    "neopro_database_pool_errors_total", "counter", "Connections that were asked for in vain, or too late"
)
POOL_WAIT: Final = Family(
    "neopro_database_pool_wait_seconds_total", "counter", "Seconds that were waited for connections"
)
CERTIFICATE: Final = Family(
    "neopro_tls_certificate_expiry_timestamp_seconds",
    "gauge",
    "When the certificate that this server answers with expires; absent where a proxy ends TLS",
)

PROCESS: Final = (
    *(BUILD, REQUESTS, REQUEST_DURATION, LONG_POLLS, LISTENING, SIGNATURE_CHECKS),
    *(REPORTS, SAMPLES, REPORTS_WAITING, BATCH_SIZE, BATCH_DURATION, CONVERGENCE),
    *(BLOB_BYTES_SENT, BLOB_BYTES_RECEIVED, BLOB_REDIRECTS),
    *(JOB_DURATION, JOB_FAILURES, JOB_SUCCESS, JOB_INTERVAL, NOTIFICATIONS),
    *(DATABASE_UP, OBJECTS_UP, POOL, POOL_MAX, POOL_WAITING, POOL_LOANS, POOL_ERRORS, POOL_WAIT, CERTIFICATE),
)
