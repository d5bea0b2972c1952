"""What this process counts and times, in a registry of its own. Whoever counts holds the meter, and no name of it."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

from control_plane.monitoring import families
from control_plane.monitoring.families import Family

OUTCOMES: Final = ("kept", "duplicate", "refused", "unkept")
DELIVERIES: Final = ("sent", "failed")


class Meters:
    """The metrics of one process. Those whose labels are known stand at 0 from the start, so that none begins late."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        _gauge(registry, families.BUILD).labels(version("neopro-fleet")).set(1)
        self.requests = _counter(registry, families.REQUESTS)
        self.request_duration = _histogram(registry, families.REQUEST_DURATION)
        self.long_polls = _gauge(registry, families.LONG_POLLS)
        self.listening = _gauge(registry, families.LISTENING)
        self.signature_checks = _counter(registry, families.SIGNATURE_CHECKS)
        self.samples = _counter(registry, families.SAMPLES)
        self.reports_waiting = _gauge(registry, families.REPORTS_WAITING)
        self.batch_size = _histogram(registry, families.BATCH_SIZE)
        self.batch_duration = _histogram(registry, families.BATCH_DURATION)
        self.convergence = _histogram(registry, families.CONVERGENCE)
        self.blob_bytes_sent = _counter(registry, families.BLOB_BYTES_SENT)
        self.blob_bytes_received = _counter(registry, families.BLOB_BYTES_RECEIVED)
        self.blob_redirects = _counter(registry, families.BLOB_REDIRECTS)
        self.job_duration = _histogram(registry, families.JOB_DURATION)
        self.job_failures = _counter(registry, families.JOB_FAILURES)
        self.job_success = _gauge(registry, families.JOB_SUCCESS)
        self.job_interval = _gauge(registry, families.JOB_INTERVAL)
        self.notifications = _counter(registry, families.NOTIFICATIONS)
        reports = _counter(registry, families.REPORTS)
        self.reports: Mapping[str, Counter] = {outcome: reports.labels(outcome) for outcome in OUTCOMES}
        self.samples_in_time, self.samples_late = self.samples.labels("false"), self.samples.labels("true")

    def expect_job(self, task: str, every_s: float) -> None:
        """A job that runs from now on, every so many seconds."""
        self.job_interval.labels(task).set(every_s)
        for meter in (self.job_duration, self.job_failures, self.job_success):
            meter.labels(task)

    def expect_channel(self, channel: str) -> None:
        """A channel by which people are told."""
        for outcome in DELIVERIES:
            self.notifications.labels(channel, outcome)


def _counter(registry: CollectorRegistry, family: Family) -> Counter:
    return Counter(family.name.removesuffix("_total"), family.help, family.labels, registry=registry)


def _gauge(registry: CollectorRegistry, family: Family) -> Gauge:
    return Gauge(family.name, family.help, family.labels, registry=registry)


def _histogram(registry: CollectorRegistry, family: Family) -> Histogram:
    return Histogram(family.name, family.help, family.labels, buckets=family.buckets, registry=registry)
